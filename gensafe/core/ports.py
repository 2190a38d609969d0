"""Plugin points as Protocols. Each has an entry-point group and a contract suite in ``gensafe.testing``.

| Protocol        | entry-point group    | what an entry point names                              |
|-----------------|----------------------|--------------------------------------------------------|
| ``Backend``     | gensafe.backends     | ``create(options: Mapping[str, str]) -> Backend``      |
| ``Classifier``  | gensafe.classifiers  | ``create(options: Mapping[str, str]) -> Classifier``   |
| ``Watermarker`` | gensafe.watermarks   | ``create(options: Mapping[str, str]) -> Watermarker``  |
| ``Exporter``    | gensafe.exporters    | ``create(options: Mapping[str, str]) -> Exporter``     |

Every method may raise only ``gensafe.core.errors`` types; callers convert unexpected exceptions to the
port's own error (BackendError, ClassifierError, ...) and fail closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from gensafe.core.types import (
    Assessment,
    Audio,
    BackendCapabilities,
    BackendEvent,
    ClassifierId,
    Detection,
    Finding,
    FrameChunk,
    GenerationJob,
    Located,
    Media,
    Modality,
    Stage,
    VideoStream,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CancelCheck = Callable[[], bool]
"""Returns True once the caller is gone; checked between tokens or steps."""


class SamplingMark(Protocol):
    """A distortion-free keyed choice of the next token, handed to the backend with the request."""

    scheme: str  # e.g. "gumbel-h3"
    key_id: str

    def choose(self, context: Sequence[int], probabilities: NDArray[np.float64]) -> int | None:
        """Pick the next token id, or None to sample freely (a context seen before, or too short).

        Args:
            context: All token ids of this text so far, oldest first.
            probabilities: (vocabulary,) float64, sums to 1, after temperature and grammar masks.
        """


class TextTokenizer(Protocol):
    """The tokenizer a text was written with; detection of a sampling mark needs the same one."""

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, in the id space the SamplingMark saw."""


class Backend(Protocol):
    """A generator. ``generate`` is a blocking iterator run in a worker thread by the pipeline."""

    name: str
    version: str

    def capabilities(self) -> BackendCapabilities:
        """State inputs, outputs and whether a SamplingMark is honoured."""

    def models(self) -> Mapping[str, str]:
        """Model names this backend serves -> weights digest ("sha256:...")."""

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """Yield any number of Progress / TextDelta, then exactly one Draft.

        Raises:
            PromptNotUnderstood: the prompt is outside the model's world; names the unknown words.
            Cancelled: ``cancelled()`` became true; checked at least once per token.
            BackendError: anything else.
        """

    def tokenizer(self) -> TextTokenizer | None:
        """The tokenizer for sampling-mark detection, or None."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a classifier is, honestly. Rendered into docs/cards and ``gensafe plugins --cards``."""

    name: str
    version: str
    modality: Modality
    categories: tuple[str, ...]
    summary: str
    trained_on: tuple[str, ...]  # data set names with licences; () = rules
    measured: Mapping[str, str]  # figure name -> figure with its test set, from a committed benchmark
    not_covered: tuple[str, ...]  # what it misses
    weights_digest: str = ""
    partial: Mapping[str, str] = field(default_factory=dict)  # category covered only in part -> the part that is


class Classifier(Protocol):
    """Scores one modality. Must examine the whole item or say in ``coverage`` what it did not.

    One that waits for another machine or process says so with a class attribute ``waits = True``: it is asked at once,
    while those that take this machine's cores are asked in turns.
    """

    name: str
    modality: Modality

    def identity(self) -> ClassifierId:
        """Name, version and weights digest, for verdicts and the log."""

    def card(self) -> Card:
        """The model card."""

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Score ``item``. Pure: same item, same answer.

        Raises:
            SafetyUnavailable: it could not do its work; the gate treats this as a block.
        """


class FilmExam(Protocol):
    """One classifier at work on one film: the frames first, then the sound track, then the answer."""

    def take(self, chunk: FrameChunk) -> None:
        """Examine the next frames.

        Raises:
            SafetyUnavailable: it cannot go on; the gate treats this as a block.
        """

    def hear(self, sound: Audio, start_s: float, fresh: int) -> None:
        """Examine the next window of the sound track, ``start_s`` seconds from its start.

        Windows overlap; the last ``fresh`` samples are those that no earlier window had.
        """

    def found(self) -> Sequence[Finding]:
        """What was found so far."""

    def finish(self) -> Assessment:
        """The answer for all that was given in."""


class FilmClassifier(Classifier, Protocol):
    """A classifier of videos that works in chunks, and so on films of any length.

    A video classifier without ``examine`` is given the frames as one array, up to a limit, and refuses beyond it.
    """

    def examine(self, film: VideoStream, stage: Stage) -> FilmExam:
        """Begin with one film; frames are given to the exam, not read from ``film``."""


class StreamClassifier(Protocol):
    """What a classifier of text may also offer, so that a stream does not pay for its end again at every step."""

    def assess_unfinished(self, item: Media, stage: Stage) -> Assessment:
        """As ``Classifier.assess``, for a window of a text that goes on.

        The last ``UNREAD`` characters may be left to a later window, or to ``assess`` on the whole text: the gate holds
        more than that back.
        """


UNREAD: Final = 250  # characters; below ``safety.streaming.RULE_CHARS``, which never leave


class Watermarker(Protocol):
    """One keyed scheme for one medium."""

    scheme: str
    modality: Modality

    def embed(self, media: Media, payload: bytes, key: bytes, strength: float = 1.0) -> Media:
        """Embed ``payload`` (PAYLOAD_BYTES bytes) under ``key`` (32 bytes), keeping shape and rate.

        ``strength`` scales the scheme's default; the gate raises it once when a mark was lost in encoding.

        Raises:
            CannotCarry: too small, too short or too flat.
        """

    def detect(self, media: Media, key: bytes) -> Detection:
        """Search ``media`` for a mark under ``key``."""


class PreparedSearch(Protocol):
    """One medium, prepared for searches under several keys. A watermarker may have ``prepare(media)`` that makes it."""

    def quick(self, key: bytes) -> Detection | None:
        """The cheap part of a search under ``key``; None = not found by it."""

    def whole(self, key: bytes) -> Detection:
        """As ``Watermarker.detect``; does not repeat what ``quick`` did."""


class Locator(Protocol):
    """A watermarker that can say where in a marked medium its mark is weaker than elsewhere."""

    def locate(self, media: Media, payload: bytes, key: bytes) -> Located | None:
        """Compare with the mark of ``payload``, as it was read under ``key``; None = this cannot be told here."""


class SamplingWatermark(Protocol):
    """A text scheme that marks by choosing tokens; entry point ``text`` of ``gensafe.watermarks``."""

    scheme: str

    def sampler(self, key: bytes) -> SamplingMark:
        """A fresh mark for one text under ``key`` (32 bytes)."""

    def detect(self, token_ids: Sequence[int], key: bytes) -> Detection:
        """Test the token ids of one text. Too little evidence is UNDECIDABLE, never "unmarked"."""

    def test_keys(self, texts: Sequence[Sequence[int]], key: bytes) -> Mapping[int, float]:
        """For each key id in use, how probable the p-values of these unmarked texts are if they are uniform.

        Raises:
            InvalidRequest: too few texts.
        """


class ClaimSigner(Protocol):
    """Signs C2PA claims; the key may live in a file, PKCS#11 or a KMS."""

    algorithm: str  # es256 | es384 | es512 | ps256 | ed25519
    development: bool

    def certificate_chain(self) -> bytes:
        """PEM, leaf first, without the root."""

    def sign(self, data: bytes) -> bytes:
        """Signature over ``data`` (raw r||s for ECDSA).

        Raises:
            SigningFailed: the key is unavailable.
        """


class Exporter(Protocol):
    """Writes audit entries in one format."""

    format: str

    def export(self, entries: Iterator[Mapping[str, object]], directory: str) -> tuple[str, ...]:
        """Write files into ``directory``; return their names."""


class Clock(Protocol):
    """Time as a parameter."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What ``gensafe plugins`` lists, read from metadata without importing the plugin."""

    group: str
    name: str
    target: str
    distribution: str
    version: str
    detail: Mapping[str, str] = field(default_factory=dict)
