"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc

from gensafe.client import channel, messages, statuses
from gensafe.client.messages import Assembler, ClientOptions, Download, Output
from gensafe.core import errors
from gensafe.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    generation_pb2,
    generation_pb2_grpc,
    provenance_pb2,
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
        self.audit = audit_pb2_grpc.AuditServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _call(self) -> dict[str, Any]:
        return {"timeout": self.options.timeout_s, "metadata": channel.metadata(self.options)}

    def _error(self, error: grpc.RpcError) -> errors.GensafeError:
        return statuses.to_error(error, tls=channel.uses_tls(self.options))

    def events(self, request: generation_pb2.GenerateRequest) -> Iterator[generation_pb2.GenerateResponse]:
        """Stream the events of one generation.

        Raises:
            GensafeError: whatever the server raised.
        """
        for wait_s in (*messages.BACKOFF_S, None):
            started = False
            try:
                for event in self.generation.Generate(request, **self._call()):
                    started = True
                    yield event
            except grpc.RpcError as error:
                if started or wait_s is None or not messages.may_retry(error):
                    raise self._error(error) from None
                time.sleep(wait_s)
            else:
                return

    def generate(self, prompt: str, modality: str, *, on_event: OnEvent | None = None, **options: Any) -> Output:  # noqa: ANN401
        """Generate one output and return it whole; ``options`` as in ``messages.generate_request``.

        Raises:
            Blocked: policy stopped it.
            HeldForReview: a person must see it first; repeat the request id to get the outcome.
            GensafeError: whatever the server raised.
        """
        assembler = Assembler()
        for event in self.events(messages.generate_request(prompt, modality, **options)):
            assembler.take(event)
            if on_event is not None:
                on_event(event)
        return assembler.output()

    def fetch(self, record_id: str, *, have: bytes = b"") -> bytes:
        """Download a released output; ``have`` is what was received before the connection broke.

        Raises:
            BackendError: the bytes, with ``have``, are not those of the record.
            GensafeError: whatever the server raised.
        """
        download = Download(have)
        request = generation_pb2.FetchOutputRequest(record_id=record_id, offset=len(have))
        try:
            for piece in self.generation.FetchOutput(request, **self._call()):
                download.take(piece)
        except grpc.RpcError as error:
            raise self._error(error) from None
        return download.data()

    def verify(
        self, data: bytes, *, name: str = "", sidecar: bytes = b"", crjson: bool = False
    ) -> provenance_pb2.VerifyResponse:
        """Verify a file with the server's keys, registry and log."""
        try:
            return self.provenance.Verify(iter(messages.verify_requests(data, name, sidecar, crjson)), **self._call())
        except grpc.RpcError as error:
            raise self._error(error) from None

    def classify(self, *items: safety_pb2.ClassifyItem) -> safety_pb2.ClassifyResponse:
        """Judge a batch of items."""
        return self.unary(self.safety.Classify, safety_pb2.ClassifyRequest(items=items))

    def models(self) -> list[generation_pb2.Model]:
        """The models that the server offers, with the engine that serves each and what it takes and gives."""
        return list(self.unary(self.generation.ListModels, generation_pb2.ListModelsRequest()).models)

    def proof(self, record_id: str) -> audit_pb2.GetProofResponse:
        """Fetch the offline proof of a record."""
        return self.unary(self.audit.GetProof, audit_pb2.GetProofRequest(record_id=record_id))

    def unary(self, method: Callable[..., T], request: object) -> T:
        """Call any unary method of a stub with this client's deadline, credentials and error mapping."""
        for wait_s in (*messages.BACKOFF_S, None):
            try:
                return method(request, **self._call())
            except grpc.RpcError as error:
                if wait_s is None or not messages.may_retry(error):
                    raise self._error(error) from None
                time.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")
