"""What a run yields. In order: Accepted, Progress / ReleasedText, Judgement, then Released, Held or Stopped."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TypeAlias

from gensafe.core.errors import Cancelled, DeadlineExceeded
from gensafe.core.types import Draft, Progress, Recorded, Verdict
from gensafe.core.types.usage import Usage


@dataclass(frozen=True, slots=True)
class Accepted:
    """The prompt passed and the intent is durable."""

    request_id: str
    record_id: int
    log_index: int
    seed: int
    usage: Usage | None = None  # what it may use at most


@dataclass(frozen=True, slots=True)
class ReleasedText:
    """A piece of text that passed the streaming gate."""

    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict over the whole output."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Stopped:
    """Policy ended the request. ``retract_from`` >= 0 asks to take back streamed text from that character on."""

    request_id: str
    verdict: Verdict
    log_index: int
    retract_from: int = -1
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A person must see the output first: it waits, sealed. Repeat the request id to get the outcome.

    ``retract_from`` >= 0 asks to take back streamed text from that character on.
    """

    request_id: str
    record_id: int
    review_id: str
    categories: tuple[str, ...]
    log_index: int
    retract_from: int = -1
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """A recorded output: the bytes may leave now. ``replayed`` = served again from the store."""

    recorded: Recorded
    tlog_proof: bytes
    replayed: bool = False
    usage: Usage | None = None

    @property
    def draft(self) -> Draft:
        """The draft this output came from."""
        return self.recorded.signed.marked.judged.draft


PipelineEvent: TypeAlias = Accepted | Progress | ReleasedText | Judgement | Stopped | Held | Released


@dataclass(slots=True)
class CallControl:
    """The caller's presence and patience, shared between the serving and the working thread."""

    deadline: float | None = None  # time.monotonic()
    _gone: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """The caller went away."""
        self._gone.set()

    def cancelled(self) -> bool:
        """Whether work should stop (the CancelCheck of backends)."""
        return self._gone.is_set() or (self.deadline is not None and time.monotonic() > self.deadline)

    def check(self) -> None:
        """Raise if work should stop.

        Raises:
            Cancelled: the caller went away.
            DeadlineExceeded: the deadline passed.
        """
        if self._gone.is_set():
            raise Cancelled("the caller went away")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineExceeded("the call's deadline passed")
