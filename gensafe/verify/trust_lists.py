"""Trust lists kept in a data directory: ``trust/signers/NAME.pem`` and ``trust/time-stamps/NAME.pem``.

The two kinds are separate folders and never mix: a root that may stamp time may not sign claims for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError, NotFound
from gensafe.provenance import TrustList, import_trust_list

SIGNERS: Final = "signers"
TIME_STAMPS: Final = "time-stamps"
KINDS: Final = (SIGNERS, TIME_STAMPS)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def read_trust_lists(data_dir: Path, kind: str) -> tuple[TrustList, ...]:
    """The lists of one kind, by name.

    Raises:
        ConfigError: a list is unreadable or holds a public test root.
    """
    folder = data_dir / "trust" / kind
    return tuple(import_trust_list(path.stem, _read(path)) for path in sorted(folder.glob("*.pem")))


def store_trust_list(data_dir: Path, kind: str, name: str, pem: bytes) -> TrustList:
    """Check a PEM bundle and keep it under ``name``, replacing an older one.

    Raises:
        ConfigError: bad name or kind, no certificate, or a public test root.
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind!r} is not a kind of list", field="kind", fix=" or ".join(KINDS))
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not a name", field="name", fix="lower-case letters, digits, . _ -")
    trust_list = import_trust_list(name, pem)
    folder = data_dir / "trust" / kind
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{name}.part"
    partial.write_bytes(trust_list.pem)
    partial.replace(folder / f"{name}.pem")
    return trust_list


def remove_trust_list(data_dir: Path, kind: str, name: str) -> None:
    """Forget a list.

    Raises:
        NotFound: there is none of that name.
    """
    path = data_dir / "trust" / kind / f"{name}.pem"
    if kind not in KINDS or not _NAME.fullmatch(name) or not path.is_file():
        raise NotFound(f"no list {name!r} of kind {kind!r}", field="name", fix="gensafe trust list")
    path.unlink()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", field="trust") from None
