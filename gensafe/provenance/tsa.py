"""RFC 3161 time-stamps: a local authority, and a reader of tokens. Outside authorities: ``authorities``."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gensafe.core.errors import ManifestInvalid, SigningFailed
from gensafe.core.ports import Clock

LOCAL_POLICY: Final = "1.2.3.4.1"  # the example policy of OpenSSL: a development authority promises nothing


class TimeStamper(Protocol):
    """Issues time-stamp tokens."""

    def stamp(self, imprint: bytes) -> bytes:
        """Time-stamp a SHA-256 digest (32 bytes); returns the DER TimeStampToken.

        Raises:
            SigningFailed: no token could be had. Signing fails with it; nothing is released unstamped by accident.
        """


class LocalTimeStamper:
    """An authority in this process. Its word is worth as much as this machine's clock and the key's keeper.

    Args:
        key: Private key of the time-stamp leaf.
        chain: PEM certificates, leaf first, without the root.
        clock: Source of the time.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        certificates = x509.load_pem_x509_certificates(chain)
        self._chain = [c.public_bytes(serialization.Encoding.DER) for c in certificates]

    def stamp(self, imprint: bytes, nonce: int | None = None) -> bytes:
        """Time-stamp a SHA-256 digest; ``nonce`` is echoed when this serves somebody else's request."""
        # 1. TSTInfo (RFC 3161 section 2.4.2)
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": LOCAL_POLICY,
                "message_imprint": imprint_of(imprint),
                "serial_number": secrets.randbits(120) | 1,
                "gen_time": datetime.fromtimestamp(self._clock.now_ms() // 1000, UTC),
                "accuracy": {"seconds": 1},
                "nonce": nonce,
            }
        ).dump()
        # 2. signed attributes: content type, digest, and the certificate that signed (RFC 5816)
        leaf = asn1_x509.Certificate.load(self._chain[0])
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "message_digest", "values": [hashlib.sha256(info).digest()]},
                {
                    "type": "signing_certificate_v2",
                    "values": [{"certs": [{"cert_hash": hashlib.sha256(self._chain[0]).digest()}]}],
                },
            ]
        )
        # 3. SignedData with the chain inside, so that a verifier needs only the root
        signer = {
            "version": "v1",
            "sid": {
                "issuer_and_serial_number": {"issuer": leaf.issuer, "serial_number": leaf.serial_number},
            },
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self._key.sign(attributes.untag().dump(), ec.ECDSA(hashes.SHA256())),
        }
        signed = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [{"algorithm": "sha256"}],
                "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info)},
                "certificates": [asn1_x509.Certificate.load(c) for c in self._chain],
                "signer_infos": [signer],
            }
        )
        token: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
        return token


@dataclass(frozen=True, slots=True)
class TokenReading:
    """What a token says; its signature is checked by the C2PA library."""

    time_ms: int
    imprint: bytes
    authority: str  # subject of the first certificate inside
    policy: str
    nonce: int | None
    certificates: tuple[bytes, ...]  # DER


def read_token(token: bytes) -> TokenReading:
    """Parse a DER TimeStampToken without checking it.

    Raises:
        ManifestInvalid: not a token.
    """
    try:
        signed = cms.ContentInfo.load(token, strict=True)["content"]
        info = signed["encap_content_info"]["content"].parsed
        certificates = tuple(c.chosen.dump() for c in signed["certificates"])
        leaf = signed["certificates"][0].chosen
        moment = info["gen_time"].native
        return TokenReading(
            time_ms=round(moment.timestamp() * 1000),
            imprint=info["message_imprint"]["hashed_message"].native,
            authority=leaf.subject.human_friendly,
            policy=info["policy"].dotted,
            nonce=info["nonce"].native,
            certificates=certificates,
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        raise ManifestInvalid("the time-stamp token is malformed") from None


def imprint_of(digest: bytes) -> tsp.MessageImprint:
    """A SHA-256 digest (32 bytes) as RFC 3161 names it."""
    if len(digest) != 32:
        raise SigningFailed("a time-stamp imprint is a SHA-256 digest")
    algorithm = algos.DigestAlgorithm({"algorithm": "sha256"})
    return tsp.MessageImprint({"hash_algorithm": algorithm, "hashed_message": digest})
