"""What a verifier checked and concluded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gensafe.core.languages import Sentence


class Outcome(StrEnum):
    """What one check saw."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verification report."""

    name: str
    outcome: Outcome
    summary: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Conclusion(StrEnum):
    """The joint verdict; exactly one per file. See docs/verification.md for the table."""

    PROVED = "proved"
    PROVED_BY_RECOVERY = "proved by recovery"
    DERIVED = "derived"  # made from an output of ours; not shown to be unchanged
    ALTERED = "altered"
    LAYERS_DISAGREE = "layers disagree"
    TRANSPLANTED_MARK = "transplanted mark"
    FOUND_UNTRUSTED = "found but untrusted"
    NOTHING_FOUND = "nothing found"
    UNEXAMINED = "could not be examined"  # something that counts could not be looked at; who signed it is still said
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """All checks of one file and the one conclusion they lead to."""

    name: str
    conclusion: Conclusion
    explanation: str
    checks: tuple[Check, ...]
    media_type: str = ""
    digest: str = ""
    crjson: str = ""  # the manifest in the C2PA crJSON form; "" without one
    # the explanation for translation, without details that are English only; () in a report that came over the wire
    sentences: tuple[Sentence, ...] = ()
