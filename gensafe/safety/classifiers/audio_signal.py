"""``audio_signal``: loudness, clipping, silence, inaudible bands, channels that cancel. Looks at every sample."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10
from typing import Final

import numpy as np

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import (
    Assessment,
    Audio,
    ClassifierId,
    Coverage,
    Finding,
    Media,
    Modality,
    Stage,
    TimeRange,
)
from gensafe.safety.cards import read_card
from gensafe.safety.films import SILENT_SOUND
from gensafe.safety.signals.clipping import clipped_share
from gensafe.safety.signals.loudness import channel_weights, measure_loudness
from gensafe.safety.signals.spectrum import find_ultrasound, infrasonic_share, side_excess_db

NAME: Final = "audio_signal"
VERSION: Final = "1"
LOUD_NOTE_LUFS: Final = -9.0  # louder than any delivery standard; a half-scale tone reaches it
LOUD_LUFS: Final = 1.0  # per full channel, louder than a sine of any frequency can be: clipped through and through
JUMP_LU: Final = 30.0  # a bang out of near-silence
# the loudness that is noted above: a bang that stays below it is ordinary loud sound; chosen by eye, not measured
JUMP_TO_LUFS: Final = -9.0
# RMS of -70 dBFS, after the absolute gate of ITU-R BS.1770 (-70 LUFS): below, nothing counts as programme
SILENT: Final = 10 ** (-70 / 20)
DC_NOTE: Final = 0.05  # share of full scale; chosen by eye, far above a converter's offset; not measured
DC_BROKEN: Final = 0.5  # share of full scale: half of the range is lost; chosen by eye, not measured
CLIPPED_NOTE: Final = 0.001  # share of the samples; chosen by eye, not measured
CLIPPED_BROKEN: Final = 0.25  # share of the samples; chosen by eye, not measured
INFRASONIC: Final = 0.5  # share of a channel's power below 20 Hz: most of it is inaudible; chosen by eye, not measured
# dB by which L - R exceeds L + R: the mono mix hides most of the sound; chosen by eye, not measured
SIDE_DB: Final = 10.0


class AudioSignal:
    """Signal checks as a Classifier."""

    name = NAME
    modality = Modality.AUDIO

    def identity(self) -> ClassifierId:
        """Rules have no weights."""
        return ClassifierId(NAME, VERSION)

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(NAME)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Check one sound.

        Raises:
            SafetyUnavailable: not a sound of float32 (channels, n).
        """
        if not isinstance(item, Audio):
            raise SafetyUnavailable("audio_signal reads audio")
        return Assessment(sound_findings(item, stage, track=False), sound_coverage(NAME, item))


def sound_coverage(classifier: str, audio: Audio) -> tuple[Coverage, ...]:
    """Every sample of every channel."""
    channels, count = audio.samples.shape
    return Coverage(classifier, "samples", count * channels, count * channels), Coverage(
        classifier, "channels", channels, channels
    )


def sound_findings(audio: Audio, stage: Stage, *, track: bool, classifier: str = NAME) -> tuple[Finding, ...]:
    """All findings for one sound.

    Args:
        audio: float32 (channels, n).
        stage: A broken sound weighs only where it is our output.
        track: The sound belongs to a video, where silence and faintness are no failure.
        classifier: The name findings carry.

    Raises:
        SafetyUnavailable: wrong array.
    """
    samples = audio.samples
    if samples.ndim != 2 or 0 in samples.shape or samples.dtype != np.float32 or audio.rate < 1:
        raise SafetyUnavailable("audio is float32 (channels, n)")
    ours = stage is Stage.OUTPUT
    found: list[Finding] = []

    def add(category: str, score: float, detail: str, times: tuple[TimeRange, ...] = ()) -> None:
        found.append(Finding(category, score, classifier, detail, times=times))

    # 1. values that are no numbers: nothing else can be said
    if not np.isfinite(samples).all():
        add("bad", 1.0, "the audio contains values that are not numbers")
        return tuple(found)
    # 2. silence
    centred = samples - samples.mean(axis=1, keepdims=True)
    if float(np.sqrt((centred.astype(np.float64) ** 2).mean(axis=1)).max()) < SILENT:
        if not track:
            add("bad", 1.0 if ours else 0.2, SILENT_SOUND)
        return tuple(found)
    # 3. damage: offset, clipping
    offset = float(np.abs(samples.mean(axis=1)).max())
    if offset > DC_NOTE:
        add("bad", (0.95 if ours else 0.3) if offset > DC_BROKEN else 0.2, f"constant offset of {offset:.2f}")
    clipped = clipped_share(samples)
    if clipped > CLIPPED_NOTE:
        add("bad", 0.6 if clipped > CLIPPED_BROKEN and ours else 0.2, f"{100 * clipped:.1f} % of the samples clip")
    # 4. loudness
    loud = measure_loudness(samples, audio.rate)
    per_channel = loud.integrated_lufs - 10 * log10(max(1.0, float(channel_weights(len(samples)).sum())))
    if per_channel > LOUD_LUFS:
        add("phy", 0.9, f"programme loudness {loud.integrated_lufs:.1f} LUFS")
    elif loud.integrated_lufs > LOUD_NOTE_LUFS:
        score = 0.2 + 0.025 * min(10.0, loud.integrated_lufs - LOUD_NOTE_LUFS)
        add("phy", round(score, 3), f"programme loudness {loud.integrated_lufs:.1f} LUFS")
    if loud.jump_lu >= JUMP_LU and loud.momentary_max_lufs > JUMP_TO_LUFS:
        at = loud.jump_at_s
        when = (TimeRange(round(at, 3), round(at + 0.4, 3)),)
        add("phy", 0.3, f"loudness rises by {loud.jump_lu:.0f} LU within a second", when)
    if loud.true_peak_dbtp > -1.0:
        add("phy", 0.1, f"true peak {loud.true_peak_dbtp:+.1f} dBTP")
    # 5. what nobody hears, per channel and for the difference of a stereo pair
    views = {f"channel {i + 1}": channel for i, channel in enumerate(samples)}
    if len(samples) == 2:
        views |= {"left minus right": samples[0] - samples[1]}
    for name, view in views.items():
        carrier = find_ultrasound(view, audio.rate)
        if carrier is not None and carrier.suspicious:
            where = f"a carrier at {carrier.carrier_hz / 1000:.1f} kHz" if carrier.carrier_hz else "power above 18 kHz"
            add("hid", 0.9, f"{where} in {name}, {carrier.level_dbfs:.0f} dBFS", _joined(carrier.seconds))
        share = infrasonic_share(view, audio.rate)
        if share > INFRASONIC and not track:
            add("hid", 0.6, f"{100 * share:.0f} % of the power of {name} lies below 20 Hz")
    excess = side_excess_db(samples)
    if excess > SIDE_DB:
        add("hid", 0.6, f"the channels cancel in mono ({excess:.0f} dB)")
    return tuple(found)


def _joined(seconds: tuple[float, ...]) -> tuple[TimeRange, ...]:
    """One range for each run of seconds that touch or overlap."""
    ranges: list[TimeRange] = []
    for start in seconds:
        first = ranges.pop().start_s if ranges and start <= ranges[-1].end_s + 1e-6 else start
        ranges.append(TimeRange(round(first, 3), round(start + 1.0, 3)))
    return tuple(ranges)


def create(options: Mapping[str, str]) -> AudioSignal:
    """Entry point; takes no options."""
    return AudioSignal()
