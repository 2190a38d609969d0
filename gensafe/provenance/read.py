"""Read and judge the manifest of a file. The library's verdict is the start, not the end.

1. find the manifest: text wrapper (A.8), the file itself, or the sidecar handed in
2. let the C2PA library parse and validate it
3. text only: turn the library's one expected complaint into a pass where our strict wrapper checks hold
4. trusted only if the list that matched is one of our *signer* lists (the library accepts a signer under a time-stamp
   root), the certificate we can see is the one it names, and the leaf is not revoked
5. give every ingredient a verdict of its own
"""

from __future__ import annotations

import unicodedata

from gensafe.core.clock import SystemClock
from gensafe.core.errors import ManifestInvalid
from gensafe.provenance import a8, c2pa_adapter, containers
from gensafe.provenance.a8 import A8Wrapper, TextWrapperInvalid
from gensafe.provenance.c2pa_adapter import LibraryReading, RemoteManifest
from gensafe.provenance.judge import hard_binding_holds, judge
from gensafe.provenance.trust import TrustStore
from gensafe.provenance.types import ManifestReading, ManifestState, Status

TEXT_TYPES = ("text/plain", "text/csv", "text/tab-separated-values")


def read_asset(
    data: bytes, media_type: str, *, sidecar: bytes | None = None, trust: TrustStore
) -> ManifestReading | None:
    """Read the manifest of ``data``; None when it has none.

    Args:
        data: The file's bytes, untrusted: call this inside a worker process for files from strangers.
        media_type: MIME type, from the bytes rather than the file's name.
        sidecar: A detached manifest store, looked at only if the file has no manifest of its own.
        trust: Trust lists.

    Raises:
        ManifestInvalid: the file or the manifest is too damaged to be read at all.
    """
    if media_type in TEXT_TYPES:
        return _read_text(data, sidecar, trust)
    reading: LibraryReading | None = None
    if media_type in c2pa_adapter.readable_types():
        reading = _embedded(data, media_type, trust)
        if reading is not None:
            return _judge(reading, containers.extract(data), trust)
    if sidecar is None:
        return None
    reading = c2pa_adapter.read(data, None, trust, sidecar)
    return None if reading is None else _judge(reading, sidecar, trust)


def _embedded(data: bytes, media_type: str, trust: TrustStore) -> LibraryReading | None:
    """What the library says. A container that it refuses and that holds no store has no manifest; it is not altered."""
    try:
        return c2pa_adapter.read(containers.from_ftyp(data), media_type, trust)
    except RemoteManifest:
        raise
    except ManifestInvalid:
        if containers.may_hold_store(data):
            raise
        return None


def read_store(store: bytes, trust: TrustStore) -> ManifestReading:
    """Read a manifest store without its asset: who signed it and what it says, but not what it is about.

    Raises:
        ManifestInvalid: too damaged to be read.
    """
    reading = c2pa_adapter.read(store, "application/c2pa", trust)
    if reading is None:
        raise ManifestInvalid("the manifest store is empty")
    return _judge(reading, store, trust, claim_only=True)


def _read_text(data: bytes, sidecar: bytes | None, trust: TrustStore) -> ManifestReading | None:
    try:
        text = unicodedata.normalize("NFC", data.decode("utf-8"))
        wrapper = a8.parse_a8(text)
    except UnicodeDecodeError:
        raise ManifestInvalid("the text is not UTF-8") from None
    except TextWrapperInvalid as error:
        return _refused(Status(error.code, "", error.message))
    if wrapper is None:
        if sidecar is None:
            return None
        # a sidecar made for these very bytes (JSON and other text that is not signed by wrapper)
        detached = c2pa_adapter.read(data, None, trust, sidecar)
        direct = None if detached is None else _judge(detached, sidecar, trust)
        if direct is not None and hard_binding_holds(direct):
            return direct
        # or the wrapper was stripped but its content kept: put it back and judge the whole
        visible = text.encode()
        wrapper = A8Wrapper(text, sidecar, len(visible), a8.wrapper_length(sidecar))
        text += a8.wrap_a8(sidecar)
    reading = c2pa_adapter.read(text.encode(), None, trust, wrapper.store)
    return None if reading is None else _judge(reading, wrapper.store, trust, wrapper)


def _judge(
    reading: LibraryReading,
    store: bytes,
    trust: TrustStore,
    wrapper: A8Wrapper | None = None,
    *,
    claim_only: bool = False,
) -> ManifestReading:
    return judge(reading, store, trust, wrapper, now_ms=SystemClock().now_ms(), claim_only=claim_only)


def _refused(status: Status) -> ManifestReading:
    """A reading for a wrapper that is there but malformed: nothing in it is believed."""
    return ManifestReading(
        state=ManifestState.INVALID,
        library_state="",
        label="",
        embedded=True,
        signer=None,
        trust_list=None,
        successes=(),
        informational=(),
        failures=(status,),
        time_stamp=None,
        title="",
        generator="",
        actions=(),
        ai_disclosure={},
        soft_bindings=(),
        ingredients=(),
        assertions=(),
        generation={},
        moderation={},
        manifest_digest="",
    )
