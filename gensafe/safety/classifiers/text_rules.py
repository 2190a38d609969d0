"""``text_rules``: personal data, credentials, hidden characters, deceptive links, injection shapes, own terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Media, Modality, Span, Stage, Text
from gensafe.safety.cards import read_card
from gensafe.safety.custom import CustomCategory, custom_option
from gensafe.safety.decoded import decoded
from gensafe.safety.normalize import normalize
from gensafe.safety.rules.hidden import find_hidden
from gensafe.safety.rules.hit import Hit
from gensafe.safety.rules.injection import find_injection
from gensafe.safety.rules.pii import find_pii
from gensafe.safety.rules.secrets import find_secrets
from gensafe.safety.rules.urls import find_urls

NAME: Final = "text_rules"
VERSION: Final = "2"
MAX_CHARS: Final = 2_000_000  # more than this is refused, never cut
MAX_SPANS: Final = 1000  # of one finding, so that a receipt stays small; a round number, not measured


class TextRules:
    """Rules as a Classifier. Scores are 1.0 where a checksum or an exact shape decides, lower for suspicious shapes."""

    name = NAME
    modality = Modality.TEXT

    def __init__(self, custom: tuple[CustomCategory, ...] = (), denied_hosts: frozenset[str] = frozenset()) -> None:
        self._custom = custom
        self._denied = denied_hosts

    def identity(self) -> ClassifierId:
        """Rules have no weights."""
        return ClassifierId(NAME, VERSION)

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(NAME)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Apply every rule to the whole text.

        Raises:
            SafetyUnavailable: not a text, or longer than MAX_CHARS.
        """
        if not isinstance(item, Text):
            raise SafetyUnavailable("text_rules reads text")
        text = item.text
        if len(text) > MAX_CHARS:
            raise SafetyUnavailable(f"a text of more than {MAX_CHARS} characters is not examined")
        normalized = normalize(text)
        hits = [
            *find_pii(text),
            *find_secrets(text),
            *find_hidden(text),
            *find_urls(text, self._denied),
            *(hit for reading in (normalized, *decoded(text)) for hit in find_injection(text, reading)),
        ]
        findings = _findings(hits)
        for category in self._custom:
            findings.extend(category.find(text, normalized, NAME))
        return Assessment(tuple(findings), (Coverage(NAME, "characters", len(text), len(text)),))


def _findings(hits: list[Hit]) -> list[Finding]:
    """One finding per category, kind and score, with every span."""
    grouped: dict[tuple[str, str, float], list[Span]] = {}
    for hit in hits:
        grouped.setdefault((hit.category, hit.kind, hit.score), []).append(Span(hit.start, hit.end))
    return [
        Finding(category, score, NAME, kind, _merged(spans))
        for (category, kind, score), spans in sorted(grouped.items())
    ]


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """Sorted spans; above MAX_SPANS neighbours are joined so that nothing is left out."""
    ordered = sorted(spans, key=lambda s: (s.start, s.end))
    while len(ordered) > MAX_SPANS:
        ordered = [
            Span(a.start, max(a.end, b.end)) for a, b in zip(ordered[::2], [*ordered[1::2], ordered[-1]], strict=False)
        ]
    return tuple(ordered)


def create(options: Mapping[str, str]) -> TextRules:
    """Entry point. Options: ``custom`` (JSON of custom categories), ``denied_hosts`` (names separated by spaces).

    Raises:
        ConfigError: unusable options.
    """
    hosts = frozenset(h.strip(".").lower() for h in options.get("denied_hosts", "").split())
    return TextRules(custom_option(options), hosts)
