"""Sound by a MusicGen model: the prompt says what it sounds like; a token a codebook and step, by a loop of our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, InvalidRequest
from gensafe.core.ports import CancelCheck, SamplingMark
from gensafe.core.types import Audio, BackendEvent, Draft, GenerationJob, Parameters, Progress
from gensafe_backends.sampling import probabilities
from gensafe_backends.transformers_any.sound import SoundModel, within_full_scale

SECONDS: Final = 8.0  # of a request that names none; the published demonstrations make as much
LONGEST_S: Final = 30.0  # what the published models were trained on (Copet et al. 2023)
TOP_K: Final = 250  # of a request that names none: as in the paper, section 3
GUIDANCE: Final = 3.0  # of a request that names none: as in the paper, section 3
MOST_GUIDANCE: Final = 20.0  # beyond, only noise is left. By eye, not measured


class MusicBackend(SoundModel):
    """See the module's text. The same words and seed give the same samples."""

    architecture = "MusicgenForConditionalGeneration"
    about = "a MusicGen model from a local folder, by transformers: music as the prompt describes it"
    honoured = frozenset({"seconds", "temperature", "top_k", "top_p", "min_p", "guidance"})

    def _load(self) -> Any:  # noqa: ANN401 - the library has no types
        model = super()._load()
        if model.decoder.config.audio_channels != 1:
            raise BackendUnavailable("the folder's model makes stereo, which is not covered")
        return model

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked before every step, of which a second has some fifty."""
        words = self._words(job)
        seconds, guidance = _checked(job.parameters)
        if cancelled():
            raise Cancelled("the request was cancelled before it was begun")
        model = self._started()
        frames = max(1, round(seconds * float(model.audio_encoder.config.frame_rate)))
        loop = _Loop(model, self._tokens.encode(words), guidance)
        codes = np.zeros((loop.codebooks, frames), np.int64)
        random = np.random.default_rng(job.seed)
        steps = frames + loop.codebooks - 1
        column = np.full(loop.codebooks, loop.start, np.int64)
        for step in range(steps):
            if step % loop.codebooks == 0:
                yield Progress(step, steps)
            if cancelled():
                raise Cancelled("the request was cancelled while it was made")
            logits = loop.step(column)
            for book in range(loop.codebooks):  # book k is k steps behind the first: the paper's delay pattern
                at = step - book
                column[book] = loop.start
                if 0 <= at < frames:
                    column[book] = codes[book, at] = _chosen(logits[book], job.parameters, random)
        samples = loop.sound(codes)
        yield Progress(steps, steps)
        record = self._record(job, int(codes.size), guidance=f"{guidance:g}")
        yield Draft(Audio(samples, int(model.audio_encoder.config.sampling_rate)), record)


def _checked(wishes: Parameters) -> tuple[float, float]:
    """Seconds and guidance.

    Raises:
        InvalidRequest: out of range; names the parameter.
    """
    seconds = SECONDS if wishes.seconds is None else float(wishes.seconds)
    guidance = GUIDANCE if wishes.guidance is None else float(wishes.guidance)
    if not 0 < seconds <= LONGEST_S:
        raise InvalidRequest(f"is not above 0 and up to {LONGEST_S:g}", field="parameters.seconds")
    if not 1 <= guidance <= MOST_GUIDANCE:
        raise InvalidRequest(f"is not from 1 to {MOST_GUIDANCE:g}", field="parameters.guidance")
    return seconds, guidance


def _chosen(logits: NDArray[np.float32], wishes: Parameters, random: np.random.Generator) -> int:
    plain = Parameters(
        temperature=1.0 if wishes.temperature is None else wishes.temperature,
        top_k=TOP_K if wishes.top_k is None else wishes.top_k,
        top_p=1.0 if wishes.top_p is None else wishes.top_p,
        min_p=wishes.min_p,
        repetition_penalty=1.0,
    )
    p = probabilities(logits, [], plain)
    return int(random.choice(len(p), p=p))


class _Loop:
    """One sound: what its words mean, and what the decoder has read so far."""

    def __init__(self, model: Any, ids: list[int], guidance: float) -> None:  # noqa: ANN401 - untyped library
        import torch

        self._torch, self._model, self._guidance = torch, model, guidance
        self.codebooks = int(model.decoder.config.num_codebooks)
        self.start = int(model.decoder.config.pad_token_id)
        self._cache: Any = None
        words = torch.tensor([ids or [int(model.config.text_encoder.pad_token_id or 0)]], device=model.device)
        with self._guarded():
            said = model.text_encoder(input_ids=words).last_hidden_state
            if hasattr(model, "enc_to_dec_proj"):
                said = model.enc_to_dec_proj(said)
        mask = torch.ones(words.shape, dtype=torch.long, device=model.device)
        if guidance > 1:  # beside it the same without words, which the words are strengthened against
            said, mask = torch.cat([said, torch.zeros_like(said)]), torch.cat([mask, torch.zeros_like(mask)])
        self._said, self._mask = said, mask

    def step(self, column: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read one token of each codebook; float32 (codebooks, vocabulary) of the next ones.

        Raises:
            BackendError: the model failed.
        """
        ids = self._torch.tensor(column, device=self._model.device)[:, None].repeat(len(self._said), 1)
        with self._guarded():
            out = self._model.decoder(
                input_ids=ids,
                encoder_hidden_states=self._said,
                encoder_attention_mask=self._mask,
                past_key_values=self._cache,
                use_cache=True,
            )
        self._cache = out.past_key_values
        logits = np.asarray(out.logits[:, -1].float().cpu().numpy(), np.float32)
        if len(self._said) > 1:
            with_words, without = logits[: self.codebooks], logits[self.codebooks :]
            logits = without + np.float32(self._guidance) * (with_words - without)
        if not np.isfinite(logits).all():
            raise BackendError("the model's numbers are not finite")
        return logits

    def sound(self, codes: NDArray[np.int64]) -> NDArray[np.float32]:
        """The samples of all codes: float32 (1, n).

        Raises:
            BackendError: the model failed, or made nothing.
        """
        with self._guarded():
            frames = self._torch.tensor(codes, device=self._model.device)[None, None]
            values = self._model.audio_encoder.decode(frames, [None]).audio_values
        return within_full_scale(np.asarray(values[0].float().cpu().numpy(), np.float32))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with self._torch.inference_mode():
                yield
        except RuntimeError as error:  # out of memory, a sticky error of the device
            raise BackendError(f"the model failed: {type(error).__name__}") from error
