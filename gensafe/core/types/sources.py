"""What an output was made from, as far as it carries credentials of its own, and what became of those."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What became of somebody's credentials on the way into an output."""

    KEPT = "kept"  # the manifest store is in the output's own, as a validated ingredient
    TRANSFORMED = "transformed"  # a mark: the content was encoded anew and marked again; not searched for afterwards
    LOST = "lost"


class Relationship(StrEnum):
    """How an output relates to a source (C2PA 2.4 section 10.3)."""

    PARENT = "parentOf"  # the output is an edit of it
    COMPONENT = "componentOf"  # the output was put together from it and others
    INPUT = "inputTo"  # it went into the generation


@dataclass(frozen=True, slots=True)
class SourceFate:
    """A source that carries a manifest: what was found, and what became of it. No name, no words: it is logged."""

    role: str  # "input 1", ... or "answer": what the engine sent
    digest: str  # "sha256:<hex>" of its bytes
    relationship: Relationship
    state: str  # trusted | valid | invalid | unreadable, as judged when it came in
    fate: Fate  # of its manifest
    manifest: str = ""  # "sha256:<hex>" of its manifest store, "" where the container hides it
    mark: str = ""  # watermark scheme that its manifest names
    mark_fate: str = ""  # a ``Fate``; "" = its manifest names no mark
    note: str = ""  # why it was lost
