"""The parts a pipeline run needs, opened once per process and shared by all requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from gensafe.audit import AuditLog
from gensafe.core.config import Config
from gensafe.core.ports import Backend, ClaimSigner, Clock
from gensafe.keys import KeyRing
from gensafe.marking import Marker
from gensafe.provenance import TimeStamper, TrustStore
from gensafe.registry import Registry
from gensafe.safety.runner import SafetyRunner

FAULT_POINTS = (
    "admitted",  # prompt judged, nothing durable yet
    "opened",  # the intent is durable
    "generated",  # a draft exists in memory
    "judged",  # the output verdict is taken
    "marked",  # marked bytes exist in memory
    "signed",  # signed and verified bytes exist in memory
    "stored",  # blobs are durable, the leaf is not
    "recorded",  # the leaf is durable, the registry row is not
    "released",  # everything is durable, no byte has left
)
"""Named points between steps, in order. Tests kill the process at each and check what is left."""


def no_fault(point: str) -> None:
    """The fault hook outside of tests."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Everything between a request and a released output."""

    config: Config
    clock: Clock
    keys: KeyRing
    log: AuditLog
    registry: Registry
    backends: Mapping[str, Backend]  # model name -> backend
    default_model: str
    safety: SafetyRunner
    marker: Marker
    signer: ClaimSigner
    time_stamper: TimeStamper | None
    trust: TrustStore
    at: Callable[[str], None] = no_fault
    _busy: set[str] = field(default_factory=set)  # request ids in flight
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def claim_request(self, request_id: str) -> bool:
        """Reserve a request id for this process; False if it is already being worked on."""
        with self._lock:
            if request_id in self._busy:
                return False
            self._busy.add(request_id)
            return True

    def drop_request(self, request_id: str) -> None:
        """Give a reserved request id back."""
        with self._lock:
            self._busy.discard(request_id)

    def close(self) -> None:
        """Flush and close the log and the registry."""
        self.log.close()
        self.registry.close()

    def __enter__(self) -> Chain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
