"""GenerationService: the front of the pipeline, and jobs on top of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc

from gensafe.core import errors, ids
from gensafe.core.digest import sha256
from gensafe.core.languages import chosen
from gensafe.core.observer import name_request
from gensafe.core.types import GenerationRequest, RequestKey
from gensafe.pipeline import CallControl, Chain, PipelineEvent, Released, run
from gensafe.pipeline.replay import load_output
from gensafe.pipeline.watched import ended_by
from gensafe.server import convert
from gensafe.server.identity import caller
from gensafe.server.jobs import Jobs, Report
from gensafe.server.limits import Limits
from gensafe.server.scheduler import Work
from gensafe.server.webhooks import Webhooks
from gensafe.server.work import offload
from gensafe.v1 import generation_pb2 as pb
from gensafe.v1 import generation_pb2_grpc

CHUNK = 256 * 1024  # far below gRPC's 4 MiB a message, so that progress is even. A round number, not measured
LISTED, MAX_LISTED = 20, 100  # jobs of one page: when not said, and at most. Round numbers
LONGEST_S = 86_400.0  # a deadline may be as far as the largest number; timers take no such thing
Context = grpc.aio.ServicerContext[Any, Any]


class GenerationServicer(generation_pb2_grpc.GenerationServiceServicer):
    """Serves generations from one chain."""

    def __init__(self, chain: Chain, limits: Limits, webhooks: Webhooks) -> None:
        self._chain = chain
        self._limits = limits
        self._running: set[Work[PipelineEvent]] = set()
        self.jobs = Jobs(chain, limits, self._work, webhooks)

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        """Stream one generation."""
        wanted = convert.request_from_pb(request, caller().tenant)
        control = CallControl(self._deadline(context))
        words = chosen(_header(context, "accept-language"))
        work = self._begin(wanted, control)
        with self._limits.deliveries.lease() as lease:
            try:
                async for event in work.items():
                    if isinstance(event, Released):
                        data = event.recorded.signed.data
                        lease.grow(len(data))
                        for chunk in _chunks(data):
                            yield pb.GenerateResponse(media_chunk=chunk)
                    yield convert.event_to_pb(event, words)
            except errors.DeadlineExceeded:
                raise  # a slow reader, or the work itself has ended: what was begun is finished, and can be fetched
            except BaseException:
                work.cancel()  # the caller is gone
                raise

    async def events(self, wanted: GenerationRequest, control: CallControl) -> AsyncGenerator[PipelineEvent, None]:
        """Run one request in its turn, for the HTTP front. Closing it cancels the work.

        Raises:
            Overloaded, BackendUnavailable: as ``Work``, and the quota.
            GensafeError: as ``pipeline.run``.
        """
        work = self._begin(wanted, control)
        try:
            async for event in work.items():
                yield event
        finally:
            work.cancel()

    def _begin(self, wanted: GenerationRequest, control: CallControl) -> Work[PipelineEvent]:
        wanted = _as_caller(wanted)
        self._count(wanted)
        return self._work(wanted, control, lambda: None)

    def _count(self, wanted: GenerationRequest) -> None:
        name_request(wanted.request_id)
        try:
            self._limits.take("generations", wanted.tenant)
        except errors.GensafeError as error:
            self._chain.observe(ended_by(wanted, error))
            raise

    def _work(self, wanted: GenerationRequest, control: CallControl, began: Callable[[], None]) -> Work[PipelineEvent]:
        """Let a request wait for its turn; ``began`` is called, in the thread of the work, and may still refuse it."""
        name_request(wanted.request_id)

        def make() -> Iterator[PipelineEvent]:
            try:
                began()
            except errors.GensafeError as error:
                self._chain.observe(ended_by(wanted, error))
                raise
            return run(self._chain, wanted, control)

        try:
            work = Work(self._limits.generate, wanted.tenant, make, control)
        except errors.GensafeError as error:
            self._chain.observe(ended_by(wanted, error))
            raise
        self._running.add(work)
        work.task.add_done_callback(lambda _: self._ended(work, wanted))
        return work

    def _ended(self, work: Work[PipelineEvent], wanted: GenerationRequest) -> None:
        self._running.discard(work)
        if work.turned_away is not None:  # whatever began is reported by the pipeline
            self._chain.observe(ended_by(wanted, work.turned_away))

    def _deadline(self, context: Context) -> float:
        remaining = context.time_remaining()
        limit = self._chain.config.server.default_deadline_s
        return time.monotonic() + (limit if remaining is None else min(remaining, LONGEST_S))

    # --- jobs --------------------------------------------------------------------------------------------------------

    async def StartGeneration(self, request: pb.StartGenerationRequest, context: Context) -> pb.StartGenerationResponse:
        """Start a job, or return the one under this request id. One that failed or was cancelled is tried again."""
        wanted = convert.request_from_pb(request.request, caller().tenant)
        body = sha256(request.request.SerializeToString(deterministic=True))
        return pb.StartGenerationResponse(job=(await self.start(wanted, body, request.webhook_url)).told)

    async def start(self, wanted: GenerationRequest, body: str, webhook: str = "") -> Report:
        """As ``Jobs.start``, for whoever calls; also for the HTTP front."""
        wanted = _as_caller(wanted)
        self._count(wanted)
        return await self.jobs.start(wanted, body, webhook)

    async def GetGeneration(self, request: pb.GetGenerationRequest, context: Context) -> pb.GetGenerationResponse:
        """Report a job."""
        return pb.GetGenerationResponse(job=(await self.jobs.get(_key(request.request_id))).told)

    async def ListGenerations(self, request: pb.ListGenerationsRequest, context: Context) -> pb.ListGenerationsResponse:
        """List the caller's jobs."""
        if not 0 <= request.page_size <= MAX_LISTED:
            raise errors.InvalidRequest(f"must be 0 to {MAX_LISTED}", field="page_size")
        kind = convert.modality_from_pb(request.modality) if request.modality else None
        size, after = request.page_size or LISTED, request.page_token
        try:
            found, more = await self.jobs.page(caller().tenant, size, after, kind)
        except errors.NotFound:
            fix = "start again from the first page"
            raise errors.InvalidRequest("is of no job that is still kept", field="page_token", fix=fix) from None
        token = found[-1].row.request_id if more else ""
        return pb.ListGenerationsResponse(jobs=[one.told for one in found], next_page_token=token)

    async def WaitGeneration(self, request: pb.WaitGenerationRequest, context: Context) -> pb.WaitGenerationResponse:
        """Wait for a job, at most until shortly before the caller's deadline."""
        remaining = context.time_remaining()
        limit = None if remaining is None else max(0.0, remaining - 0.5)
        return pb.WaitGenerationResponse(job=(await self.jobs.wait(_key(request.request_id), limit)).told)

    async def CancelGeneration(
        self, request: pb.CancelGenerationRequest, context: Context
    ) -> pb.CancelGenerationResponse:
        """Ask a job to stop and wait until it has."""
        return pb.CancelGenerationResponse(job=(await self.jobs.cancel(_key(request.request_id))).told)

    # --- outputs and models ------------------------------------------------------------------------------------------

    async def FetchOutput(
        self, request: pb.FetchOutputRequest, context: Context
    ) -> AsyncIterator[pb.FetchOutputResponse]:
        """Send a released output again, from any offset."""
        record_id = ids.parse_record_id(request.record_id)
        record, data = await offload(load_output, self._chain, record_id, caller().tenant)
        if not 0 <= request.offset <= len(data):
            raise errors.InvalidRequest(f"the output has {len(data)} bytes", field="offset")
        with self._limits.deliveries.lease() as lease:
            lease.grow(len(data))
            for chunk in _chunks(data, request.offset):
                yield pb.FetchOutputResponse(offset=chunk.offset, data=chunk.data)
        yield pb.FetchOutputResponse(offset=len(data), digest=record.digest, size=len(data))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """List the models of every configured engine."""
        models = []
        for engine in self._chain.engines:
            can = engine.can
            for name, digest in engine.models.items():
                if not caller().may_use(name):
                    continue
                models.append(
                    pb.Model(
                        name=name,
                        engine=engine.name,
                        backend=engine.backend.name,
                        backend_version=engine.backend.version,
                        parameters=sorted(can.parameters),
                        unavailable="" if engine.health.ok else engine.health.reason,
                        weights_digest=digest,
                        inputs=[convert.MODALITIES[m] for m in sorted(can.inputs)],
                        outputs=[convert.MODALITIES[m] for m in sorted(can.outputs)],
                        sampling_marks=can.sampling_marks,
                        description=can.description,
                    )
                )
        return pb.ListModelsResponse(models=models)

    async def stop(self) -> None:
        """Cancel what still runs and wait for its log entries (shutdown)."""
        running = list(self._running)
        for work in running:
            work.cancel()
        if running:
            await asyncio.wait([work.task for work in running])
        await self.jobs.stop()


def _key(request_id: str) -> RequestKey:
    return RequestKey(caller().tenant, request_id)


def _header(context: Context, name: str) -> str:
    """A header of the call, from gRPC metadata; "" = not sent."""
    return ",".join(str(value) for key, value in context.invocation_metadata() or () if key == name)


def _as_caller(wanted: GenerationRequest) -> GenerationRequest:
    """The request with what is known of who makes it.

    Raises:
        PermissionDenied: it is in the name of another end user.
    """
    who = caller()
    if who.subject and wanted.subject not in ("", who.subject):
        raise errors.PermissionDenied("the token is of another end user", fix="leave the subject out")
    subject = who.subject or wanted.subject
    return replace(wanted, key_id=who.key_id, models=tuple(sorted(who.models)), subject=subject)


def _chunks(data: bytes, offset: int = 0) -> Iterator[pb.MediaChunk]:
    for i in range(offset, len(data), CHUNK):
        yield pb.MediaChunk(offset=i, data=data[i : i + CHUNK])
