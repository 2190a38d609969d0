"""Entry point ``file`` of ``gensafe.signers``: a claim key and its chain in PEM files."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from gensafe.core.errors import ConfigError, KeyError_
from gensafe.core.ports import ClaimSigner
from gensafe.keys.signer import LocalClaimSigner, load_private_key
from gensafe.keys.testkeys import refuse_public_test_keys


def create(options: Mapping[str, str]) -> ClaimSigner:
    """Load a signer from files.

    Args:
        options: ``key`` and ``chain`` are paths (PEM; chain leaf first, without the root); ``passphrase_file`` is
            optional; ``environment`` "production" refuses keys that are public test keys.

    Raises:
        ConfigError: an option is missing or unknown.
        KeyError_: a file is unreadable, open to other users, or not a usable key.
    """
    unknown = set(options) - {"key", "chain", "passphrase_file", "environment"}
    if unknown:
        raise ConfigError(f"unknown option {sorted(unknown)[0]!r}", field="signers.file")
    for name in ("key", "chain"):
        if not options.get(name):
            raise ConfigError("a path is needed", field=f"signers.file.{name}")
    passphrase = _read(Path(options["passphrase_file"])).strip() if options.get("passphrase_file") else None
    chain = _read(Path(options["chain"]), secret=False)
    if options.get("environment") == "production":
        refuse_public_test_keys(chain)
    key = load_private_key(_read(Path(options["key"])), passphrase)
    return LocalClaimSigner(key, chain, development=False)


def _read(path: Path, *, secret: bool = True) -> bytes:
    try:
        if secret and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeyError_(f"{path} can be read by other users", fix=f"chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise KeyError_(f"cannot read {path}: {error.strerror}") from None
