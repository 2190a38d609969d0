"""What end users read, in their language: the verify page, refusals and notices.

A sentence is written in English where it is used and marked with ``N_`` (or passed straight to ``Words``); GNU gettext
catalogues under ``locale`` hold the other languages. Codes, JSON members, the command line and errors for developers
stay English. ``scripts/generate_catalogues.py`` finds the sentences and compiles the catalogues (docs/languages.md).
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

DOMAIN: Final = "gensafe"
CATALOGUES: Final = Path(__file__).parent / "locale"
LANGUAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "English",
        "de": "Deutsch",
        "fr": "Français",
        "es": "Español",
        "it": "Italiano",
        "pt": "Português",
        "pl": "Polski",
        "zh": "简体中文",
        "ja": "日本語",
        "ko": "한국어",
        "hi": "हिन्दी",
        "ar": "العربية",
    }
)
"""Code (BCP 47, primary subtag) -> the language's own name, in the order shown."""

RIGHT_TO_LEFT: Final = frozenset({"ar"})
MAX_HEADER: Final = 1000  # characters of an Accept-Language header that are read; browsers send under 100

Value = str | int | tuple[str, ...]


def N_(sentence: str) -> str:  # noqa: N802 - the name that gettext's tools and translators know
    """Mark a sentence for the catalogues where it is written; it is translated where it is shown."""
    return sentence


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that is not yet in a language.

    Args:
        template: English, with {names} for what differs; a message of the catalogues.
        values: For the names. A tuple holds further messages, which are translated and joined by commas.
    """

    template: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return ENGLISH.said(self)


class Words:
    """One language.

    Args:
        code: A key of ``LANGUAGES``.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        self._catalogue = gettext.NullTranslations()
        if code != "en":
            self._catalogue = gettext.translation(DOMAIN, CATALOGUES, [code])

    @property
    def direction(self) -> str:
        """Of the script: "ltr" or "rtl"."""
        return "rtl" if self.code in RIGHT_TO_LEFT else "ltr"

    def __call__(self, template: str, /, **values: Value) -> str:
        """The message in this language; its {names} filled, where any are given."""
        text = self._catalogue.gettext(template)
        if not values:
            return text
        return text.format(**{name: self._value(value) for name, value in values.items()})

    def said(self, sentence: Sentence) -> str:
        """A sentence in this language."""
        return self(sentence.template, **sentence.values)

    def _value(self, value: Value) -> str:
        if isinstance(value, tuple):
            return ", ".join(self(part) for part in value)
        return str(value)


ENGLISH: Final = Words("en")


@cache
def words_of(code: str) -> Words:
    """The language of a key of ``LANGUAGES``; anything else is English."""
    return Words(code) if code in LANGUAGES and code != "en" else ENGLISH


def chosen(header: str, wanted: str = "") -> Words:
    """The language for a reader.

    Args:
        header: Accept-Language (RFC 9110, 12.5.4), of HTTP or of the same key in gRPC metadata; hostile text.
        wanted: Asked for by name, "pt" or "pt-BR": goes first where there is such a language.
    """
    ranges = [(2.0, wanted)] + [_weighed(part) for part in header[:MAX_HEADER].split(",")]
    for weight, name in sorted(ranges, key=lambda found: -found[0]):  # stable: of equal weight, the first named
        code = name.strip().lower().replace("_", "-").partition("-")[0]
        if weight > 0 and code in LANGUAGES:
            return words_of(code)
    return ENGLISH


def _weighed(part: str) -> tuple[float, str]:
    name, _, parameters = part.partition(";")
    key, _, value = parameters.partition("=")
    if key.strip().lower() != "q":
        return 1.0, name
    try:
        weight = float(value)
    except ValueError:
        return 0.0, name
    return (weight if 0 <= weight <= 1 else 0.0), name
