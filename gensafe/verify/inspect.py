"""What can be read from the bytes alone. This is the part that parses hostile input: it runs in a worker process.

It takes no key and no handle to a registry: a parser that is taken over finds nothing to steal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gensafe import media
from gensafe.core.digest import sha256
from gensafe.core.errors import (
    GensafeError,
    ManifestInvalid,
    MediaError,
    MediaLimitExceeded,
    UnsupportedMedia,
)
from gensafe.core.types import Media
from gensafe.media.fingerprint import fingerprint
from gensafe.media.labels import read_labels
from gensafe.media.limits import LIMITS, Limits
from gensafe.media.oddities import oddities
from gensafe.provenance import ManifestReading, RemoteManifest, TrustStore, containers, read_asset, read_store
from gensafe.verify.conclusion import Container
from gensafe.verify.structure import is_truncated

UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Inspection:
    """The bytes' own story. ``problem`` says why ``container`` is not ok; ``manifest_problem`` why none was read."""

    media_type: str
    digest: str
    size: int
    container: Container
    problem: str
    content: Media | None
    fingerprint: Mapping[str, str]
    reading: ManifestReading | None
    manifest_problem: str
    remote_url: str = ""  # where the file says its manifest is; never fetched
    manifest_seen: bool = False  # a manifest store stands in the container, readable or not
    labels: Mapping[str, Any] | None = field(default_factory=dict)  # ``media.labels.read_labels``; None = not readable
    notes: tuple[str, ...] = ()  # ``media.oddities``: what is odd about a file that can be read all the same


def inspect(
    data: bytes, sidecar: bytes | None, trust: TrustStore, limits: Limits = LIMITS, *, prints: bool = True
) -> Inspection:
    """Decode ``data``, read its manifest and its labels. Raises nothing of its own: damage is part of the answer.

    Args:
        data: Untrusted.
        sidecar: As for ``read_asset``.
        trust: Trust lists.
        limits: Bounds on what is decoded.
        prints: Take the fingerprint; a third of the work, and of no use where there is no registry to compare with.
    """
    media_type, problem = UNKNOWN_TYPE, ""
    container, content = Container.OK, None
    taken: Mapping[str, str] = {}
    try:
        limits.check("max_bytes", len(data))
        media_type = _type_of(data)
        content = media.decode(data, media_type, limits)
        taken = fingerprint(content) if prints else {}
    except UnsupportedMedia as error:
        container, problem = (Container.OK if content is not None else Container.UNSUPPORTED), error.message
    except MediaLimitExceeded as error:
        container, problem = Container.DAMAGED, f"refused: {error.message}"
    except MediaError as error:
        container, problem = Container.DAMAGED, error.message
    if container is not Container.UNSUPPORTED and is_truncated(data, decoded=container is Container.OK):
        container, problem = Container.TRUNCATED, problem or "the file ends before its own length says"
    reading, manifest_problem, remote_url = _read(data, media_type, sidecar, trust, limits)
    return Inspection(
        media_type=media_type,
        digest=sha256(data),
        size=len(data),
        container=container,
        problem=problem,
        content=content,
        fingerprint=taken,
        reading=reading,
        manifest_problem=manifest_problem,
        remote_url=remote_url,
        manifest_seen=reading is not None or bool(containers.locate(data)),
        labels=_labels(data, media_type),
        notes=oddities(data) if container is Container.OK else (),
    )


def recover(
    store: bytes, data: bytes, media_type: str, trust: TrustStore
) -> tuple[ManifestReading | None, ManifestReading | None]:
    """Read a manifest kept by the registry: (alone, bound to ``data``). The second is None where it does not bind."""
    try:
        alone = read_store(store, trust)
    except GensafeError:
        return None, None
    try:
        bound = read_asset(data, media_type, sidecar=store, trust=trust)
    except GensafeError:
        bound = None
    return alone, bound


def _labels(data: bytes, media_type: str) -> Mapping[str, Any] | None:
    try:
        return read_labels(data, media_type)
    except MediaError:
        return None


def _type_of(data: bytes) -> str:
    """As sniffed; SVG is text to a sniffer, but carries its manifest as an image."""
    found = media.sniff(data)
    if found == "text/plain" and b"<svg" in data[:4096]:
        return "image/svg+xml"
    return found


def _read(
    data: bytes, media_type: str, sidecar: bytes | None, trust: TrustStore, limits: Limits
) -> tuple[ManifestReading | None, str, str]:
    """(reading, why there is none, remote URL)."""
    if len(data) > limits.max_bytes or not data:
        return None, "", ""
    try:
        return read_asset(data, media_type, sidecar=sidecar, trust=trust), "", ""
    except RemoteManifest as error:
        return None, "", error.url
    except ManifestInvalid as error:
        return None, error.message, ""
