"""GenerationService: the front of the pipeline, and long jobs on top of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from gensafe.core import errors, ids
from gensafe.core.digest import sha256
from gensafe.core.types import GenerationRequest, Progress
from gensafe.pipeline import CallControl, Chain, Held, PipelineEvent, Released, Stopped, run, standing
from gensafe.pipeline.replay import load_output
from gensafe.server import convert
from gensafe.server.identity import caller
from gensafe.server.scheduler import Scheduler
from gensafe.v1 import generation_pb2 as pb
from gensafe.v1 import generation_pb2_grpc

log = logging.getLogger("gensafe.server")
CHUNK = 256 * 1024
KEPT_JOBS = 1000
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class _Job:
    """A generation that outlives its call."""

    control: CallControl
    state: pb.Job
    body: str  # digest of the request
    held: Held | None = None
    task: asyncio.Task[None] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class GenerationServicer(generation_pb2_grpc.GenerationServiceServicer):
    """Serves generations from one chain."""

    def __init__(self, chain: Chain, scheduler: Scheduler) -> None:
        self._chain = chain
        self._scheduler = scheduler
        self._jobs: dict[tuple[str, str], _Job] = {}

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        """Stream one generation."""
        wanted = convert.request_from_pb(request, caller().tenant)
        control = CallControl(self._deadline(context))
        async for event in self.events(wanted, control):
            if isinstance(event, Released):
                for chunk in _chunks(event.recorded.signed.data):
                    yield pb.GenerateResponse(media_chunk=chunk)
            yield convert.event_to_pb(event)

    async def events(self, wanted: GenerationRequest, control: CallControl) -> AsyncGenerator[PipelineEvent, None]:
        """Run one request in its turn; also for the HTTP front. Closing it cancels the work and waits for its end.

        Raises:
            Overloaded, BackendUnavailable: as ``Scheduler.slot``.
            GensafeError: as ``pipeline.run``.
        """
        async with (
            self._scheduler.slot(wanted.tenant),
            self._scheduler.bridge(lambda: run(self._chain, wanted, control), control) as bridge,
        ):
            async for event in bridge.items():
                yield event

    def _deadline(self, context: Context) -> float:
        remaining = context.time_remaining()
        limit = self._chain.config.server.default_deadline_s
        return time.monotonic() + (remaining if remaining is not None else limit)

    # --- long jobs ---------------------------------------------------------------------------------------------------

    async def StartGeneration(self, request: pb.StartGenerationRequest, context: Context) -> pb.StartGenerationResponse:
        """Start a job, or return the one under this request id. One that failed or was cancelled is tried again."""
        wanted = convert.request_from_pb(request.request, caller().tenant)
        body = sha256(request.request.SerializeToString(deterministic=True))
        key = (wanted.tenant, wanted.request_id)
        job = self._jobs.get(key)
        if job is not None and job.body != body:
            raise errors.Conflict("the id belongs to another request", field="request_id", fix="send a fresh UUID")
        if job is not None:
            await self._look_again(job)
        if job is None or job.state.state in (pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED):
            self._forget_old_jobs()
            limit = time.monotonic() + self._chain.config.server.default_deadline_s
            state = pb.Job(request_id=wanted.request_id, state=pb.JOB_STATE_RUNNING)
            job = self._jobs[key] = _Job(CallControl(limit), state, body)
            job.task = asyncio.create_task(self._work(job, wanted))
        return pb.StartGenerationResponse(job=job.state)

    def _forget_old_jobs(self) -> None:
        """Keep the newest ended jobs; older outputs are still found by FetchOutput and by repeating the request."""
        ended = [key for key, job in self._jobs.items() if job.done.is_set()]
        for key in ended[: max(0, len(ended) - KEPT_JOBS)]:
            del self._jobs[key]

    async def _work(self, job: _Job, wanted: GenerationRequest) -> None:
        try:
            async for event in self.events(wanted, job.control):
                _note(job, event)
        except errors.Cancelled:
            job.state.state = pb.JOB_STATE_CANCELLED
        except errors.GensafeError as error:
            job.state.state = pb.JOB_STATE_FAILED
            job.state.error_reason, job.state.error_message = error.reason, str(error)
        except Exception:
            log.exception("job %s failed", wanted.request_id)
            job.state.state = pb.JOB_STATE_FAILED
            job.state.error_reason, job.state.error_message = "INTERNAL", "internal error"
        finally:
            job.done.set()

    async def _look_again(self, job: _Job) -> None:
        """A person may have decided about a held output since: then the job has ended after all."""
        if job.held is None:
            return
        stands = await asyncio.to_thread(standing, self._chain, job.held)
        if stands is not None:
            _note(job, stands)
        else:
            job.state.state = pb.JOB_STATE_FAILED
            job.state.error_reason = "REVIEW_FAILED"
            job.state.error_message = "the held output could not be finished; the log says why; start it again"
        if job.state.state != pb.JOB_STATE_HELD:
            job.held = None

    def _job(self, request_id: str) -> _Job:
        job = self._jobs.get((caller().tenant, request_id))
        if job is None:
            raise errors.NotFound(
                f"no job {request_id!r} in this process", field="request_id", fix="start it again with the same id"
            )
        return job

    async def GetGeneration(self, request: pb.GetGenerationRequest, context: Context) -> pb.GetGenerationResponse:
        """Report a job."""
        job = self._job(request.request_id)
        await self._look_again(job)
        return pb.GetGenerationResponse(job=job.state)

    async def WaitGeneration(self, request: pb.WaitGenerationRequest, context: Context) -> pb.WaitGenerationResponse:
        """Wait for a job, at most until shortly before the caller's deadline."""
        job = self._job(request.request_id)
        remaining = context.time_remaining()
        limit = None if remaining is None else max(0.0, remaining - 0.5)
        try:
            await asyncio.wait_for(job.done.wait(), limit)
        except TimeoutError:
            pass  # still running: the answer says so
        await self._look_again(job)
        return pb.WaitGenerationResponse(job=job.state)

    async def CancelGeneration(
        self, request: pb.CancelGenerationRequest, context: Context
    ) -> pb.CancelGenerationResponse:
        """Ask a job to stop and wait until it has."""
        job = self._job(request.request_id)
        job.control.cancel()
        await job.done.wait()
        return pb.CancelGenerationResponse(job=job.state)

    # --- outputs and models ------------------------------------------------------------------------------------------

    async def FetchOutput(
        self, request: pb.FetchOutputRequest, context: Context
    ) -> AsyncIterator[pb.FetchOutputResponse]:
        """Send a released output again, from any offset."""
        record_id = ids.parse_record_id(request.record_id)
        record, data = await asyncio.to_thread(load_output, self._chain, record_id, caller().tenant)
        if not 0 <= request.offset <= len(data):
            raise errors.InvalidRequest(f"the output has {len(data)} bytes", field="offset")
        for chunk in _chunks(data, request.offset):
            yield pb.FetchOutputResponse(offset=chunk.offset, data=chunk.data)
        yield pb.FetchOutputResponse(offset=len(data), digest=record.digest, size=len(data))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """List the models of every configured engine."""
        models = []
        for engine in self._chain.engines:
            can = engine.can
            for name, digest in engine.models.items():
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

    async def stop_jobs(self) -> None:
        """Cancel what still runs and wait for its log entries (shutdown)."""
        running = [job for job in self._jobs.values() if not job.done.is_set()]
        for job in running:
            job.control.cancel()
        for job in running:
            await job.done.wait()


def _note(job: _Job, event: PipelineEvent) -> None:
    """Keep of an event what a job reports."""
    if isinstance(event, Progress):
        job.state.progress.CopyFrom(convert.progress_to_pb(event))
    elif isinstance(event, Stopped):
        job.state.blocked.CopyFrom(convert.blocked_to_pb(event))
        job.state.state = pb.JOB_STATE_BLOCKED
    elif isinstance(event, Held):
        job.held = event
        job.state.held.CopyFrom(convert.held_to_pb(event))
        job.state.state = pb.JOB_STATE_HELD
    elif isinstance(event, Released):
        job.state.completed.CopyFrom(convert.completed_to_pb(event))
        job.state.state = pb.JOB_STATE_COMPLETED


def _chunks(data: bytes, offset: int = 0) -> list[pb.MediaChunk]:
    return [pb.MediaChunk(offset=i, data=data[i : i + CHUNK]) for i in range(offset, len(data), CHUNK)]
