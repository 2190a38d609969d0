"""The values that flow through GenSafe. All frozen; protobuf and C2PA types stop at their adapters.

``GenerationRequest`` -> ``Admission`` -> ``Draft`` -> ``Judged`` -> ``Marked`` -> ``Signed`` -> ``Recorded``.
Each stage of ``gensafe.pipeline`` is a function from one of these types to the next, so that the type checker holds
the order. Arrays appear only as type annotations: this module does not import numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Modality(StrEnum):
    """What a medium is to a person."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


# --- decoded media ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text (Unicode, not normalised)."""

    text: str

    modality = Modality.TEXT


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Pixels: uint8 (H, W, 3), sRGB."""

    pixels: NDArray[np.uint8]

    modality = Modality.IMAGE


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Samples: float32 (channels, n) in [-1, 1] at ``rate`` Hz."""

    samples: NDArray[np.float32]
    rate: int

    modality = Modality.AUDIO


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Frames: uint8 (n, H, W, 3) sRGB at a constant ``fps``, with an optional sound track starting at time 0."""

    frames: NDArray[np.uint8]
    fps: float
    audio: Audio | None = None

    modality = Modality.VIDEO


Media: TypeAlias = Text | Image | Audio | Video


# --- generation ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputMedia:
    """A file the caller hands in with the prompt: untrusted bytes, not yet decoded."""

    data: bytes
    media_type: str  # MIME type as claimed by the caller; checked against the bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a caller asks for. ``request_id`` is the idempotency key (UUID); ``tenant`` comes from the identity."""

    request_id: str
    prompt: str
    modality: Modality
    inputs: tuple[InputMedia, ...] = ()
    model: str = ""  # "" = the configured default
    seed: int | None = None  # None = drawn by the service and recorded
    media_type: str = ""  # output container as MIME type; "" = the default of the modality
    max_tokens: int = 0  # 0 = the model's own bound
    tenant: str = "local"
    visible_label: bool = False
    label_profile: str = ""


@dataclass(frozen=True, slots=True)
class GenerationJob:
    """What a backend gets: the request with everything resolved and decoded."""

    prompt: str
    modality: Modality
    inputs: tuple[Media, ...]
    seed: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """How a draft came to be: enough to find the weights again and to state what was marked while sampling."""

    backend: str
    model: str
    model_version: str
    weights_digest: str  # "sha256:<hex>"
    seed: int
    tokens: int
    sampling_mark: str  # e.g. "gumbel-h3/key-epoch-0" or "not marked by sampling: <reason>"
    parameters: Mapping[str, str | int | bool] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # e.g. words of the prompt the model did not know


@dataclass(frozen=True, slots=True)
class Draft:
    """A finished but unreleased output."""

    media: Media
    record: GenerationRecord


# events a backend yields, in order: any number of Progress / TextDelta, then exactly one Draft


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` steps; total 0 = unknown."""

    done: int
    total: int
    stage: str = "generate"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A further piece of a text output (only for Modality.TEXT)."""

    text: str


BackendEvent: TypeAlias = Progress | TextDelta | Draft


@dataclass(frozen=True, slots=True)
class BackendCapabilities:
    """What a backend can do. ``sampling_marks`` = it honours a SamplingMark for text."""

    outputs: frozenset[Modality]
    inputs: frozenset[Modality]
    sampling_marks: bool
    streaming_text: bool
    description: str = ""


# --- safety ----------------------------------------------------------------------------------------------------------


class Action(StrEnum):
    """What policy does with a finding, from mild to strict. ``max`` by ``ACTION_ORDER`` wins."""

    ALLOW = "allow"
    ANNOTATE = "annotate"
    REDACT = "redact"
    REVIEW = "review"
    BLOCK = "block"


ACTION_ORDER: tuple[Action, ...] = (Action.ALLOW, Action.ANNOTATE, Action.REDACT, Action.REVIEW, Action.BLOCK)


class Stage(StrEnum):
    """Where in a request a verdict was taken."""

    PROMPT = "prompt"
    INPUT = "input"
    OUTPUT = "output"
    STANDALONE = "standalone"  # SafetyService.Classify


@dataclass(frozen=True, slots=True)
class Span:
    """Character offsets [start, end) in the text that was given in."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Box:
    """Pixel rectangle, top-left inclusive, bottom-right exclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Seconds [start, end) from the start of the medium."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One classifier's score for one category, with where it was seen. ``score`` in 0..1; rules use 1.0."""

    category: str  # a key of hazards.CATEGORIES or a policy's custom category
    score: float
    classifier: str  # plugin name
    detail: str = ""  # a short reason; never the offending content itself
    spans: tuple[Span, ...] = ()
    boxes: tuple[Box, ...] = ()
    times: tuple[TimeRange, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one classifier examined, e.g. ("text.screen", "characters", 512, 512). ``examined < total`` is a gap."""

    classifier: str
    unit: str  # characters | pixels | frames | samples | channels | streams
    examined: int
    total: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one classifier returns for one item."""

    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True, slots=True)
class ClassifierId:
    """Which classifier, of which version, with which weights. ``weights_digest`` "" = rules without weights."""

    name: str
    version: str
    weights_digest: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A finding after policy: the threshold that applied and the action it led to. ``severity`` is 0, 2, 4 or 6."""

    finding: Finding
    threshold: float
    severity: int
    action: Action


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy's answer about one item. ``action`` is the strictest of the decisions; errors make it BLOCK."""

    stage: Stage
    modality: Modality
    action: Action
    decisions: tuple[Decision, ...]
    coverage: tuple[Coverage, ...]
    classifiers: tuple[ClassifierId, ...]
    policy_id: str
    policy_digest: str  # "sha256:<hex>"
    errors: tuple[str, ...] = ()  # classifiers that failed, with the reason
    monitor_only: bool = False  # the policy ran in monitor mode: `action` is what enforce mode would have done
    elapsed_ms: int = 0

    @property
    def releasable(self) -> bool:
        """Whether the item may go on: no error, and not held or blocked (or the policy only monitors)."""
        if self.errors and not self.monitor_only:
            return False
        return self.monitor_only or self.action not in (Action.BLOCK, Action.REVIEW)

    @property
    def for_review(self) -> bool:
        """Whether a person decides: policy holds the item, and no classifier failed on it."""
        return self.action is Action.REVIEW and not self.errors and not self.monitor_only

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories that led to the verdict's action, strictest first, without repeats."""
        hits = [d.finding.category for d in self.decisions if d.action is self.action]
        return tuple(dict.fromkeys(hits))


# --- watermark -------------------------------------------------------------------------------------------------------

PAYLOAD_BYTES = 7  # 4-bit version / key epoch + 52-bit record id


class MarkLevel(StrEnum):
    """What a detector found. NONE is "no evidence", never "not AI"; UNDECIDABLE is too little material to tell."""

    RECORD = "record"  # payload recovered and its MAC valid
    PRESENT = "present"  # mark present at p <= 1e-6, payload not readable
    NONE = "none"
    UNDECIDABLE = "undecidable"


@dataclass(frozen=True, slots=True)
class Detection:
    """A detector's answer. ``p_value`` bounds the probability that an unmarked input gives this answer."""

    level: MarkLevel
    payload: bytes | None  # PAYLOAD_BYTES bytes when level is RECORD
    p_value: float
    scheme: str
    attempts: int = 1  # decode attempts counted into p_value
    detail: Mapping[str, str | float | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WatermarkReceipt:
    """What was embedded and how it was seen again on the final bytes."""

    scheme: str  # "" when nothing could be embedded
    payload: bytes
    key_id: str
    level: MarkLevel
    p_value: float
    psnr_db: float | None = None
    note: str = ""  # why there is no mark, where there is none


# --- provenance and log ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admission:
    """A request whose prompt and inputs passed, whose *intent* is durable, and which now has a record id."""

    request: GenerationRequest
    job: GenerationJob
    record_id: int  # 52 bits
    intent_index: int
    prompt_verdict: Verdict
    prompt_commitment: str  # "hmac-sha256:<hex>"
    input_digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """A person's decision about a held output, as the log may know it: no names, no words."""

    review_id: str  # 16 hex digits
    decision: str  # released | rejected
    reviewer: str  # pseudonym
    reason_digest: str  # "sha256:<hex>"
    decided_ms: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A draft whose output verdict, or the person it was held for, lets it go on."""

    admission: Admission
    draft: Draft
    verdict: Verdict
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """Encoded, marked bytes whose mark was detected again after encoding; not yet signed."""

    judged: Judged
    data: bytes
    media_type: str
    receipt: WatermarkReceipt
    fingerprint: Mapping[str, str]  # algorithm -> hex
    visible_label: Mapping[str, object] = field(default_factory=dict)  # what was drawn or sounded, as measured


@dataclass(frozen=True, slots=True)
class Manifest:
    """A C2PA manifest store and the facts other layers bind to."""

    data: bytes  # JUMBF store
    digest: str  # "sha256:<hex>" of data
    label: str  # active manifest label (urn:c2pa:...)
    signer_fingerprint: str  # "sha256:<hex>" of the leaf certificate (DER)
    embedded: bool  # False: sidecar only
    development: bool  # signed by a development CA


@dataclass(frozen=True, slots=True)
class Signed:
    """Final bytes, verified after signing. Nothing changes them from here on."""

    marked: Marked
    data: bytes
    digest: str  # "sha256:<hex>" of data
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Recorded:
    """A signed output whose audit leaf is durable. The only type ``release`` accepts."""

    signed: Signed
    log_index: int
    leaf_hash: str  # hex
    log_origin: str


# --- verification ----------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What one check saw."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verification report."""

    name: str
    outcome: Outcome
    summary: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Conclusion(StrEnum):
    """The joint verdict; exactly one per file. See docs/verification.md for the table."""

    PROVED = "proved"
    PROVED_BY_RECOVERY = "proved by recovery"
    ALTERED = "altered"
    LAYERS_DISAGREE = "layers disagree"
    TRANSPLANTED_MARK = "transplanted mark"
    FOUND_UNTRUSTED = "found but untrusted"
    NOTHING_FOUND = "nothing found"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """All checks of one file and the one conclusion they lead to."""

    name: str
    conclusion: Conclusion
    explanation: str
    checks: tuple[Check, ...]
    media_type: str = ""
    digest: str = ""
    crjson: str = ""  # the manifest in the C2PA crJSON form; "" without one
