"""The one conclusion. What the layers say is reduced to ten small facts; the first rule that applies decides.

The rules are data, so that docs/verification.md can be checked against them and a property test can walk every
combination (``Facts`` has 92,160). Disagreement is looked for before any proof: a valid signature does not outrank a
mark that says otherwise. What could not be looked at counts against a proof, and likeness is never one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gensafe.core.languages import N_
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

    NONE = "none"  # searched and not found, or too little material to tell
    NO_KEY = "no key"  # nothing to search with here: only the deployment that marked a file can find its mark
    UNSEARCHED = "unsearched"  # it should have been searched and could not be: undecodable, an error, out of time
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

    UNKNOWN = "unknown"  # no registry available
    ABSENT = "absent"
    FOUND = "found"


class Likeness(StrEnum):
    """Does the content's fingerprint agree with the record's? PARTLY: as a whole, but not in every part."""

    UNKNOWN = "unknown"
    AGREES = "agrees"
    PARTLY = "partly"
    DIFFERS = "differs"


class Recovered(StrEnum):
    """The manifest that the registry keeps for the record.

    EXACT: its hard binding covers these very bytes (a text with its wrapper put back), or the file is, byte by byte,
    the output whose digest the log proves. A mark or a fingerprint never makes it exact.
    """

    NONE = "none"
    BAD = "bad"
    TRUSTED = "trusted"
    EXACT = "exact"


class LogFact(StrEnum):
    """The log's proof for the record."""

    UNKNOWN = "unknown"
    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"


class Layers(StrEnum):
    """Could registry, fingerprint, recovered manifest and log be read, as far as they are attached here?"""

    READ = "read"
    UNREAD = "unread"  # an error, or out of time


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
    layers: Layers = Layers.READ

    @property
    def intact(self) -> bool:
        """Whether there is a manifest whose signature and hashes hold, whoever signed it."""
        return self.manifest in (ManifestFact.TRUSTED, ManifestFact.UNTRUSTED)

    @property
    def marked(self) -> bool:
        """Whether our mark is in the content."""
        return self.mark in (MarkFact.PRESENT, MarkFact.RECORD)

    @property
    def exact(self) -> bool:
        """Whether a trusted signature is bound to these very bytes: the file's own, or a recovered one."""
        recovered = self.record is RecordFact.FOUND and self.recovered is Recovered.EXACT
        return self.manifest is ManifestFact.TRUSTED or (self.manifest is ManifestFact.NONE and recovered)

    @property
    def examined(self) -> bool:
        """Whether everything that can be looked at here was."""
        return self.container is Container.OK and self.mark is not MarkFact.UNSEARCHED and self.layers is Layers.READ

    @property
    def other_content(self) -> bool:
        """Whether the record that was found is of other content."""
        return self.record is RecordFact.FOUND and self.likeness is Likeness.DIFFERS


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
        "the end of the file is missing, and no intact manifest covers what is here",
        N_("The file is cut off: its end is missing."),
        lambda f: f.container is Container.TRUNCATED and not f.intact,
    ),
    Rule(
        Conclusion.UNREADABLE,
        "the content cannot be decoded and there is no manifest",
        N_("The file is damaged, is not a media file, or was refused by a limit."),
        lambda f: f.container is Container.DAMAGED and f.manifest is ManifestFact.NONE,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "the log's proof for the record is not valid",
        N_("The record of this file and the tamper-evident log contradict each other."),
        lambda f: f.log is LogFact.FAIL,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "an intact manifest and the watermark name different things",
        N_("The manifest is intact, but it does not fit the watermark in the content."),
        lambda f: f.intact and f.marked and f.claims is Claims.CONFLICT,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "an intact manifest of ours promises a watermark that is not in the content",
        N_("The manifest is intact, but the watermark that it promises is not in the content."),
        lambda f: f.intact and f.binding is Binding.MISSING,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "a trusted signature covers these bytes, but the record's fingerprint is of other content",
        N_("The signature is intact, but the output recorded under this name looked, sounded or read differently."),
        lambda f: f.exact and f.record is RecordFact.FOUND and f.likeness in (Likeness.PARTLY, Likeness.DIFFERS),
    ),
    Rule(
        Conclusion.TRANSPLANTED_MARK,
        "the mark's record has another fingerprint",
        N_(
            "The watermark is genuine, but the content is not that of its record: the mark was copied here, or the "
            "content was changed beyond likeness."
        ),
        lambda f: f.mark is MarkFact.RECORD and f.other_content,
    ),
    Rule(
        Conclusion.ALTERED,
        "the manifest is broken",
        N_("The file was changed after it was signed, or its manifest is damaged."),
        lambda f: f.manifest is ManifestFact.BROKEN,
    ),
    Rule(
        Conclusion.LAYERS_DISAGREE,
        "no manifest; the registry's manifest for the record does not verify",
        N_("A record was found, but the manifest kept with it does not verify."),
        lambda f: not f.intact and f.record is RecordFact.FOUND and f.recovered is Recovered.BAD,
    ),
    Rule(
        Conclusion.ALTERED,
        "no manifest; our mark, and the record's content is like this as a whole, but parts of it differ",
        N_("Our watermark leads to a recorded output, and parts of the content are not those of that output."),
        lambda f: (
            f.manifest is ManifestFact.NONE
            and f.marked
            and f.record is RecordFact.FOUND
            and f.likeness is Likeness.PARTLY
        ),
    ),
    Rule(
        Conclusion.UNEXAMINED,
        "an intact manifest, or a recovered one bound to these bytes; the content or a layer could not be examined",
        N_("The bytes are those that were signed, but not everything about them could be examined: nothing is proved."),
        lambda f: (f.intact or f.exact) and not f.examined,
    ),
    Rule(
        Conclusion.PROVED,
        "a trusted manifest bound to these bytes, everything examined, and nothing contradicts it",
        N_("The file is exactly as its trusted signer left it."),
        lambda f: f.manifest is ManifestFact.TRUSTED,
    ),
    Rule(
        Conclusion.FOUND_UNTRUSTED,
        "an intact manifest by a signer that is unknown, expired or revoked",
        N_("The bytes are those that were signed, but by a signer that is unknown here, expired or revoked."),
        lambda f: f.manifest is ManifestFact.UNTRUSTED,
    ),
    Rule(
        Conclusion.PROVED_BY_RECOVERY,
        "no manifest; the registry's manifest or the log's digest covers exactly these bytes; everything was examined",
        N_("The credentials were removed, but the signed manifest was recovered and fits this content exactly."),
        lambda f: f.exact,
    ),
    Rule(
        Conclusion.DERIVED,
        "no manifest; our mark leads to a record of like content, and nothing binds these bytes to it",
        N_(
            "This was made from an output of this service: its watermark leads to a record of like content. "
            "It is not shown to be unchanged."
        ),
        lambda f: f.marked and f.record is RecordFact.FOUND and f.likeness is Likeness.AGREES,
    ),
    Rule(
        Conclusion.UNEXAMINED,
        "no manifest; the content or a layer could not be examined",
        N_("Not everything about this file could be examined, so nothing is concluded."),
        lambda f: not f.examined,
    ),
    Rule(
        Conclusion.FOUND_UNTRUSTED,
        "no manifest; a mark, but nothing available that it could be compared with",
        N_("Our watermark is present, but there is no record available that it could be checked against."),
        lambda f: f.marked,
    ),
    Rule(
        Conclusion.NOTHING_FOUND,
        "anything else",
        N_("No manifest, no watermark and no record were found. That does not mean that a person made it."),
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
    Conclusion.NOTHING_FOUND: 2,
    Conclusion.UNEXAMINED: 3,
    Conclusion.UNREADABLE: 3,
    Conclusion.FOUND_UNTRUSTED: 4,
    Conclusion.DERIVED: 5,
}
"""Exit code of ``gensafe verify`` for one file; for several the one that ``worst_exit`` picks."""

WORST_FIRST: Final = (1, 70, 69, 3, 5, 4, 2, 0)
"""Which code several files together exit with. A failure that was found stays found; after it, that no verdict was
reached about some (70: a fault of ours, 69: the server could not be asked) must not hide behind the others."""


def worst_exit(codes: Iterable[int]) -> int:
    """Exit code for several files, from the codes of each; 0 for none."""
    found = set(codes)
    return next((code for code in WORST_FIRST if code in found), 0)
