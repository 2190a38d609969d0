"""Outputs held for a person: encrypted at rest, shown only with the key, decided once, with a reason.

One folder, three files an item, each written whole before its name appears: ``<id>.json`` (what is known without the
content), ``<id>.sealed`` (nonce and AES-256-GCM ciphertext; the metadata is authenticated with it) and, after the
decision, ``<id>.decided.json``. Rejecting removes the sealed content. The events that ``release`` and ``reject`` return
belong into the audit log; this module neither signs nor publishes.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gensafe.core.canonical import canonical_json
from gensafe.core.digest import commit, sha256
from gensafe.core.errors import Conflict, InvalidRequest, KeyError_, NotFound, SafetyUnavailable
from gensafe.core.ports import Clock
from gensafe.core.types import Verdict
from gensafe.safety.receipt import verdict_dict, verdict_digest

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_ID: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class HeldItem:
    """What is known about a held item without opening it."""

    id: str
    held_ms: int
    tenant: str
    record: str  # record id or request id the item belongs to
    media_type: str
    commitment: str  # keyed commitment to the content
    verdict: Mapping[str, Any]
    decision: Mapping[str, Any] | None  # None = waiting


class ReviewQueue:
    """A queue in ``folder``.

    Args:
        folder: Made if missing, readable by the owner only.
        key: 32 bytes. Everything held before is lost with it.
        clock: For the times in the records.

    Raises:
        KeyError_: the key has another length.
    """

    def __init__(self, folder: Path, key: bytes, clock: Clock) -> None:
        if len(key) != KEY_BYTES:
            raise KeyError_(f"the review key has {KEY_BYTES} bytes", field="review_key")
        self._folder, self._key, self._clock = folder, key, clock
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SafetyUnavailable(f"the review folder cannot be made: {error.strerror}") from error

    def hold(self, content: bytes, media_type: str, verdict: Verdict, *, tenant: str, record: str) -> str:
        """Store ``content`` sealed and return its id. Durable when this returns.

        Raises:
            SafetyUnavailable: it cannot be stored.
        """
        item = secrets.token_hex(8)
        known = {
            "id": item,
            "held_ms": self._clock.now_ms(),
            "tenant": tenant,
            "record": record,
            "media_type": media_type,
            "commitment": commit(self._key, content),
            "verdict": verdict_dict(verdict),
            "verdict_digest": verdict_digest(verdict),
        }
        header = canonical_json(known)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + AESGCM(self._key).encrypt(nonce, content, header)
        # the metadata last: an item exists once it can be listed, and then its content is there
        self._write(f"{item}.sealed", sealed)
        self._write(f"{item}.json", header)
        return item

    def items(self, *, waiting: bool = True) -> tuple[HeldItem, ...]:
        """Held items, oldest first; only those without a decision unless ``waiting`` is False."""
        found = [self.item(p.name[:16]) for p in self._folder.glob("*.json") if _ID.fullmatch(p.name[:-5])]
        return tuple(sorted((i for i in found if not waiting or i.decision is None), key=lambda i: (i.held_ms, i.id)))

    def item(self, item: str) -> HeldItem:
        """One item.

        Raises:
            NotFound: no such item.
            SafetyUnavailable: its files are damaged.
        """
        known = self._json(item, ".json")
        if known is None:
            raise NotFound("no such item", field="id")
        try:
            return HeldItem(
                id=known["id"],
                held_ms=known["held_ms"],
                tenant=known["tenant"],
                record=known["record"],
                media_type=known["media_type"],
                commitment=known["commitment"],
                verdict=known["verdict"],
                decision=self._json(item, ".decided.json"),
            )
        except (KeyError, TypeError) as error:
            raise SafetyUnavailable(f"the item {item} is damaged") from error

    def open(self, item: str) -> bytes:
        """The content.

        Raises:
            NotFound: no such item, or its content was removed by a rejection.
            KeyError_: another key, or the files were changed.
        """
        self.item(item)
        try:
            header = (self._folder / f"{item}.json").read_bytes()
            sealed = (self._folder / f"{item}.sealed").read_bytes()
        except OSError as error:
            raise NotFound("the content was removed", field="id") from error
        try:
            return AESGCM(self._key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], header)
        except (InvalidTag, ValueError) as error:
            raise KeyError_("the item does not open: another key, or changed files", field="review_key") from error

    def release(self, item: str, reviewer: str, reason: str) -> dict[str, Any]:
        """Decide that ``item`` may go out; return the event for the audit log. The content stays until it is removed.

        Raises:
            NotFound, InvalidRequest, Conflict: no such item; no reviewer or reason; decided before.
            KeyError_: the content does not open: nothing is released unseen.
        """
        self.open(item)
        return self._decide(item, "released", reviewer, reason)

    def reject(self, item: str, reviewer: str, reason: str) -> dict[str, Any]:
        """Decide that ``item`` stays in; remove the content; return the event for the audit log.

        Raises:
            NotFound, InvalidRequest, Conflict: as for ``release``.
        """
        event = self._decide(item, "rejected", reviewer, reason)
        (self._folder / f"{item}.sealed").unlink(missing_ok=True)
        return event

    def _decide(self, item: str, decision: str, reviewer: str, reason: str) -> dict[str, Any]:
        held = self.item(item)
        if not reviewer.strip() or not reason.strip():
            raise InvalidRequest("a decision needs a reviewer and a reason", field="reason")
        if len(reviewer) > 200 or len(reason) > 2000:
            raise InvalidRequest("reviewer up to 200, reason up to 2000 characters", field="reason")
        event = {
            "event": "review",
            "decision": decision,
            "item": item,
            "record": held.record,
            "tenant": held.tenant,
            "commitment": held.commitment,
            "reviewer": reviewer,
            # people write names into reasons: the log gets a digest, the queue keeps the words
            "reason_digest": sha256(reason.encode("utf-8", "replace")),
            "decided_ms": self._clock.now_ms(),
        }
        try:
            self._write(f"{item}.decided.json", canonical_json({**event, "reason": reason}), exclusive=True)
        except FileExistsError as error:
            raise Conflict("already decided", field="id") from error
        return event

    def _json(self, item: str, suffix: str) -> dict[str, Any] | None:
        if not _ID.fullmatch(item):
            raise NotFound("an id is 16 hex digits", field="id")
        try:
            found = json.loads((self._folder / f"{item}{suffix}").read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SafetyUnavailable(f"the item {item} is damaged") from error
        if not isinstance(found, dict):
            raise SafetyUnavailable(f"the item {item} is damaged")
        return found

    def _write(self, name: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a whole file under ``name``; with ``exclusive`` the first of several writers wins (FileExistsError)."""
        draft = self._folder / f".{name}.{secrets.token_hex(4)}"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if exclusive:
                os.link(draft, self._folder / name)
            else:
                draft.replace(self._folder / name)
        except FileExistsError:
            raise
        except OSError as error:
            raise SafetyUnavailable(f"the item cannot be stored: {error.strerror}") from error
        finally:
            draft.unlink(missing_ok=True)
