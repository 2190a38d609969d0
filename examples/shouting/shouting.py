"""A classifier that finds shouting: words of four letters and more in capitals."""

import re

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Modality, Span, Text

WORDS = re.compile(r"\b[A-Z]{4,}\b")


def create(options):
    """Entry point of ``gensafe.classifiers``."""
    if options:
        raise ConfigError("takes no options", field=sorted(options)[0])
    return Shouting()


class Shouting:
    """See the module."""

    name, modality = "shouting", Modality.TEXT

    def identity(self):
        """No weights: rules only."""
        return ClassifierId(self.name, "1")

    def card(self):
        """What it is and what it misses."""
        return Card(
            name=self.name,
            version="1",
            modality=self.modality,
            categories=("shouting",),
            summary="words in capitals",
            trained_on=(),
            measured={},
            not_covered=("other alphabets", "abbreviations are taken for shouting"),
        )

    def assess(self, item, stage):
        """The score is the share of words that shout, four times over."""
        if not isinstance(item, Text):
            raise SafetyUnavailable("shouting reads text only")
        loud = [Span(m.start(), m.end()) for m in WORDS.finditer(item.text)]
        score = min(1.0, 4 * len(loud) / max(1, len(item.text.split())))
        found = (Finding("shouting", score, self.name, "words in capitals", spans=tuple(loud)),) if loud else ()
        return Assessment(found, (Coverage(self.name, "characters", len(item.text), len(item.text)),))
