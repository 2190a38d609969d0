"""Watermark epochs of a key ring: their keys, commitments to them, and which of them were disclosed.

The commitment is logged before an epoch marks anything, the key itself long after it was retired (docs/disclosure.md).
It is SHA-256 over a name and the 32 random bytes: it hides the key until then and fits no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gensafe.core.errors import KeyError_
from gensafe.core.types import Modality
from gensafe.keys.disk import locked
from gensafe.keys.holder import Holder
from gensafe.keys.index import KeyInfo, Role

COMMITMENT: Final = b"gensafe/watermark/commitment/v1\0"  # keeps this hash apart from every other use of the key


def commitment_to(master: bytes) -> str:
    """The commitment to an epoch's 32-byte master key: "sha256:<hex>"."""
    return "sha256:" + hashlib.sha256(COMMITMENT + master).hexdigest()


class WatermarkEpochs(Holder):
    """The part of ``KeyRing`` that is about watermark keys."""

    @property
    def current_epoch(self) -> int:
        """Watermark epoch that new marks carry, 0..15."""
        return self._need(Role.WATERMARK, "gensafe keys init").epoch

    def watermark_epochs(self) -> tuple[int, ...]:
        """Epochs a detector should search, newest first; revoked ones are left out."""
        return tuple(k.epoch for k in reversed(self._index.of(Role.WATERMARK)))

    def disclosed_epochs(self) -> frozenset[int]:
        """Epochs whose keys anybody has, and so anybody can mark with."""
        return frozenset(k.epoch for k in self._index.keys if k.role is Role.WATERMARK and k.disclosed_ms)

    def watermark_info(self, epoch: int) -> KeyInfo:
        """The key of an epoch that was not revoked.

        Raises:
            KeyError_: there is none.
        """
        for info in self._index.of(Role.WATERMARK):
            if info.epoch == epoch:
                return info
        raise KeyError_(f"there is no usable watermark key of epoch {epoch}", field="epoch")

    def watermark_master(self, epoch: int) -> bytes:
        """The 32 bytes that all keys of an epoch come from: what a disclosure publishes.

        Raises:
            KeyError_: no such epoch, or it was revoked.
        """
        return self._vault.load(self.watermark_info(epoch).secret_name)

    def watermark_key(self, modality: Modality, epoch: int | None = None) -> bytes:
        """The 32-byte watermark key of one medium and epoch (default: the current one); HKDF-SHA256, RFC 5869.

        Raises:
            KeyError_: no such epoch, or it was revoked.
        """
        wanted = self.current_epoch if epoch is None else epoch
        label = f"gensafe/watermark/v1/{modality.value}/{wanted}".encode()
        return HKDF(hashes.SHA256(), 32, None, label).derive(self.watermark_master(wanted))

    def watermark_key_id(self, epoch: int | None = None) -> str:
        """Public name of a watermark epoch's key, for receipts and the log."""
        wanted = self.current_epoch if epoch is None else epoch
        found = [k for k in self._index.keys if k.role is Role.WATERMARK and k.epoch == wanted]
        if not found:
            raise KeyError_(f"there is no watermark key of epoch {wanted}", field="epoch")
        return f"{found[-1].key_id}/{wanted}"

    def note_committed(self, epoch: int, log_index: int) -> None:
        """Remember which log entry holds the commitment to an epoch's key."""
        self._change(epoch, lambda info: replace(info, committed=log_index))

    def note_disclosed(self, epoch: int, now_ms: int) -> None:
        """Remember that an epoch's key stands in the log."""
        self._change(epoch, lambda info: replace(info, disclosed_ms=now_ms))

    def _change(self, epoch: int, changed: Callable[[KeyInfo], KeyInfo]) -> None:
        with locked(self.directory):
            self._reload()
            info = self.watermark_info(epoch)
            keys = tuple(changed(k) if k is info else k for k in self._index.keys)
            self._save(replace(self._index, keys=keys))
