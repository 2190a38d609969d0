"""``audio_hashlist``: does the sound hold one of the operator's listed recordings, or three seconds of it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, Audio, ClassifierId, Coverage, Finding, Media, Modality, Stage, TimeRange
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers.audio_text import distinct_views
from gensafe.safety.signals.audio_print import PrintIndex, audio_print
from gensafe.safety.signals.print_lists import read_audio_lists

NAME: Final = "audio_hashlist"
VERSION: Final = "1"


class AudioHashlist:
    """Looks a sound up in block lists.

    Args:
        index: The listed recordings.
    """

    name = NAME
    modality = Modality.AUDIO

    def __init__(self, index: PrintIndex) -> None:
        self._index = index

    def identity(self) -> ClassifierId:
        """No weights; which lists are loaded is the policy's options and thereby in its digest."""
        return ClassifierId(NAME, VERSION)

    def card(self) -> Card:
        """The card in docs/cards, with the categories of the lists that are loaded."""
        own = read_card(NAME)
        listed = {entry.category for entry in self._index.entries}
        return replace(own, categories=tuple(sorted({*own.categories, *listed})))

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Compare with every listed recording.

        Raises:
            SafetyUnavailable: not a sound.
        """
        if not isinstance(item, Audio):
            raise SafetyUnavailable("audio_hashlist reads audio")
        count = len(self._index.entries)
        return Assessment(self.look_up(item), (Coverage(NAME, "listed recordings", count, count),))

    def look_up(self, item: Audio) -> tuple[Finding, ...]:
        """One finding for each listed recording that the mix, or a channel with content of its own, holds."""
        if not self._index.entries:
            return ()
        found: dict[str, Finding] = {}
        for name, view in distinct_views(item.samples).items():
            for hit in self._index.search(audio_print(view, item.rate)):
                detail = f"{100 * hit.wrong:.0f} % of the bits differ from {hit.entry.label} in {name}"
                end = min(hit.end_s, item.samples.shape[1] / item.rate)
                times = (TimeRange(round(hit.start_s, 3), round(max(hit.start_s, end), 3)),)
                found.setdefault(hit.entry.label, Finding(hit.entry.category, 1.0, NAME, detail, times=times))
        return tuple(found.values())


def create(options: Mapping[str, str]) -> AudioHashlist:
    """Entry point.

    Args:
        options: ``lists`` = "[category=]path,..." (docs/safety-media.md); without it the classifier finds nothing.

    Raises:
        ConfigError: a list cannot be read.
    """
    return AudioHashlist(PrintIndex(read_audio_lists(options.get("lists", ""))))
