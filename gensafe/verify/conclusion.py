"""The one conclusion. What the layers say is reduced to nine small facts; the first rule that applies decides.

The rules are data, so that docs/verification.md can be checked against them and a property test can walk every
combination (``Facts`` has 20,736). Disagreement is looked for before any proof: a valid signature does not outrank a
mark that says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gensafe.core.types import Conclusion


class Container(StrEnum):
    """Could the content be decoded?"""

    OK = "ok"
    UNSUPPORTED = "unsupported"  # a type we do not decode
    DAMAGED = "damaged"  # decoding failed, or was refused by a limit
    TRUNCATED = "truncated"  # decoding failed because the end is missing


class ManifestFact(StrEnum):
    """The file's own manifest (or the sidecar handed in)."""

    NONE = "none"
    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"  # intact, but the signer is on none of our lists, expired or revoked
    BROKEN = "broken"


class MarkFact(StrEnum):
    """The watermark. RECORD is authenticated by a MAC under our key."""

    NONE = "none"  # or not searched, or undecidable
    PRESENT = "present"
    RECORD = "record"


class Claims(StrEnum):
    """Do an intact manifest's claims fit the mark? CONFLICT: another record, or no word of AI on marked content."""

    FIT = "fit"
    CONFLICT = "conflict"


class Binding(StrEnum):
    """Is the mark that an intact manifest of ours promises really there? KEPT covers "not promised"."""

    KEPT = "kept"
    MISSING = "missing"


class RecordFact(StrEnum):
    """The registry's record for this file."""

    UNKNOWN = "unknown"  # no registry at hand
    ABSENT = "absent"
    FOUND = "found"


class Likeness(StrEnum):
    """Does the content's fingerprint agree with the record's?"""

    UNKNOWN = "unknown"
    AGREES = "agrees"
    DIFFERS = "differs"


class Recovered(StrEnum):
    """The manifest that the registry keeps for the record. EXACT: it is bound to this very content."""

    NONE = "none"
    BAD = "bad"
    TRUSTED = "trusted"
    EXACT = "exact"


class LogFact(StrEnum):
    """The log's proof for the record."""

    UNKNOWN = "unknown"
    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the layers say about one file."""

    container: Container = Container.OK
    manifest: ManifestFact = ManifestFact.NONE
    mark: MarkFact = MarkFact.NONE
    claims: Claims = Claims.FIT
    binding: Binding = Binding.KEPT
    record: RecordFact = RecordFact.UNKNOWN
    likeness: Likeness = Likeness.UNKNOWN
    recovered: Recovered = Recovered.NONE
    log: LogFact = LogFact.UNKNOWN

    @property
    def intact(self) -> bool:
        """Whether there is a manifest whose signature and hashes hold, whoever signed it."""
        return self.manifest in (ManifestFact.TRUSTED, ManifestFact.UNTRUSTED)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    conclusion: Conclusion
    when: str  # the condition in words, as printed in docs/verification.md
    explanation: str  # what the report says to a person
    applies: Callable[[Facts], bool]


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        Conclusion.UNREADABLE,
        "the end of the file is missing",
        "The file is cut off: its end is missing.",
        lambda f: f.container is Container.TRUNCATED,
    ),
    Rule(
        Conclusion.UNREADABLE,
        "the content cannot be decoded and there is no manifest",
        "The file is damaged, is not a media file, or was refused by a limit.",
        lambda f: f.container is Container.DAMAGED and f.manifest is ManifestFact.NONE,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "the log's proof for the record does not hold",
        "The record of this file and the tamper-evident log contradict each other.",
        lambda f: f.log is LogFact.FAIL,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "an intact manifest and the watermark name different things",
        "The manifest is intact, but it does not fit the watermark in the content.",
        lambda f: f.intact and f.mark is not MarkFact.NONE and f.claims is Claims.CONFLICT,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "an intact manifest of ours promises a watermark that is not there",
        "The manifest is intact, but the watermark that it promises is not in the content.",
        lambda f: f.intact and f.binding is Binding.MISSING,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "a trusted manifest fits the mark, but the record's fingerprint is of other content",
        "Manifest and watermark agree, but the recorded output looked or sounded different.",
        lambda f: f.manifest is ManifestFact.TRUSTED and f.mark is MarkFact.RECORD and f.likeness is Likeness.DIFFERS,
    ),
    Rule(
        Conclusion.PROVED,
        "a trusted manifest, and nothing contradicts it",
        "The file is exactly as its trusted signer left it.",
        lambda f: f.manifest is ManifestFact.TRUSTED,
    ),
    Rule(
        Conclusion.TRANSPLANTED_MARK,
        "the mark's record has another fingerprint",
        "The watermark is genuine, but the content is not that of its record: the mark was copied here, or the "
        "content was changed beyond likeness.",
        lambda f: f.mark is MarkFact.RECORD and f.record is RecordFact.FOUND and f.likeness is Likeness.DIFFERS,
    ),
    Rule(
        Conclusion.ALTERED,
        "the manifest is broken",
        "The file was changed after it was signed, or its manifest is damaged.",
        lambda f: f.manifest is ManifestFact.BROKEN,
    ),
    Rule(
        Conclusion.FOUND_UNTRUSTED,
        "an intact manifest by a signer that is unknown, expired or revoked",
        "The bytes are those that were signed, but by a signer that is unknown here, expired or revoked.",
        lambda f: f.manifest is ManifestFact.UNTRUSTED,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "no manifest; the registry's manifest for the record does not verify",
        "A record was found, but the manifest kept with it does not verify.",
        lambda f: f.record is RecordFact.FOUND and f.recovered is Recovered.BAD,
    ),
    Rule(
        Conclusion.PROVED_BY_RECOVERY,
        "no manifest; the registry's manifest is bound to this very content",
        "The credentials were removed, but the signed manifest was recovered and fits this content exactly.",
        lambda f: f.record is RecordFact.FOUND and f.recovered is Recovered.EXACT,
    ),
    Rule(
        Conclusion.PROVED_BY_RECOVERY,
        "no manifest; the mark leads to a record of like content with a trusted manifest",
        "The credentials were removed, but the watermark led back to them: manifest recovered.",
        lambda f: (
            f.mark is MarkFact.RECORD
            and f.record is RecordFact.FOUND
            and f.likeness is Likeness.AGREES
            and f.recovered is Recovered.TRUSTED
        ),
    ),
    Rule(
        Conclusion.PROVED_BY_RECOVERY,
        "no manifest kept; the mark leads to a record of like content that the log proves",
        "The watermark led back to a record that the tamper-evident log proves; its manifest is no longer kept.",
        lambda f: (
            f.mark is MarkFact.RECORD
            and f.record is RecordFact.FOUND
            and f.likeness is Likeness.AGREES
            and f.log is LogFact.PASS
        ),
    ),
    Rule(
        Conclusion.ALTERED,
        "no manifest; our mark is present, and the content is like a record's but not the same",
        "Our watermark is present and the content resembles a recorded output, but it is not that output unchanged.",
        lambda f: f.mark is MarkFact.PRESENT and f.record is RecordFact.FOUND and f.likeness is Likeness.AGREES,
    ),
    Rule(
        Conclusion.FOUND_UNTRUSTED,
        "no manifest; a mark, but nothing at hand that it leads to",
        "Our watermark is present, but there is no record at hand that it could be checked against.",
        lambda f: f.mark is not MarkFact.NONE,
    ),
    Rule(
        Conclusion.NOTHING_FOUND,
        "anything else",
        "No manifest, no watermark and no record were found. That does not mean that a person made it.",
        lambda f: True,
    ),
)


def conclude(facts: Facts) -> Rule:
    """The first rule that applies; the last one always does."""
    return next(rule for rule in RULES if rule.applies(facts))


EXIT_CODES: Final = {
    Conclusion.PROVED: 0,
    Conclusion.PROVED_BY_RECOVERY: 0,
    Conclusion.ALTERED: 1,
    Conclusion.LAYERS_DISAGREE: 1,
    Conclusion.TRANSPLANTED_MARK: 1,
    Conclusion.FOUND_UNTRUSTED: 1,
    Conclusion.NOTHING_FOUND: 2,
    Conclusion.UNREADABLE: 3,
}
"""Exit code of ``gensafe verify`` for one file; for several the one that ``worst_exit`` picks."""


def worst_exit(conclusions: list[Conclusion]) -> int:
    """Exit code for several files: 1 before 3 before 2 before 0 (a failure must not hide behind an unreadable file)."""
    codes = {EXIT_CODES[c] for c in conclusions}
    return next((code for code in (1, 3, 2) if code in codes), 0)
