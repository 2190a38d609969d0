"""What a server tells whoever watches it: numbers and names of parts, never content.

A part that is observed calls an ``Observer`` with one of the values below. The default does nothing, at the cost of a
call. An observer must return at once and must not raise; it is called from every thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from gensafe.core.types.usage import Amounts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """A generation ended. ``reason``: the category that stopped it, or the stable reason of the error."""

    modality: str
    outcome: str  # one of OUTCOMES
    reason: str = ""
    tenant: str = ""
    bytes_released: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    """What a generation used was settled, once; also of one that came to nothing."""

    modality: str
    tenant: str
    spent: Amounts


@dataclass(frozen=True, slots=True)
class QuotaRefused:
    """A generation was refused before it began: it would have exceeded a quota, or a ``budget``."""

    modality: str
    tenant: str
    budget: bool


@dataclass(frozen=True, slots=True)
class StageRan:
    """One stage of one generation took this long, whether it succeeded or not."""

    stage: str  # admit | generate | judge | mark | sign | record
    modality: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ClassifierRan:
    """A classifier examined one item. ``reason``: a stable code or the type of an exception where it failed."""

    classifier: str
    modality: str
    result: str  # clear | found | failed
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EngineRan:
    """An engine worked on one job; ``seconds`` without the time that its output waited for the gate."""

    engine: str
    result: str  # ok | cancelled | the stable reason of the error
    seconds: float


@dataclass(frozen=True, slots=True)
class Verified:
    """A file was verified."""

    conclusion: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call over the wire ended. ``method``: as the service declares it, "unknown" for any other."""

    protocol: str  # grpc | http
    method: str
    code: str
    seconds: float
    tenant: str = ""


Observation: TypeAlias = (
    RequestEnded | Used | QuotaRefused | StageRan | ClassifierRan | EngineRan | Verified | CallEnded
)
Observer: TypeAlias = Callable[[Observation], None]


def unobserved(_: Observation) -> None:
    """Nobody watches."""


OUTCOMES: Final = (
    "completed",
    "replayed",  # released before under the same request id, sent again
    "blocked",
    "held",
    "failed",
    "cancelled",
    "review_released",  # a held output, once a person had decided
    "review_rejected",
    "review_failed",
)
STAGES: Final = ("admit", "generate", "judge", "mark", "sign", "record")


@contextmanager
def timed(observe: Observer, stage: str, modality: str) -> Generator[None, None, None]:
    """Report how long the block took."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        observe(StageRan(stage, modality, time.perf_counter() - begin))


class Stopwatch:
    """Adds up the time that an iterator needs for its items, without the time that its reader takes between them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, items: Iterator[T]) -> Iterator[T]:
        """Pass the items on."""
        while True:
            begin = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - begin
            yield item


_request: ContextVar[str] = ContextVar("request_id", default="")


def name_request(request_id: str) -> None:
    """Log lines of the rest of this call, and of the threads it starts, name this request."""
    _request.set(request_id)


def current_request() -> str:
    """The request that is being served here; "" = none is known."""
    return _request.get()
