"""``text_guard``: an open guard model behind an OpenAI-compatible endpoint (vLLM, llama.cpp, Ollama, ...) that you run.

Off unless a policy names it. Families and their answers, after the model cards:

| family       | models                  | answer that is read                                          |
|--------------|-------------------------|--------------------------------------------------------------|
| llama-guard  | Llama Guard 3 and 4     | "safe", or "unsafe" and a line of codes S1..S14              |
| qwen3-guard  | Qwen3Guard-Gen          | "Safety: Safe/Controversial/Unsafe" and "Categories: ..."    |
| yes-no       | ShieldGemma, Granite G. | "Yes"/"No", plain or inside <score> tags; category by option |

What cannot be read is an error, and an error is a block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.hazards import CATEGORIES
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Media, Modality, Stage
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers.text_screen import checked_text, windows
from gensafe.safety.guard_endpoint import GuardEndpoint, open_endpoint

NAME: Final = "text_guard"
VERSION: Final = "1"
WINDOW: Final = 6000  # characters a request; longer texts go in windows that overlap by half
CONTROVERSIAL: Final = 0.6  # the guard gives no probability: between safe and unsafe; chosen by eye, not measured

LLAMA_GUARD: Final[Mapping[str, str]] = {
    "S1": "vcr", "S2": "ncr", "S3": "src", "S4": "cse", "S5": "dfm", "S6": "spc", "S7": "prv", "S8": "ipv", "S9": "iwp",
    "S10": "hte", "S11": "ssh", "S12": "sxc", "S13": "spc", "S14": "ncr",
}  # fmt: skip
QWEN3_GUARD: Final[Mapping[str, str]] = {
    "violent": "vcr", "non-violent illegal acts": "ncr", "sexual content or sexual acts": "sxc", "pii": "prv",
    "personally identifiable information": "prv", "suicide & self-harm": "ssh", "unethical acts": "tox",
    "politically sensitive topics": "spc", "copyright violation": "ipv", "jailbreak": "jbk",
}  # fmt: skip
FAMILIES: Final = ("llama-guard", "qwen3-guard", "yes-no")


class TextGuard:
    """A guard model as a Classifier.

    Args:
        endpoint: Where it is.
        family: One of FAMILIES.
        category: For ``yes-no``, the category a "Yes" means.
    """

    name = NAME
    modality = Modality.TEXT
    waits = True  # for the endpoint

    def __init__(self, endpoint: GuardEndpoint, family: str, category: str = "tox") -> None:
        self._endpoint, self._family, self._category = endpoint, family, category

    def identity(self) -> ClassifierId:
        """The model's name stands in the version; the weights are the endpoint's, so there is no digest."""
        return ClassifierId(NAME, VERSION)

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(NAME)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Ask once per window; a category's score is the highest.

        Raises:
            SafetyUnavailable: no answer, or one that cannot be read.
        """
        text = checked_text(item)
        best: dict[str, float] = {}
        for start, end in windows(text, WINDOW):
            for category, score in self._judged(text[start:end], stage).items():
                best[category] = max(best.get(category, 0.0), score)
        findings = tuple(Finding(c, s, NAME, self._endpoint.model[:80]) for c, s in sorted(best.items()))
        return Assessment(findings, (Coverage(NAME, "characters", len(text), len(text)),))

    def _judged(self, text: str, stage: Stage) -> dict[str, float]:
        turn = {"role": "user", "content": text}
        turns = (
            [{"role": "user", "content": "..."}, {"role": "assistant", "content": text}]
            if stage is Stage.OUTPUT
            else [turn]
        )
        answer = self._endpoint.ask(turns)
        return parse_answer(self._family, answer.words, self._category, answer.confidence)


def parse_answer(family: str, words: str, category: str, confidence: float | None) -> dict[str, float]:
    """Category -> score from a guard's answer. ``confidence``: probability of the first token, if the endpoint told.

    Raises:
        SafetyUnavailable: not an answer of this family.
    """
    text = words.strip()
    sure = 1.0 if confidence is None else confidence
    if family == "llama-guard":
        lines = text.split()
        if lines[:1] == ["safe"]:
            return {}
        codes = re.findall(r"S\d{1,2}", text)
        if lines[:1] == ["unsafe"]:
            # an unknown code is still "unsafe"
            return {LLAMA_GUARD.get(code, "tox"): sure for code in codes or ["S0"]}
    elif family == "qwen3-guard":
        level = re.search(r"Safety:\s*(Safe|Controversial|Unsafe)\b", text)
        if level and level[1] == "Safe":
            return {}
        if level:
            listed = re.search(r"Categories:\s*([^\n]*)", text)
            names = [n.strip().lower() for n in (listed[1] if listed else "").split(",") if n.strip()] or ["?"]
            return {QWEN3_GUARD.get(n, "tox"): CONTROVERSIAL if level[1] == "Controversial" else 1.0 for n in names}
    else:
        found = re.match(r"(?:<score>)?\s*(yes|no)\b", text, re.IGNORECASE)
        if found:
            return {category: sure} if found[1].lower() == "yes" else {}
    raise SafetyUnavailable(f"not an answer of the family {family}")


def create(options: Mapping[str, str]) -> TextGuard:
    """Entry point. Options: those of ``open_endpoint``; ``family``; for yes-no ``category``.

    Raises:
        ConfigError: an option is missing or wrong, or plain http to another host.
    """
    endpoint = open_endpoint(options)
    family, category = options.get("family", ""), options.get("category", "tox")
    if family not in FAMILIES:
        raise ConfigError(f"must be one of {', '.join(FAMILIES)}", field="family")
    if category not in CATEGORIES:
        raise ConfigError("is not a category", field="category")
    return TextGuard(endpoint, family, category)
