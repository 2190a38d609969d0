"""Symphony as a ``gensafe.backends`` plugin: jobs in, token-streamed drafts out.

Options (all strings): ``engine`` (auto | native | numpy | torch | mlx), ``device`` (cpu | cuda, for torch), ``bits``
(8 | 4, quantised weights, for mlx), ``weights`` (a bundle directory; default: the one that ships), ``sparse``
(true | false), ``temperature`` (of every modality), or ``text_temperature`` / ``image_temperature`` /
``audio_temperature`` / ``video_temperature``, ``top_p``, ``memory_mb`` (key/value memory of all requests together),
``prefix_mb`` (how much of it may hold beginnings of earlier prompts).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gensafe.core.errors import BackendError, Cancelled, ConfigError, InvalidRequest
from gensafe.core.types import (
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Modality,
    Progress,
    Text,
    TextDelta,
)
from gensafe_backends.symphony.generate import DecodeParams, Tally, decode
from gensafe_backends.symphony.grammar import AnswerGrammar
from gensafe_backends.symphony.model.open import open_engine
from gensafe_backends.symphony.prefix import PrefixStore
from gensafe_backends.symphony.sampler import Sampler, SamplingParams
from gensafe_backends.symphony.sequence import prompt_ids
from gensafe_backends.symphony.serving import Admission, SharedEngine
from gensafe_backends.symphony.tokenizers.universal import MODALITY_IDS, UniversalTokenizer
from gensafe_backends.symphony.understand import Understood, read_job
from gensafe_backends.symphony.vocab import EOS, ModalityId, vocabulary
from gensafe_backends.symphony.weights import ASSETS, load_model, weights_digest

if TYPE_CHECKING:
    from gensafe.core.ports import CancelCheck, SamplingMark
    from gensafe_backends.symphony.model.engine import Engine

VERSION: Final = "1"
MAX_TEXT: Final = 480  # text tokens of an answer; a story takes about 350
DEFAULTS: Final[Mapping[Modality, SamplingParams]] = {
    Modality.TEXT: SamplingParams(1.0, 0.98),  # stories; answers that can be right or wrong are greedy
    Modality.IMAGE: SamplingParams(0.3, 1.0),
    Modality.AUDIO: SamplingParams(0.3, 1.0),
    Modality.VIDEO: SamplingParams(0.3, 1.0),
}
_OPTIONS: Final = frozenset(
    {
        "engine",
        "device",
        "weights",
        "sparse",
        "bits",
        "temperature",
        "top_p",
        "memory_mb",
        "prefix_mb",
        *(f"{m}_temperature" for m in Modality),
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Options, read and checked."""

    engine: str
    device: str
    weights: Path
    sparse: bool
    bits: int
    sampling: Mapping[Modality, SamplingParams]
    memory: int  # bytes, of which ``prefix`` for what was read before
    prefix: int


def default_bundle() -> Path:
    """The bundle that ships with the package.

    Raises:
        ConfigError: none ships with this build.
    """
    for directory in (ASSETS, *sorted(p for p in ASSETS.glob("*") if p.is_dir())):
        if (directory / "card.json").is_file():
            return directory
    raise ConfigError("no model ships with this build", field="weights", fix="name a bundle directory")


def read_options(options: Mapping[str, str]) -> Settings:
    """Check the options.

    Raises:
        ConfigError: one is unknown or not usable.
    """
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise ConfigError(f"unknown option of symphony: {unknown[0]}", field=unknown[0])
    if options.get("sparse", "true") not in ("true", "false"):
        raise ConfigError("true or false", field="sparse")
    sampling = {}
    for modality, default in DEFAULTS.items():
        own = options.get(f"{modality}_temperature", options.get("temperature"))
        try:
            temperature = default.temperature if own is None else float(own)
            sampling[modality] = SamplingParams(temperature, float(options.get("top_p", default.top_p)))
        except (ValueError, BackendError) as error:
            raise ConfigError(f"not usable: {error}", field=f"{modality}_temperature or top_p") from error
    weights = Path(options["weights"]) if options.get("weights") else default_bundle()
    try:
        bits = int(options.get("bits", "0"))
        memory = int(options.get("memory_mb", "512")) << 20
        prefix = int(options["prefix_mb"]) << 20 if "prefix_mb" in options else min(16 << 20, memory // 8)
    except ValueError as error:
        raise ConfigError("not a whole number", field="bits, memory_mb or prefix_mb") from error
    if not 0 <= prefix <= memory:
        raise ConfigError("must lie between 0 and memory_mb", field="prefix_mb")
    sparse = options.get("sparse", "true") == "true"
    return Settings(
        options.get("engine", "auto"), options.get("device", "cpu"), weights, sparse, bits, sampling, memory, prefix
    )


def create(options: Mapping[str, str]) -> SymphonyBackend:
    """Load a bundle and open an engine.

    Raises:
        ConfigError: an option is not usable.
        BackendError: the bundle is missing, altered or malformed (its card's digests are checked).
        BackendUnavailable: the engine cannot run here.
    """
    settings = read_options(options)
    try:
        digest = weights_digest(settings.weights)
        config, tensors = load_model(settings.weights)
        tokenizer = UniversalTokenizer.load(settings.weights)
    except ConfigError as error:
        raise BackendError(f"the model bundle cannot be used: {error}") from error
    engine = open_engine(
        settings.engine, config, tensors, device=settings.device, sparse=settings.sparse, bits=settings.bits
    )
    return SymphonyBackend(engine, tokenizer, digest, settings.sampling, settings.memory, settings.prefix)


class TextIds:
    """The tokenizer a sampling mark's detector needs: text -> vocabulary ids."""

    def __init__(self, tokenizer: UniversalTokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, as ``SamplingMark.choose`` saw them."""
        return self._tokenizer.encode_text(text)


class SymphonyBackend:
    """One bundle on one engine. Safe to use from several threads: every job has its own cache and sampler."""

    name = "symphony"
    version = VERSION

    def __init__(
        self,
        engine: Engine,
        tokenizer: UniversalTokenizer,
        digest: str,
        sampling: Mapping[Modality, SamplingParams] = DEFAULTS,
        memory: int = 512 << 20,
        prefix: int = 16 << 20,
    ) -> None:
        self.engine = SharedEngine(engine)
        self.admission = Admission(memory - prefix)
        self.prefixes = PrefixStore(engine.config, prefix)
        self.media = tokenizer
        self._digest = digest
        self._sampling = sampling

    def capabilities(self) -> BackendCapabilities:
        """Every modality in and out; text streams and is marked by sampling."""
        return BackendCapabilities(
            outputs=frozenset(Modality),
            inputs=frozenset(Modality),
            sampling_marks=True,
            streaming_text=True,
            description=f"{self.engine.config.name} on the {self.engine.name} engine: a small model of a small world",
        )

    def models(self) -> Mapping[str, str]:
        """The one model and the digest of its bundle."""
        return {self.engine.config.name: self._digest}

    def tokenizer(self) -> TextIds:
        """Text -> the ids a sampling mark sees."""
        return TextIds(self.media)

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``.

        A text prompt outside the model's world is answered with a fixed, honest sentence; for media it is refused.
        """
        if cancelled():
            raise Cancelled("the request was cancelled before it began")
        modality = MODALITY_IDS[job.modality]
        room = AnswerGrammar(self.engine.config, modality, MAX_TEXT).total
        if job.max_tokens < 0 or (job.max_tokens and modality is not ModalityId.TEXT and job.max_tokens < room):
            raise InvalidRequest(f"{job.modality} takes {room} tokens", field="max_tokens", fix="leave it at 0")
        understood = read_job(job, self.media)
        if understood.fixed_answer:
            yield TextDelta(understood.fixed_answer)
            yield Draft(Text(understood.fixed_answer), self._record(job, understood, Tally(), None, ()))
            return
        length = len(prompt_ids(understood.spans, self.engine.config)) + room
        with self.admission.room(self.engine.cache_bytes(length), cancelled):
            if modality is ModalityId.TEXT:
                yield from self._text(job, understood, mark, cancelled)
            else:
                yield from self._media(job, understood, room, cancelled)

    def _tokens(
        self,
        job: GenerationJob,
        understood: Understood,
        mark: SamplingMark | None,
        cancelled: CancelCheck,
        tally: Tally,
    ) -> Iterator[int]:
        return decode(
            self.engine,
            prompt_ids(understood.spans, self.engine.config),
            MODALITY_IDS[job.modality],
            Sampler(job.seed),
            DecodeParams({MODALITY_IDS[m]: self._how(m, understood) for m in Modality}),
            cancelled=cancelled,
            mark=mark,
            max_text=min(job.max_tokens or MAX_TEXT, MAX_TEXT),
            tally=tally,
            prefixes=self.prefixes,
        )

    def _how(self, modality: Modality, understood: Understood) -> SamplingParams:
        """Sampling parameters of a modality; greedy where there is a right answer."""
        return SamplingParams() if understood.exact else self._sampling[modality]

    def _text(
        self, job: GenerationJob, understood: Understood, mark: SamplingMark | None, cancelled: CancelCheck
    ) -> Iterator[BackendEvent]:
        tally = Tally()
        pieces: list[str] = []
        start = vocabulary(self.engine.config).text.start
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        for token in self._tokens(job, understood, mark, cancelled, tally):
            done = token == EOS
            piece = utf8.decode(b"" if done else self.media.text.decode_bytes([token - start]), final=done)
            if not pieces:
                piece = piece.removeprefix(" ")  # a text is encoded with one space before it
            if piece:
                pieces.append(piece)
                yield TextDelta(piece)
        text = "".join(pieces)
        notes = [] if tally.text_drawn < (job.max_tokens or MAX_TEXT) else ["cut off at max_tokens"]
        if mark is not None and self.media.encode_text(text) != tally.ids:
            notes.append("re-reading the text gives other tokens than were written: its mark is weaker")
        if not text:
            raise BackendError("the model wrote no text")
        yield Draft(Text(text), self._record(job, understood, tally, mark, tuple(notes)))

    def _media(
        self, job: GenerationJob, understood: Understood, total: int, cancelled: CancelCheck
    ) -> Iterator[BackendEvent]:
        tally, done = Tally(), 0
        for done, _ in enumerate(self._tokens(job, understood, None, cancelled, tally), start=1):
            if done % 8 == 0:
                yield Progress(done, total + 1)
        if cancelled():
            raise Cancelled("the request was cancelled before its tokens were turned into media")
        yield Progress(done, total + 1, "render")
        media = self.media.decode(job.modality, tally.ids[1:-1])
        yield Progress(total + 1, total + 1, "render")
        yield Draft(media, self._record(job, understood, tally, None, ()))

    def _record(
        self,
        job: GenerationJob,
        understood: Understood,
        tally: Tally,
        mark: SamplingMark | None,
        notes: tuple[str, ...],
    ) -> GenerationRecord:
        how = self._how(job.modality, understood)
        if job.modality is not Modality.TEXT:
            marked = "not marked by sampling: only text is"
        elif understood.fixed_answer:
            marked = "not marked by sampling: a fixed answer"
        elif mark is None:
            marked = "not marked by sampling: no mark was handed in"
        elif tally.marked == 0:
            marked = "not marked by sampling: the text left the mark no choice"
        else:
            marked = f"{mark.scheme}/{mark.key_id}"
        return GenerationRecord(
            backend=self.name,
            model=self.engine.config.name,
            model_version=f"spec-{self.engine.config.spec_version}",
            weights_digest=self._digest,
            seed=job.seed,
            tokens=len(tally.ids),
            sampling_mark=marked,
            parameters={
                "engine": self.engine.name,
                "temperature": format(how.temperature, "g"),
                "top_p": format(how.top_p, "g"),
                "marked_tokens": tally.marked,
                "written_by_model": not understood.fixed_answer,
            },
            notes=understood.notes + notes,
        )
