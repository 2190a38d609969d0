"""``provider = "file"`` with options: a claim key in a PEM file. Without options it is the key ring's key."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from gensafe.core.errors import ConfigError
from gensafe.core.ports import ClaimSigner
from gensafe.keys.signer import LocalClaimSigner, load_private_key
from gensafe.keys.signers.checked import read_option, take_options


def create(options: Mapping[str, str]) -> ClaimSigner:
    """Options: ``key`` (PKCS#8 PEM), ``chain`` (PEM, leaf first), ``passphrase_env`` (name of a variable).

    Raises:
        ConfigError: missing or unknown options, unreadable files, or a key that other users can read.
        KeyError_: not a key, wrong passphrase, or the leaf is not for it.
    """
    options = take_options(options, {"key", "chain"}, {"passphrase_env"})
    key, chain = read_option(options, "key"), read_option(options, "chain")
    if stat.S_IMODE(os.stat(options["key"]).st_mode) & 0o077:
        raise ConfigError("can be read by other users", field="signing.options.key", fix=f"chmod 600 {options['key']}")
    passphrase = os.environ.get(options.get("passphrase_env", ""), "").encode() or None
    return LocalClaimSigner(load_private_key(key, passphrase), chain, development=False)
