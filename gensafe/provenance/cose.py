"""The COSE_Sign1 of a C2PA claim: its certificates, its signature bytes, and the unprotected header.

The unprotected header holds the time-stamp (``sigTst2``) and padding; neither is covered by the signature, so both may
be written after signing (C2PA 2.4 sections 10.3.2.5 and 13.2).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from gensafe.core.errors import ManifestInvalid, SigningFailed
from gensafe.provenance import cbor

_COSE_SIGN1_TAG: Final = 18  # RFC 9052, section 2
_X5CHAIN: Final = 33  # header parameter of the certificate chain: RFC 9360, section 2


@dataclass(frozen=True, slots=True)
class CoseSign1:
    """Parts of a COSE_Sign1. ``unprotected`` maps text keys to encoded CBOR values, in file order."""

    protected: bytes
    unprotected: tuple[tuple[str, bytes], ...]
    payload: bytes  # encoded, normally null (detached)
    signature: bytes

    def encode(self) -> bytes:
        """Back to bytes, with the COSE_Sign1 tag."""
        entries = b"".join(cbor.encode_text(name) + value for name, value in self.unprotected)
        return b"".join(
            (
                cbor.encode_head(cbor.TAG, _COSE_SIGN1_TAG),
                cbor.encode_head(cbor.ARRAY, 4),
                cbor.encode_bytes(self.protected),
                cbor.encode_head(cbor.MAP, len(self.unprotected)),
                entries,
                self.payload,
                cbor.encode_bytes(self.signature),
            )
        )

    def time_stamp_imprint(self) -> bytes:
        """SHA-256 that a ``sigTst2`` time-stamp is taken over (32 bytes).

        The input is a COSE countersignature structure over the signature as a CBOR byte string, which is what the C2PA
        Rust library writes and checks: ["CounterSignature", protected, external_aad = "", signature].
        """
        structure = b"".join(
            (
                cbor.encode_head(cbor.ARRAY, 4),
                cbor.encode_text("CounterSignature"),
                cbor.encode_bytes(self.protected),
                cbor.encode_bytes(b""),
                cbor.encode_bytes(cbor.encode_bytes(self.signature)),
            )
        )
        return hashlib.sha256(structure).digest()

    def certificates(self) -> tuple[bytes, ...]:
        """DER certificates of the signer, leaf first; () when there are none."""
        for encoded in (self.protected, self._unprotected_chain()):
            found = _x5chain(encoded)
            if found:
                return found
        return ()

    def time_stamps(self) -> tuple[bytes, ...]:
        """DER time-stamp tokens of ``sigTst2``."""
        for name, value in self.unprotected:
            if name == "sigTst2":
                return _tokens(value)
        return ()

    @property
    def has_time_stamp(self) -> bool:
        """Whether a time-stamp header is present, readable or not (``sigTst`` is the form of C2PA 1)."""
        return any(name in ("sigTst", "sigTst2") for name, _ in self.unprotected)

    def ocsp_responses(self) -> tuple[bytes, ...]:
        """DER OCSP responses stapled into ``rVals`` (C2PA 2.4 section 14.5.2)."""
        for name, value in self.unprotected:
            if name == "rVals":
                return _ocsp_values(value)
        return ()

    def padding_is_plain(self) -> bool:
        """Whether the unsigned padding holds nothing: zero bytes, then at most 0xFF bytes (as text wrappers need)."""
        for name, value in self.unprotected:
            if name in ("pad", "pad2"):
                content, _ = cbor.string(value, 0, cbor.BYTES)
                if content.rstrip(b"\xff").strip(b"\0"):
                    return False
        return True

    def with_padding(
        self, zeros: int, filler: bytes = b"", token: bytes | None = None, staple: bytes = b""
    ) -> CoseSign1:
        """The same signature with padding of ``zeros`` zero bytes and ``filler``; time-stamp and staple if given."""
        replaced = ("pad", "pad2", "sigTst2", *(("rVals",) if staple else ()))
        entries = [(n, v) for n, v in self.unprotected if n not in replaced]
        if staple:
            entries.append(("rVals", _encode_staple(staple)))
        if token is not None:
            entries.append(("sigTst2", _encode_tokens(token)))
        elif (old := dict(self.unprotected).get("sigTst2")) is not None:
            entries.append(("sigTst2", old))
        entries.append(("pad", cbor.encode_bytes(bytes(zeros) + filler)))
        return CoseSign1(self.protected, tuple(entries), self.payload, self.signature)

    def stamped(self, token: bytes | None, size: int, staple: bytes = b"") -> bytes:
        """Encode with ``token``, ``staple`` (a DER OCSP response) and just enough padding to fill ``size`` bytes.

        Raises:
            SigningFailed: they do not fit the space the signer reserved.
        """
        room = size - len(self.with_padding(0, b"", token, staple).encode())
        for zeros in range(max(room, 0), max(room - 9, -1), -1):  # the pad's own head grows with its length
            encoded = self.with_padding(zeros, b"", token, staple).encode()
            if len(encoded) == size:
                return encoded
        parts = f"time-stamp ({len(token or b'')} bytes) and OCSP response ({len(staple)})"
        raise SigningFailed(f"{parts} do not fit the space reserved in the signature")

    def _unprotected_chain(self) -> bytes:
        entries = [cbor.encode_text(n) + v for n, v in self.unprotected if n == "x5chain"]
        return cbor.encode_head(cbor.MAP, len(entries)) + b"".join(entries)


def parse_cose(data: bytes) -> CoseSign1:
    """Parse a COSE_Sign1 (tagged or not; trailing bytes refused).

    Raises:
        ManifestInvalid: malformed.
    """
    major, argument, at = cbor.head(data, 0)
    if major == cbor.TAG:
        if argument != _COSE_SIGN1_TAG:
            raise ManifestInvalid("the claim signature is not a COSE_Sign1")
        major, argument, at = cbor.head(data, at)
    if major != cbor.ARRAY or argument != 4:
        raise ManifestInvalid("the claim signature is not a COSE_Sign1")
    protected, at = cbor.string(data, at, cbor.BYTES)
    major, count, at = cbor.head(data, at)
    if major != cbor.MAP:
        raise ManifestInvalid("the claim signature has no unprotected header")
    entries: list[tuple[str, bytes]] = []
    for _ in range(count):
        key_end = cbor.skip(data, at)
        if cbor.head(data, at)[0] != cbor.TEXT:
            raise ManifestInvalid("an unprotected header key is not text")
        name = cbor.string(data, at, cbor.TEXT)[0].decode("utf-8", "replace")
        at = cbor.skip(data, key_end)
        entries.append((name, data[key_end:at]))
    payload_end = cbor.skip(data, at)
    signature, end = cbor.string(data, payload_end, cbor.BYTES)
    if end != len(data):
        raise ManifestInvalid("bytes follow the claim signature")
    return CoseSign1(protected, tuple(entries), data[at:payload_end], signature)


def _x5chain(header: bytes) -> tuple[bytes, ...]:
    if not header:
        return ()
    major, count, at = cbor.head(header, 0)
    if major != cbor.MAP:
        raise ManifestInvalid("a COSE header is not a map")
    for _ in range(count):
        key_major, key, _ = cbor.head(header, at)
        value = cbor.skip(header, at)
        named = key_major == cbor.TEXT and cbor.string(header, at, cbor.TEXT)[0] == b"x5chain"
        if named or (key_major == cbor.UINT and key == _X5CHAIN):
            return _byte_strings(header, value)
        at = cbor.skip(header, value)
    return ()


def _byte_strings(data: bytes, at: int) -> tuple[bytes, ...]:
    """One byte string, or an array of them."""
    major, count, inside = cbor.head(data, at)
    if major == cbor.BYTES:
        return (cbor.string(data, at, cbor.BYTES)[0],)
    if major != cbor.ARRAY:
        raise ManifestInvalid("x5chain is neither a certificate nor a list of them")
    found: list[bytes] = []
    for _ in range(count):
        item, inside = cbor.string(data, inside, cbor.BYTES)
        found.append(item)
    return tuple(found)


def _encode_tokens(token: bytes) -> bytes:
    """``{"tstTokens": [{"val": token}]}``."""
    return b"".join(
        (
            cbor.encode_head(cbor.MAP, 1),
            cbor.encode_text("tstTokens"),
            cbor.encode_head(cbor.ARRAY, 1),
            cbor.encode_head(cbor.MAP, 1),
            cbor.encode_text("val"),
            cbor.encode_bytes(token),
        )
    )


def _encode_staple(response: bytes) -> bytes:
    """``{"ocspVals": [response]}`` (C2PA 2.4 section 14.5.2)."""
    one = cbor.encode_head(cbor.ARRAY, 1) + cbor.encode_bytes(response)
    return cbor.encode_head(cbor.MAP, 1) + cbor.encode_text("ocspVals") + one


def _tokens(value: bytes) -> tuple[bytes, ...]:
    major, count, at = cbor.head(value, 0)
    if major != cbor.MAP or count != 1 or cbor.string(value, at, cbor.TEXT)[0] != b"tstTokens":
        raise ManifestInvalid("sigTst2 is malformed")
    major, count, at = cbor.head(value, cbor.skip(value, at))
    found: list[bytes] = []
    for _ in range(count if major == cbor.ARRAY else 0):
        if cbor.head(value, at)[:2] != (cbor.MAP, 1):
            raise ManifestInvalid("sigTst2 is malformed")
        name, at = cbor.string(value, at + 1, cbor.TEXT)
        token, at = cbor.string(value, at, cbor.BYTES)
        if name == b"val":
            found.append(token)
    return tuple(found)


def _ocsp_values(value: bytes) -> tuple[bytes, ...]:
    """``{"ocspVals": [response, …]}``."""
    major, count, at = cbor.head(value, 0)
    if major != cbor.MAP:
        raise ManifestInvalid("rVals is malformed")
    for _ in range(count):
        name, at = cbor.string(value, at, cbor.TEXT)
        if name == b"ocspVals":
            return _byte_strings(value, at)
        at = cbor.skip(value, at)
    return ()
