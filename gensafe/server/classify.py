"""SafetyService: verdicts over texts and media by themselves, under the server's policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from gensafe import media as codecs
from gensafe.core import errors
from gensafe.core.types import Stage, Text
from gensafe.pipeline import Chain
from gensafe.safety import judge_parts
from gensafe.safety.streaming import StreamGate
from gensafe.server import convert
from gensafe.server.identity import caller
from gensafe.server.limits import Limits
from gensafe.server.work import offload
from gensafe.v1 import safety_pb2 as pb
from gensafe.v1 import safety_pb2_grpc

MAX_ITEMS = 64  # bounds what one call occupies; more go into further calls. Chosen, not measured
STREAM_ITEM_CHARS = 2000  # about one answer of a model
Context = grpc.aio.ServicerContext[Any, Any]


class SafetyServicer(safety_pb2_grpc.SafetyServiceServicer):
    """Judges without generating."""

    def __init__(self, chain: Chain, limits: Limits) -> None:
        self._chain = chain
        self._limits = limits

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        """Judge a batch; an unreadable item fails alone."""
        if not 0 < len(request.items) <= MAX_ITEMS:
            raise errors.InvalidRequest(f"send 1 to {MAX_ITEMS} items", field="items")
        tenant = caller().tenant
        self._limits.take("classifications", tenant, len(request.items))
        results = [await offload(classify_item, self._chain, item, tenant) for item in request.items]
        return pb.ClassifyResponse(results=results)

    async def ClassifyStream(
        self, requests: AsyncIterator[pb.ClassifyStreamRequest], context: Context
    ) -> AsyncIterator[pb.ClassifyStreamResponse]:
        """Release a growing text piece by piece, as the generator's own text is."""
        tenant, unpaid = caller().tenant, 1
        gate = StreamGate(self._chain.safety(caller().tenant), stage=Stage.STANDALONE)
        try:
            async for request in requests:
                unpaid -= len(request.delta)
                while unpaid <= 0:  # every piece of this size costs as much as an item
                    self._limits.take("classifications", tenant)
                    unpaid += STREAM_ITEM_CHARS
                released = await offload(gate.push, request.delta)
                if released:
                    yield pb.ClassifyStreamResponse(released=released)
            rest, verdict = await offload(gate.finish)
            yield pb.ClassifyStreamResponse(released=rest, verdict=convert.verdict_to_pb(verdict))
        except errors.SafetyBlocked as error:
            yield pb.ClassifyStreamResponse(
                blocked=True, retract_from=error.offset or 0, verdict=convert.verdict_to_pb(error.verdict)
            )


def classify_item(chain: Chain, item: pb.ClassifyItem, tenant: str) -> pb.ClassifyResult:
    """Judge one text or file; what is wrong with it is its result."""
    safety = chain.safety(tenant)
    try:
        if item.WhichOneof("item") == "media":
            parts = codecs.open_parts(item.media.data, item.media.media_type or None)
            verdict = judge_parts(safety, parts, Stage.STANDALONE)
        else:
            verdict = safety.judge(Text(item.text), Stage.STANDALONE)
    except errors.GensafeError as error:
        return pb.ClassifyResult(error_reason=error.reason, error_message=str(error))
    return pb.ClassifyResult(verdict=convert.verdict_to_pb(verdict))
