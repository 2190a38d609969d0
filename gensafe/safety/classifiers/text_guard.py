"""``text_guard``: an open guard model behind an OpenAI-compatible endpoint (vLLM, llama.cpp, Ollama, ...) that you run.

Off unless a policy names it. The endpoint sees the text, so it belongs on your own machines: plain http is refused for
any other host than the local one. Families and their answers, after the model cards:

| family       | models                  | answer that is read                                          |
|--------------|-------------------------|--------------------------------------------------------------|
| llama-guard  | Llama Guard 3 and 4     | "safe", or "unsafe" and a line of codes S1..S14              |
| qwen3-guard  | Qwen3Guard-Gen          | "Safety: Safe/Controversial/Unsafe" and "Categories: ..."    |
| yes-no       | ShieldGemma, Granite G. | "Yes"/"No", plain or inside <score> tags; category by option |

What cannot be read is an error, and an error is a block.
"""

from __future__ import annotations

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.hazards import CATEGORIES
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Media, Modality, Stage
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers.text_screen import checked_text, windows

NAME: Final = "text_guard"
VERSION: Final = "1"
WINDOW: Final = 6000  # characters a request; longer texts go in windows that overlap by half
MAX_ANSWER: Final = 1 << 20
CONTROVERSIAL: Final = 0.6

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
        endpoint: Base URL, e.g. "http://127.0.0.1:8000/v1".
        model: Model name at the endpoint.
        family: One of FAMILIES.
        category: For ``yes-no``, the category a "Yes" means.
        timeout_s: Seconds a request may take.
        key: Bearer token, "" = none.
    """

    name = NAME
    modality = Modality.TEXT

    def __init__(
        self, endpoint: str, model: str, family: str, category: str = "tox", timeout_s: float = 10.0, key: str = ""
    ) -> None:
        self._url = endpoint.rstrip("/") + "/chat/completions"
        self._model, self._family, self._category = model, family, category
        self._timeout, self._key = timeout_s, key
        # no redirects and no proxies: the text goes to this host or nowhere
        self._opener = urllib.request.build_opener(_NoRedirect(), urllib.request.ProxyHandler({}))

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
        findings = tuple(Finding(c, s, NAME, self._model[:80]) for c, s in sorted(best.items()))
        return Assessment(findings, (Coverage(NAME, "characters", len(text), len(text)),))

    def _judged(self, text: str, stage: Stage) -> dict[str, float]:
        turn = {"role": "user", "content": text}
        turns = (
            [{"role": "user", "content": "..."}, {"role": "assistant", "content": text}]
            if stage is Stage.OUTPUT
            else [turn]
        )
        answer = self._ask(
            {"model": self._model, "messages": turns, "temperature": 0, "max_tokens": 64, "logprobs": True}
        )
        try:
            choice = answer["choices"][0]
            words = choice["message"]["content"]
            if not isinstance(words, str):
                raise TypeError
        except (KeyError, IndexError, TypeError) as error:
            raise SafetyUnavailable("the guard's answer has no text") from error
        return parse_answer(self._family, words, self._category, _confidence(choice))

    def _ask(self, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)  # noqa: S310 - checked by create
        try:
            with self._opener.open(request, timeout=self._timeout) as reply:
                data = reply.read(MAX_ANSWER + 1)
            if len(data) > MAX_ANSWER:
                raise SafetyUnavailable("the guard's answer is too long")
            return json.loads(data)
        except (OSError, ValueError, RecursionError) as error:
            raise SafetyUnavailable(f"the guard does not answer: {type(error).__name__}") from error


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


def _confidence(choice: Mapping[str, Any]) -> float | None:
    try:
        value = math.exp(float(choice["logprobs"]["content"][0]["logprob"]))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    # below one half the model would have said the other thing; never let an odd number open the gate
    return min(1.0, max(0.5, value)) if value == value else None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's signature
        """Follow nothing."""
        return


def create(options: Mapping[str, str]) -> TextGuard:
    """Entry point. Options: endpoint, model, family; for yes-no ``category``; ``timeout_s``; ``key_file``.

    Raises:
        ConfigError: an option is missing or wrong, or plain http to another host.
    """
    endpoint, model, family = (options.get(k, "") for k in ("endpoint", "model", "family"))
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("must be an http or https URL", field="endpoint")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError("plain http only to the local host", field="endpoint", fix="use https")
    if not model:
        raise ConfigError("is missing", field="model")
    if family not in FAMILIES:
        raise ConfigError(f"must be one of {', '.join(FAMILIES)}", field="family")
    category = options.get("category", "tox")
    if category not in CATEGORIES:
        raise ConfigError("is not a category", field="category")
    try:
        timeout = float(options.get("timeout_s", "10"))
        key = Path(options["key_file"]).read_text(encoding="ascii").strip() if "key_file" in options else ""
    except (OSError, ValueError) as error:
        raise ConfigError(f"unusable: {type(error).__name__}", field="timeout_s or key_file") from error
    if not 0 < timeout <= 600:
        raise ConfigError("must be above 0 and at most 600", field="timeout_s")
    return TextGuard(endpoint, model, family, category, timeout, key)
