"""Cards of classifiers that hand text on: what they can report depends on the text classifiers in use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.safety.cards import read_card

if TYPE_CHECKING:
    from gensafe.safety.text import TextStack


def card_with_text(name: str, stack: TextStack, version: str = "") -> Card:
    """The card of ``name``, its categories joined by those of the text classifiers in ``stack``.

    Args:
        name: The classifier.
        stack: Its text classifiers; of one that ships no card here nothing is added.
        version: Replaces the card's version, where that depends on options.
    """
    card = read_card(name)
    categories = set(card.categories)
    for identity in stack.identities():
        try:
            categories |= set(read_card(identity.name).categories)
        except SafetyUnavailable:
            continue
    return replace(card, categories=tuple(sorted(categories)), version=version or card.version)
