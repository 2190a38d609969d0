"""Files that an output is made from and that carry a manifest: what holds of it, and whether it can be carried along.

Parses untrusted bytes, so it runs in a worker (``read_contained``). Only a file that the C2PA library read and took as
an ingredient there is given to the same library in the signing process.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Final

from gensafe.core.errors import ManifestInvalid, MediaError, SigningFailed, UnreadableMedia
from gensafe.media.sandbox import run_in_worker
from gensafe.media.sniff import sniff
from gensafe.provenance import c2pa_adapter, containers
from gensafe.provenance.c2pa_adapter import EmbeddedIngredient, RemoteManifest
from gensafe.provenance.read import TEXT_TYPES, read_asset
from gensafe.provenance.trust import TrustStore
from gensafe.provenance.types import ManifestState

MAX_CARRIED_BYTES: Final = 4 << 20
"""Largest manifest store that is carried along: a hundred manifests of ours; every copy of the output has all of it."""
_BOM: Final = "\ufeff".encode()  # a text wrapper begins with it (C2PA 2.4 annex A.8)
_UNREADABLE: Final = "its manifest cannot be read"
_SCHEME: Final = re.compile(r"[A-Za-z0-9._-]{1,80}")
"""Names of watermark schemes as the C2PA list has them; anything else of a stranger's file is not logged."""
_READ: Final = "gensafe.provenance.sources:read_plain"


@dataclass(frozen=True, slots=True)
class SourceReading:
    """A manifest that came with a file.

    ``overruled``: the C2PA library trusts a signer that our own rules do not (revoked, a time-stamp root).
    ``refusal``: why it cannot be carried along; "" = it can.
    """

    media_type: str
    state: str  # trusted | valid | invalid | unreadable
    manifest: str = ""  # digest of the store, "" where the container hides it
    mark: str = ""  # scheme of the watermark it names
    overruled: bool = False
    refusal: str = ""


def may_carry(data: bytes) -> bool:
    """False only if ``data`` certainly carries no manifest; cheap."""
    return containers.may_hold_store(data) or _BOM in data


def read_contained(data: bytes, trust: TrustStore) -> SourceReading | None:
    """``read_source`` in a worker; one that crashes or is stopped makes the manifest unreadable."""
    try:
        answer = run_in_worker(_READ, data, trust)
        return None if answer is None else SourceReading(**answer)  # type: ignore[arg-type]
    except TypeError:
        raise UnreadableMedia("the worker that read the file answered nonsense") from None
    except MediaError:
        return SourceReading("", "unreadable", refusal=_UNREADABLE)


def read_plain(data: bytes, trust: TrustStore) -> dict[str, object] | None:
    """Runs in the worker: ``read_source`` with a plain answer."""
    found = read_source(data, trust)
    return None if found is None else asdict(found)


def read_source(data: bytes, trust: TrustStore) -> SourceReading | None:
    """Read the manifest of a source; None when it has none.

    Args:
        data: Untrusted.
        trust: Who is trusted as the signer of a source.

    Raises:
        MediaError: not a medium at all.
    """
    media_type = sniff(data)
    try:
        reading = read_asset(data, media_type, trust=trust)
    except RemoteManifest:
        return SourceReading(media_type, "unreadable", refusal="its manifest is kept elsewhere and is not fetched")
    except ManifestInvalid:
        return SourceReading(media_type, "unreadable", refusal=_UNREADABLE)
    if reading is None:
        return None
    trusted_by_library = reading.library_state == "Trusted"
    return SourceReading(
        media_type,
        reading.state.value,
        reading.manifest_digest,
        next((_scheme(binding.alg) for binding in reading.soft_bindings), ""),
        trusted_by_library and reading.state is not ManifestState.TRUSTED,
        _refusal(data, media_type, trust),
    )


def ingredient_type(media_type: str) -> str:
    """The spelling of a media type that the C2PA library knows."""
    return "audio/wav" if media_type == "audio/x-wav" else media_type


def _scheme(alg: str) -> str:
    return alg if _SCHEME.fullmatch(alg) else "unnamed scheme"


def _refusal(data: bytes, media_type: str, trust: TrustStore) -> str:
    if media_type in TEXT_TYPES or ingredient_type(media_type) not in c2pa_adapter.readable_types():
        return f"a manifest of {media_type} cannot be an ingredient"
    if len(containers.extract(data)) > MAX_CARRIED_BYTES:
        return f"its manifest store is larger than {MAX_CARRIED_BYTES} bytes"
    try:
        c2pa_adapter.try_ingredient(EmbeddedIngredient({"title": "source"}, ingredient_type(media_type), data), trust)
    except SigningFailed:
        return "the C2PA library does not take it as an ingredient"
    return ""
