"""Values out of the C2PA library's report, which follows what files say: anything may be of another kind. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gensafe.provenance.types import Status

UNTRUSTED: Final = "signingCredential.untrusted"

Object = Mapping[str, Any]


def as_text(value: object) -> str:
    """A string; "" for anything else."""
    return value if isinstance(value, str) else ""


def as_object(value: object) -> Object:
    """A JSON object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> tuple[Object, ...]:
    """The objects in a list; () for anything else."""
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def as_status(item: Object) -> Status:
    """A status code."""
    return Status(as_text(item.get("code")), as_text(item.get("url")), as_text(item.get("explanation")))


def statuses(results: Object, kind: str) -> tuple[Status, ...]:
    """Status codes of one kind: success | informational | failure."""
    return tuple(as_status(item) for item in as_objects(results.get(kind)))


def breaking(failures: Iterable[Status]) -> list[Status]:
    """Failures that break a manifest; an unknown signer, of the claim or of an identity assertion, does not."""
    return [f for f in failures if f.code != UNTRUSTED and not f.code.startswith("cawg.")]


def generator(manifest: Object) -> str:
    """Name and version of what wrote a claim."""
    infos = as_objects(manifest.get("claim_generator_info"))
    if infos:
        return f"{as_text(infos[0].get('name'))} {as_text(infos[0].get('version'))}".strip()
    return as_text(manifest.get("claim_generator"))
