"""Speech by a VITS voice (MMS-TTS and others): the prompt is what is said, sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError, Cancelled, InvalidRequest
from gensafe.core.ports import CancelCheck, SamplingMark
from gensafe.core.types import Audio, BackendEvent, Draft, GenerationJob, Progress
from gensafe_backends.transformers_any.sound import SoundModel, within_full_scale

SPEEDS: Final = (0.5, 2.0)  # beyond, words run together or fall apart; the range that hibari offers, too
LONGEST: Final = 1000  # characters of one sentence: attention grows with its square. By eye, not measured
_SENTENCE: Final = re.compile(r"(?<=[.!?;:])\s+|\n+")
_ONE_AT_A_TIME: Final = Lock()  # the voice draws from torch's one generator, which is seeded for each sentence


class SpeechBackend(SoundModel):
    """See the module's text. The same words and seed give the same samples."""

    architecture = "VitsModel"
    about = "a VITS voice from a local folder, by transformers: says the prompt"
    honoured = frozenset({"speed"})

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked before every sentence; the words are the script."""
        script = self._words(job)
        speed = 1.0 if job.parameters.speed is None else job.parameters.speed
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise InvalidRequest(f"is not between {SPEEDS[0]:g} and {SPEEDS[1]:g}", field="parameters.speed")
        sentences = [s for s in _SENTENCE.split(script) if s.strip()]
        if not sentences or max(map(len, sentences)) > LONGEST:
            raise InvalidRequest(f"holds no words, or a sentence of more than {LONGEST} characters", field="prompt")
        pieces: list[NDArray[np.float32]] = []
        for number, sentence in enumerate(sentences):
            yield Progress(number, len(sentences))
            if cancelled():
                raise Cancelled("the request was cancelled while it was spoken")
            pieces.append(self._say(sentence, job.seed + number, speed))
        samples = within_full_scale(np.concatenate(pieces))
        yield Progress(len(sentences), len(sentences))
        rate = int(self._started().config.sampling_rate)
        yield Draft(Audio(samples[None], rate), self._record(job, 0, speed=f"{speed:g}"), script=script)

    def _say(self, sentence: str, seed: int, speed: float) -> NDArray[np.float32]:
        import torch

        model, ids = self._started(), self._tokens.own(sentence, return_tensors="pt")["input_ids"]
        if not ids.shape[1]:
            return np.zeros(0, np.float32)
        try:
            with _ONE_AT_A_TIME, torch.random.fork_rng(), torch.inference_mode():
                torch.manual_seed(seed % (1 << 63))
                model.speaking_rate = speed
                waveform = model(input_ids=ids.to(model.device)).waveform
        except RuntimeError as error:
            raise BackendError(f"the voice failed: {type(error).__name__}") from error
        return np.asarray(waveform[0].float().cpu().numpy(), np.float32)
