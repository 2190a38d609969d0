"""Category names. MLCommons AILuminate 1.0 hazards by their own codes, then the categories GenSafe adds.

Source: MLCommons AILuminate 1.0 assessment standard (12 hazards; ``sxc_prn`` and ``spc_*`` as in its demo set).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

AILUMINATE: Final[dict[str, str]] = {
    "vcr": "violent crimes",
    "ncr": "non-violent crimes",
    "src": "sex-related crimes",
    "cse": "child sexual exploitation",
    "iwp": "indiscriminate weapons",
    "ssh": "suicide and self-harm",
    "hte": "hate",
    "dfm": "defamation",
    "prv": "privacy",
    "ipv": "intellectual property",
    "sxc": "sexual content",
    "spc": "specialised advice",
}

ADDED: Final[dict[str, str]] = {
    "tox": "toxicity and harassment",
    "jbk": "jailbreak and prompt injection",
    "pii": "personal data",
    "sec": "secrets and credentials",
    "unc": "language or content not covered by any installed classifier",
    "hid": "hidden content: invisible characters, subliminal frames, inaudible carriers",
    "phy": "physiological harm: flashes, loudness",
    "bad": "broken output: blank, silent, frozen or corrupt",
    "lik": "likeness: faces and voices",
    "lst": "match on an operator's block list",
}

CATEGORIES: Final[dict[str, str]] = {**AILUMINATE, **ADDED}

NOT_IN: Final[dict[str, frozenset[str]]] = {
    "text": frozenset({"phy", "bad", "lik"}),  # a text has no light, no sound, no frames, no face and no voice
    "image": frozenset({"phy"}),  # what leaves is one still picture
}
"""Medium -> categories that cannot occur in it, so that their absence there is no gap."""


def in_words(category: str) -> str:
    """A category as a person reads it, "violent crimes (vcr)"; one of the policy's own by the operator's name."""
    return f"{CATEGORIES[category]} ({category})" if category in CATEGORIES else category


def named(categories: Iterable[str]) -> str:
    """Categories as a person reads them, separated by semicolons."""
    return "; ".join(map(in_words, categories))
