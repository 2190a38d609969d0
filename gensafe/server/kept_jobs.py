"""What of a job is on disk: its row, its request while it has not ended, and the whole answer once it has.

Both are sealed for the job's end user, or tenant, and begin with random bytes, so that no two have one name.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from gensafe.core import ids
from gensafe.core.errors import GensafeError, NotFound, RegistryError, RegistryUnavailable, Unauthenticated
from gensafe.core.plain import from_plain, to_plain
from gensafe.core.types import GenerationRequest, InputMedia
from gensafe.pipeline import Chain, Held, Released, Stopped, outcome
from gensafe.registry import IntentState, JobRow, JobState, KeyState, owner_name
from gensafe.registry.api_keys import DAY_MS
from gensafe.registry.webhooks import queue
from gensafe.server import convert
from gensafe.server.webhooks import Webhooks
from gensafe.v1 import generation_pb2 as pb

_SALT: Final = 16  # bytes before a blob; 128 bits never repeat

STATES: Final = {
    JobState.OPEN: pb.JOB_STATE_RUNNING,
    JobState.HELD: pb.JOB_STATE_HELD,
    JobState.COMPLETED: pb.JOB_STATE_COMPLETED,
    JobState.BLOCKED: pb.JOB_STATE_BLOCKED,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
}
_FROM_STATES: Final = {told: state for state, told in STATES.items()}
INTERRUPTED: Final = "INTERRUPTED"
"""Reason of a job that the end of the server cut off."""


class KeptJobs:
    """The jobs of one chain's registry. Every call waits for the disk."""

    def __init__(self, chain: Chain, webhooks: Webhooks) -> None:
        self._chain, self._webhooks = chain, webhooks
        self.table = chain.registry.jobs

    def row(self, wanted: GenerationRequest, body: str, webhook: str) -> JobRow:
        """The row of a new job."""
        wishes, registry = wanted.parameters, self._chain.registry
        numbers = {name: getattr(wishes, name) for name in ("width", "height", "seconds", "fps")}
        registry.commit_end_user(wanted.tenant, wanted.subject)  # known: erasing the tenant takes its end users along
        return JobRow(
            tenant=wanted.tenant,
            request_id=wanted.request_id,
            body=registry.keyed_digest("job", body.encode()),
            modality=wanted.modality,
            model=wanted.model,
            created_ms=self._chain.clock.now_ms(),
            owner=registry.pseudonym(owner_name(wanted.tenant, wanted.subject)),
            key_id=wanted.key_id,
            shape={name: value for name, value in numbers.items() if value is not None},
            webhook=webhook,
        )

    def claim(self, row: JobRow, wanted: GenerationRequest) -> JobRow | None:
        """Store a new job durably; returns None, or the job that has its id already.

        Raises:
            Conflict: the id belongs to another job.
        """
        request = self._put(row, _pack(wanted))
        found = None
        try:
            found = self.table.claim(replace(row, request=request))
        finally:
            if found is not None:
                self._drop(request)
        return found

    def refuse(self, row: JobRow) -> None:
        """Let no job begin whose caller may not start it any more.

        Raises:
            TenantStopped: the operator stopped its tenant.
            KeyError_: nobody can tell who is stopped.
            Unauthenticated: the API key that it came with is no longer in force.
        """
        self._chain.keys.stops.refuse(row.tenant)
        if row.key_id:
            state = self._chain.registry.api_keys.get(row.key_id).state(self._chain.clock.now_ms())
            if state is not KeyState.ACTIVE:
                raise Unauthenticated("the API key that started the job is no longer in force")

    def wanted(self, row: JobRow) -> GenerationRequest:
        """What a job that has not begun asks for.

        Raises:
            GensafeError: as ``refuse``.
            NotFound: it was erased meanwhile.
        """
        self.refuse(row)
        row = self.table.get(row.key) or row  # where the request is, only the table knows
        data = self._get(row.request)
        if data is None:
            raise NotFound("what the job asked for was erased", fix="start it again")
        return _unpack(data)

    def end(self, row: JobRow, told: pb.Job) -> None:
        """Store how a job ended, or that it is held."""
        state = _FROM_STATES[told.state]
        before = self.table.get(row.key)
        report = self._put(row, told.SerializeToString(deterministic=True))
        messages = self._webhooks.messages(row.tenant, row.webhook, told)
        also = partial(queue, messages=messages)
        if self.table.end(row.key, state, report, told.ended_ms, also) and before is not None:
            for digest in (before.request, before.report):
                self._drop(digest)
        else:
            self._drop(report)  # another call was first

    def report(self, row: JobRow) -> pb.Job:
        """The answer of a job; without its contents where these were erased."""
        data = self._get(row.report)
        if data is not None:
            return pb.Job.FromString(data)
        told = pb.Job(request_id=row.request_id, state=STATES[row.state])
        told.created_ms, told.ended_ms = row.created_ms, row.ended_ms
        if row.state is JobState.COMPLETED:
            intent = self._chain.registry.intent(row.key)
            told.completed.request_id = row.request_id
            told.completed.record_id = ids.record_id_text(intent.record_id) if intent else ""
        return told

    def begun(self, row: JobRow, record_id: int | None = None) -> pb.Job | None:
        """What came of a job that an earlier process began; None: it had not begun.

        ``record_id``: of the output that the job is known to have made, where it is known.
        """
        intent = self._chain.registry.intent(row.key)
        if intent is None or (record_id is not None and intent.record_id != record_id):
            return None
        if record_id is None and intent.created_ms < row.created_ms:  # of an earlier attempt
            return None
        told = pb.Job(request_id=row.request_id, created_ms=row.created_ms, started_ms=intent.created_ms)
        try:
            found = outcome(self._chain, intent)
        except RegistryUnavailable:
            raise
        except GensafeError as error:
            fail(told, error.reason, str(error))
            return told
        if found is not None:
            note_end(told, found)
        elif intent.state is IntentState.CANCELLED:
            told.state = pb.JOB_STATE_CANCELLED
        elif intent.state is IntentState.FAILED:
            logged = self._chain.log.entry(intent.final_index).entry
            fail(told, str(logged.get("reason", "INTERNAL")), "the generation failed; start it again under the same id")
        else:
            fail(told, INTERRUPTED, "the server stopped while the job ran; start it again under the same id")
        return told

    def drop(self, row: JobRow) -> None:
        """Forget a job, with what it asked for and what came of it; its output keeps its record."""
        row = self.table.get(row.key) or row
        self.table.drop(row.key)
        for digest in (row.request, row.report):
            self._drop(digest)

    def expire(self, keep_days: int) -> int:
        """Forget jobs that ended longer ago than that; returns how many."""
        old = self.table.ended_before(self._chain.clock.now_ms() - keep_days * DAY_MS)
        for row in old:
            self.drop(row)
        self._webhooks.forget(self._chain.clock.now_ms() - keep_days * DAY_MS)
        return len(old)

    def _put(self, row: JobRow, data: bytes) -> str:
        return self._chain.registry.put_blob(secrets.token_bytes(_SALT) + data, owner=row.owner)

    def _get(self, digest: str) -> bytes | None:
        """The contents; None: there are none, or they were erased."""
        if not digest:
            return None
        try:
            data = self._chain.registry.get_blob(digest)
        except RegistryUnavailable:
            raise
        except RegistryError:
            return None
        return None if data is None else data[_SALT:]

    def _drop(self, digest: str) -> None:
        if digest:
            with suppress(RegistryError):  # it is sealed; the day's sweep of nothing is not worth a failed job
                self._chain.registry.drop_blob(digest)


def note_end(told: pb.Job, event: Released | Held | Stopped) -> None:
    """Say in a job how it ended."""
    if isinstance(event, Stopped):
        told.blocked.CopyFrom(convert.blocked_to_pb(event))
        told.state = pb.JOB_STATE_BLOCKED
    elif isinstance(event, Held):
        told.held.CopyFrom(convert.held_to_pb(event))
        told.state = pb.JOB_STATE_HELD
    else:
        told.completed.CopyFrom(convert.completed_to_pb(event))
        told.state = pb.JOB_STATE_COMPLETED


def fail(told: pb.Job, reason: str, message: str) -> None:
    """Say in a job that it failed."""
    told.state, told.error_reason, told.error_message = pb.JOB_STATE_FAILED, reason, message


def _pack(wanted: GenerationRequest) -> bytes:
    """A line of JSON, then the files one after another."""
    files = [{"media_type": item.media_type, "name": item.name, "size": len(item.data)} for item in wanted.inputs]
    facts = {"request": to_plain(replace(wanted, inputs=())), "inputs": files}
    return json.dumps(facts).encode() + b"\n" + b"".join(item.data for item in wanted.inputs)


def _unpack(data: bytes) -> GenerationRequest:
    line, _, rest = data.partition(b"\n")
    facts, inputs, at = json.loads(line), [], 0
    for one in facts["inputs"]:
        inputs.append(InputMedia(rest[at : at + one["size"]], one["media_type"], one["name"]))
        at += one["size"]
    return replace(from_plain(GenerationRequest, facts["request"]), inputs=tuple(inputs))
