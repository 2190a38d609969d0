"""Where an installation's log, registry and keys are, for commands that work on them without a server."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from gensafe.audit import AuditLog
from gensafe.cli.common import read_config
from gensafe.core.errors import GensafeError, LogUnavailable
from gensafe.keys import KeyRing
from gensafe.pipeline.assemble import key_passphrase


@dataclass(frozen=True, slots=True)
class Place:
    """Where the log, the registry and the keys of an installation are."""

    data_dir: Path
    environment: str

    @property
    def log(self) -> Path:
        """Folder of the log."""
        return self.data_dir / "log"

    def ring(self) -> KeyRing | None:
        """The key ring, or None where there is none or it cannot be read."""
        try:
            return KeyRing.open(
                self.data_dir / "keys", environment=self.environment, create=False, passphrase=key_passphrase()
            )
        except GensafeError:
            return None

    def writer(self, ring: KeyRing | None) -> AuditLog | None:
        """The log for writing; None where a server has it open, or there is no key or no log."""
        if ring is None or not self.log.is_dir():
            return None
        try:
            key, known = ring.checkpoint_private_key(), ring.checkpoint_public_keys()
            return AuditLog.open(self.log, origin=ring.origin, key=key, previous_keys=known)
        except LogUnavailable:
            return None


def place(args: argparse.Namespace) -> Place:
    """Read --config and --data-dir."""
    config = read_config(args)
    return Place(Path(config.data_dir), config.environment)
