"""``image_guard``: an open vision guard behind an OpenAI-compatible endpoint that you run.

Off unless a policy names it. Families, after the model cards:

| family       | models        | what is asked and read                                                             |
|--------------|---------------|------------------------------------------------------------------------------------|
| shieldgemma2 | ShieldGemma 2 | one question for each policy; "Yes"/"No", the score is the probability of "Yes"    |
| llama-guard  | Llama Guard 4 | the picture alone; "safe", or "unsafe" and a line of codes S1..S14                 |
| llavaguard   | LlavaGuard    | the picture with the policy at the endpoint; JSON with ``rating`` and ``category`` |

The picture goes as a PNG data URL, at most ``MAX_SIDE`` pixels on the longer side: the guards look at less anyway.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Image, Media, Modality, Stage
from gensafe.media import encode
from gensafe.media.shrink import resize
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers.text_guard import parse_answer
from gensafe.safety.guard_endpoint import GuardEndpoint, open_endpoint

NAME: Final = "image_guard"
VERSION: Final = "1"
# pixels; ShieldGemma 2 looks at 896 x 896 (model card); for the others a round number, not measured
MAX_SIDE: Final = 1024
FAMILIES: Final = ("shieldgemma2", "llama-guard", "llavaguard")

SHIELDGEMMA2: Final[Mapping[str, str]] = {
    "sxc": "No Sexually Explicit content: The image shall not contain content that depicts explicit or graphic sexual "
    "acts (e.g., pornography, erotic nudity, depictions of rape or sexual assault).",
    "ncr": "No Dangerous content: The image shall not contain content that facilitates or encourages activities that "
    "could cause real-world harm (e.g., building firearms and explosive devices, promotion of terrorism, instructions "
    "for suicide).",
    "vcr": "No Violence/Gore content: The image shall not contain content that depicts shocking, sensational, or "
    "gratuitous violence (e.g., excessive blood and gore, gratuitous violence against animals, extreme injury or "
    "moment of death).",
}
_QUESTION: Final = (
    "You are a policy expert trying to help determine whether an image violates the defined safety policy.\n"
    "<BEGIN POLICY>\n{policy}\n<END POLICY>\n"
    "Does the image violate the above policy? Your answer must start with 'Yes' or 'No'."
)
LLAVAGUARD: Final[Mapping[str, str]] = {
    "O1": "hte", "O2": "vcr", "O3": "sxc", "O4": "sxc", "O5": "ncr", "O6": "spc", "O7": "ssh", "O8": "tox", "O9": "spc",
}  # fmt: skip


class ImageGuard:
    """A vision guard as a Classifier.

    Args:
        endpoint: Where it is.
        family: One of FAMILIES.
    """

    name = NAME
    modality = Modality.IMAGE
    waits = True  # for the endpoint

    def __init__(self, endpoint: GuardEndpoint, family: str) -> None:
        self._endpoint, self._family = endpoint, family

    def identity(self) -> ClassifierId:
        """The model's name stands in the findings; the weights are the endpoint's, so there is no digest."""
        return ClassifierId(NAME, VERSION)

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(NAME)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Ask about one picture.

        Raises:
            SafetyUnavailable: not a picture, no answer, or one that cannot be read.
        """
        if not isinstance(item, Image):
            raise SafetyUnavailable("image_guard reads images")
        shown = {"type": "image_url", "image_url": {"url": _data_url(item.pixels)}}
        found: dict[str, float] = {}
        if self._family == "shieldgemma2":
            for category, policy in SHIELDGEMMA2.items():
                question = {"type": "text", "text": _QUESTION.format(policy=policy)}
                answer = self._endpoint.ask([{"role": "user", "content": [shown, question]}], max_tokens=8)
                found |= parse_answer("yes-no", answer.words, category, answer.confidence)
        elif self._family == "llama-guard":
            answer = self._endpoint.ask([{"role": "user", "content": [shown]}])
            found = parse_answer("llama-guard", answer.words, "tox", answer.confidence)
        else:
            answer = self._endpoint.ask([{"role": "user", "content": [shown]}], max_tokens=400)
            found = _read_llavaguard(answer.words)
        findings = tuple(Finding(c, s, NAME, self._endpoint.model[:80]) for c, s in sorted(found.items()))
        area = item.pixels.shape[0] * item.pixels.shape[1]
        return Assessment(findings, (Coverage(NAME, "pixels", area, area),))


def _data_url(pixels: NDArray[np.uint8]) -> str:
    height, width = pixels.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale < 1:
        pixels = resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    data = encode(Image(np.ascontiguousarray(pixels)), "image/png")
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _read_llavaguard(words: str) -> dict[str, float]:
    """{"rating": "Safe" | "Unsafe", "category": "O3: ...", ...}, perhaps inside a code fence."""
    found = re.search(r"\{.*\}", words, re.DOTALL)
    try:
        answer: Any = json.loads(found[0]) if found else None
        rating = str(answer["rating"]).strip().lower()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SafetyUnavailable("not an answer of the family llavaguard") from error
    if rating == "safe":
        return {}
    if rating != "unsafe":
        raise SafetyUnavailable("not an answer of the family llavaguard")
    code = re.match(r"\s*(O\d)", str(answer.get("category", "")))
    return {LLAVAGUARD.get(code[1] if code else "", "tox"): 1.0}


def create(options: Mapping[str, str]) -> ImageGuard:
    """Entry point. Options: ``endpoint``, ``model``, ``timeout_s``, ``key_file`` (see ``open_endpoint``); ``family``.

    Raises:
        ConfigError: an option is missing or wrong, or plain http to another host.
    """
    endpoint = open_endpoint(options)
    family = options.get("family", "shieldgemma2")
    if family not in FAMILIES:
        raise ConfigError(f"must be one of {', '.join(FAMILIES)}", field="family")
    return ImageGuard(endpoint, family)
