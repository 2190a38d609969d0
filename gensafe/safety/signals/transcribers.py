"""Speech to text behind one small interface; which engine does it is the operator's choice."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import ConfigError, SafetyUnavailable

RATE: Final = 16_000  # Hz: what PocketSphinx' English acoustic model was trained on
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

    name = "pocketsphinx-5"
    trust = 0.5

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise SafetyUnavailable("pocketsphinx is not installed", fix="pip install gensafe[speech]") from error
        self._make: Callable[[], Any] = lambda: Decoder(samprate=RATE, loglevel="FATAL")
        self._idle: list[Any] = []
        self._normalisation = ""

    def transcribe(self, samples: NDArray[np.float32]) -> list[Segment]:
        """Decode in blocks of 30 seconds."""
        try:
            decoder = self._idle.pop()
        except IndexError:
            decoder = self._make()
            self._normalisation = decoder.get_cmn(False)
        decoder.set_cmn(self._normalisation)  # what it learned from the last sound must not colour this one
        found = []
        for start in range(0, samples.size, _BLOCK_S * RATE):
            block = samples[start : start + _BLOCK_S * RATE]
            text = self._decode(decoder, block)
            if text:
                found.append(Segment(text, start / RATE, (start + block.size) / RATE))
        self._idle.append(decoder)
        return found

    @staticmethod
    def _decode(decoder: Any, block: NDArray[np.float32]) -> str:  # noqa: ANN401 - an untyped library
        pcm = (np.clip(block, -1, 1) * 32767).astype("<i2").tobytes()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp()
        return str(heard.hypstr) if heard is not None else ""


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
            return _pocketsphinx()
        except SafetyUnavailable:
            return None
    if spec == "pocketsphinx":
        return _pocketsphinx()
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


@cache
def _pocketsphinx() -> PocketSphinx:
    """One for the whole process: each of its decoders takes about 100 MB."""
    return PocketSphinx()
