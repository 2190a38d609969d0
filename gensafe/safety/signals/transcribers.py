"""Speech to text behind one small interface; which engine does it is the operator's choice."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.safety.signals import recogniser
from gensafe.safety.signals.recogniser import RATE as RATE  # part of this module's interface

_BLOCK_S: Final = 30  # seconds decoded at a time: bounds memory, but may cut a word. A round number, not measured


@dataclass(frozen=True, slots=True)
class Segment:
    """Words heard between two times (seconds)."""

    text: str
    start_s: float
    end_s: float


class Transcriber(Protocol):
    """A speech recogniser."""

    name: str  # with version, for verdicts
    trust: float  # 0..1: findings in its transcripts are multiplied by it

    def transcribe(self, samples: NDArray[np.float32]) -> list[Segment]:
        """Words in float32 (n,) mono samples at 16 kHz.

        Raises:
            SafetyUnavailable: it could not do its work.
        """


class PocketSphinx:
    """CMU PocketSphinx 5 with the US-English model in its wheel (BSD; ``pip install gensafe[speech]``).

    Its word error rate is 0.28 on read speech and far worse on other speech (docs/safety-media.md), so that its
    transcripts are evidence: scores are halved, which keeps them below what the default policy holds.
    """

    name = recogniser.NAME
    trust = 0.5

    def __init__(self) -> None:
        recogniser.require()

    def transcribe(self, samples: NDArray[np.float32]) -> list[Segment]:
        """Decode in blocks of 30 seconds, in a worker process."""
        found = []
        for start in range(0, samples.size, _BLOCK_S * RATE):
            block = samples[start : start + _BLOCK_S * RATE]
            text = recogniser.in_worker("gensafe.safety.signals.transcribers:hear", block)
            if text:
                found.append(Segment(text, start / RATE, (start + block.size) / RATE))
        return found


def hear(pcm: bytes) -> str:
    """The words in 16-bit mono samples at 16 kHz; "" = none. Runs in a worker."""
    decoder, normalisation = _decoder()
    decoder.set_cmn(normalisation)  # what it learned from the last sound must not colour this one
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    heard = decoder.hyp()
    return str(heard.hypstr) if heard is not None else ""


@cache
def _decoder() -> tuple[Any, str]:
    """The decoder of this worker, and the normalisation that it starts with."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=RATE, loglevel="FATAL")
    return decoder, decoder.get_cmn(False)


def load_transcriber(spec: str) -> Transcriber | None:
    """Make the transcriber an option names.

    Args:
        spec: "none"; "pocketsphinx"; "auto" or "" = PocketSphinx where it is installed, else none; or
            "module:function", a factory without arguments that returns a ``Transcriber`` (say, around a local Whisper).

    Raises:
        SafetyUnavailable: the named one cannot be loaded.
        ConfigError: the name is malformed.
    """
    if spec == "none":
        return None
    if spec in ("", "auto"):
        try:
            return PocketSphinx()
        except SafetyUnavailable:
            return None
    if spec == "pocketsphinx":
        return PocketSphinx()
    module, separator, function = spec.partition(":")
    if not separator:
        raise ConfigError(
            "a transcriber is auto, none, pocketsphinx or module:function", field="audio_text.transcriber"
        )
    try:
        made: Transcriber = getattr(importlib.import_module(module), function)()
    except Exception as error:
        raise SafetyUnavailable(f"the transcriber {spec} cannot be loaded: {type(error).__name__}") from error
    return made
