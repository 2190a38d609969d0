"""What people ask first of a report: the verdict, did AI make it, who signed it, when, and was it changed.

Everything here is taken from outcomes and evidence of the lines, never from the wording of a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gensafe.core.languages import ENGLISH, N_, Words
from gensafe.core.types import Check, Conclusion, Outcome, VerificationReport

OWN_LIST: Final = "own"  # name of the list of the installation's own roots, see ``verify.context``
NO_TIME: Final = N_("no trusted time")
NOT_SIGNED: Final = N_("signed by nobody on your lists")
_BY_LOG: Final = N_("the log names exactly these bytes")
_PROOFS: Final = (Conclusion.PROVED, Conclusion.PROVED_BY_RECOVERY)


class Tone(StrEnum):
    """How a verdict is shown: its colour on a terminal and on the page."""

    GOOD = "good"
    DERIVED = "derived"
    BAD = "bad"
    OPEN = "open"


class AiClaim(StrEnum):
    """What is known about AI. Only SIGNED is proved."""

    SIGNED = "signed"  # a trusted signature over these very bytes says so
    CLAIMED = "claimed"  # a manifest says so that is changed, untrusted or not examined
    RECORDED = "recorded"  # our mark: it carries, or was made from, an output of this service
    LABELLED = "labelled"  # label fields, which anyone can write
    CAPTURED = "captured"  # the manifest says that it was captured
    NONE = "none"


TONES: Final = {
    Conclusion.PROVED: Tone.GOOD,
    Conclusion.PROVED_BY_RECOVERY: Tone.GOOD,
    Conclusion.DERIVED: Tone.DERIVED,
    Conclusion.ALTERED: Tone.BAD,
    Conclusion.LAYERS_DISAGREE: Tone.BAD,
    Conclusion.TRANSPLANTED_MARK: Tone.BAD,
    Conclusion.FOUND_UNTRUSTED: Tone.OPEN,
    Conclusion.NOTHING_FOUND: Tone.OPEN,
    Conclusion.UNEXAMINED: Tone.OPEN,
    Conclusion.UNREADABLE: Tone.OPEN,
}
_ORIGINS: Final = {
    AiClaim.SIGNED: N_("made by AI"),
    AiClaim.CLAIMED: N_("claims to be made by AI, not proved"),
    AiClaim.RECORDED: N_("carries this service's mark of AI output"),
    AiClaim.LABELLED: N_("labelled as made by AI, which anyone can write"),
    AiClaim.CAPTURED: N_("says it was captured, not made by AI"),
    AiClaim.NONE: N_("AI not claimed"),
}
_CHANGES: Final = {
    Conclusion.PROVED: N_("unchanged since it was signed"),
    Conclusion.PROVED_BY_RECOVERY: N_("credentials were removed and recovered; the content is unchanged"),
    Conclusion.DERIVED: N_("made from an output of this service; not shown to be unchanged"),
}


@dataclass(frozen=True, slots=True)
class Headline:
    """The first look at a report. Strings may hold text from the file: escape them for where they are shown.

    Args:
        verdict: The conclusion in words; a proof by a development key says so and is never plainly "proved".
        tone: How to show it.
        ai, origin: Whether AI made it, as a value and in words.
        subject, trusted_list, signer: The signer's certificate subject and the list it is on ("" = none); in words.
        development: A development key signed it: no proof to third parties.
        time: The trusted time of signing, RFC 3339; "" = none.
        when: The trusted time in words.
        change: Unchanged, or why and how it was changed, or why nothing is concluded.
    """

    verdict: str
    tone: Tone
    ai: AiClaim
    origin: str
    subject: str
    trusted_list: str
    signer: str
    development: bool
    time: str
    when: str
    change: str


def headline(report: VerificationReport, words: Words = ENGLISH) -> Headline:
    """The first look at ``report``; its words, but for ``verdict``, in the language of ``words``."""
    lines = {check.name: check for check in report.checks}
    recovery = report.conclusion is Conclusion.PROVED_BY_RECOVERY
    recovered = _evidence(lines, "recovered manifest") if recovery and _passed(lines, "recovered manifest") else {}
    by_log = recovery and not recovered  # the log's digest alone, see ``conclusion.Recovered.EXACT``
    source = "checkpoint signature" if by_log else "recovered manifest" if recovery else "signer trust"
    development = report.conclusion in _PROOFS and _evidence(lines, source).get("development") is True
    ai = _ai(report.conclusion, lines)
    model = _text(_evidence(lines, "AI assertions"), "model") if ai in (AiClaim.SIGNED, AiClaim.CLAIMED) else ""
    subject, trusted_list, signer = _signer(lines, recovered, words)
    time = _time(lines, recovered)
    if by_log:
        signer = words('named by the log "{origin}"', origin=_quoted(_text(_evidence(lines, source), "origin")))
    return Headline(
        verdict=report.conclusion.value + (", by a development key" if development else ""),
        tone=Tone.OPEN if development else TONES[report.conclusion],
        ai=ai,
        origin=words(_ORIGINS[ai]) + (f" ({model})" if model else ""),
        subject=subject,
        trusted_list=trusted_list,
        signer=signer,
        development=development,
        time=time,
        when=time or words(NO_TIME),
        change=words(_BY_LOG) if by_log else _change(report, lines, words),
    )


def list_words(name: str, words: Words = ENGLISH) -> str:
    """A trust list as people know it."""
    return words("this installation") if name == OWN_LIST else words("list {name}", name=name)


def _ai(conclusion: Conclusion, lines: Mapping[str, Check]) -> AiClaim:
    if conclusion is Conclusion.PROVED_BY_RECOVERY:
        return AiClaim.SIGNED  # only outputs of this service have records
    if _passed(lines, "AI assertions"):
        return AiClaim.SIGNED if conclusion is Conclusion.PROVED else AiClaim.CLAIMED
    if _evidence(lines, "AI assertions").get("claim") == "captured":
        return AiClaim.CAPTURED
    if _passed(lines, "watermark") and conclusion is not Conclusion.TRANSPLANTED_MARK:
        return AiClaim.RECORDED
    return AiClaim.LABELLED if _evidence(lines, "labels").get("ai") is True else AiClaim.NONE


def _signer(lines: Mapping[str, Check], recovered: Mapping[str, Any], words: Words) -> tuple[str, str, str]:
    """(subject, list, in words)."""
    if recovered:
        subject, found = _text(recovered, "signer"), _text(recovered, "trust_list")
        return subject, found, _signed_by(f'"{_quoted(subject)}"', found, words)
    subject = _text(_evidence(lines, "claim signature"), "signer")
    name = f'"{_quoted(subject)}"' if subject else words("an unnamed signer")
    if "claim signature" not in lines or lines["claim signature"].outcome is Outcome.ABSENT:
        return "", "", words(NOT_SIGNED)
    if not _passed(lines, "claim signature") or _failed(lines, "hard binding"):
        return subject, "", words("names {signer} as signer, but the signature does not fit", signer=name)
    if _passed(lines, "signer trust"):
        found = _text(_evidence(lines, "signer trust"), "list")
        return subject, found, _signed_by(name, found, words)
    if _failed(lines, "revocation"):
        return subject, "", words("signed by {signer}, whose certificate was revoked", signer=name)
    return subject, "", _signed_by(name, "", words)


def _signed_by(name: str, found: str, words: Words) -> str:
    """By whom, and on which list; "" = on none."""
    if not found:
        return words("signed by {signer}, who is on none of your lists", signer=name)
    return words("signed by {signer} ({list})", signer=name, list=list_words(found, words))


def _time(lines: Mapping[str, Check], recovered: Mapping[str, Any]) -> str:
    if recovered:
        return _text(recovered, "time") if recovered.get("time_trusted") is True else ""
    trusted = _passed(lines, "time-stamp") and _passed(lines, "claim signature")
    return _text(_evidence(lines, "time-stamp"), "time") if trusted else ""


def _change(report: VerificationReport, lines: Mapping[str, Check], words: Words) -> str:
    """Unchanged, or how changed: the first difference where the reader may see it."""
    known = _CHANGES.get(report.conclusion, "")
    said = words(known) if known else explained(report, words)
    difference = next((c.evidence["difference"] for c in lines.values() if c.evidence.get("difference")), ())
    if report.conclusion in _PROOFS or isinstance(difference, str) or not difference or words is not ENGLISH:
        return said
    return f"{said} Difference: {difference[0]}" if said.endswith(".") else f"{said}; difference: {difference[0]}"


def explained(report: VerificationReport, words: Words = ENGLISH) -> str:
    """Why this was concluded; in English where the report has no sentences, because it came over the wire."""
    if words is ENGLISH or not report.sentences:
        return report.explanation
    return " ".join(words.said(sentence) for sentence in report.sentences)


def _evidence(lines: Mapping[str, Check], name: str) -> Mapping[str, Any]:
    return lines[name].evidence if name in lines else {}


def _passed(lines: Mapping[str, Check], name: str) -> bool:
    return name in lines and lines[name].outcome is Outcome.PASS


def _failed(lines: Mapping[str, Check], name: str) -> bool:
    return name in lines and lines[name].outcome is Outcome.FAIL


def _text(evidence: Mapping[str, Any], key: str) -> str:
    value = evidence.get(key)
    return value if isinstance(value, str) else ""


def _quoted(subject: str) -> str:
    """A subject that cannot end its own quotes and so add words of ours."""
    return subject.replace('"', "'")
