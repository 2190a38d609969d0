"""``audio_hashlist``: does the sound hold one of the operator's listed recordings, or three seconds of it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gensafe.core.ports import Card
from gensafe.core.types import Assessment, Audio, Coverage, Finding, Stage, TimeRange
from gensafe.safety.classifiers.audio_text import distinct_views
from gensafe.safety.classifiers.one_kind import OneKind, with_listed
from gensafe.safety.signals.audio_print import PrintIndex, audio_print
from gensafe.safety.signals.print_lists import read_audio_lists

NAME: Final = "audio_hashlist"
VERSION: Final = "1"


class AudioHashlist(OneKind[Audio]):
    """Looks a sound up in block lists.

    Args:
        index: The listed recordings.
    """

    name, version, reads = NAME, VERSION, Audio

    def __init__(self, index: PrintIndex) -> None:
        self._index = index

    def card(self) -> Card:
        """With the categories of the lists that are loaded."""
        return with_listed(super().card(), self._index.entries)

    def judge(self, item: Audio, stage: Stage) -> Assessment:
        """Compare with every listed recording."""
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
