"""The blocking client."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import grpc

from gensafe.client import channel, messages, statuses
from gensafe.client.messages import Assembler, ClientOptions, Download, File, Output, ReviewCopy
from gensafe.client.reports import report_from_pb
from gensafe.client.results import Job, JobState, Judgement, Model, Proof, read
from gensafe.core import errors
from gensafe.core.types import VerificationReport
from gensafe.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    generation_pb2,
    generation_pb2_grpc,
    provenance_pb2_grpc,
    safety_pb2,
    safety_pb2_grpc,
)

T = TypeVar("T")
OnEvent = Callable[[generation_pb2.GenerateResponse], None]


class Client:
    """A connection to one GenSafe server. Thread-safe; close it, or use it as a context manager.

    Args:
        options: Where and how, or just "HOST:PORT".
    """

    def __init__(self, options: ClientOptions | str) -> None:
        self.options = ClientOptions(options) if isinstance(options, str) else options
        creds = channel.credentials(self.options)
        self._call()  # an API key that cannot be sent is said here, not at the first call
        channel_options = channel.channel_options(self.options)
        if creds is None:
            self._channel = grpc.insecure_channel(self.options.address, channel_options)
        else:
            self._channel = grpc.secure_channel(self.options.address, creds, channel_options)
        self.generation = generation_pb2_grpc.GenerationServiceStub(self._channel)
        self.safety = safety_pb2_grpc.SafetyServiceStub(self._channel)
        self.provenance = provenance_pb2_grpc.ProvenanceServiceStub(self._channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self._channel)
        self.audit = audit_pb2_grpc.AuditServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _call(self, timeout_s: float | None = None) -> dict[str, Any]:
        limit = self.options.timeout_s if timeout_s is None else timeout_s
        return {"timeout": max(0.0, limit), "metadata": channel.metadata(self.options)}

    def _end(self, timeout_s: float | None) -> float:
        return time.monotonic() + (self.options.timeout_s if timeout_s is None else timeout_s)

    def _pause(self, error: grpc.RpcError, attempt: int, end: float) -> float:
        """Seconds until the next attempt.

        Raises:
            GensafeError: there is none.
        """
        wait_s = messages.pause(error, attempt, end - time.monotonic(), self.options.patience_s)
        if wait_s is None:
            raise self._error(error) from None
        return wait_s

    def _error(self, error: grpc.RpcError) -> errors.GensafeError:
        return statuses.to_error(error, tls=channel.uses_tls(self.options))

    def events(
        self, request: generation_pb2.GenerateRequest, *, timeout_s: float | None = None
    ) -> Iterator[generation_pb2.GenerateResponse]:
        """Stream the events of one generation.

        Raises:
            GensafeError: whatever the server raised.
        """
        end = self._end(timeout_s)
        for attempt in itertools.count():
            started = False
            try:
                call = self.generation.Generate(request, **self._call(end - time.monotonic()))
                for event in call:
                    started = True
                    if messages.is_final(event):
                        with suppress(grpc.RpcError):
                            list(call)  # its end: to leave before it is a cancellation to the server
                    yield event
            except grpc.RpcError as error:
                if started:
                    raise self._error(error) from None
                time.sleep(self._pause(error, attempt, end))
            else:
                return

    def generate(
        self,
        prompt: str,
        modality: str,
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Output:
        """Generate one output and return it whole; ``options`` as in ``messages.generate_request``.

        Raises:
            Blocked: policy stopped it.
            HeldForReview: a person must see it first; repeat the request id to get the outcome.
            GensafeError: whatever the server raised.
        """
        assembler = Assembler()
        for event in self.events(messages.generate_request(prompt, modality, **options), timeout_s=timeout_s):
            assembler.take(event)
            if on_event is not None:
                on_event(event)
        return assembler.output()

    def stream_text(self, prompt: str, *, timeout_s: float | None = None, **options: Any) -> Iterator[str]:  # noqa: ANN401
        """The pieces of a text as the gate lets them go; ``options`` as in ``messages.generate_request``.

        Raises:
            Blocked, HeldForReview: within the text: what was shown from ``retract_from`` on is to be taken back.
            GensafeError: whatever the server raised.
        """
        assembler = Assembler()
        for event in self.events(messages.generate_request(prompt, "text", **options), timeout_s=timeout_s):
            assembler.take(event)
            if event.HasField("text_delta"):
                yield event.text_delta.text
        assembler.output()

    # --- jobs: generations that outlive the connection -----------------------------------------------------------

    def start(
        self,
        prompt: str,
        modality: str,
        *,
        webhook_url: str = "",
        timeout_s: float | None = None,
        **options: Any,  # noqa: ANN401
    ) -> str:
        """Start a job; returns its request id. ``options`` as in ``messages.generate_request``.

        ``webhook_url`` is told how it ended; the operator must allow its host. See docs/webhooks.md.
        """
        request = generation_pb2.StartGenerationRequest(
            request=messages.generate_request(prompt, modality, **options), webhook_url=webhook_url
        )
        return self.unary(self.generation.StartGeneration, request, timeout_s=timeout_s).job.request_id

    def job(self, request_id: str, *, timeout_s: float | None = None) -> Job:
        """How a job stands."""
        request = generation_pb2.GetGenerationRequest(request_id=request_id)
        return read(Job, self.unary(self.generation.GetGeneration, request, timeout_s=timeout_s).job)

    def jobs(self, *, limit: int = 100, timeout_s: float | None = None) -> list[Job]:
        """The newest jobs of the caller's tenant, newest first, also of earlier runs of the server.

        Args:
            limit: At most so many.
            timeout_s: For one page of them.
        """
        found: list[Job] = []
        request = generation_pb2.ListGenerationsRequest()
        while len(found) < limit:
            request.page_size = min(limit - len(found), messages.JOBS_A_PAGE)
            page = self.unary(self.generation.ListGenerations, request, timeout_s=timeout_s)
            found += [read(Job, job) for job in page.jobs]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return found

    def wait(self, request_id: str, *, timeout_s: float | None = None) -> Job:
        """A job once it has ended, or as it stands when the time is over."""
        end = self._end(timeout_s)
        while True:
            left = end - time.monotonic()
            request = generation_pb2.WaitGenerationRequest(request_id=request_id)
            limit = max(left, messages.LAST_LOOK_S)
            job = read(Job, self.unary(self.generation.WaitGeneration, request, timeout_s=limit).job)
            if job.state is not JobState.RUNNING or end - time.monotonic() <= messages.LAST_LOOK_S:
                return job

    def cancel(self, request_id: str, *, timeout_s: float | None = None) -> Job:
        """Stop a job and wait until it has stopped."""
        request = generation_pb2.CancelGenerationRequest(request_id=request_id)
        return read(Job, self.unary(self.generation.CancelGeneration, request, timeout_s=timeout_s).job)

    def result(self, request_id: str, *, timeout_s: float | None = None) -> Output:
        """Wait for a job and download its output.

        Raises:
            Blocked, HeldForReview, Cancelled, GensafeError: as ``messages.released_by``.
        """
        completed = messages.released_by(self.wait(request_id, timeout_s=timeout_s))
        return Output(self.fetch(completed.record_id), completed)

    def fetch(self, record_id: str, *, have: bytes = b"", timeout_s: float | None = None) -> bytes:
        """Download a released output; ``have`` is what was received before the connection broke.

        Raises:
            BackendError: the bytes, with ``have``, are not those of the record.
            GensafeError: whatever the server raised.
        """
        download = Download(have)
        request = generation_pb2.FetchOutputRequest(record_id=record_id, offset=len(have))
        try:
            for piece in self.generation.FetchOutput(request, **self._call(timeout_s)):
                download.take(piece)
        except grpc.RpcError as error:
            raise self._error(error) from None
        return download.data()

    def verify(
        self,
        data: bytes,
        *,
        name: str = "",
        sidecar: bytes = b"",
        crjson: bool = False,
        timeout_s: float | None = None,
    ) -> VerificationReport:
        """Verify a file with the server's keys, registry and log."""
        try:
            pieces = iter(messages.verify_requests(data, name, sidecar, crjson))
            return report_from_pb(self.provenance.Verify(pieces, **self._call(timeout_s)))
        except grpc.RpcError as error:
            raise self._error(error) from None

    def classify(self, *items: str | Path | File, timeout_s: float | None = None) -> list[Judgement]:
        """Judge a batch of texts (``str``) and files (``Path`` or ``File``); the answers stand in their order."""
        request = safety_pb2.ClassifyRequest(items=map(messages.classify_item, items))
        results = self.unary(self.safety.Classify, request, timeout_s=timeout_s).results
        return [read(Judgement, result) for result in results]

    def models(self, *, timeout_s: float | None = None) -> list[Model]:
        """The models that the server offers, with the engine that serves each and what it takes and gives."""
        answer = self.unary(self.generation.ListModels, generation_pb2.ListModelsRequest(), timeout_s=timeout_s)
        return [read(Model, model) for model in answer.models]

    def proof(self, record_id: str, *, timeout_s: float | None = None) -> Proof:
        """Fetch the offline proof of a record."""
        request = audit_pb2.GetProofRequest(record_id=record_id)
        return read(Proof, self.unary(self.audit.GetProof, request, timeout_s=timeout_s))

    def review_copy(self, review_id: str, *, actor: str = "", timeout_s: float | None = None) -> ReviewCopy:
        """A marked copy of a held output, to look at; who takes it is logged. Needs the role review or admin.

        Raises:
            GensafeError: whatever the server raised.
        """
        request = admin_pb2.CopyReviewRequest(review_id=review_id, actor=actor)
        try:
            return messages.review_copy(list(self.admin.CopyReview(request, **self._call(timeout_s))))
        except grpc.RpcError as error:
            raise self._error(error) from None

    def unary(self, method: Callable[..., T], request: object, *, timeout_s: float | None = None) -> T:
        """Call any unary method of a stub with this client's deadline, credentials and error mapping."""
        end = self._end(timeout_s)
        for attempt in itertools.count():
            try:
                return method(request, **self._call(end - time.monotonic()))
            except grpc.RpcError as error:
                time.sleep(self._pause(error, attempt, end))
        raise AssertionError("the last attempt returns or raises")
