"""Category names. MLCommons AILuminate 1.0 hazards by their own codes, then the categories GenSafe adds.

Source: MLCommons AILuminate 1.0 assessment standard (12 hazards; ``sxc_prn`` and ``spc_*`` as in its demo set).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gensafe.core.languages import N_

AILUMINATE: Final[dict[str, str]] = {
    "vcr": N_("violent crimes"),
    "ncr": N_("non-violent crimes"),
    "src": N_("sex-related crimes"),
    "cse": N_("child sexual exploitation"),
    "iwp": N_("indiscriminate weapons"),
    "ssh": N_("suicide and self-harm"),
    "hte": N_("hate"),
    "dfm": N_("defamation"),
    "prv": N_("privacy"),
    "ipv": N_("intellectual property"),
    "sxc": N_("sexual content"),
    "spc": N_("specialised advice"),
}

ADDED: Final[dict[str, str]] = {
    "tox": N_("toxicity and harassment"),
    "jbk": N_("jailbreak and prompt injection"),
    "pii": N_("personal data"),
    "sec": N_("secrets and credentials"),
    "unc": N_("language or content not covered by any installed classifier"),
    "hid": N_("hidden content: invisible characters, subliminal frames, inaudible carriers"),
    "phy": N_("physiological harm: flashes, loudness"),
    "bad": N_("broken output: blank, silent, frozen or corrupt"),
    "lik": N_("likeness: faces and voices"),
    "lst": N_("match on an operator's block list"),
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
