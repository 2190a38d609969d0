"""What is asked for, what a backend gets, and what it yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from gensafe.core.types.media import Media, Modality
from gensafe.core.types.parameters import Message, Parameters


class RequestKey(NamedTuple):
    """What names a request: the caller's id, within its tenant. Two tenants may use one id and never notice."""

    tenant: str
    request_id: str


@dataclass(frozen=True, slots=True)
class InputMedia:
    """A file the caller hands in with the prompt: untrusted bytes, not yet decoded."""

    data: bytes
    media_type: str  # MIME type as claimed by the caller; checked against the bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a caller asks for. ``request_id`` (UUID) is the idempotency key within ``tenant``, the caller's identity."""

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
    messages: tuple[Message, ...] = ()  # the conversation before the prompt, oldest first
    parameters: Parameters = field(default_factory=Parameters)
    subject: str = ""  # the tenant's end user, as the tenant names them; only a keyed commitment is kept
    key_id: str = ""  # the API key it came with, where it is a managed one
    models: tuple[str, ...] = ()  # those that the caller may use; () = all

    @property
    def key(self) -> RequestKey:
        """What names this request."""
        return RequestKey(self.tenant, self.request_id)


@dataclass(frozen=True, slots=True)
class GenerationJob:
    """What a backend gets: the request with everything resolved and decoded."""

    prompt: str
    modality: Modality
    inputs: tuple[Media, ...]
    seed: int
    max_tokens: int
    model: str = ""  # resolved; "" only in tests of a backend that serves one model
    messages: tuple[Message, ...] = ()
    parameters: Parameters = field(default_factory=Parameters)


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
    finish: str = "stop"  # "length": a text was cut off at max_tokens or at the model's own bound
    tokens_in: int = 0  # of prompt and messages; 0 = not known


@dataclass(frozen=True, slots=True)
class Answer:
    """The file an engine answered with, from which a draft was decoded: it may carry credentials of its own."""

    data: bytes
    dropped: str = ""  # why its credentials must not go on, e.g. parts of the content were removed


@dataclass(frozen=True, slots=True)
class Draft:
    """A finished but unreleased output."""

    media: Media
    record: GenerationRecord
    script: str = ""  # the words that audio says, where the engine knows them; judged like a text
    answer: Answer | None = None  # None: the engine made the medium itself


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
    """What a backend can do. ``sampling_marks`` = it honours a SamplingMark for text.

    ``parameters``: names of ``Parameters`` (and ``messages``, ``extra.NAME``) that it honours; all others are refused.
    """

    outputs: frozenset[Modality]
    inputs: frozenset[Modality]
    sampling_marks: bool
    streaming_text: bool
    description: str = ""
    parameters: frozenset[str] = frozenset()
