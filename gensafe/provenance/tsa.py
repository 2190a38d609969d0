"""RFC 3161 time-stamps: a local authority, and a reader of tokens. Outside authorities: ``authorities``."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gensafe.core.errors import ManifestInvalid, SigningFailed
from gensafe.core.ports import Clock

LOCAL_POLICY: Final = "1.2.3.4.1"  # the example policy of OpenSSL: a development authority promises nothing
SEQUENCE: Final = 0x30  # tag of DER, X.690 section 8.9
SET: Final = 0x31  # tag of DER, X.690 section 8.11
CONTEXT_0: Final = 0xA0  # tag of DER: [0], constructed, X.690 section 8.14
_SIGNED_DATA: Final = cms.ContentType("signed_data").dump()
_TST_INFO: Final = cms.ContentType("tst_info").dump()
_MESSAGE_DIGEST: Final = cms.CMSAttributeType("message_digest").dump()
_ECDSA_SHA256: Final = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}).dump()


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
        self._frame = _frame_of(tuple(c.public_bytes(serialization.Encoding.DER) for c in certificates))

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
        # 2. sign the attributes: content type, digest, and the certificate that signs (RFC 5816)
        attributes = self._frame.attributes(info)
        signature = self._key.sign(der(SET, attributes), ec.ECDSA(hashes.SHA256()))
        # 3. SignedData with the chain inside, so that a verifier needs only the root
        return self._frame.token(info, attributes, signature)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is the same in every token of an authority, in DER: a library that encodes it anew takes 25 ms for it."""

    fixed_attributes: tuple[bytes, ...]  # content type and signing certificate
    head: bytes  # version and digest algorithms of SignedData
    certificates: bytes
    signer: bytes  # version, issuer and serial number, digest algorithm of SignerInfo

    def attributes(self, info: bytes) -> bytes:
        """The signed attributes for a TSTInfo, in the order of DER (X.690 section 11.6)."""
        digest = core.OctetString(hashlib.sha256(info).digest()).dump()
        own = der(SEQUENCE, _MESSAGE_DIGEST, der(SET, digest))
        return b"".join(sorted((*self.fixed_attributes, own)))

    def token(self, info: bytes, attributes: bytes, signature: bytes) -> bytes:
        """ContentInfo with SignedData (RFC 5652 sections 3 and 5)."""
        content = der(SEQUENCE, _TST_INFO, der(CONTEXT_0, core.OctetString(info).dump()))
        signed_by = der(
            SEQUENCE, self.signer, der(CONTEXT_0, attributes), _ECDSA_SHA256, core.OctetString(signature).dump()
        )
        signed = der(SEQUENCE, self.head, content, self.certificates, der(SET, signed_by))
        return der(SEQUENCE, _SIGNED_DATA, der(CONTEXT_0, signed))


@lru_cache(maxsize=8)  # an authority is made for each request, from the same chain until the key is rotated
def _frame_of(chain: tuple[bytes, ...]) -> _Frame:
    """From the DER certificates, leaf first."""
    leaf = asn1_x509.Certificate.load(chain[0])
    signed_by = {"certs": [{"cert_hash": hashlib.sha256(chain[0]).digest()}]}
    fixed = (
        cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
        cms.CMSAttribute({"type": "signing_certificate_v2", "values": [signed_by]}),
    )
    sid = cms.IssuerAndSerialNumber({"issuer": leaf.issuer, "serial_number": leaf.serial_number})
    digest = algos.DigestAlgorithm({"algorithm": "sha256"}).dump()
    return _Frame(
        fixed_attributes=tuple(attribute.dump() for attribute in fixed),
        head=core.Integer(3).dump() + der(SET, digest),
        certificates=der(CONTEXT_0, *sorted(chain)),
        signer=core.Integer(1).dump() + sid.dump() + digest,
    )


def der(tag: int, *parts: bytes) -> bytes:
    """One DER value of ``tag`` around parts that are encoded already (X.690 section 8.1, definite length)."""
    content = b"".join(parts)
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag, size] if size < 128 else [tag, 128 | len(length), *length]) + content


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
