"""Trust kept in a data directory: ``trust/signers/*.pem``, ``trust/time-stamps/*.pem``, ``trust/revocations/*.crl``.

The kinds are separate folders and never mix: a root that may stamp time may not sign claims for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError, NotFound
from gensafe.provenance import TrustList, import_trust_list
from gensafe.provenance.revocation import RevocationList, import_revocation_list

SIGNERS: Final = "signers"
TIME_STAMPS: Final = "time-stamps"
REVOCATIONS: Final = "revocations"
KINDS: Final = (SIGNERS, TIME_STAMPS, REVOCATIONS)
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
