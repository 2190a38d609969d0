"""An installation: what lies where in a data directory, and the one way to open each part of it.

Server, command line, demo and verifier open keys, log, registry and trust lists here and nowhere else::

    home = Installation(config)
    keys = home.read_keys()
    with home.open_registry(keys, readonly=True) as registry, home.read_log() as log:
        ...

Imports no pipeline: verifying offline needs none (import-linter holds it).
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gensafe.audit import AuditLog, LogReader
from gensafe.audit.signatures import FILE as SIGNATURES
from gensafe.core.config import Config
from gensafe.core.errors import GensafeError, InvalidRequest, LogUnavailable
from gensafe.core.ports import Clock, TextTokenizer
from gensafe.core.postgres import SQLITE
from gensafe.core.storage import make_private_folder
from gensafe.engines import open_engines
from gensafe.keys import KeyRing
from gensafe.provenance.trust_lists import Lists, TrustFolder, read_lists
from gensafe.registry import Registry

PASSPHRASE_VARIABLE = "GENSAFE_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable, not a secret


def key_passphrase() -> bytes | None:
    """The passphrase that seals keys at rest, from the environment; None = they are not sealed."""
    return os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None


@dataclass(frozen=True, slots=True)
class Installation:
    """The parts of a data directory. Making one opens nothing."""

    config: Config

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return Path(self.config.data_dir)

    @property
    def keys_dir(self) -> Path:
        """Folder of the key ring."""
        return self.data_dir / "keys"

    @property
    def log_dir(self) -> Path:
        """Folder of the log."""
        return self.data_dir / "log"

    @property
    def registry_dir(self) -> Path:
        """Folder of the registry."""
        return self.data_dir / "registry"

    @property
    def signature_journal(self) -> Path:
        """Claim signatures that no log entry names yet."""
        return self.data_dir / SIGNATURES

    @property
    def has_keys(self) -> bool:
        """Whether there is a key ring."""
        return (self.keys_dir / "keyring.json").is_file()

    @property
    def log_place(self) -> Path | str:
        """Where the log lives: its folder, or the address of its database."""
        return self.log_dir if self.config.store.log == SQLITE else self.config.store.log

    @property
    def has_log(self) -> bool:
        """Whether there is a log; one in a database counts as there, and opening it says what is wrong."""
        return self.config.store.log != SQLITE or self.log_dir.is_dir()

    @property
    def has_registry(self) -> bool:
        """Whether there is a registry; one in a database counts as there, and opening it says what is wrong."""
        return self.config.store.registry != SQLITE or self.registry_dir.is_dir()

    def existing(self) -> Installation:
        """This, where there is something to work on.

        Raises:
            InvalidRequest: there is no key ring, log or registry here: nothing is made by mistyping a folder's name.
        """
        if not (self.has_keys or self.has_log or self.has_registry):
            raise InvalidRequest(f"{self.data_dir} is not a GenSafe data directory", field="--data-dir")
        return self

    def open_keys(self) -> KeyRing:
        """The key ring, making what the environment allows to make.

        Raises:
            ConfigError, KeyError_: as ``KeyRing.open``.
        """
        with suppress(OSError):  # the key ring says what is wrong
            make_private_folder(self.data_dir)
        return self._keys(create=True)

    def read_keys(self) -> KeyRing:
        """The key ring that exists; nothing is written.

        Raises:
            ConfigError, KeyError_: there is none, or it cannot be read.
        """
        return self._keys(create=False)

    def keys_if_readable(self) -> KeyRing | None:
        """The key ring that exists; None where there is none or it cannot be read."""
        try:
            return self.read_keys()
        except GensafeError:
            return None

    def _keys(self, *, create: bool) -> KeyRing:
        return KeyRing.open(
            self.keys_dir,
            environment=self.config.environment,
            create=create,
            passphrase=key_passphrase(),
            origin=self.config.audit.origin,
        )

    def open_log(self, keys: KeyRing, clock: Clock | None = None) -> AuditLog:
        """The log for writing, made if there is none.

        A head that a retired or revoked key signed is taken: the next entry is signed by the active one.

        Raises:
            LogCorrupt, LogUnavailable: as ``AuditLog.open``; another writer has it, for one.
        """
        return AuditLog.open(
            self.log_place,
            origin=keys.origin,
            key=keys.checkpoint_private_key(),
            clock=clock,
            previous_keys=keys.checkpoint_signers(),
        )

    def writer_if_free(self, keys: KeyRing | None) -> AuditLog | None:
        """The existing log for writing; None where a server has it open, or there is no key or no log."""
        if keys is None or not self.has_log:
            return None
        try:
            return self.open_log(keys)
        except LogUnavailable:
            return None

    def read_log(self) -> LogReader:
        """The log for reading, also while a server writes it.

        Raises:
            LogUnavailable: there is none.
        """
        return AuditLog.open_readonly(self.log_place)

    def open_registry(self, keys: KeyRing | None = None, *, readonly: bool = False) -> Registry:
        """The registry, made if there is none unless ``readonly``; without ``keys`` what is sealed stays sealed.

        Raises:
            RegistryError: it cannot be opened.
        """
        url = "" if self.config.store.registry == SQLITE else self.config.store.registry
        return Registry.open(self.registry_dir, kek=keys.kek() if keys else None, readonly=readonly, url=url)

    def trust_lists(self) -> Lists:
        """The trust and revocation lists as they are now.

        Raises:
            ConfigError: one of them is unreadable.
        """
        return read_lists(self.data_dir)

    def trust_folder(self) -> TrustFolder:
        """The same lists, followed while the process runs.

        Raises:
            ConfigError: one of them is unreadable now.
        """
        return TrustFolder(self.data_dir)

    def tokenizers(self) -> tuple[TextTokenizer, ...]:
        """Of the configured engines, for detecting marks in texts; none where they cannot be loaded."""
        try:
            return open_engines(self.config, isolated=False).tokenizers()
        except GensafeError:
            return ()
