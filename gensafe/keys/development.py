"""The authorities of a development installation, and what production refuses of them.

What they certify proves nothing to third parties.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gensafe.core.errors import KeyError_
from gensafe.keys import pki
from gensafe.keys.index import Index, Role, State
from gensafe.keys.signer import load_private_key
from gensafe.keys.vault import Vault, write_file

IMPORT: Final = (
    "gensafe keys import --chain CHAIN.pem --root ROOT.pem, and --key KEY.pem unless [signing] names its holder"
)


@dataclass(frozen=True, slots=True)
class Certified:
    """A new leaf. ``chain``: PEM, leaf first, without the root; ``root``: PEM."""

    leaf: pki.Issued
    chain: bytes
    root: bytes


def issue(role: Role, public: Path, vault: Vault, now_ms: int) -> Certified:
    """A claim or time-stamp leaf under development authorities, which are made when they are first needed.

    Args:
        role: CLAIM (with an intermediate) or TSA.
        public: Folder of the authorities' certificates.
        vault: Holds their keys.
        now_ms: Start of validity.
    """
    if role is Role.CLAIM:
        root = _authority("claim-root", "GenSafe development root", public, vault, now_ms)
        issuer = _authority("claim-intermediate", "GenSafe development intermediate", public, vault, now_ms, root)
        leaf = pki.make_claim_leaf("GenSafe development signer", now_ms, issuer)
        return Certified(leaf, leaf.certificate_pem() + issuer.certificate_pem(), root.certificate_pem())
    root = _authority("tsa-root", "GenSafe development time-stamp root", public, vault, now_ms)
    leaf = pki.make_tsa_leaf("GenSafe development time-stamp authority", now_ms, root)
    return Certified(leaf, leaf.certificate_pem(), root.certificate_pem())


def _authority(
    name: str, common_name: str, public: Path, vault: Vault, now_ms: int, issuer: pki.Issued | None = None
) -> pki.Issued:
    """Load a development authority, or make it."""
    path = public / f"{name}.pem"
    if path.exists():
        key = cast(ec.EllipticCurvePrivateKey, load_private_key(vault.load(f"{name}.key")))
        return pki.Issued(x509.load_pem_x509_certificate(path.read_bytes()), key)
    made = pki.make_ca(common_name, now_ms, issuer, path_length=0 if issuer else None)
    vault.store(f"{name}.key", made.key_pem())
    write_file(path, made.certificate_pem())
    return made


def refuse_development(index: Index, environment: str) -> None:
    """Production does not start with an active development key.

    Raises:
        KeyError_: there is one.
    """
    for info in index.keys if environment == "production" else ():
        if info.development and info.state is State.ACTIVE:
            raise KeyError_(
                f"the {info.role.value} key {info.key_id} is a development key",
                field="environment",
                fix="open a fresh key directory for production and import your own claim key",
            )


def not_made_in_production(role: Role) -> KeyError_:
    """The error for a certified key that production gets from elsewhere."""
    if role is Role.TSA:
        return KeyError_(
            "production has no time-stamp key of its own: outside authorities stamp its time",
            field="role",
            fix="list their addresses in [signing] time_stamp",
        )
    return KeyError_("a production claim key comes from your certificate authority", fix=IMPORT)
