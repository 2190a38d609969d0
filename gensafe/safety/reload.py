"""A policy file that may change while the service runs. A broken file never takes effect."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from gensafe.core.clock import SystemClock
from gensafe.core.errors import ConfigError, GensafeError
from gensafe.safety.health import FilterHealth
from gensafe.safety.policy import check_environment, load_policy, policy_path
from gensafe.safety.runner import SafetyRunner

log = logging.getLogger("gensafe.safety")


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What a changed policy file leads to: another policy, or a refusal and why."""

    policy_id: str
    old_digest: str
    new_digest: str  # "" if the new file was refused
    error: str = ""  # why it was refused

    @property
    def refused(self) -> bool:
        """Whether the old policy stays in force."""
        return not self.new_digest


@dataclass(frozen=True, slots=True)
class _Next:
    """What was read from the file at one time stamp, not in force yet."""

    stamp: tuple[int, int, int]
    change: PolicyChange | None
    runner: SafetyRunner | None


class PolicyFile:
    """Holds the runner of the policy in ``path``. Thread-safe.

    A change takes two steps, so that it can be logged in between: ``read`` says what the file asks for, ``settle`` puts
    it in force. Until it is settled, ``read`` says the same again.

    Args:
        path: The file; None = the built-in policy, which never changes.
        timeout_s: As for ``SafetyRunner``.
        environment: "production" refuses policies that only watch, open on errors, or require what nothing covers.
        health: Told of every failure and success of a classifier; None = nobody is.

    Raises:
        ConfigError, SafetyUnavailable: the file does not work to begin with.
    """

    def __init__(
        self,
        path: Path | None,
        timeout_s: float | None = None,
        *,
        environment: str = "development",
        health: FilterHealth | None = None,
    ) -> None:
        self._path = None if path is None else policy_path(path)
        self._timeout, self._environment = timeout_s, environment
        self.health = health or FilterHealth(SystemClock())
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._next: _Next | None = None
        self._runner = self._load()

    @property
    def runner(self) -> SafetyRunner:
        """The runner in force. Take it once per request: a request is judged under one policy throughout."""
        with self._lock:
            return self._runner

    def read(self) -> PolicyChange | None:
        """Read the file if it changed since the last ``settle``; None if there is nothing new. Changes nothing."""
        with self._lock:
            stamp = self._stamp()
            if stamp == self._seen:
                return None
            if self._next is None or self._next.stamp != stamp:
                self._next = self._examine(stamp)
            if self._next.change is None:  # other bytes, the same policy
                self._seen, self._next = stamp, None
                return None
            return self._next.change

    def next_runner(self, change: PolicyChange) -> SafetyRunner:
        """The runner of a change that ``read`` returned and did not refuse; the present one if it was overtaken."""
        with self._lock:
            known = self._next is not None and self._next.change is change and self._next.runner
            return known or self._runner

    def settle(self, change: PolicyChange) -> None:
        """Put in force what ``read`` returned, or keep the old policy if it was refused. No other change is settled."""
        with self._lock:
            if self._next is None or self._next.change is not change:
                return
            self._seen, self._runner, self._next = self._next.stamp, self._next.runner or self._runner, None

    def _examine(self, stamp: tuple[int, int, int]) -> _Next:
        now = self._runner.policy
        try:
            # every classifier is loaded before the switch: there is no moment without a working gate
            runner = self._load()
        except GensafeError as error:
            return _Next(stamp, PolicyChange(now.id, now.digest, "", str(error)), None)
        if runner.policy.digest == now.digest:
            return _Next(stamp, None, None)
        return _Next(stamp, PolicyChange(runner.policy.id, now.digest, runner.policy.digest), runner)

    def _load(self) -> SafetyRunner:
        policy = load_policy(self._path)
        check_environment(policy, self._environment)
        runner = SafetyRunner.from_policy(policy, self._timeout, health=self.health)
        for modality, reasons in runner.unmet().items():
            if self._environment == "production":
                fix = "name a classifier that covers it, or take it from [require]"
                raise ConfigError("; ".join(reasons), field=f"require.{modality}", fix=fix)
            log.warning("every %s is blocked: %s", modality, "; ".join(reasons))
        return runner

    def _stamp(self) -> tuple[int, int, int]:
        if self._path is None:
            return (0, 0, 0)
        try:
            found = self._path.stat()
        except OSError:
            return (-1, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)
