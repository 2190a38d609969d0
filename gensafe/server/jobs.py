"""Jobs: generations that outlive their call, and the process.

A job is a row before its caller is told that it started. At the next start of a server, one that had not begun begins;
one that had begun ended with the process, and says how far it came: its output if that was released, else a failure.
In an orderly end of the server, jobs that wait go on waiting. One whose caller may not start it any more never begins.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Final

from gensafe.core import errors, ids
from gensafe.core.types import GenerationRequest, Modality, Progress, RequestKey
from gensafe.pipeline import Accepted, CallControl, Chain, Held, PipelineEvent, Released, Stopped
from gensafe.registry import JobRow, JobState
from gensafe.server.kept_jobs import INTERRUPTED, KeptJobs, fail, note_end
from gensafe.server.limits import Limits
from gensafe.server.scheduler import Work
from gensafe.server.webhooks import Webhooks
from gensafe.server.work import offload
from gensafe.v1 import generation_pb2 as pb

log = logging.getLogger("gensafe.server")

LOOK_S: Final = 2.0  # how soon a decision about a held output ends its job; as server.watch. Chosen
EXPIRE_S: Final = 3600.0  # what is counted in days is looked at every hour
WAITING: Final = "waiting job"
"""Method of a refusal in the log: of a job that was taken and may not begin any more."""

Begin = Callable[[GenerationRequest, CallControl, Callable[[], None]], Work[PipelineEvent]]
"""Starts the work of a request; the last argument is called when its turn comes, and may still refuse it."""


@dataclass(frozen=True, slots=True)
class Report:
    """A job as it stands."""

    row: JobRow
    told: pb.Job


@dataclass(slots=True)
class Job:
    """A job that this process works on, or will."""

    row: JobRow
    control: CallControl
    told: pb.Job
    work: Work[PipelineEvent] | None = None
    opening: asyncio.Task[JobRow] | None = None
    forecast_ms: int = 0
    stopped: bool = False  # by whom it belongs to
    ended: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Jobs:
    """All jobs of one server; what has ended is read from the registry.

    Args:
        chain: Where they are kept.
        limits: Whose queue they wait in.
        begin: Starts one.
        webhooks: Who is told how they end.
    """

    def __init__(self, chain: Chain, limits: Limits, begin: Begin, webhooks: Webhooks) -> None:
        self._chain, self._limits, self._begin = chain, limits, begin
        self._kept, self._webhooks = KeptJobs(chain, webhooks), webhooks
        self._live: dict[RequestKey, Job] = {}
        self._following: set[asyncio.Task[None]] = set()

    # --- what callers do ---

    async def start(self, wanted: GenerationRequest, body: str, webhook: str = "") -> Report:
        """Start a job, or find the one under this request id. One that failed or was cancelled is tried again.

        Args:
            wanted: Whose id names the job, within its tenant.
            body: Digest of everything that was asked for.
            webhook: URL that is told how it ended; "" = only those of the configuration.

        Raises:
            Conflict: the id belongs to another request.
            InvalidRequest: ``webhook`` is not allowed.
            TenantStopped, Overloaded, BackendUnavailable: the job was not taken.
        """
        self._webhooks.check(wanted.tenant, webhook)
        await asyncio.to_thread(self._chain.keys.stops.refuse, wanted.tenant)
        row = await asyncio.to_thread(self._kept.row, wanted, body, webhook)
        known = await asyncio.to_thread(self._kept.table.get, row.key)
        if known is not None and known.state is JobState.HELD:
            await self._look(known)  # a person may have decided since; what came to nothing may run again
        job = self._live.get(row.key)
        if job is None:
            job = self._live[row.key] = self._fresh(row)
            job.opening = asyncio.create_task(self._open(job, wanted))
        if job.row.body != row.body:
            raise errors.Conflict("the id belongs to another request", field="request_id", fix="send a fresh UUID")
        stored = row if job.opening is None else await asyncio.shield(job.opening)
        return await self._look(stored)

    async def find(self, key: RequestKey) -> Report | None:
        """A job as it stands; None if there is none, or not any more."""
        row = await offload(self._kept.table.get, key)
        return None if row is None else await self._look(row)

    async def get(self, key: RequestKey) -> Report:
        """As ``find``.

        Raises:
            NotFound: there is none.
        """
        found = await self.find(key)
        if found is None:
            fix = "start it again with the same id; outputs are fetched by their record ids"
            raise errors.NotFound(f"no job {key.request_id[:60]!r}", field="request_id", fix=fix)
        return found

    async def wait(self, key: RequestKey, limit_s: float | None) -> Report:
        """A job once it has ended or is held, or as it stands after ``limit_s``."""
        job = self._live.get(key)
        if job is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(job.done.wait(), limit_s)
        return await self.get(key)

    async def cancel(self, key: RequestKey) -> Report:
        """Stop a job, if it has not ended, and wait until it has."""
        job = self._live.get(key)
        if job is not None:
            await self._stop(job)
        return await self.get(key)

    async def forget(self, key: RequestKey) -> None:
        """Stop a job and no longer list it; its output, if it has one, keeps its record."""
        await offload(self._kept.drop, (await self.cancel(key)).row)

    async def page(
        self, tenant: str, limit: int, after: str = "", modality: Modality | None = None, *, oldest_first: bool = False
    ) -> tuple[list[Report], bool]:
        """A tenant's jobs, newest first, and whether there are more. Arguments as of ``JobTable.of_tenant``."""
        rows = await offload(
            self._kept.table.of_tenant, tenant, limit + 1, after=after, modality=modality, oldest_first=oldest_first
        )
        return [await self._look(row) for row in rows[:limit]], len(rows) > limit

    # --- what the server does ---

    async def resume(self) -> None:
        """Take up what an earlier process left; before the first call.

        Raises:
            RegistryError: it cannot be read.
        """
        rows = await asyncio.to_thread(self._kept.table.unended)
        for row in rows:
            job = self._live[row.key] = self._fresh(row)
            told = await asyncio.to_thread(self._kept.begun, row)
            if told is not None:
                job.told.CopyFrom(told)
                await self._end(job)
        if rows:
            waiting = len(self._live)
            log.info("%d jobs of an earlier process: %d had not begun and begin now", len(rows), waiting)
        await self._begin_waiting()

    async def watch(self, stop: asyncio.Event) -> None:
        """Look after jobs until ``stop``: begin those that wait for a place, end those that were decided about."""
        expire_at, said = 0.0, ""
        while not stop.is_set():
            try:
                await self._begin_waiting()
                await self._refuse_waiting()
                for job in [job for job in self._live.values() if job.ended]:  # could not be stored
                    await self._end(job)
                for row in await asyncio.to_thread(self._kept.table.held):
                    await self._look(row)
                if time.monotonic() >= expire_at:
                    await asyncio.to_thread(self._kept.expire, self._chain.config.server.keep_jobs_days)
                    expire_at = time.monotonic() + EXPIRE_S
                said = ""
            except errors.GensafeError as error:
                if str(error) != said:  # once, not every two seconds
                    said = str(error)
                    log.warning("watching jobs failed and is tried again: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)

    async def stop(self) -> None:
        """Wait until what was cancelled is stored; jobs that wait stay as they are."""
        if self._following:
            await asyncio.wait(self._following)

    # --- how ---

    def _fresh(self, row: JobRow) -> Job:
        told = pb.Job(request_id=row.request_id, state=pb.JOB_STATE_RUNNING, created_ms=row.created_ms)
        return Job(row, CallControl(), told)

    async def _open(self, job: Job, wanted: GenerationRequest) -> JobRow:
        """Store a job, then begin it; returns the row that stands. Not cancelled with the call that started it."""
        try:
            found = await asyncio.to_thread(self._kept.claim, job.row, wanted)
            if found is not None:
                return found
            try:
                self._begin_work(job, wanted)
            except errors.GensafeError:
                await asyncio.to_thread(self._kept.drop, job.row)
                raise
        finally:
            job.opening = None
            if job.work is None:
                del self._live[job.row.key]
                job.done.set()
        return job.row

    async def _begin_waiting(self) -> None:
        for job in [job for job in self._live.values() if job.work is None and job.opening is None and not job.ended]:
            try:
                wanted = await asyncio.to_thread(self._kept.wanted, job.row)
            except errors.RegistryUnavailable:
                raise
            except errors.GensafeError as error:
                self._fail(job, error)
                await self._end(job)
                continue
            with suppress(errors.Overloaded, errors.BackendUnavailable):  # in two seconds, then
                if not job.ended:
                    copy_context().run(self._begin_work, job, wanted)

    async def _refuse_waiting(self) -> None:
        """End jobs that wait for their turn and may not have it any more, however far off it is."""
        waiting = [job for job in self._live.values() if job.work is not None and not job.told.started_ms]
        by_caller = {(job.row.tenant, job.row.key_id): job.row for job in waiting}
        for caller, row in by_caller.items():
            try:
                await asyncio.to_thread(self._kept.refuse, row)
            except errors.AccessError as error:
                for job in waiting:
                    if job.work is not None and (job.row.tenant, job.row.key_id) == caller:
                        job.work.cancel(error)

    def _fail(self, job: Job, error: errors.GensafeError) -> None:
        """Say in a job that it failed, and in the log where it was refused; no call says that for it."""
        fail(job.told, error.reason, str(error))
        if isinstance(error, errors.AccessError):
            code = "UNAUTHENTICATED" if isinstance(error, errors.Unauthenticated) else "PERMISSION_DENIED"
            self._limits.refusals.note(job.row.tenant, WAITING, code)

    def _begin_work(self, job: Job, wanted: GenerationRequest) -> None:
        def began() -> None:
            self._kept.wanted(job.row)  # stopped, revoked or erased while it waited
            job.told.started_ms = self._chain.clock.now_ms()

        job.control.deadline = time.monotonic() + self._chain.config.server.default_deadline_s
        job.work = self._begin(wanted, job.control, began)
        task = asyncio.create_task(self._follow(job, job.work))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, job: Job, work: Work[PipelineEvent]) -> None:
        try:
            async for event in work.items():
                _note(job, event)
        except errors.Cancelled:
            job.told.state = pb.JOB_STATE_CANCELLED
            if self._limits.generate.draining and not job.stopped:
                fail(job.told, INTERRUPTED, "the server stopped while the job ran; start it again under the same id")
        except errors.GensafeError as error:
            if work.turned_away is not None and self._limits.generate.draining:
                del self._live[job.row.key]  # it waits for the next start
                job.done.set()
                return
            if isinstance(error, errors.LogUnavailable | errors.RegistryUnavailable):
                self._limits.health.failed(error)
            self._fail(job, error)
        except Exception:
            log.exception("job %s failed", job.row.request_id)
            fail(job.told, "INTERNAL", "internal error")
        await self._end(job)

    async def _stop(self, job: Job) -> None:
        job.stopped = True
        if job.opening is not None:
            with suppress(errors.GensafeError):
                await asyncio.shield(job.opening)
        if job.work is not None:
            job.work.cancel()
        elif not job.done.is_set() and not job.ended:
            job.told.state = pb.JOB_STATE_CANCELLED
            await self._end(job)
        await job.done.wait()

    async def _end(self, job: Job) -> None:
        """Store how a job ended; where that fails it stays here, and the watcher tries again."""
        if not job.ended and job.told.state != pb.JOB_STATE_HELD:
            job.told.ended_ms = self._chain.clock.now_ms()
        job.ended = True
        try:
            await asyncio.to_thread(self._kept.end, job.row, job.told)
            self._live.pop(job.row.key, None)
        except errors.RegistryError as error:
            log.warning("the end of job %s could not be stored and is stored later: %s", job.row.request_id, error)
        finally:
            job.done.set()

    async def _look(self, row: JobRow) -> Report:
        job = self._live.get(row.key)
        if job is not None:
            told = pb.Job()
            told.CopyFrom(job.told)
            told.remaining_ms = 0 if job.ended else _remaining_ms(job, self._chain.clock.now_ms())
            return Report(row, told)
        if row.state is JobState.OPEN:  # it has ended since the row was read
            newer = await asyncio.to_thread(self._kept.table.get, row.key)
            row = row if newer is None else newer
        if row.state is JobState.HELD:
            told = await asyncio.to_thread(self._decided, row)
            return Report(row, told)
        return Report(row, await asyncio.to_thread(self._kept.report, row))

    def _decided(self, row: JobRow) -> pb.Job:
        """The answer of a held job, which ends here if a person has decided since."""
        before = self._kept.report(row)
        self._chain.ledger.settle()
        if not before.HasField("held"):  # erased
            return before
        record_id = ids.parse_record_id(before.held.record_id)
        if self._chain.ledger.owes(record_id):
            return before
        told = self._kept.begun(row, record_id) or pb.Job(request_id=row.request_id, created_ms=row.created_ms)
        if told.state == pb.JOB_STATE_HELD:
            return before
        if told.state not in (pb.JOB_STATE_COMPLETED, pb.JOB_STATE_BLOCKED):
            fail(told, "REVIEW_FAILED", "the held output could not be finished; the log says why; start it again")
        told.started_ms, told.ended_ms = before.started_ms, self._chain.clock.now_ms()
        self._kept.end(row, told)
        return told


def _note(job: Job, event: PipelineEvent) -> None:
    """Keep of an event what a job reports."""
    if isinstance(event, Accepted):
        job.forecast_ms = event.usage.forecast.engine_ms if event.usage else 0
    elif isinstance(event, Progress):
        job.told.progress.stage, job.told.progress.done, job.told.progress.total = event.stage, event.done, event.total
    elif isinstance(event, Released | Held | Stopped):
        note_end(job.told, event)


def _remaining_ms(job: Job, now_ms: int) -> int:
    """By how far it came, else by what the model took before; 0 = not known."""
    started, progress = job.told.started_ms, job.told.progress
    if not started:
        return 0
    so_far = max(0, now_ms - started)
    if progress.stage == "generate" and progress.done and progress.total > progress.done:
        return int(so_far * (progress.total - progress.done) // progress.done)
    return max(0, job.forecast_ms - so_far)
