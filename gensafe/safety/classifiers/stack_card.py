"""Cards of classifiers that hand text on: what they can report depends on the text classifiers in use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Modality
from gensafe.safety.cards import read_card

if TYPE_CHECKING:
    from gensafe.safety.text import TextStack


def card_with_text(name: str, stack: TextStack, version: str = "") -> Card:
    """The card of ``name``, its categories joined by those of the text classifiers in ``stack``.

    What the text classifiers look for is covered in part only: as words in the medium, not as what it shows.

    Args:
        name: The classifier.
        stack: Its text classifiers; of one that ships no card here nothing is added.
        version: Replaces the card's version, where that depends on options.
    """
    card = read_card(name)
    words = "only in words that can be " + ("heard in it" if card.modality is Modality.AUDIO else "read in it")
    categories = set(card.categories)
    partial = dict(card.partial)
    for identity in stack.identities():
        try:
            found = read_card(identity.name).categories
        except SafetyUnavailable:
            continue
        categories |= set(found)
        partial |= dict.fromkeys(found, words)
    shown = tuple(sorted(categories))
    return replace(card, categories=shown, partial=dict(sorted(partial.items())), version=version or card.version)
