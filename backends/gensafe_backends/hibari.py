"""Speech with the small voice of ``hibari-tts`` (Apache-2.0, distilled from Kokoro-82M): the prompt is what is said.

English only, one voice ("heart", the one inside the package; the package's others would be downloaded and are not
offered). Options: ``threads``. Parameters: ``voice``, ``speed``, ``language``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from gensafe.core.errors import BackendError, Cancelled, ConfigError, InvalidRequest
from gensafe.core.ports import CancelCheck, SamplingMark, TextTokenizer
from gensafe.core.types import (
    Audio,
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Modality,
    Progress,
    Text,
)

VERSION: Final = "1"
MODEL: Final = "hibari"
VOICE: Final = "heart"
DIGEST: Final = "sha256:5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
"""Of the voice's weights in hibari-tts 0.2.1."""
PAUSE_S: Final = 0.25  # between two sentences; the model ends each without a pause
PEAK: Final = 0.97  # what the loudest sample is scaled to where the voice went over full scale


def create(options: Mapping[str, str]) -> HibariBackend:
    """Load the voice and check its digest.

    Raises:
        ConfigError: an option is unknown or not usable, the package is not installed or holds other weights.
    """
    unknown = sorted(set(options) - {"threads"})
    if unknown:
        raise ConfigError(f"unknown option of hibari: {unknown[0]}", field=unknown[0], fix="threads")
    threads = options.get("threads", "1")
    if not threads.isdecimal() or not 1 <= int(threads) <= 64:
        raise ConfigError("is not a number from 1 to 64", field="threads")
    try:
        import hibari
    except ImportError:
        raise ConfigError(
            "the package hibari-tts is not installed", field="backend", fix="pip install hibari-tts==0.2.1"
        ) from None
    weights = Path(hibari.tts.ASSETS) / "hibari.onnx"
    with weights.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    if digest != DIGEST:
        raise ConfigError("the voice is not the one that was measured", field="backend", fix="hibari-tts==0.2.1")
    return HibariBackend(hibari.Hibari(voice=VOICE, model=str(weights), threads=int(threads)))


class HibariBackend:
    """See the module's text."""

    name = "hibari"
    version = VERSION

    def __init__(self, voice: Any) -> None:  # noqa: ANN401 - the package has no types
        self._voice = voice
        self._voice.phonemize("ready")  # loads the lexicons now, not at the first request

    def capabilities(self) -> BackendCapabilities:
        """Speech from words."""
        return BackendCapabilities(
            outputs=frozenset({Modality.AUDIO}),
            inputs=frozenset({Modality.TEXT}),
            sampling_marks=False,
            streaming_text=False,
            description="hibari: says the prompt in English, 24 kHz",
            parameters=frozenset({"voice", "speed", "language"}),
        )

    def models(self) -> Mapping[str, str]:
        """The one voice and the digest of its weights."""
        return {MODEL: DIGEST}

    def tokenizer(self) -> TextTokenizer | None:
        """None: it writes no text."""
        return None

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked before every sentence; the words are stated as the script.

        The same words and seed give the same samples.
        """
        if job.modality is not Modality.AUDIO:
            raise InvalidRequest(f"this engine does not produce {job.modality}", field="modality")
        speed = _wishes(job)
        script = "\n\n".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])
        sentences = self._voice.phonemize(script)
        if not sentences:
            raise InvalidRequest("holds no words that can be said in English", field="prompt")
        random = np.random.default_rng(job.seed)
        pause = np.zeros(int(PAUSE_S * self._voice.sample_rate), np.float32)
        pieces: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
        for number, sentence in enumerate(sentences):
            if cancelled():
                raise Cancelled("the request was cancelled while it was spoken")
            yield Progress(number, len(sentences))
            spoken = self._voice.from_ids(self._voice.ids(sentence), speed, random)
            pieces += [pause, spoken] if pieces else [spoken]
        samples = np.concatenate(pieces).astype(np.float32)
        if not np.isfinite(samples).all() or len(samples) < self._voice.sample_rate // 20:
            raise BackendError("the voice said nothing")
        peak = float(np.abs(samples).max())
        if peak > PEAK:
            samples *= np.float32(PEAK / peak)
        yield Progress(len(sentences), len(sentences))
        record = GenerationRecord(
            backend=self.name,
            model=MODEL,
            model_version=f"hibari-tts 0.2.1, voice {VOICE}",
            weights_digest=DIGEST,
            seed=job.seed,
            tokens=0,
            sampling_mark="not marked by sampling: audio is marked after it is made",
            parameters={"voice": VOICE, "speed": f"{speed:g}", "sentences": len(sentences)},
        )
        yield Draft(Audio(samples[None], self._voice.sample_rate), record, script=script)


def _wishes(job: GenerationJob) -> float:
    wishes = job.parameters
    if any(not isinstance(m, Text) for m in job.inputs):
        raise InvalidRequest("this engine speaks words only", field="inputs")
    if wishes.voice not in ("", VOICE):
        raise InvalidRequest(f"no voice {wishes.voice!r}", field="parameters.voice", fix=VOICE)
    if wishes.language and wishes.language.lower().partition("-")[0] != "en":
        raise InvalidRequest("speaks English only", field="parameters.language", fix="en")
    speed = 1.0 if wishes.speed is None else wishes.speed
    if not 0.5 <= speed <= 2:  # the range that the voice was made for
        raise InvalidRequest("is not between 0.5 and 2", field="parameters.speed")
    return speed
