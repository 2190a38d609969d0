"""The asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc

from gensafe.client import messages, statuses
from gensafe.client.messages import Assembler, ClientOptions, Output
from gensafe.v1 import (
    audit_pb2_grpc,
    generation_pb2,
    generation_pb2_grpc,
    provenance_pb2,
    provenance_pb2_grpc,
    safety_pb2_grpc,
)

T = TypeVar("T")


class AsyncClient:
    """The same verbs as ``Client`` for asyncio; use it as an async context manager.

    Args:
        options: Where and how, or just "HOST:PORT".
    """

    def __init__(self, options: ClientOptions | str) -> None:
        self.options = ClientOptions(options) if isinstance(options, str) else options
        creds = messages.credentials(self.options)
        channel_options = messages.channel_options()
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
        await self._channel.close()

    def _call(self) -> dict[str, Any]:
        return {"timeout": self.options.timeout_s, "metadata": messages.metadata(self.options)}

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
                    raise statuses.to_error(error) from None
            finally:
                call.cancel()
            await asyncio.sleep(wait_s)

    async def generate(self, prompt: str, modality: str, **options: Any) -> Output:  # noqa: ANN401
        """Generate one output and return it whole; ``options`` as in ``messages.generate_request``."""
        assembler = Assembler()
        async for event in self.events(messages.generate_request(prompt, modality, **options)):
            assembler.take(event)
        return assembler.output()

    async def verify(
        self, data: bytes, *, name: str = "", sidecar: bytes = b"", crjson: bool = False
    ) -> provenance_pb2.VerifyResponse:
        """Verify a file with the server's keys, registry and log."""
        try:
            pieces = iter(messages.verify_requests(data, name, sidecar, crjson))
            return await self.provenance.Verify(pieces, **self._call())
        except grpc.RpcError as error:
            raise statuses.to_error(error) from None

    async def unary(self, method: Callable[..., Awaitable[T]], request: object) -> T:
        """Await any unary method of a stub with this client's deadline, credentials and error mapping."""
        for wait_s in (*messages.BACKOFF_S, None):
            try:
                return await method(request, **self._call())
            except grpc.RpcError as error:
                if wait_s is None or not messages.may_retry(error):
                    raise statuses.to_error(error) from None
                await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")
