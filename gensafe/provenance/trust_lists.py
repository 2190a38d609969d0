"""Trust kept in a data directory: ``trust/signers/*.pem``, ``trust/time-stamps/*.pem``, ``trust/revocations/*.crl``.

The kinds are separate folders and never mix: a root that may stamp time may not sign claims for it.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError, NotFound
from gensafe.provenance.revocation import RevocationList, import_revocation_list, older_than
from gensafe.provenance.trust import TrustList, import_trust_list

SIGNERS: Final = "signers"
TIME_STAMPS: Final = "time-stamps"
REVOCATIONS: Final = "revocations"
KINDS: Final = (SIGNERS, TIME_STAMPS, REVOCATIONS)
log = logging.getLogger("gensafe.provenance")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def read_trust_lists(data_dir: Path, kind: str) -> tuple[TrustList, ...]:
    """The lists of one kind, by name.

    Raises:
        ConfigError: a list is unreadable or holds a public test root.
    """
    folder = data_dir / "trust" / kind
    return tuple(import_trust_list(path.stem, _read(path)) for path in sorted(folder.glob("*.pem")))


def read_revocations(data_dir: Path) -> tuple[RevocationList, ...]:
    """The certificate revocation lists, by name.

    Raises:
        ConfigError: one of them is unreadable.
    """
    folder = data_dir / "trust" / REVOCATIONS
    return tuple(import_revocation_list(path.stem, _read(path)) for path in sorted(folder.glob("*.crl")))


@dataclass(frozen=True, slots=True)
class Lists:
    """All lists of a data directory at one moment."""

    signers: tuple[TrustList, ...] = ()
    time_stamps: tuple[TrustList, ...] = ()
    revocations: tuple[RevocationList, ...] = ()


def read_lists(data_dir: Path) -> Lists:
    """Every list of every kind.

    Raises:
        ConfigError: one of them is unreadable or not allowed.
    """
    return Lists(
        read_trust_lists(data_dir, SIGNERS), read_trust_lists(data_dir, TIME_STAMPS), read_revocations(data_dir)
    )


class TrustFolder:
    """The lists of a data directory while a process runs: read again when a file appears, changes or goes.

    A change that cannot be read leaves the former lists in force, and ``problem`` says why. A revocation list is not
    replaced by an older one of the same issuer: whoever can write into the folder must not bring revoked keys back.
    PEM bundles carry no version, so an older one cannot be told from a newer one.

    Raises:
        ConfigError: the lists cannot be read at the start.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = threading.Lock()
        self._seen = self._look()
        self._lists = read_lists(data_dir)
        self.problem = ""

    def current(self) -> Lists:
        """The lists in force now; a few ``stat`` calls where nothing changed."""
        with self._lock:
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._take_over()
            return self._lists

    def _take_over(self) -> None:
        try:
            new = read_lists(self._data_dir)
            for before in self._lists.revocations:
                for now in new.revocations:
                    if now.name == before.name and older_than(now, before):
                        raise ConfigError(
                            f"the revocation list {now.name!r} is older than the one in force", field="trust"
                        )
        except ConfigError as error:
            self.problem = f"changed trust lists are not in force: {error.message}"
            log.warning("%s", self.problem)
            return
        self._lists, self.problem = new, ""
        log.info("trust lists changed: the new ones are in force")

    def _look(self) -> tuple[tuple[str, int, int, int], ...]:
        """Name, inode, time and size of every file: enough to see any replacement and any edit."""
        found: list[tuple[str, int, int, int]] = []
        for kind in KINDS:
            for path in sorted((self._data_dir / "trust" / kind).glob("*.crl" if kind == REVOCATIONS else "*.pem")):
                try:
                    said = path.stat()
                except OSError:
                    continue
                found.append((f"{kind}/{path.name}", said.st_ino, said.st_mtime_ns, said.st_size))
        return tuple(found)


def store_trust_list(data_dir: Path, kind: str, name: str, data: bytes) -> TrustList | RevocationList:
    """Check a PEM bundle, or a revocation list, and keep it under ``name``, replacing an older one.

    Raises:
        ConfigError: bad name or kind, not what the kind says, or a public test root.
    """
    path = _path(data_dir, kind, name)
    if path is None:
        raise ConfigError(
            f"{kind!r}/{name!r} cannot name a list", field="name", fix="a name has lower-case letters, digits, . _ -"
        )
    kept: TrustList | RevocationList
    if kind == REVOCATIONS:
        kept = import_revocation_list(name, data)
        content = kept.der
        if path.is_file() and older_than(kept, import_revocation_list(name, _read(path))):
            raise ConfigError(
                f"{name!r} is older than the list that is kept", field="file", fix="remove that one first"
            )
    else:
        kept = import_trust_list(name, data)
        content = kept.pem
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_bytes(content)
    partial.replace(path)
    return kept


def remove_trust_list(data_dir: Path, kind: str, name: str) -> None:
    """Forget a list.

    Raises:
        NotFound: there is none of that name.
    """
    path = _path(data_dir, kind, name)
    if path is None or not path.is_file():
        raise NotFound(f"no list {name!r} of kind {kind!r}", field="name", fix="gensafe trust list")
    path.unlink()


def _path(data_dir: Path, kind: str, name: str) -> Path | None:
    if kind not in KINDS or not _NAME.fullmatch(name):
        return None
    return data_dir / "trust" / kind / f"{name}.{'crl' if kind == REVOCATIONS else 'pem'}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", field="trust") from None
