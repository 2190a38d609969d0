"""Say to a person, in one sentence, why nothing was released: categories in words, their codes beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gensafe.core.hazards import CATEGORIES
from gensafe.core.languages import ENGLISH, N_, Words
from gensafe.core.types import Stage, Verdict

UNCHECKED: Final = N_("a safety check could not be made, so nothing is released; try again later")
_OUTPUT: Final = N_("stopped by the content policy of this service: the output was found to fall under: {names}")
_STOPPED: Final = {
    Stage.PROMPT: N_("stopped by the content policy of this service: the request was found to fall under: {names}"),
    Stage.INPUT: N_(
        "stopped by the content policy of this service: a file in the request was found to fall under: {names}"
    ),
}
_HELD: Final = N_("a person must see the output before it may be released; it was found to fall under: {names}")
_UNNAMED: Final = N_("something the policy does not name")


def stopped_sentence(verdict: Verdict, words: Words = ENGLISH) -> str:
    """Why policy stopped a request, in the language of ``words``; never content."""
    if verdict.errors:
        return words(UNCHECKED)
    return words(_STOPPED.get(verdict.stage, _OUTPUT), names=_named(verdict.categories, words))


def held_sentence(categories: tuple[str, ...], words: Words = ENGLISH) -> str:
    """Why an output waits for a person, in the language of ``words``."""
    return words(_HELD, names=_named(categories, words))


def _named(categories: Iterable[str], words: Words) -> str:
    """As ``hazards.named``; a category of the operator's own keeps the operator's name."""
    shown = (f"{words(CATEGORIES[c])} ({c})" if c in CATEGORIES else c for c in categories)
    return "; ".join(shown) or words(_UNNAMED)
