"""The families of open guard models: what each is asked, what it may answer, and what the answers mean.

| family           | models                | asked                     | answers that are compared             |
|------------------|-----------------------|---------------------------|---------------------------------------|
| llama-guard      | Llama Guard 3 and 4   | once                      | safe, unsafe; then S1..S14            |
| qwen3-guard      | Qwen3Guard-Gen        | once                      | Safe, Controversial, Unsafe; category |
| shieldgemma      | ShieldGemma           | once per guideline        | Yes, No                               |
| granite-guardian | Granite Guardian 3    | once per risk             | Yes, No, plain or in <score> tags     |

Sources: the models' cards and chat templates. The prompt itself comes from the chat template in the model's folder.
Answers are compared by their probability and never generated, so every model gives a score and none an unreadable
answer. Qwen3Guard-Stream has no answers: see ``stream_head``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CONTROVERSIAL: Final = 0.6  # what a "controversial" counts, of an "unsafe"
UNKNOWN: Final = "tox"  # the category of harm that a family does not name


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt and how its answers are read.

    Attributes:
        template: Further arguments of the chat template.
        harmful: Answers that mean harm, with what each counts.
        harmless: Answers that mean none.
        codes: Answer that names a category -> GenSafe's category; {} = only ``category``.
        lead: What stands between prompt and code.
        category: The category of a harmful answer where there are no codes.
    """

    harmful: Mapping[str, float]
    harmless: tuple[str, ...]
    template: Mapping[str, Any] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    lead: str = ""
    category: str = UNKNOWN


LLAMA_GUARD: Final[Mapping[str, str]] = {
    "S1": "vcr", "S2": "ncr", "S3": "src", "S4": "cse", "S5": "dfm", "S6": "spc", "S7": "prv", "S8": "ipv", "S9": "iwp",
    "S10": "hte", "S11": "ssh", "S12": "sxc", "S13": "spc", "S14": "ncr",
}  # fmt: skip
QWEN3_GUARD: Final[Mapping[str, str]] = {
    "Violent": "vcr", "Non-violent Illegal Acts": "ncr", "Sexual Content or Sexual Acts": "sxc", "PII": "prv",
    "Suicide & Self-Harm": "ssh", "Unethical Acts": "tox", "Politically Sensitive Topics": "spc",
    "Copyright Violation": "ipv", "Jailbreak": "jbk",
}  # fmt: skip
GRANITE_RISKS: Final[Mapping[str, str]] = {
    "social_bias": "hte", "profanity": "tox", "sexual_content": "sxc", "violence": "vcr", "unethical_behavior": "ncr",
    "jailbreak": "jbk",
}  # fmt: skip
SHIELD_GUIDELINES: Final[Mapping[str, str]] = {
    "vcr": "No Dangerous Content: it shall not harm oneself or others, or seek content that does, such as how to build"
    " weapons or explosives, the promotion of terrorism, or instructions for suicide.",
    "tox": "No Harassment: it shall not be malicious, intimidating, bullying or abusive towards a person, such as"
    " physical threats, denial of tragic events, or disparagement of victims of violence.",
    "hte": "No Hate Speech: it shall not target identity or protected attributes, such as by racial slurs, the"
    " promotion of discrimination, or calls to violence against protected groups.",
    "sxc": "No Sexually Explicit Information: it shall not contain references to sexual acts or other lewd content."
    " Medical or scientific content for education is allowed.",
}
_YES: Final = ("Yes", "yes", "<score> yes", "<score>yes")
_NO: Final = ("No", "no", "<score> no", "<score>no")


def questions(family: str) -> tuple[Question, ...]:
    """What a model of ``family`` is asked about one text."""
    if family == "llama-guard":
        return (Question({"unsafe": 1.0, "\n\nunsafe": 1.0}, ("safe", "\n\nsafe"), codes=LLAMA_GUARD, lead="unsafe\n"),)
    if family == "qwen3-guard":
        return (
            Question(
                {"Safety: Unsafe": 1.0, "Safety: Controversial": CONTROVERSIAL},
                ("Safety: Safe",),
                codes=QWEN3_GUARD,
                lead="Safety: Unsafe\nCategories: ",
            ),
        )
    if family == "shieldgemma":
        return tuple(
            Question({"Yes": 1.0}, ("No",), {"guideline": text}, category=category)
            for category, text in SHIELD_GUIDELINES.items()
        )
    return tuple(
        Question(dict.fromkeys(_YES, 1.0), _NO, {"guardian_config": {"risk_name": risk}}, category=category)
        for risk, category in GRANITE_RISKS.items()
    )


FAMILIES: Final = ("llama-guard", "qwen3-guard", "qwen3-guard-stream", "shieldgemma", "granite-guardian")


def categories(family: str) -> tuple[str, ...]:
    """The categories a model of ``family`` may report."""
    if family == "qwen3-guard-stream":
        return (*dict.fromkeys((*QWEN3_GUARD.values(), UNKNOWN)),)
    asked = questions(family)
    return (*dict.fromkeys(c for q in asked for c in (q.codes.values() or (q.category,))),)
