"""Run the parsing of untrusted bytes in a worker process with limits, so that a crash or a hang is only "unreadable".

Nothing but plain values comes back (see ``gensafe.media.sandbox``); the readings are rebuilt from them here.
"""

from __future__ import annotations

from typing import Any

from gensafe.core.errors import ManifestInvalid, UnreadableMedia
from gensafe.media.limits import Limits
from gensafe.media.sandbox import run_in_worker
from gensafe.provenance import ManifestReading, TrustStore
from gensafe.provenance.plain import from_plain, to_plain
from gensafe.verify.conclusion import Container
from gensafe.verify.context import VerifyContext
from gensafe.verify.inspect import Inspection, inspect, recover

_INSPECT = "gensafe.verify.contain:inspect_plain"
_RECOVER = "gensafe.verify.contain:recover_plain"


def inspect_contained(data: bytes, sidecar: bytes | None, context: VerifyContext) -> Inspection:
    """``inspect``, contained as the context asks.

    Raises:
        MediaError: the worker was stopped by a limit, crashed, or answered nonsense.
    """
    prints = context.records is not None
    if not context.contained:
        return inspect(data, sidecar, context.trust, context.limits, prints=prints)
    context.limits.check("max_bytes", len(data))
    answer = run_in_worker(_INSPECT, data, sidecar, context.trust, context.limits, prints)
    try:
        if not isinstance(answer, dict):
            raise TypeError
        values: dict[str, Any] = dict(answer)
        values["container"] = Container(values["container"])
        values["reading"] = None if values["reading"] is None else from_plain(values["reading"])
        return Inspection(**values)
    except (KeyError, TypeError, ValueError, ManifestInvalid):
        raise UnreadableMedia("the worker that read the file answered nonsense") from None


def recover_contained(
    store: bytes, data: bytes, media_type: str, context: VerifyContext
) -> tuple[ManifestReading | None, ManifestReading | None]:
    """``recover``, contained as the context asks.

    Raises:
        MediaError: as ``inspect_contained``.
    """
    if not context.contained:
        return recover(store, data, media_type, context.trust)
    answer = run_in_worker(_RECOVER, store, data, media_type, context.trust)
    try:
        if not isinstance(answer, tuple):
            raise TypeError
        alone, bound = (None if item is None else from_plain(item) for item in answer)
    except (TypeError, ValueError, ManifestInvalid):
        raise UnreadableMedia("the worker that read the manifest answered nonsense") from None
    return alone, bound


def inspect_plain(
    data: bytes, sidecar: bytes | None, trust: TrustStore, limits: Limits, prints: bool
) -> dict[str, object]:
    """Runs in the worker: ``inspect`` with a plain answer."""
    found = inspect(data, sidecar, trust, limits, prints=prints)
    return {
        "media_type": found.media_type,
        "digest": found.digest,
        "size": found.size,
        "container": found.container.value,
        "problem": found.problem,
        "content": found.content,
        "fingerprint": dict(found.fingerprint),
        "reading": None if found.reading is None else to_plain(found.reading),
        "manifest_problem": found.manifest_problem,
        "remote_url": found.remote_url,
        "manifest_seen": found.manifest_seen,
        "labels": None if found.labels is None else dict(found.labels),
        "notes": found.notes,
    }


def recover_plain(
    store: bytes, data: bytes, media_type: str, trust: TrustStore
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Runs in the worker: ``recover`` with a plain answer."""
    alone, bound = recover(store, data, media_type, trust)
    return (None if alone is None else to_plain(alone)), (None if bound is None else to_plain(bound))
