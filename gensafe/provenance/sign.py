"""Sign an output and check the exact bytes that will leave.

1. refuse bytes that already carry a manifest (signing again would silently drop it)
2. build the manifest definition from the facts
3. sign: in band where the container allows, in a text wrapper (A.8), else as a sidecar
4. write a trusted time-stamp, and a stapled OCSP response where there is one, into the space the signature reserved
5. read the final bytes back; anything but "trusted" is a failed signing
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509

from gensafe.core.digest import sha256
from gensafe.core.errors import ManifestInvalid, ProvenanceError, SigningFailed
from gensafe.core.ports import ClaimSigner
from gensafe.core.types import Manifest
from gensafe.keys import pki
from gensafe.provenance import a8, c2pa_adapter, containers, jumbf
from gensafe.provenance.c2pa_adapter import EmbeddedIngredient
from gensafe.provenance.cose import parse_cose
from gensafe.provenance.definition import input_label, manifest_definition
from gensafe.provenance.judge import NOT_REVOKED
from gensafe.provenance.read import read_asset
from gensafe.provenance.trust import TrustStore
from gensafe.provenance.tsa import TimeStamper
from gensafe.provenance.types import ClaimFacts, ManifestState

TEXT_TYPE: Final = "text/plain"
IN_BAND: Final[Mapping[str, str]] = {  # media type -> the spelling the C2PA library knows
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/webp": "image/webp",
    "audio/wav": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/mpeg": "audio/mpeg",
    "audio/flac": "audio/flac",
    "audio/mp4": "audio/mp4",
    "video/mp4": "video/mp4",
}
_SLACK: Final = 192  # bytes of padding planned into a text wrapper: a second signature differs by a few bytes


def sign_asset(
    data: bytes,
    media_type: str,
    facts: ClaimFacts,
    signer: ClaimSigner,
    tsa: TimeStamper | None,
    trust: TrustStore,
    sources: TrustStore | None = None,
    staple: bytes = b"",
) -> tuple[bytes, Manifest]:
    """Sign ``data`` and return (final bytes, manifest).

    PNG, JPEG, WebP, WAV, MP3, FLAC and MP4 carry the manifest in band; plain text in an A.8 wrapper at its end (the
    text is brought to NFC first); for every other type the bytes stay as they are and ``Manifest.data`` is the sidecar.

    Args:
        data: The encoded output.
        media_type: Its MIME type, without parameters.
        facts: What the manifest is to say.
        signer: Claim signer.
        tsa: Time-stamp authority, or None for a manifest without a time-stamp.
        trust: Trust lists for reading back; must trust ``signer`` (and ``tsa``).
        sources: Under which the manifests of inputs are validated and recorded; None = ``trust``.
        staple: DER OCSP response about the signer's certificate, to be carried in the manifest; b"" = none.

    Raises:
        SigningFailed: a step failed, or the result did not read back as trusted.
    """
    # 1. never replace someone's manifest
    _refuse_signed(data, media_type)
    # 2.
    definition = manifest_definition(facts, media_type)
    inputs = _embedded_inputs(facts)
    judges = sources or trust
    # 3. and 4.
    try:
        if media_type == TEXT_TYPE:
            final, store = _sign_text(data, definition, inputs, signer, tsa, judges, staple)
        elif media_type in IN_BAND:
            final, store = c2pa_adapter.sign_embedded(data, IN_BAND[media_type], definition, inputs, signer, judges)
            if tsa is not None or staple:
                store = _stamp(store, tsa, staple)
                final = containers.overwrite(final, store)
        else:
            final = data
            store = c2pa_adapter.sign_detached(definition, inputs, _data_hash(data, []), signer, judges)
            store = _unpadded(_stamp(store, tsa, staple))
    except SigningFailed:
        raise
    except ProvenanceError as error:
        raise SigningFailed(f"the signed file could not be put together: {error}") from error
    # 5.
    embedded = media_type == TEXT_TYPE or media_type in IN_BAND
    manifest = _read_back(final, media_type, store, embedded, tsa is not None, facts, signer, trust, bool(staple))
    return final, manifest


def _refuse_signed(data: bytes, media_type: str) -> None:
    signed = bool(containers.locate(data))
    if media_type == TEXT_TYPE:
        try:
            signed = a8.parse_a8(data.decode("utf-8")) is not None
        except (UnicodeDecodeError, ManifestInvalid) as error:
            raise SigningFailed(f"the text cannot be signed: {error}") from None
    if signed:
        raise SigningFailed("the file already carries a manifest")


def _embedded_inputs(facts: ClaimFacts) -> tuple[EmbeddedIngredient, ...]:
    found: list[EmbeddedIngredient] = []
    for position, item in enumerate(facts.inputs):
        if item.data is None:
            continue
        if item.media_type not in c2pa_adapter.readable_types():
            raise SigningFailed(f"an input of type {item.media_type!r} cannot be embedded", fix="give its digest only")
        described = {"title": item.title, "relationship": item.relationship.value, "label": input_label(position)}
        found.append(EmbeddedIngredient({**described, "description": item.digest}, item.media_type, item.data))
    return tuple(found)


def _data_hash(data: bytes, exclusions: list[dict[str, int]]) -> dict[str, Any]:
    """A ``c2pa.hash.data`` over all of ``data``; the excluded wrapper comes after it."""
    digest = list(hashlib.sha256(data).digest())
    return {"exclusions": exclusions, "name": "gensafe", "alg": "sha256", "hash": digest, "pad": []}


def _sign_text(
    data: bytes,
    definition: dict[str, Any],
    inputs: tuple[EmbeddedIngredient, ...],
    signer: ClaimSigner,
    tsa: TimeStamper | None,
    trust: TrustStore,
    staple: bytes,
) -> tuple[bytes, bytes]:
    """The wrapper's length is part of what is signed, and depends on the bytes of the signature.

    So: sign once to learn the size, fix a length with some slack, sign again for that length, and let the padding,
    which the signature does not cover, take up the difference.
    """
    visible = unicodedata.normalize("NFC", data.decode("utf-8")).encode()

    def attempt(length: int) -> bytes:
        hashed = _data_hash(visible, [{"start": len(visible), "length": length}])
        store = c2pa_adapter.sign_detached(definition, inputs, hashed, signer, trust)
        return _stamp(store, tsa, staple)

    length = a8.tight(attempt(10_000), _SLACK)
    store = a8.fit(attempt(length), length)
    return visible + a8.wrap_a8(store).encode(), store


def _unpadded(store: bytes) -> bytes:
    """Without the padding: nothing hashes where a sidecar ends. In band the claim names the manifest's length."""
    box = jumbf.signature_path(store)[-1]
    return jumbf.replace_signature(store, parse_cose(store[box.content : box.end]).with_padding(0).encode())


def _stamp(store: bytes, tsa: TimeStamper | None, staple: bytes) -> bytes:
    """Put a time-stamp over the active claim's signature, and a staple, into the padding; the length stays."""
    if tsa is None and not staple:
        return store
    box = jumbf.signature_path(store)[-1]
    cose = parse_cose(store[box.content : box.end])
    token = tsa.stamp(cose.time_stamp_imprint()) if tsa is not None else None
    return jumbf.replace_signature(store, cose.stamped(token, box.end - box.content, staple))


def _read_back(
    final: bytes,
    media_type: str,
    store: bytes,
    embedded: bool,
    stamped: bool,
    facts: ClaimFacts,
    signer: ClaimSigner,
    trust: TrustStore,
    stapled: bool,
) -> Manifest:
    try:
        reading = read_asset(final, media_type, sidecar=None if embedded else store, trust=trust)
    except ManifestInvalid as error:
        raise SigningFailed(f"the signed file does not read back: {error}") from error
    if reading is None:
        raise SigningFailed("the signed file reads back without a manifest")
    if reading.state is not ManifestState.TRUSTED:
        codes = ", ".join(reading.failure_codes()) or "signer not on a trust list"
        raise SigningFailed(f"the signed file reads back as {reading.state.value}: {codes}")
    if reading.record_id != facts.record_id:
        raise SigningFailed("the signed file names another record")
    if stamped and (reading.time_stamp is None or not reading.time_stamp.trusted):
        raise SigningFailed("the time-stamp does not read back as trusted")
    if stapled and not reading.has_success(NOT_REVOKED):
        raise SigningFailed("the OCSP response does not read back as current")
    leaf = x509.load_pem_x509_certificates(signer.certificate_chain())[0]
    fingerprint = pki.fingerprint(leaf)
    if reading.signer is None or reading.signer.fingerprint != fingerprint:
        raise SigningFailed("the signed file reads back with another signer")
    by = reading.time_stamp.authority if reading.time_stamp is not None else ""
    box = jumbf.signature_path(store)[-1]
    signature = sha256(parse_cose(store[box.content : box.end]).signature)
    return Manifest(store, sha256(store), reading.label, fingerprint, embedded, facts.development, by, signature)
