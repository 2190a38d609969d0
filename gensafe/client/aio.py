"""The asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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


class AsyncClient:
    """The same verbs as ``Client`` for asyncio; use it as an async context manager.

    Args:
        options: Where and how, or just "HOST:PORT".
    """

    def __init__(self, options: ClientOptions | str) -> None:
        self.options = ClientOptions(options) if isinstance(options, str) else options
        creds = channel.credentials(self.options)
        self._call()  # an API key that cannot be sent is said here, not at the first call
        channel_options = channel.channel_options(self.options)
        if creds is None:
            self._channel = grpc.aio.insecure_channel(self.options.address, channel_options)
        else:
            self._channel = grpc.aio.secure_channel(self.options.address, creds, channel_options)
        self.generation: generation_pb2_grpc.GenerationServiceAsyncStub = generation_pb2_grpc.GenerationServiceStub(
            self._channel
        )
        self.safety: safety_pb2_grpc.SafetyServiceAsyncStub = safety_pb2_grpc.SafetyServiceStub(self._channel)
        self.provenance: provenance_pb2_grpc.ProvenanceServiceAsyncStub = provenance_pb2_grpc.ProvenanceServiceStub(
            self._channel
        )
        self.audit: audit_pb2_grpc.AuditServiceAsyncStub = audit_pb2_grpc.AuditServiceStub(self._channel)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    def _call(self) -> dict[str, Any]:
        return {"timeout": self.options.timeout_s, "metadata": channel.metadata(self.options)}

    def _error(self, error: grpc.RpcError) -> errors.GensafeError:
        return statuses.to_error(error, tls=channel.uses_tls(self.options))

    async def events(self, request: generation_pb2.GenerateRequest) -> AsyncIterator[generation_pb2.GenerateResponse]:
        """Stream the events of one generation; closing the iterator cancels the call."""
        for wait_s in (*messages.BACKOFF_S, None):
            started = False
            call = self.generation.Generate(request, **self._call())
            try:
                async for event in call:
                    started = True
                    yield event
                return
            except grpc.RpcError as error:
                if started or wait_s is None or not messages.may_retry(error):
                    raise self._error(error) from None
            finally:
                call.cancel()
            await asyncio.sleep(wait_s)

    async def generate(
        self,
        prompt: str,
        modality: str,
        *,
        on_event: OnEvent | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Output:
        """Generate one output and return it whole; as ``Client.generate``."""
        assembler = Assembler()
        async for event in self.events(messages.generate_request(prompt, modality, **options)):
            assembler.take(event)
            if on_event is not None:
                on_event(event)
        return assembler.output()

    async def fetch(self, record_id: str, *, have: bytes = b"") -> bytes:
        """Download a released output; as ``Client.fetch``."""
        download = Download(have)
        request = generation_pb2.FetchOutputRequest(record_id=record_id, offset=len(have))
        call = self.generation.FetchOutput(request, **self._call())
        try:
            async for piece in call:
                download.take(piece)
        except grpc.RpcError as error:
            raise self._error(error) from None
        finally:
            call.cancel()
        return download.data()

    async def verify(
        self, data: bytes, *, name: str = "", sidecar: bytes = b"", crjson: bool = False
    ) -> provenance_pb2.VerifyResponse:
        """Verify a file with the server's keys, registry and log."""
        try:
            pieces = iter(messages.verify_requests(data, name, sidecar, crjson))
            return await self.provenance.Verify(pieces, **self._call())
        except grpc.RpcError as error:
            raise self._error(error) from None

    async def classify(self, *items: safety_pb2.ClassifyItem) -> safety_pb2.ClassifyResponse:
        """Judge a batch of items."""
        return await self.unary(self.safety.Classify, safety_pb2.ClassifyRequest(items=items))

    async def models(self) -> list[generation_pb2.Model]:
        """The models that the server offers, with the engine that serves each and what it takes and gives."""
        answer = await self.unary(self.generation.ListModels, generation_pb2.ListModelsRequest())
        return list(answer.models)

    async def proof(self, record_id: str) -> audit_pb2.GetProofResponse:
        """Fetch the offline proof of a record."""
        return await self.unary(self.audit.GetProof, audit_pb2.GetProofRequest(record_id=record_id))

    async def unary(self, method: Callable[..., Awaitable[T]], request: object) -> T:
        """Await any unary method of a stub with this client's deadline, credentials and error mapping."""
        for wait_s in (*messages.BACKOFF_S, None):
            try:
                return await method(request, **self._call())
            except grpc.RpcError as error:
                if wait_s is None or not messages.may_retry(error):
                    raise self._error(error) from None
                await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")
