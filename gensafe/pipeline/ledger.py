"""How requests end: one call for each ending, which appends the log entry and sets the intent in the registry.

The log is the truth; the registry follows it.
1. Append the entry. From here on this is how the record ended, and no other ending of it is ever appended.
2. Write the registry. If that fails, the write is owed: it is kept, and tried again by ``settle`` (every request that
   asks under the same id, the server's watcher, ``close``) and, after a crash, by ``recovery``.
An append that failed may be durable all the same (the database can report a failure of a commit that it kept). So the
next ending of that record first looks into the log, and takes over what it finds there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition, Lock
from typing import Any, Final

from gensafe.audit import AuditLog, entries
from gensafe.audit.log import Appended
from gensafe.core import ids
from gensafe.core.errors import GensafeError, LogUnavailable, RegistryError, RegistryUnavailable
from gensafe.core.types import Judged, Modality, RequestKey, Review, Signed, Verdict
from gensafe.registry import IntentState, Record, Registry
from gensafe.safety.receipt import verdict_dict

log = logging.getLogger("gensafe.pipeline")

STATES: Final = {event: IntentState(event.removeprefix("generation.")) for event in entries.FINAL_STATES}


class Step(StrEnum):
    """Where a request was when it ended without output: ``stage`` of its closing entry."""

    ADMIT = "admit"
    GENERATE = "generate"
    HOLD = "hold"
    MARK = "mark"
    SIGN = "sign"
    RECORD = "record"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a request.

    ``opened_index``: its ``generation.opened`` entry, -1 = none (known). ``subject``: commitment to the end user.
    """

    key: RequestKey
    record_id: int
    modality: Modality
    opened_index: int = -1
    subject: str = ""


@dataclass(slots=True)
class _Ending:
    """How one attempt ends, until log and registry both have it.

    ``writes``: the registry's part by event, because an append that failed may be followed by one of another event.
    """

    attempt: Attempt
    since: int  # none of its entries is in front of this index
    entry: entries.Entry = field(default_factory=dict)
    writes: dict[str, Callable[[Appended], None]] = field(default_factory=dict)
    appended: Appended | None = None
    event: str = ""  # of ``appended``
    doubtful: bool = False  # an append failed: its entry may be in the log all the same
    lock: Lock = field(default_factory=Lock)


class Ledger:
    """Endings of one process. Safe between threads; one attempt is ended by one thread."""

    def __init__(self, audit_log: AuditLog, registry: Registry) -> None:
        self._log = audit_log
        self._registry = registry
        self._owed: dict[int, _Ending] = {}  # by record id
        self._unsure: dict[int, int] = {}  # record id -> log size when the append of its ``opened`` failed
        self._running = 0  # attempts that have not ended
        self._idle = Condition()

    def opened(self, attempt: Attempt, entry: entries.Entry) -> int:
        """Log that a request was admitted; returns the entry's index.

        Raises:
            LogUnavailable: it is not durable as far as the log says.
        """
        since = self._log.size
        try:
            index = self._log.append(entry).index
        except LogUnavailable:
            self._unsure[attempt.record_id] = since
            raise
        try:
            self._registry.mark_opened(attempt.key, index)
        except RegistryUnavailable as error:  # it only saves recovery a search
            log.warning("the registry does not have the log index of request %s: %s", attempt.key.request_id, error)
        return index

    def released(self, signed: Signed, entry: entries.Entry, row: Callable[[Appended], Record]) -> Appended:
        """Log a release; the output may leave when this returns. ``row`` makes its record.

        Raises:
            LogUnavailable: nothing was released as far as the log says.
        """
        attempt = attempt_of(signed.marked.judged)
        return self._end(attempt, entry, lambda done: self._registry.put_released(row(done)))

    def held(self, judged: Judged, *, review_id: str, draft: str, retract_from: int, bytes_released: int) -> Appended:
        """Log that an output waits for a person, and queue it. ``draft``: digest of the sealed draft.

        Raises:
            LogUnavailable: it is not held as far as the log says.
        """
        attempt = attempt_of(judged)
        entry = entries.held(
            judged.admission, verdict_=judged.verdict, review_id=review_id, draft=draft, bytes_released=bytes_released
        )

        def write(done: Appended) -> None:
            self._registry.reviews.hold(
                review_id=review_id,
                key=attempt.key,
                record_id=attempt.record_id,
                modality=attempt.modality,
                draft=draft,
                verdict=verdict_dict(judged.verdict),
                held_index=done.index,
                retract_from=retract_from,
            )

        return self._end(attempt, entry, write)

    def blocked(self, attempt: Attempt, verdict: Verdict) -> Appended:
        """Log a policy stop: categories and digests, never content."""
        return self._close(attempt, entries.blocked(**_about(attempt), stage=verdict.stage, verdict_=verdict))

    def ended(self, attempt: Attempt, event: str, *, reason: str, step: Step, bytes_released: int = 0) -> Appended:
        """Log an end without output: ``entries.CANCELLED`` or ``entries.FAILED``."""
        entry = entries.ended(event, **_about(attempt), reason=reason, stage=step.value, bytes_released=bytes_released)
        return self._close(attempt, entry)

    def aborted(self, attempt: Attempt) -> Appended:
        """Log that a crash cut the request off."""
        return self._close(attempt, entries.ended(entries.ABORTED, **_about(attempt), reason="CRASH"))

    def rejected(self, attempt: Attempt, held: Mapping[str, object], review: Review) -> Appended:
        """Log that a person refused a held output. ``held``: its ``generation.held`` entry."""
        return self._close(attempt, entries.rejected(held, review))

    # --- attempts that run ---

    @contextmanager
    def running(self) -> Iterator[None]:
        """While an attempt runs, the log must stay open for its ending."""
        with self._idle:
            self._running += 1
        try:
            yield
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until every attempt has ended; False if some have not. Whoever calls it has cancelled them."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._running, timeout_s)

    # --- what the registry is owed ---

    def owes(self, record_id: int) -> bool:
        """Whether the registry does not have a record's ending yet."""
        return record_id in self._owed

    @property
    def owing(self) -> int:
        """How many endings the registry does not have yet."""
        return len(self._owed)

    def settle(self, key: RequestKey | None = None) -> int:
        """Write what the registry is owed, of one request or of all; returns how many endings it is still owed."""
        for record_id, ending in list(self._owed.items()):
            if key is None or ending.attempt.key == key:
                try:
                    with ending.lock:
                        if record_id in self._owed:
                            self._finish(ending)
                except GensafeError as error:
                    log.warning("the end of record %s is still open: %s", ids.record_id_text(record_id), error)
        return len(self._owed)

    def _close(self, attempt: Attempt, entry: entries.Entry) -> Appended:
        state = STATES[str(entry["event"])]
        return self._end(attempt, entry, lambda done: self._registry.close_intent(attempt.key, state, done.index))

    def _end(self, attempt: Attempt, entry: entries.Entry, write: Callable[[Appended], None]) -> Appended:
        ending = self._owed.get(attempt.record_id)
        if ending is None:
            since = attempt.opened_index if attempt.opened_index >= 0 else self._unsure.get(attempt.record_id, -1)
            ending = _Ending(attempt, since if since >= 0 else self._log.size)
        with ending.lock:
            ending.entry = entry
            ending.writes[str(entry["event"])] = write
            return self._finish(ending)

    def _finish(self, ending: _Ending) -> Appended:
        """Steps 1 and 2, as far as they are not done."""
        record_id = ending.attempt.record_id
        self._owed[record_id] = ending
        if ending.appended is None and ending.doubtful:
            self._look_up(ending)
        if ending.appended is None:
            self._append(ending)  # 1.
        if ending.appended is None:
            raise AssertionError("an append returns or raises")
        try:
            ending.writes[ending.event](ending.appended)  # 2.
        except RegistryUnavailable as error:
            log.warning("the registry is owed how record %s ended: %s", ids.record_id_text(record_id), error)
            return ending.appended
        except RegistryError:  # no retry changes that; the log says how it ended, and fsck says what differs
            log.exception("log and registry disagree about record %s", ids.record_id_text(record_id))
        del self._owed[record_id]
        return ending.appended

    def _append(self, ending: _Ending) -> None:
        record_id = ending.attempt.record_id
        if record_id in self._unsure:
            opened = self._find(record_id, (entries.OPENED,), self._unsure[record_id])
            if opened is not None:
                ending.entry["opened_index"] = opened[1].index
            del self._unsure[record_id]
        try:
            ending.appended = self._log.append(ending.entry)
        except LogUnavailable:
            ending.doubtful = True
            raise
        except GensafeError:
            del self._owed[record_id]  # no entry of the log: nothing of it can be durable
            raise
        ending.event = str(ending.entry["event"])

    def _look_up(self, ending: _Ending) -> None:
        found = self._find(ending.attempt.record_id, tuple(ending.writes), ending.since)
        ending.doubtful = False
        if found is not None:
            ending.event, ending.appended = found

    def _find(self, record_id: int, events: tuple[str, ...], since: int) -> tuple[str, Appended] | None:
        wanted = ids.record_id_text(record_id)
        for logged in self._log.entries(since):
            if logged.entry.get("record_id") == wanted and logged.entry["event"] in events:
                return str(logged.entry["event"]), Appended(logged.index, logged.leaf_hash)
        return None


def attempt_of(judged: Judged) -> Attempt:
    """The attempt that a judged draft belongs to."""
    admission, request = judged.admission, judged.admission.request
    return Attempt(request.key, admission.record_id, request.modality, admission.intent_index, admission.subject)


def _about(attempt: Attempt) -> dict[str, Any]:
    return {
        "request_id": attempt.key.request_id,
        "record_id": attempt.record_id,
        "tenant": attempt.key.tenant,
        "modality": attempt.modality,
        "opened_index": attempt.opened_index,
        "subject": attempt.subject,
    }
