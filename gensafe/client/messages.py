"""What both clients share: options, request building, assembling an output from events, errors from statuses."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from gensafe.client import statuses
from gensafe.client.results import Job, JobState, Receipt, Refusal, Review, read
from gensafe.core import errors, ids
from gensafe.core.types import read_parameters
from gensafe.v1 import admin_pb2, common_pb2, generation_pb2, provenance_pb2, safety_pb2

CHUNK = 256 * 1024  # far below gRPC's 4 MiB a message, so that progress is even. A round number, not measured
ROLES = {
    "system": generation_pb2.CHAT_ROLE_SYSTEM,
    "user": generation_pb2.CHAT_ROLE_USER,
    "assistant": generation_pb2.CHAT_ROLE_ASSISTANT,
}
MODALITIES = {
    "text": common_pb2.MODALITY_TEXT,
    "image": common_pb2.MODALITY_IMAGE,
    "audio": common_pb2.MODALITY_AUDIO,
    "video": common_pb2.MODALITY_VIDEO,
}


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to reach a server. Nothing is sent to another machine unencrypted.

    Args:
        address: HOST:PORT, or another gRPC target.
        root_certificates: PEM file of the server's CA; "" = the system's roots where TLS is used.
        certificate, key: PEM files for mutual TLS.
        api_key: Sent as ``authorization: Bearer``.
        timeout_s: Deadline of each call, all its attempts together; a call's own ``timeout_s`` goes before it.
        patience_s: Longest wait that a server may ask for before it is called again (RetryInfo: a quota is spent, a
            queue is full); where it asks for more, and with 0 always, ``Overloaded`` is raised with ``retry_after_s``.
        language: In which the server says why it stopped or held a request, as in Accept-Language ("de", "pt-BR"); "" =
            English. Codes stay English.
        tls: None = TLS with any of the certificates above, and to every other machine; plain text is for this one.
    """

    address: str
    root_certificates: str = ""
    certificate: str = ""
    key: str = ""
    api_key: str = field(default="", repr=False)
    timeout_s: float = 300.0
    patience_s: float = 0.0
    tls: bool | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A medium in memory. ``media_type`` "" = by its content."""

    data: bytes = field(repr=False)
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """A released output and its receipt."""

    data: bytes = field(repr=False)
    completed: Receipt

    @property
    def media_type(self) -> str:
        """MIME type of ``data``."""
        return self.completed.media_type

    @property
    def record_id(self) -> str:
        """The record's 13 hex digits."""
        return self.completed.record_id

    @property
    def text(self) -> str:
        """The visible text of a text output, else ""."""
        return self.completed.text


BACKOFF_S = (0.2, 0.5, 1.2)
"""Waits before the second, third and fourth attempt of a call that never reached the application."""


def may_retry(error: grpc.RpcError) -> bool:
    """Whether the call certainly had no effect, or is safe to repeat: all our calls are, under one request id."""
    return isinstance(error, grpc.Call | grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNAVAILABLE


def pause(error: grpc.RpcError, attempt: int, left_s: float, patience_s: float) -> float | None:
    """Seconds to wait before a call is tried again; None = it is not.

    Args:
        error: How the attempt ended.
        attempt: 0 = the first.
        left_s: Until the call's deadline.
        patience_s: As in ``ClientOptions``.
    """
    if attempt >= len(BACKOFF_S):
        return None
    asked = statuses.asked_wait(error) if patience_s > 0 else None
    if asked is not None:
        wait_s = max(asked, BACKOFF_S[attempt])
        return wait_s if wait_s <= min(patience_s, left_s) else None
    wait_s = BACKOFF_S[attempt]
    return wait_s if may_retry(error) and wait_s < left_s else None


LAST_LOOK_S = 1.0  # a wait ends 0.5 s before its deadline on the server; above it, so that the answer arrives

JOBS_A_PAGE = 100  # the most that the server gives at a time


def released_by(job: Job) -> Receipt:
    """The receipt of a job that released an output.

    Raises:
        Blocked: policy stopped it.
        HeldForReview: a person must see the output first.
        Cancelled: somebody stopped it.
        DeadlineExceeded: it still runs.
        BackendError: the server does not say what it ended with.
        GensafeError: what it failed with.
    """
    if job.state is JobState.COMPLETED and job.completed is not None:
        return job.completed
    if job.state is JobState.BLOCKED and job.blocked is not None:
        raise statuses.Blocked(job.blocked)
    if job.state is JobState.HELD and job.held is not None:
        raise statuses.HeldForReview(job.held)
    if job.state is JobState.CANCELLED:
        raise errors.Cancelled(f"the job {job.request_id} was cancelled")
    if job.state is JobState.FAILED:
        raise statuses.of_reason(job.error_reason)(job.error_message)
    if job.state is JobState.RUNNING:
        raise errors.DeadlineExceeded(f"the job {job.request_id} still runs", fix="wait for it again")
    raise errors.BackendError(f"the server says that the job {job.request_id} is {job.state}, and not with what")


def generate_request(
    prompt: str,
    modality: str,
    *,
    inputs: Sequence[Path | str | File] = (),
    model: str = "",
    seed: int | None = None,
    media_type: str = "",
    max_tokens: int = 0,
    request_id: str = "",
    visible_label: bool = False,
    label_profile: str = "",
    messages: Sequence[tuple[str, str]] = (),
    parameters: Mapping[str, object] | None = None,
    subject: str = "",
) -> generation_pb2.GenerateRequest:
    """Build a request; a fresh request id is drawn here so that retries are recognised.

    Args:
        prompt: What to generate; in a conversation the last message.
        modality: text, image, audio or video.
        inputs: Files that go with the prompt, by path or in memory.
        model: "" = chosen by the server.
        seed: None = drawn by the server.
        media_type: Container of the output; "" = the modality's default.
        max_tokens: 0 = the engine's bound.
        request_id: A UUID; "" = a fresh one.
        visible_label: Whether people see or hear that it is AI-made.
        label_profile: "", eu, ca, cn, kr or in.
        messages: The conversation before the prompt: ("system" | "user" | "assistant", text).
        subject: Your end user, by any name you use; the service keeps a keyed commitment only.
        parameters: Name -> value, see ``gensafe.core.types.Parameters``.

    Raises:
        InvalidRequest: unknown modality, role or parameter, or an input file that cannot be read.
    """
    if modality not in MODALITIES:
        raise errors.InvalidRequest(f"{modality!r} is not text, image, audio or video", field="modality")
    message = generation_pb2.GenerateRequest(
        request_id=request_id or ids.new_request_id(),
        prompt=prompt,
        modality=MODALITIES[modality],
        inputs=map(_input, inputs),
        model=model,
        media_type=media_type,
        max_tokens=max_tokens,
        visible_label=visible_label,
        label_profile=label_profile,
        subject=subject,
    )
    if seed is not None:
        message.seed = seed
    for number, (role, text) in enumerate(messages):
        if role not in ROLES:
            raise errors.InvalidRequest(f"{role!r} is not system, user or assistant", field=f"messages[{number}].role")
        message.messages.add(role=ROLES[role], text=text)
    for name, value in read_parameters(parameters or {}).given().items():
        if name.startswith("extra."):
            message.parameters.extra[name.removeprefix("extra.")] = str(value)
        elif isinstance(value, tuple):
            message.parameters.stop.extend(value)
        else:
            setattr(message.parameters, name, value)
    return message


def read_media(path: Path) -> common_pb2.Media:
    """Read a file as Media. Its name stays here: names of files often name people.

    Raises:
        InvalidRequest: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise errors.InvalidRequest(f"cannot read {path}: {error.strerror}", field="inputs") from None
    return common_pb2.Media(data=data, media_type=mimetypes.guess_type(path.name)[0] or "")


def _input(given: Path | str | File) -> common_pb2.Media:
    if isinstance(given, File):
        return common_pb2.Media(data=given.data, media_type=given.media_type)
    return read_media(Path(given))


def classify_item(given: str | Path | File) -> safety_pb2.ClassifyItem:
    """A text, or a file by path or in memory, as one item of a Classify call.

    Raises:
        InvalidRequest: neither of them, or a file that cannot be read.
    """
    if isinstance(given, str):
        return safety_pb2.ClassifyItem(text=given)
    if isinstance(given, Path | File):
        return safety_pb2.ClassifyItem(media=_input(given))
    raise errors.InvalidRequest(f"an item is a str, Path or File, not {type(given).__name__}", field="items")


def verify_requests(data: bytes, name: str, sidecar: bytes, crjson: bool) -> list[provenance_pb2.VerifyRequest]:
    """Cut a file into the pieces of a Verify call."""
    options = provenance_pb2.VerifyOptions(name=name, sidecar=sidecar, crjson=crjson)
    pieces = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)] or [b""]
    first = provenance_pb2.VerifyRequest(options=options, data=pieces[0])
    return [first, *(provenance_pb2.VerifyRequest(data=piece) for piece in pieces[1:])]


def is_final(event: generation_pb2.GenerateResponse) -> bool:
    """Whether nothing comes after ``event`` in its stream."""
    return event.WhichOneof("event") in ("completed", "blocked", "held")


@dataclass(frozen=True, slots=True)
class ReviewCopy:
    """A copy of a held output, for the person who decides; ``copy_id`` is in its watermark where ``marked``."""

    data: bytes
    media_type: str
    copy_id: str
    marked: bool
    note: str
    log_index: int


def review_copy(pieces: Sequence[admin_pb2.CopyReviewResponse]) -> ReviewCopy:
    """The copy that came in pieces."""
    first = pieces[0]
    data = b"".join(piece.data for piece in pieces)
    return ReviewCopy(data, first.media_type, first.copy_id, first.marked, first.note, first.log_index)


@dataclass(slots=True)
class Assembler:
    """Collects the events of one Generate call into an Output, checking offsets and the digest."""

    _data: bytearray = field(default_factory=bytearray)
    _output: Output | None = None

    def take(self, event: generation_pb2.GenerateResponse) -> None:
        """Consume one event.

        Raises:
            Blocked: policy stopped the request.
            HeldForReview: a person must see the output first.
            BackendError: chunks do not line up, or the digest differs.
        """
        kind = event.WhichOneof("event")
        if kind == "blocked":
            raise statuses.Blocked(read(Refusal, event.blocked))
        if kind == "held":
            raise statuses.HeldForReview(read(Review, event.held))
        if kind == "media_chunk":
            if event.media_chunk.offset != len(self._data):
                raise errors.BackendError("the server sent chunks out of order")
            self._data += event.media_chunk.data
        elif kind == "completed":
            digest = "sha256:" + hashlib.sha256(self._data).hexdigest()
            if digest != event.completed.digest:
                raise errors.BackendError("the received bytes do not have the announced digest")
            self._output = Output(bytes(self._data), read(Receipt, event.completed))

    def output(self) -> Output:
        """The finished output.

        Raises:
            BackendError: the stream ended early.
        """
        if self._output is None:
            raise errors.BackendError("the stream ended before the output was complete")
        return self._output


@dataclass(slots=True)
class Download:
    """Collects the pieces of one FetchOutput call, checking offsets, size and the digest of the whole.

    Args:
        have: What was received before the connection broke.
    """

    have: bytes
    _data: bytearray = field(init=False)
    _end: generation_pb2.FetchOutputResponse | None = None

    def __post_init__(self) -> None:
        self._data = bytearray(self.have)

    def take(self, piece: generation_pb2.FetchOutputResponse) -> None:
        """Consume one piece.

        Raises:
            BackendError: it does not continue what is there.
        """
        if self._end is not None or piece.offset != len(self._data):
            raise errors.BackendError("the server sent pieces out of order")
        self._data += piece.data
        if piece.digest:
            self._end = piece

    def data(self) -> bytes:
        """The whole output.

        Raises:
            BackendError: the stream ended early, or the bytes are not those of the record.
        """
        if self._end is None:
            raise errors.BackendError("the stream ended before the output was complete")
        digest = "sha256:" + hashlib.sha256(self._data).hexdigest()
        if self._end.size != len(self._data) or self._end.digest != digest:
            fix = "fetch it again from the start" if self.have else None
            raise errors.BackendError("the received bytes are not those of the record", fix=fix)
        return bytes(self._data)
