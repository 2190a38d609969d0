"""A signer whose key is in an environment variable, as container platforms hand out secrets."""

import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gensafe.core.errors import ConfigError, SigningFailed


def create(options):
    """Entry point of ``gensafe.signers``. Options: ``chain`` (given by GenSafe), ``variable``."""
    unknown = sorted(set(options) - {"chain", "variable"})
    if unknown:
        raise ConfigError("unknown option", field=unknown[0], fix="known: chain, variable")
    return EnvKey(Path(options["chain"]).read_bytes(), options.get("variable", "CLAIM_KEY"))


class EnvKey:
    """See the module. The key is P-256."""

    algorithm, development = "es256", False

    def __init__(self, chain, variable):
        self._chain, self._variable = chain, variable

    def certificate_chain(self):
        """PEM, leaf first, without the root."""
        return self._chain

    def sign(self, data):
        """Raw r||s, 32 bytes each."""
        try:
            key = serialization.load_pem_private_key(os.environ[self._variable].encode(), None)
        except (KeyError, ValueError):
            raise SigningFailed(f"the variable {self._variable} holds no key in PEM") from None
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
