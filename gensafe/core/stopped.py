"""Say to a person, in one sentence, why nothing was released: categories in words, their codes beside them."""

from __future__ import annotations

from typing import Final

from gensafe.core.hazards import named
from gensafe.core.types import Stage, Verdict

UNCHECKED: Final = "a safety check could not be made, so nothing is released; try again later"
_WHERE: Final = {Stage.PROMPT: "the request", Stage.INPUT: "a file in the request"}


def stopped_sentence(verdict: Verdict) -> str:
    """Why policy stopped a request; never content."""
    if verdict.errors:
        return UNCHECKED
    where = _WHERE.get(verdict.stage, "the output")
    names = named(verdict.categories) or "something the policy does not name"
    return f"stopped by the content policy of this service: {where} was found to fall under: {names}"


def held_sentence(categories: tuple[str, ...]) -> str:
    """Why an output waits for a person."""
    names = named(categories) or "something the policy does not name"
    return f"a person must see the output before it may be released; it was found to fall under: {names}"
