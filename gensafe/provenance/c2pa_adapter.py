# ruff: noqa: SLF001 - two functions of the native library have no public wrapper yet
"""The one module that touches c2pa-python (ctypes over a Rust library). Values in, plain Python out.

Facts it relies on, each with a test: unknown settings are silently ignored, so settings are built here only; remote
manifests and OCSP are fetched by default, so both are off; native objects do not survive fork(), so they are cached
per process; one Builder or Reader serves one call.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import c2pa
from c2pa import c2pa as native

from gensafe.core.errors import ManifestInvalid, SigningFailed
from gensafe.core.ports import ClaimSigner
from gensafe.provenance.trust import SIGNER_EKUS, TrustStore

_ALGORITHMS: Final = {
    "es256": c2pa.C2paSigningAlg.ES256,
    "es384": c2pa.C2paSigningAlg.ES384,
    "es512": c2pa.C2paSigningAlg.ES512,
    "ps256": c2pa.C2paSigningAlg.PS256,
    "ed25519": c2pa.C2paSigningAlg.ED25519,
}
_STORE_TYPE: Final = b"application/c2pa"


@dataclass(frozen=True, slots=True)
class LibraryReading:
    """What the library reports, unjudged."""

    state: str  # Trusted | Valid | Invalid
    report: dict[str, Any]  # Reader.json()
    crjson: str
    remote_url: str
    embedded: bool


@dataclass(frozen=True, slots=True)
class EmbeddedIngredient:
    """An input file whose own provenance is carried along."""

    definition: dict[str, Any]
    media_type: str
    data: bytes


class RemoteManifest(ManifestInvalid):
    """The file only names where its manifest is kept. It is not fetched; ``url`` says what was named."""

    def __init__(self, url: str) -> None:
        super().__init__(f"the file names a remote manifest, which is not fetched: {url}")
        self.url = url


def library_version() -> str:
    """Version of the native library."""
    return str(c2pa.sdk_version())


@lru_cache(maxsize=1)
def signable_types() -> frozenset[str]:
    """MIME types the library can embed a manifest into."""
    return frozenset(t.lower() for t in c2pa.Builder.get_supported_mime_types())


@lru_cache(maxsize=1)
def readable_types() -> frozenset[str]:
    """MIME types the library can read a manifest from."""
    return frozenset(t.lower() for t in c2pa.Reader.get_supported_mime_types())


def sign_embedded(
    data: bytes,
    media_type: str,
    definition: dict[str, Any],
    ingredients: tuple[EmbeddedIngredient, ...],
    signer: ClaimSigner,
    trust: TrustStore,
) -> tuple[bytes, bytes]:
    """Sign ``data`` in band: (asset with manifest, manifest store).

    Raises:
        SigningFailed: the library or the signer refused.
    """
    output = io.BytesIO()
    with _signing(signer) as claim_signer:
        builder = _builder(definition, ingredients, trust)
        store = builder.sign(claim_signer, media_type, io.BytesIO(data), output)
    if not store:
        raise SigningFailed("the C2PA library returned no manifest")
    return output.getvalue(), store


def sign_detached(
    definition: dict[str, Any],
    ingredients: tuple[EmbeddedIngredient, ...],
    data_hash: dict[str, Any],
    signer: ClaimSigner,
    trust: TrustStore,
) -> bytes:
    """Sign a manifest store for bytes whose hash the caller took: a sidecar, or the content of a text wrapper.

    Args:
        definition: Manifest definition.
        ingredients: Inputs with provenance.
        data_hash: ``{"exclusions": [...], "name", "alg", "hash": [ints], "pad": []}`` (C2PA 2.4 section 18.5).
        signer: Claim signer.
        trust: Trust lists for the library's own check.

    Raises:
        SigningFailed: refused, or this build of the library lacks the needed functions.
    """
    placeholder, sign = _embeddable_functions()
    with _signing(signer) as claim_signer:
        builder = _builder(definition, ingredients, trust)
        try:
            handle = builder._handle
            reserve = claim_signer.reserve_size()
            _take_bytes(lambda out: placeholder(handle, reserve, _STORE_TYPE, out))
            encoded = json.dumps(data_hash).encode()
            return _take_bytes(lambda out: sign(handle, claim_signer._handle, encoded, _STORE_TYPE, None, out))
        finally:
            builder.close()


def try_ingredient(item: EmbeddedIngredient, trust: TrustStore) -> None:
    """Find out whether the library takes ``item`` as an ingredient.

    Raises:
        SigningFailed: it does not.
    """
    try:
        _builder({"claim_generator_info": [{"name": "gensafe"}]}, (item,), trust).close()
    except c2pa.C2paError as error:
        raise SigningFailed(f"it cannot be an ingredient: {_text(error)}") from None


def read(data: bytes, media_type: str | None, trust: TrustStore, store: bytes | None = None) -> LibraryReading | None:
    """Read and validate the manifest of ``data``; None when it has none.

    Args:
        data: The asset.
        media_type: MIME type, or None for bytes of any type with a detached ``store``.
        trust: Trust lists.
        store: A detached manifest store.

    Raises:
        RemoteManifest: the manifest is elsewhere.
        ManifestInvalid: the library could not parse the asset or the store.
    """
    try:
        with _context(trust) as context:
            reader = c2pa.Reader.try_create(media_type, io.BytesIO(data), store, context=context)
            if reader is None:
                return None
            with reader:
                report = json.loads(reader.json())
                return LibraryReading(
                    state=str(reader.get_validation_state() or "Invalid"),
                    report=report,
                    crjson=reader.crjson(),
                    remote_url=reader.get_remote_url() or "",
                    embedded=bool(reader.is_embedded()),
                )
    except c2pa.C2paError as error:
        _, remote, url = _text(error).partition("must fetch remote manifests from url ")
        if remote:
            raise RemoteManifest(url) from None
        raise ManifestInvalid(f"the manifest cannot be read: {_text(error)}") from None
    except (ValueError, UnicodeError):
        raise ManifestInvalid("the manifest report is not readable") from None


# --- inside ----------------------------------------------------------------------------------------------------------


def _settings(trust: TrustStore) -> dict[str, Any]:
    """Library settings. The ``anchors`` form names the list that matched; the roles are enforced by our reader."""
    anchors = [_anchor("manifest", item.uri, item.pem) for item in trust.signers if item.pem]
    anchors += [_anchor("tsa", item.uri, item.pem) for item in trust.time_stamps if item.pem]
    return {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": True},
        "core": {"allowed_network_hosts": []},
        "trust": {"anchors": anchors, "trust_config": "".join(f"{oid}\n" for oid in SIGNER_EKUS)},
    }


def _anchor(kind: str, uri: str, pem: bytes) -> dict[str, str]:
    return {"trust_kind": kind, "trust_uri": uri, "trust_anchors": pem.decode("ascii")}


@lru_cache(maxsize=16)
def _cached_context(process: int, trust: TrustStore) -> Any:  # noqa: ANN401 - a native object, bound to its process
    return c2pa.Context.from_dict(_settings(trust))


@contextmanager
def _context(trust: TrustStore) -> Iterator[Any]:
    yield _cached_context(os.getpid(), trust)


def _builder(definition: dict[str, Any], ingredients: tuple[EmbeddedIngredient, ...], trust: TrustStore) -> Any:  # noqa: ANN401
    with _context(trust) as context:
        builder = c2pa.Builder(definition, context=context)
        for item in ingredients:
            builder.add_ingredient(json.dumps(item.definition), item.media_type, io.BytesIO(item.data))
        return builder


@contextmanager
def _signing(signer: ClaimSigner) -> Iterator[Any]:
    """A library signer that calls back into ``signer``; the cause of a failed call-back is kept and raised."""
    causes: list[Exception] = []

    def call_back(data: bytes) -> bytes:
        try:
            return signer.sign(data)
        except Exception as error:
            causes.append(error)
            raise

    algorithm = _ALGORITHMS.get(signer.algorithm)
    if algorithm is None:
        raise SigningFailed(f"{signer.algorithm!r} is not an algorithm this service signs with", field="algorithm")
    try:
        claim_signer = c2pa.Signer.from_callback(call_back, algorithm, signer.certificate_chain().decode("ascii"))
        with claim_signer:
            yield claim_signer
    except c2pa.C2paError as error:
        if causes:
            raise SigningFailed(f"the claim signer failed: {causes[0]}") from causes[0]
        raise SigningFailed(f"the C2PA library refused: {_text(error)}") from None
    except UnicodeDecodeError:
        raise SigningFailed("the certificate chain is not PEM") from None


@lru_cache(maxsize=1)
def _embeddable_functions() -> tuple[Any, Any]:
    """Exported by the library but not wrapped by the Python package: probed, so that an upgrade fails clearly."""
    library = native._lib
    try:
        placeholder = library.c2pa_builder_data_hashed_placeholder
        sign = library.c2pa_builder_sign_data_hashed_embeddable
    except AttributeError:
        raise SigningFailed("this build of the C2PA library cannot sign detached manifests") from None
    out = ctypes.POINTER(ctypes.POINTER(ctypes.c_ubyte))
    placeholder.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, out]
    placeholder.restype = ctypes.c_int64
    sign.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, out]
    sign.restype = ctypes.c_int64
    return placeholder, sign


def _take_bytes(call: Callable[[Any], int]) -> bytes:
    """Run a native call that returns a length and a buffer we own; copy and free the buffer."""
    pointer = ctypes.POINTER(ctypes.c_ubyte)()
    with native._native_section():
        length = call(ctypes.byref(pointer))
        if length < 0 or not pointer:
            message = native._read_native_error() or "no reason given"
            raise c2pa.C2paError(message)
        try:
            return ctypes.string_at(pointer, length)
        finally:
            native._lib.c2pa_free(pointer)


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
