"""GenerationService: the front of the pipeline, and long jobs on top of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import grpc

from gensafe.core import errors, ids
from gensafe.core.digest import sha256
from gensafe.core.observer import name_request
from gensafe.core.types import GenerationRequest, Parameters, Progress
from gensafe.pipeline import CallControl, Chain, Held, PipelineEvent, Released, Stopped, run, standing
from gensafe.pipeline.replay import load_output
from gensafe.pipeline.watched import ended_by
from gensafe.server import convert
from gensafe.server.identity import caller
from gensafe.server.limits import Limits
from gensafe.server.scheduler import Work
from gensafe.server.work import offload
from gensafe.v1 import generation_pb2 as pb
from gensafe.v1 import generation_pb2_grpc

log = logging.getLogger("gensafe.server")
CHUNK = 256 * 1024  # far below gRPC's 4 MiB a message, so that progress is even. A round number, not measured
KEPT_JOBS = 1000  # ended jobs whose state is still told. Chosen, not measured
LONGEST_S = 86_400.0  # a deadline may be as far as the largest number; timers take no such thing
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class Job:
    """A generation that outlives its call. ``wanted`` is without what a person wrote or handed in."""

    control: CallControl
    state: pb.Job
    body: str  # digest of the request
    wanted: GenerationRequest
    started_ms: int
    ended_ms: int = 0
    held: Held | None = None
    work: Work[PipelineEvent] | None = None
    task: asyncio.Task[None] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class GenerationServicer(generation_pb2_grpc.GenerationServiceServicer):
    """Serves generations from one chain."""

    def __init__(self, chain: Chain, limits: Limits) -> None:
        self._chain = chain
        self._limits = limits
        self._running: set[Work[PipelineEvent]] = set()
        self._jobs: dict[tuple[str, str], Job] = {}

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        """Stream one generation."""
        wanted = convert.request_from_pb(request, caller().tenant)
        control = CallControl(self._deadline(context))
        work = self._begin(wanted, control)
        with self._limits.deliveries.lease() as lease:
            try:
                async for event in work.items():
                    if isinstance(event, Released):
                        data = event.recorded.signed.data
                        lease.grow(len(data))
                        for chunk in _chunks(data):
                            yield pb.GenerateResponse(media_chunk=chunk)
                    yield convert.event_to_pb(event)
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
        name_request(wanted.request_id)
        who = caller()
        wanted = replace(wanted, key_id=who.key_id, models=tuple(sorted(who.models)))
        if who.subject and wanted.subject not in ("", who.subject):
            raise errors.PermissionDenied("the token is of another end user", fix="leave the subject out")
        wanted = replace(wanted, subject=who.subject or wanted.subject)
        try:
            self._limits.take("generations", wanted.tenant)
            work = Work(self._limits.generate, wanted.tenant, lambda: run(self._chain, wanted, control), control)
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

    # --- long jobs ---------------------------------------------------------------------------------------------------

    async def StartGeneration(self, request: pb.StartGenerationRequest, context: Context) -> pb.StartGenerationResponse:
        """Start a job, or return the one under this request id. One that failed or was cancelled is tried again."""
        wanted = convert.request_from_pb(request.request, caller().tenant)
        job = await self.start(wanted, sha256(request.request.SerializeToString(deterministic=True)))
        return pb.StartGenerationResponse(job=job.state)

    async def start(self, wanted: GenerationRequest, body: str) -> Job:
        """Start a job, or find the one under this request id; also for the HTTP front.

        Args:
            wanted: Whose id names the job, within its tenant.
            body: Digest of everything that was asked for.

        Raises:
            Conflict: the id belongs to another request.
        """
        key = (wanted.tenant, wanted.request_id)
        job = self._jobs.get(key)
        if job is not None and job.body != body:
            raise errors.Conflict("the id belongs to another request", field="request_id", fix="send a fresh UUID")
        if job is not None:
            await self.look_again(job)
        if job is None or job.state.state in (pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED):
            self._forget_old_jobs()
            limit = time.monotonic() + self._chain.config.server.default_deadline_s
            state = pb.Job(request_id=wanted.request_id, state=pb.JOB_STATE_RUNNING)
            bare = replace(wanted, prompt="", subject="", inputs=(), messages=())
            bare = replace(bare, parameters=_numbers(wanted.parameters))
            job = Job(CallControl(limit), state, body, bare, self._chain.clock.now_ms())
            job.work = self._begin(wanted, job.control)
            self._jobs[key] = job
            job.task = asyncio.create_task(self._follow(job, job.work, wanted.request_id))
        return job

    def _forget_old_jobs(self) -> None:
        """Keep the newest ended jobs; older outputs are still found by FetchOutput and by repeating the request."""
        ended = [key for key, job in self._jobs.items() if job.done.is_set()]
        for key in ended[: max(0, len(ended) - KEPT_JOBS)]:
            del self._jobs[key]

    async def _follow(self, job: Job, work: Work[PipelineEvent], request_id: str) -> None:
        try:
            async for event in work.items():
                _note(job, event)
        except errors.Cancelled:
            job.state.state = pb.JOB_STATE_CANCELLED
        except errors.GensafeError as error:
            if isinstance(error, errors.LogUnavailable | errors.RegistryUnavailable):
                self._limits.health.failed(error)
            job.state.state = pb.JOB_STATE_FAILED
            job.state.error_reason, job.state.error_message = error.reason, str(error)
        except Exception:
            log.exception("job %s failed", request_id)
            job.state.state = pb.JOB_STATE_FAILED
            job.state.error_reason, job.state.error_message = "INTERNAL", "internal error"
        finally:
            job.ended_ms = self._chain.clock.now_ms()
            job.done.set()

    async def look_again(self, job: Job) -> None:
        """A person may have decided about a held output since: then the job has ended after all."""
        if job.held is None:
            return
        stands = await offload(standing, self._chain, job.held)
        if stands is not None:
            _note(job, stands)
        else:
            job.state.state = pb.JOB_STATE_FAILED
            job.state.error_reason = "REVIEW_FAILED"
            job.state.error_message = "the held output could not be finished; the log says why; start it again"
        if job.state.state != pb.JOB_STATE_HELD:
            job.held = None

    def started_by(self, tenant: str) -> list[Job]:
        """The jobs of a tenant, oldest first."""
        return [job for (owner, _), job in self._jobs.items() if owner == tenant]

    async def forget(self, job: Job) -> None:
        """Stop a job and no longer list it; its output, if it has one, keeps its record."""
        job.control.cancel()
        await job.done.wait()
        self._jobs.pop((job.wanted.tenant, job.wanted.request_id), None)

    def find(self, tenant: str, request_id: str) -> Job | None:
        """A tenant's job under this request id, as far as this process knows."""
        return self._jobs.get((tenant, request_id))

    def _job(self, request_id: str) -> Job:
        job = self.find(caller().tenant, request_id)
        if job is None:
            raise errors.NotFound(
                f"no job {request_id!r} in this process", field="request_id", fix="start it again with the same id"
            )
        return job

    async def GetGeneration(self, request: pb.GetGenerationRequest, context: Context) -> pb.GetGenerationResponse:
        """Report a job."""
        job = self._job(request.request_id)
        await self.look_again(job)
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
        await self.look_again(job)
        return pb.WaitGenerationResponse(job=job.state)

    async def CancelGeneration(
        self, request: pb.CancelGenerationRequest, context: Context
    ) -> pb.CancelGenerationResponse:
        """Ask a job to stop and wait until it has."""
        job = self._job(request.request_id)
        if job.work is not None:
            job.work.cancel()
        await job.done.wait()
        return pb.CancelGenerationResponse(job=job.state)

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


def _numbers(wishes: Parameters) -> Parameters:
    """Size and length of what was asked for; a job outlives its call, and texts are not kept with it."""
    return Parameters(width=wishes.width, height=wishes.height, seconds=wishes.seconds, fps=wishes.fps)


def _note(job: Job, event: PipelineEvent) -> None:
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


def _chunks(data: bytes, offset: int = 0) -> Iterator[pb.MediaChunk]:
    for i in range(offset, len(data), CHUNK):
        yield pb.MediaChunk(offset=i, data=data[i : i + CHUNK])
