"""The gRPC methods for browsers, by the Connect protocol (https://connectrpc.com/docs/protocol): docs/http-api.md.

One POST to ``/SERVICE/METHOD`` with a JSON or protobuf message; one message back, or a stream of enveloped ones. What
takes a stream of requests is left to gRPC: browsers cannot send one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import struct
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gensafe.core.errors import DeadlineExceeded, GensafeError, InvalidRequest
from gensafe.server.access import SERVICES, roles_for
from gensafe.server.http.guard import TooSlow
from gensafe.server.http.identity import as_bearer
from gensafe.server.http.openai import Front
from gensafe.server.inside import Aborted
from gensafe.server.status import to_status
from gensafe.server.work import offload, use_pool

_JSON, _PROTO = "json", "proto"
_LARGE: Final = 1 << 18  # bytes; a message above this is read beside the event loop. As in openai.front
_END_STREAM: Final = 2  # flag of the envelope that ends a stream
_HEAD: Final = 5  # bytes before an enveloped message: flags and length
_TIMEOUT_DIGITS: Final = 10  # of Connect-Timeout-Ms, as the protocol says
_SAID: Final = 300  # characters of what the parser says. Chosen, not measured
_STATUSES: Final[Mapping[str, int]] = {  # of a unary answer, as the protocol maps them
    "canceled": 499,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
    "unknown": 500,
}


@dataclass(frozen=True, slots=True)
class _Method:
    """What the protocol needs to know of a method."""

    path: str
    roles: tuple[str, ...]
    request: type[Message]
    streams: bool  # the answer
    takes_stream: bool

    @property
    def enveloped(self) -> bool:
        """Whether messages stand in envelopes: where either side may send several."""
        return self.streams or self.takes_stream

    @property
    def codecs(self) -> Mapping[str, str]:
        """Codec by content type."""
        prefix = "application/connect+" if self.enveloped else "application/"
        return {prefix + codec: codec for codec in (_JSON, _PROTO)}


def routes(front: Front) -> list[BaseRoute]:
    """A route for each method."""
    return [Route(m.path, Endpoint(front, m), methods=["POST"]) for m in _described()]


def _described() -> Iterator[_Method]:
    for service in SERVICES:
        for method in descriptor_pool.Default().FindServiceByName(service).methods:
            yield _Method(
                path=f"/{service}/{method.name}",
                roles=roles_for(f"/{service}/{method.name}"),
                request=message_factory.GetMessageClass(method.input_type),
                streams=method.server_streaming,
                takes_stream=method.client_streaming,
            )


class _Unsupported(Exception):
    """A content type that the method does not speak."""


class _Refused(Exception):
    """The answer, before the method is called."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class Endpoint:
    """One method as an ASGI app."""

    def __init__(self, front: Front, method: _Method) -> None:
        self._front, self._method = front, method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call. A client that leaves cancels it."""
        request = Request(scope, receive)
        codec = self._method.codecs.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
        if codec is None:
            headers = {"Accept-Post": ", ".join(self._method.codecs)}
            await Response(status_code=415, headers=headers)(scope, receive, send)
            return
        answer = _Answer(self._method, codec, send)
        try:
            message, timeout_s = await self._read(request, codec)
        except _Refused as refused:
            await answer.refuse(refused.status)
        except GensafeError as error:
            await answer.refuse(to_status(error))
        else:
            await _unless_gone(receive, self._serve(request, message, timeout_s, answer))

    async def _read(self, request: Request, codec: str) -> tuple[Message, float | None]:
        """Refuse by the headers first, then read the body.

        Raises:
            GensafeError: who calls may not, or what was sent is not a message of the method.
            _Refused: the method or the encoding is not served here.
        """
        method = self._method
        identity = self._front.identify(request, *method.roles)
        use_pool(self._front.limits.read, identity.tenant)
        if method.takes_stream:
            raise _unimplemented(f"{method.path} takes a stream of requests: call it over gRPC")
        timeout_s = _timeout(request.headers)
        encoding = "connect-content-encoding" if method.enveloped else "content-encoding"
        if request.headers.get(encoding, "identity") != "identity":
            raise _unimplemented(f"{encoding} {request.headers[encoding][:40]!r}: send the message as it is")
        body = await request.body()
        data = _opened(body) if method.enveloped else body
        if len(data) > _LARGE:
            return await offload(_decode, method.request, codec, data), timeout_s
        return _decode(method.request, codec, data), timeout_s

    async def _serve(self, request: Request, message: Message, timeout_s: float | None, answer: _Answer) -> None:
        # a server without keys has nothing to compare one with, and leaves it alone, as everywhere over HTTP
        headers = request.headers.getlist("authorization") if self._front.keys is not None else []
        call = self._front.methods.call(
            self._method.path,
            [("authorization", as_bearer(value)) for value in headers],
            message,
            write=answer.write if self._method.streams else None,
            timeout_s=timeout_s,
        )
        try:
            ended = await asyncio.wait_for(call, timeout_s)
        except Aborted as aborted:
            await answer.refuse(aborted.status)
        except TimeoutError:
            await answer.refuse(status_pb2.Status(code=code_pb2.DEADLINE_EXCEEDED, message="the deadline passed"))
        else:
            await answer.finish(ended)


class _Answer:
    """What goes back: one message, or envelopes of which the last says how the stream ended."""

    def __init__(self, method: _Method, codec: str, send: Send) -> None:
        self._method, self._codec, self._send = method, codec, send
        self._started = False

    async def write(self, message: Message) -> None:
        """One message of a stream.

        Raises:
            DeadlineExceeded: it is not read.
        """
        try:
            await self._envelope(0, _encode(self._codec, message))
        except TooSlow:
            raise DeadlineExceeded("nobody reads the answer") from None

    async def finish(self, message: Message | None) -> None:
        """The answer is complete."""
        if message is None:
            await self._envelope(_END_STREAM, b"{}", last=True)
        else:
            await self._whole(200, f"application/{self._codec}", _encode(self._codec, message))

    async def refuse(self, status: status_pb2.Status) -> None:
        """The call ended with an error."""
        code, shown = _shown(status)
        if self._method.enveloped:
            await self._envelope(_END_STREAM, json.dumps({"error": shown}).encode(), last=True)
        else:
            await self._whole(_STATUSES[code], "application/json", json.dumps(shown).encode(), _retry_after(status))

    async def _whole(self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        response = Response(body, status, headers, media_type=kind)
        await self._send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _envelope(self, flags: int, data: bytes, *, last: bool = False) -> None:
        if not self._started:
            self._started = True
            headers = [(b"content-type", f"application/connect+{self._codec}".encode())]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        body = struct.pack(">BI", flags, len(data)) + data
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work``; cancel it when the client goes away."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    call, left = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({call, left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left.cancel()
        call.cancel()  # nothing, where it has ended
        with contextlib.suppress(asyncio.CancelledError):
            await call


def _timeout(headers: Mapping[str, str]) -> float | None:
    """Seconds that the caller gives the call; None = it does not say.

    Raises:
        InvalidRequest: not a number of milliseconds, or another version of the protocol.
    """
    if headers.get("connect-protocol-version", "1") != "1":
        raise InvalidRequest("only version 1 is spoken here", field="Connect-Protocol-Version")
    text = headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _TIMEOUT_DIGITS):
        raise InvalidRequest(f"up to {_TIMEOUT_DIGITS} digits", field="Connect-Timeout-Ms")
    return int(text) / 1000


def _opened(body: bytes) -> bytes:
    """The one message in the envelope of a request.

    Raises:
        InvalidRequest: no envelope, several, or a compressed one.
    """
    if len(body) < _HEAD or len(body) != _HEAD + int.from_bytes(body[1:_HEAD], "big"):
        raise InvalidRequest("the body is not one enveloped message: a byte of flags, four of length, the message")
    if body[0] != 0:
        raise InvalidRequest("the message is compressed, or marked as the end of a stream", fix="send it as it is")
    return body[_HEAD:]


def _decode(kind: type[Message], codec: str, data: bytes) -> Message:
    """A message as it was sent.

    Raises:
        InvalidRequest: it is not a message of that kind. A field that is not known is named.
    """
    try:
        if codec == _PROTO:
            return kind.FromString(data)
        return json_format.Parse(data, kind())
    except (DecodeError, json_format.ParseError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:_SAID]
        raise InvalidRequest(f"the request is not this method's message: {said}", field="request") from None


def _encode(codec: str, message: Message) -> bytes:
    if codec == _PROTO:
        return message.SerializeToString()
    return json_format.MessageToJson(message, indent=None).encode()


def _shown(status: status_pb2.Status) -> tuple[str, dict[str, Any]]:
    """The protocol's name of the code, and the error object."""
    code = code_pb2.Code.Name(status.code).lower().replace("cancelled", "canceled")
    details = []
    for packed in status.details:
        name = packed.TypeName()
        detail: dict[str, Any] = {"type": name, "value": base64.b64encode(packed.value).decode().rstrip("=")}
        details.append(detail | {"debug": {k: v for k, v in json_format.MessageToDict(packed).items() if k != "@type"}})
    return code, {"code": code, "message": status.message, "details": details}


def _retry_after(status: status_pb2.Status) -> dict[str, str]:
    retry = error_details_pb2.RetryInfo()
    for packed in status.details:
        if packed.Unpack(retry):
            return {"Retry-After": str(math.ceil(retry.retry_delay.ToTimedelta().total_seconds()))}
    return {}


def _unimplemented(message: str) -> _Refused:
    return _Refused(status_pb2.Status(code=code_pb2.UNIMPLEMENTED, message=message))
