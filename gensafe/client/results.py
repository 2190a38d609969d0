"""What the client gives back: plain frozen values, each read from a message of the wire by the names of its fields.

The comments in ``proto/gensafe/v1`` say what each field means. Verification gives the core's ``VerificationReport``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from types import UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

from google.protobuf.message import Message

from gensafe.core.errors import BackendError
from gensafe.core.types import Action, Box, Modality, Span, Stage, TimeRange

T = TypeVar("T")
_ZERO: Final = "UNSPECIFIED"  # how the zero of every enumeration ends


@dataclass(frozen=True, slots=True)
class Finding:
    """One classifier's score for one category, the threshold that applied, and where it was seen."""

    category: str
    category_name: str
    score: float
    threshold: float
    severity: int
    action: Action
    classifier: str
    detail: str
    spans: tuple[Span, ...]
    boxes: tuple[Box, ...]
    times: tuple[TimeRange, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of an item one classifier examined; ``examined < total`` is a gap."""

    classifier: str
    unit: str
    examined: int
    total: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy decided about one item, with the digest of the policy and of the verdict itself."""

    stage: Stage
    modality: Modality
    action: Action
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    classifiers: tuple[str, ...]
    policy_id: str
    policy_digest: str
    errors: tuple[str, ...]
    monitor_only: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer for one item of ``classify``: a verdict, or why there is none."""

    verdict: Verdict | None
    error_reason: str
    error_message: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What made an output. ``finish``: why it ended; ``parameters``: those that were used."""

    backend: str
    model: str
    model_version: str
    weights_digest: str
    seed: int
    tokens: int
    tokens_in: int
    sampling_mark: str
    finish: str
    notes: tuple[str, ...]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Watermark:
    """The mark in an output as it was read back before release; ``note`` says why there is none."""

    scheme: str
    payload_hex: str
    key_id: str
    level: str
    p_value: float
    note: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The C2PA manifest of an output; ``sidecar`` holds it where the container cannot."""

    label: str
    digest: str
    signer_fingerprint: str
    embedded: bool
    development: bool
    sidecar: bytes


@dataclass(frozen=True, slots=True)
class LogReceipt:
    """Where the output stands in the log, with a proof that is checked offline."""

    origin: str
    index: int
    leaf_hash: str
    tlog_proof: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """Tokens, pixels, milliseconds, and millionths of the currency."""

    tokens: int
    pixels: int
    audio_ms: int
    video_ms: int
    engine_ms: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request was expected to use at most, and what it used. ``currency``: ISO 4217."""

    forecast: Amounts
    spent: Amounts
    currency: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of a released output. ``digest`` is "sha256:<hex>" of its bytes; ``text`` of text outputs only."""

    request_id: str
    record_id: str
    media_type: str
    size: int
    digest: str
    generation: Generation
    watermark: Watermark
    manifest: Manifest
    log: LogReceipt
    prompt_verdict: Verdict | None
    output_verdict: Verdict | None
    text: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why policy stopped a request. ``retract_from``: first released character to be taken back; -1 = none."""

    request_id: str
    reason: str
    categories: tuple[str, ...]
    verdict: Verdict | None
    log_index: int
    retract_from: int
    message: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Review:
    """What waits for a person. ``retract_from`` as in ``Refusal``."""

    request_id: str
    record_id: str
    review_id: str
    categories: tuple[str, ...]
    log_index: int
    retract_from: int
    message: str
    usage: Usage


class JobState(StrEnum):
    """How a job stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    BLOCKED = "blocked"
    HELD = "held"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. ``total`` 0 = unknown."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Job:
    """A job and, once it has ended, its one ending; ``error_reason`` and ``error_message`` where it failed.

    Times in milliseconds since 1970: ``started_ms`` 0 = it waits for its turn, ``ended_ms`` 0 = it has not ended.
    ``remaining_ms``: an estimate of what it may still take, 0 = not known.
    """

    request_id: str
    state: JobState
    progress: Progress
    completed: Receipt | None
    blocked: Refusal | None
    held: Review | None
    error_reason: str
    error_message: str
    created_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    remaining_ms: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the server offers. ``unavailable``: why its engine cannot serve now; "" = it can, if known."""

    name: str
    engine: str
    backend: str
    backend_version: str
    weights_digest: str
    inputs: tuple[Modality, ...]
    outputs: tuple[Modality, ...]
    parameters: tuple[str, ...]
    sampling_marks: bool
    description: str
    unavailable: str


@dataclass(frozen=True, slots=True)
class Proof:
    """An entry of the log (canonical JSON) and the C2SP proof that it is there."""

    index: int
    leaf_hash: str
    tlog_proof: str
    entry_json: str


def read(kind: type[T], message: Message) -> T:
    """The value of a message: its fields by name; a field typed ``X | None`` is None where the message has none.

    Raises:
        BackendError: an enumeration has a value that this side does not know.
    """
    return kind(**{name: _field(hint, message, name) for name, hint in _hints(cast(Hashable, kind)).items()})


def as_json(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any value of this module
    """A value as JSON can hold it: without what is absent, and without bytes."""
    return asdict(value, dict_factory=lambda pairs: {k: v for k, v in pairs if v is not None and type(v) is not bytes})


_hints = lru_cache(get_type_hints)  # they are read from strings, which takes longer than the rest


def _field(hint: Any, message: Message, name: str) -> object:  # noqa: ANN401 - a type
    value = getattr(message, name)
    if get_origin(hint) is tuple:
        return tuple(_one(get_args(hint)[0], each, message, name) for each in value)
    if get_origin(hint) is Mapping:
        return dict(value)
    if isinstance(hint, UnionType):
        return _one(get_args(hint)[0], value, message, name) if message.HasField(name) else None
    return _one(hint, value, message, name)


def _one(hint: Any, value: Any, message: Message, name: str) -> object:  # noqa: ANN401 - a type and what it types
    if isinstance(value, Message):
        return read(hint, value)
    if issubclass(hint, StrEnum) and isinstance(value, int):
        return _word(hint, value, message.DESCRIPTOR.fields_by_name[name].enum_type, name)
    return value


def _word(kind: type[StrEnum], number: int, wire: Any, name: str) -> StrEnum:  # noqa: ANN401 - an EnumDescriptor
    """ACTION_BLOCK as ``Action.BLOCK``: the wire's names without the prefix that its zero value shows."""
    known = wire.values_by_number
    prefix = known[0].name.removesuffix(_ZERO)
    try:
        return kind(known[number].name.removeprefix(prefix).lower())
    except (KeyError, ValueError):
        raise BackendError(f"the server's answer has an unknown {name}: {number}", fix="update this side") from None


__all__ = [
    "Amounts", "Coverage", "Finding", "Generation", "Job", "JobState", "Judgement", "LogReceipt", "Manifest", "Model",
    "Progress", "Proof", "Receipt", "Refusal", "Review", "Usage", "Verdict", "Watermark", "as_json", "read",
]  # fmt: skip
