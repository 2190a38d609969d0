"""The parts a pipeline run needs, opened once per process and shared by all requests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from gensafe.audit import AuditLog, entries
from gensafe.core.config import Config, UsageConfig
from gensafe.core.observer import Observer, unobserved
from gensafe.core.ports import Clock
from gensafe.engines import Engines
from gensafe.keys import KeyRing
from gensafe.marking import Marker
from gensafe.pipeline.key_changes import take_over
from gensafe.pipeline.ledger import Ledger
from gensafe.pipeline.metering import Meter
from gensafe.pipeline.signing import Signing
from gensafe.registry import Registry
from gensafe.safety.reload import PolicyChange, PolicyFile
from gensafe.safety.runner import SafetyRunner


def coverage_of(runner: SafetyRunner) -> entries.Coverage:
    """What the loaded classifiers look for, as the log states it."""
    return {
        modality.value: {"whole": found.whole, "part": tuple(found.partial), "none": found.missing}
        for modality, found in runner.coverage().items()
    }


log = logging.getLogger("gensafe.pipeline")

CLOSE_WAIT_S = 20.0  # a cancelled attempt ends at its next step; the longest is one encoding of a video, seconds

FAULT_POINTS = (
    "claimed",  # the request id is taken, nothing is judged
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
    engines: Engines
    policy: PolicyFile
    marker: Marker
    signing: Signing
    ledger: Ledger
    meter: Meter = field(default_factory=lambda: Meter(UsageConfig()))
    fault_point: Callable[[str], None] = no_fault
    observe: Observer = unobserved

    def safety(self, tenant: str) -> SafetyRunner:
        """The policy in force for a tenant. Taken once per request: it is judged under one policy throughout."""
        return self.policy.runner.for_tenant(tenant)

    def refresh_policy(self) -> PolicyChange | None:
        """Take over a changed policy file: log the change, then put it in force.

        Returns:
            None: nothing changed. Otherwise the change; ``refused`` with ``error`` where the old policy stays in force.

        Raises:
            LogUnavailable: not logged, so the old policy stays in force and the next call tries again.
        """
        change = self.policy.read()
        if change is None:
            return None
        self.log.append(
            entries.policy_changed(
                policy_id=change.policy_id,
                old_digest=change.old_digest,
                new_digest=change.new_digest or "refused",
                actor="file",
                coverage=None if change.refused else coverage_of(self.policy.next_runner(change)),
            )
        )
        self.policy.settle(change)
        self.policy.health.keep(self.policy.runner.asked())
        return change

    def refresh_keys(self) -> None:
        """Take over keys that ``gensafe keys`` changed (see ``key_changes``)."""
        take_over(self.keys, self.log, self.registry)

    def close(self) -> None:
        """Wait for the endings of cancelled attempts, write what the registry is owed, close log and registry."""
        if not self.ledger.wait_idle(CLOSE_WAIT_S):
            log.warning("closing while requests are running: the next start logs them as aborted")
        self.engines.close()
        self.ledger.settle()
        self.log.close()
        self.registry.close()

    def __enter__(self) -> Chain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
