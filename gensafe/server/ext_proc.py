"""Envoy's external processing filter (``envoy.service.ext_proc.v3.ExternalProcessor``): a guard for any HTTP API.

Protocol: https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ext_proc/v3/external_processor.proto. One stream is
one HTTP exchange:
1. Request headers: the answer may not be compressed (``accept-encoding`` is taken off), for nobody could read it.
2. A body is held back until all of it is here, is judged, and then goes on whole: no piece of it leaves unjudged,
   whether the filter sends bodies BUFFERED, STREAMED or FULL_DUPLEX_STREAMED.
3. What policy stops, and what cannot be examined, is answered by an ``ImmediateResponse``.
4. Verdicts and receipts go into the dynamic metadata ``gensafe``; receipts also into headers of the answer.

A filter whose mode would send a body past this server (NONE, BUFFERED_PARTIAL, GRPC, observability) is refused: a guard
that sees half is worse than one that is known to be off.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from gensafe.core import errors, ids
from gensafe.core.types import Stage
from gensafe.extproc.v3 import ext_proc_pb2 as pb
from gensafe.pipeline import Chain, Moderation
from gensafe.server.content import parts_of_body
from gensafe.server.identity import caller
from gensafe.server.judging import judge, reason
from gensafe.server.limits import Limits
from gensafe.server.quota import Lease

SERVICE: Final = "envoy.service.ext_proc.v3.ExternalProcessor"
_STOPPED: Final = 400  # as the OpenAI-compatible front answers a policy stop; clients of such APIs know it
_UNFIT: Final = 502  # the gateway's configuration, or an answer of the model's server, cannot be guarded
_OVERWRITE: Final = 2  # Envoy's OVERWRITE_IF_EXISTS_OR_ADD
_MAX_HEADER: Final = 32 << 10  # bytes of a receipt in a header: half of Envoy's default bound for all headers, 60 KiB
_DEFLATE: Final = {"gzip": 31, "deflate": 15}  # zlib's wbits

Context = grpc.aio.ServicerContext[Any, Any]


class BodyMode(IntEnum):
    """``ProcessingMode.BodySendMode`` of the filter."""

    NONE = 0
    STREAMED = 1
    BUFFERED = 2
    BUFFERED_PARTIAL = 3
    FULL_DUPLEX_STREAMED = 4
    GRPC = 5


_WHOLE: Final = (BodyMode.STREAMED, BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED)


class _Ended(Exception):
    """The exchange ends here with this answer."""

    def __init__(self, answer: pb.ProcessingResponse) -> None:
        super().__init__()
        self.answer = answer


@dataclass(slots=True)
class _Message:
    """One direction of the exchange: "request" or "response"."""

    name: str
    stage: Stage
    mode: int = -1  # of ``BodyMode``; -1 = the filter does not say (Envoy before 1.33)
    content_type: str = ""
    encoding: str = ""
    body: bytearray = field(default_factory=bytearray)
    judged: Moderation | None = None
    done: bool = False


class ExternalProcessor:
    """Serves the filter.

    Args:
        chain: Policy and log.
        limits: Quotas, the pool for classification, memory for bodies.
    """

    def __init__(self, chain: Chain, limits: Limits) -> None:
        self._chain, self._limits = chain, limits

    async def Process(
        self, requests: AsyncIterator[pb.ProcessingRequest], context: Context
    ) -> AsyncIterator[pb.ProcessingResponse]:
        """One HTTP exchange."""
        sides = {"request": _Message("request", Stage.PROMPT), "response": _Message("response", Stage.OUTPUT)}
        request_id = ids.new_request_id()
        with self._limits.uploads.lease() as lease:
            try:
                async for asked in requests:
                    kind = asked.WhichOneof("request") or ""
                    side = sides.get(kind.partition("_")[0])
                    if side is None:
                        raise errors.InvalidRequest("the message is of no known kind", field="request")
                    self._configured(asked, sides)
                    async for answer in self._answers(asked, kind, side, sides, request_id, lease):
                        yield answer
            except _Ended as ended:
                yield ended.answer

    async def _answers(
        self,
        asked: pb.ProcessingRequest,
        kind: str,
        side: _Message,
        sides: dict[str, _Message],
        request_id: str,
        lease: Lease,
    ) -> AsyncIterator[pb.ProcessingResponse]:
        if kind.endswith("_headers"):
            yield _headers_seen(side, getattr(asked, kind), sides["request"])
        elif kind.endswith("_body"):
            part = getattr(asked, kind)
            self._add(side, part.body, lease)
            if part.end_of_stream:
                await self._judge(side, request_id)
                yield _let_go(side)
            elif side.mode == BodyMode.STREAMED:
                yield _answer(kind, _body(pb.BodyMutation(clear_body=True)))  # held back
            elif side.mode != BodyMode.FULL_DUPLEX_STREAMED:
                raise _Ended(_unfit(f"a part of a {side.name} body, in a mode that sends no more of it"))
        else:
            if side.body and not side.done:
                if side.mode != BodyMode.FULL_DUPLEX_STREAMED:
                    raise _Ended(_unfit("a body that ends in trailers needs the mode FULL_DUPLEX_STREAMED"))
                await self._judge(side, request_id)
                yield _let_go(side, more=True)
            yield _answer(kind, pb.TrailersResponse())

    def _configured(self, asked: pb.ProcessingRequest, sides: dict[str, _Message]) -> None:
        """Take in how the filter is set up; it says so in its first message.

        Raises:
            _Ended: it would pass content by.
        """
        if asked.observability_mode:
            raise _Ended(_unfit("observability_mode lets everything pass; a guard cannot work in it"))
        if not asked.HasField("protocol_config"):
            return
        config = asked.protocol_config
        modes = {"request": config.request_body_mode, "response": config.response_body_mode}
        for side, mode in ((sides[name], mode) for name, mode in modes.items()):
            if mode not in _WHOLE:
                name = BodyMode(mode).name if mode in list(BodyMode) else str(mode)
                raise _Ended(_unfit(f"{side.name}_body_mode is {name}, which sends bodies past this guard"))
            side.mode = mode

    def _add(self, side: _Message, data: bytes, lease: Lease) -> None:
        if side.done or len(side.body) + len(data) > self._limits.config.max_request_bytes:
            raise _Ended(_unfit(f"the {side.name} body is larger than this guard takes", 413))
        lease.grow(len(data))
        side.body += data

    async def _judge(self, side: _Message, request_id: str) -> None:
        """Judge a whole body.

        Raises:
            _Ended: it may not go on.
        """
        side.done = True
        tenant = caller().tenant
        try:
            parts = parts_of_body(self._plain(side), side.content_type)
            if not parts:
                return
            found = await judge(
                self._chain,
                self._limits,
                parts,
                stage=side.stage,
                tenant=tenant,
                gateway="envoy",
                request_id=request_id,
            )
        except errors.InvalidRequest as error:
            raise _Ended(_unfit(error.message, _STOPPED if side.name == "request" else _UNFIT)) from None
        side.judged = found
        if not found.passed or found.masked:  # the body's own form is not ours to rewrite
            raise _Ended(_stopped(found))

    def _plain(self, side: _Message) -> bytes:
        """The body without its content coding, within the same bound."""
        data, coding = bytes(side.body), side.encoding.strip().lower()
        if coding in ("", "identity"):
            return data
        if coding not in _DEFLATE:
            raise errors.InvalidRequest(f"a body with content-encoding {coding[:40]!r} cannot be examined")
        reader, most = zlib.decompressobj(_DEFLATE[coding]), self._limits.config.max_request_bytes
        try:
            plain = reader.decompress(data, most)
        except zlib.error:
            raise errors.InvalidRequest("the body's content-encoding is damaged") from None
        if not reader.eof or reader.unused_data:
            raise errors.InvalidRequest("the body is cut off or too large when decoded")
        return plain


def add_to_server(processor: ExternalProcessor, server: grpc.aio.Server) -> None:
    """Serve it under Envoy's name for the service."""
    handler = grpc.stream_stream_rpc_method_handler(
        processor.Process,
        request_deserializer=pb.ProcessingRequest.FromString,
        response_serializer=pb.ProcessingResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Process": handler}),))


def _headers_seen(side: _Message, headers: pb.HttpHeaders, request: _Message) -> pb.ProcessingResponse:
    """Note what the body will be, and let the headers go on."""
    found = {h.key.lower(): h.raw_value.decode("latin-1") or h.value for h in headers.headers.headers}
    side.content_type, side.encoding = found.get("content-type", ""), found.get("content-encoding", "")
    side.done = headers.end_of_stream
    change = pb.HeaderMutation()
    if side.name == "request":
        change.remove_headers.append("accept-encoding")
    elif request.judged is not None:
        change = _receipt_headers("x-gensafe-request-receipt", request.judged)
    answer = pb.HeadersResponse(response=pb.CommonResponse(header_mutation=change))
    return _answer(f"{side.name}_headers", answer)


def _let_go(side: _Message, *, more: bool = False) -> pb.ProcessingResponse:
    """The whole body, judged. ``more``: trailers follow."""
    change = None
    if side.mode == BodyMode.FULL_DUPLEX_STREAMED:
        change = pb.BodyMutation(
            streamed_response=pb.StreamedBodyResponse(body=bytes(side.body), end_of_stream=not more)
        )
    elif side.mode == BodyMode.STREAMED:
        change = pb.BodyMutation(body=bytes(side.body))
    answer = _body(change)
    if side.judged is not None and side.name == "response" and side.mode in (-1, BodyMode.BUFFERED):
        answer.response.header_mutation.CopyFrom(_receipt_headers("x-gensafe-response-receipt", side.judged))
    shown = _answer(f"{side.name}_body", answer)
    if side.judged is not None:
        shown.dynamic_metadata.CopyFrom(_metadata(side.name, side.judged))
    return shown


def _answer(kind: str, value: Message) -> pb.ProcessingResponse:
    """The answer to a message of ``kind``; its member has the same name."""
    answer = pb.ProcessingResponse()
    getattr(answer, kind).CopyFrom(value)
    return answer


def _body(change: pb.BodyMutation | None) -> pb.BodyResponse:
    return pb.BodyResponse(response=pb.CommonResponse(body_mutation=change))


def _stopped(found: Moderation) -> pb.ProcessingResponse:
    why = reason(found)
    error = {"message": why, "type": "invalid_request_error", "param": None, "code": "content_filter"}
    status = 503 if found.failed else _STOPPED
    if found.failed:
        error |= {"type": "server_error", "code": "safety_unavailable"}
    return _immediate(status, {"error": error | {"gensafe": {"receipt": found.receipt}}}, "gensafe_stopped")


def _unfit(why: str, status: int = _UNFIT) -> pb.ProcessingResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": why, "type": kind, "param": None, "code": "cannot_be_examined"}}
    return _immediate(status, body, "gensafe_cannot_examine")


def _immediate(status: int, body: dict[str, Any], details: str) -> pb.ProcessingResponse:
    answer = pb.ImmediateResponse(status=pb.HttpStatus(code=status), body=json.dumps(body).encode(), details=details)
    answer.headers.CopyFrom(_set_header("content-type", "application/json"))
    return pb.ProcessingResponse(immediate_response=answer)


def _receipt_headers(name: str, found: Moderation) -> pb.HeaderMutation:
    """The receipt as base64 of its JSON; only its place in the log where it is too long for a header."""
    data = json.dumps(found.receipt, separators=(",", ":")).encode()
    text = base64.b64encode(data).decode()
    return _set_header(name, text if len(text) <= _MAX_HEADER else f"index={found.receipt['index']}")


def _set_header(name: str, value: str) -> pb.HeaderMutation:
    header = pb.HeaderValue(key=name, raw_value=value.encode())
    return pb.HeaderMutation(set_headers=[pb.HeaderValueOption(header=header, append_action=_OVERWRITE)])


def _metadata(side: str, found: Moderation) -> Struct:
    """For access logs and later filters: namespace ``gensafe``."""
    shown = Struct()
    told = {"action": found.action.value, "passed": found.passed, "receipt": json.dumps(found.receipt)}
    shown.update({"gensafe": {side: told}})
    return shown
