"""``audio_script``: does a recording say the script that was moderated, and nothing else?

The script is an option, so this classifier is for one recording at a time: ``gensafe classify FILE --script TEXT``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from scipy.signal import resample_poly

from gensafe.core.errors import InvalidRequest, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, Audio, ClassifierId, Coverage, Finding, Media, Modality, Stage
from gensafe.safety.cards import read_card
from gensafe.safety.signals.script_match import RATE, ScriptMatch, ScriptMatcher, script_words

NAME: Final = "audio_script"
VERSION: Final = "1"
SCORE: Final = 0.45  # evidence, below what the default policy holds: the card says how often it is wrong


class AudioScript:
    """Compares each sound with one script.

    Args:
        matcher: The recogniser.
        script: What should be said.
    """

    name = NAME
    modality = Modality.AUDIO
    needs_whole = True  # a window of a recording never says the whole script

    def __init__(self, matcher: ScriptMatcher, script: str) -> None:
        self._matcher, self._script = matcher, script
        script_words(script)

    def identity(self) -> ClassifierId:
        """The version names the recogniser."""
        return ClassifierId(NAME, f"{VERSION}+{self._matcher.name}")

    def card(self) -> Card:
        """The card in docs/cards, for this recogniser."""
        return replace(read_card(NAME), version=self.identity().version)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Compare one sound, mixed to one channel, with the script.

        Raises:
            SafetyUnavailable: not a sound.
        """
        if not isinstance(item, Audio):
            raise SafetyUnavailable("audio_script reads audio")
        mix = item.samples.mean(axis=0, dtype=np.float64)
        mono = resample_poly(mix, RATE, item.rate) if item.rate != RATE else mix
        match = self._matcher.match(mono.astype(np.float32), self._script)
        checked = len(match.words) - len(match.unknown)
        coverage = (Coverage(NAME, "words of the script that its dictionary has", checked, checked),)
        return Assessment(() if match.agrees else (_finding(match),), coverage)


def _finding(match: ScriptMatch) -> Finding:
    """Words by number, not by name: a detail never quotes."""
    said = []
    if match.missed:
        said.append("not heard: word " + ", ".join(str(i + 1) for i in match.missed[:8]))
    if match.other:
        said.append(f"other speech in {len(match.other)} place{'s' if len(match.other) > 1 else ''}")
    return Finding("unc", SCORE, NAME, "the speech differs from its script; " + "; ".join(said), times=match.other)


def create(options: Mapping[str, str]) -> AudioScript:
    """Entry point.

    Args:
        options: ``script`` = what should be said.

    Raises:
        InvalidRequest: no script, or one that cannot be compared.
        SafetyUnavailable: PocketSphinx is not installed.
    """
    if not options.get("script"):
        raise InvalidRequest("is needed: what should be said", field="audio_script.script")
    return AudioScript(ScriptMatcher(), options["script"])
