"""A policy file that may change while the service runs. A broken file never takes effect."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from gensafe.core.errors import GensafeError
from gensafe.safety.policy import load_policy
from gensafe.safety.runner import SafetyRunner


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """For the audit log: from which policy to which; ``error`` says why the new file was refused."""

    old_digest: str
    new_digest: str  # "" if the new file was refused
    error: str = ""


class PolicyFile:
    """Holds the runner of the policy in ``path``. Thread-safe.

    Args:
        path: The file; None = the built-in policy, which never changes.
        timeout_s: As for ``SafetyRunner``.

    Raises:
        ConfigError, SafetyUnavailable: the file does not work to begin with.
    """

    def __init__(self, path: Path | None, timeout_s: float | None = None) -> None:
        self._path, self._timeout = path, timeout_s
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._runner = SafetyRunner.from_policy(load_policy(path), timeout_s)

    @property
    def runner(self) -> SafetyRunner:
        """The runner in force. Take it once per request: a request is judged under one policy throughout."""
        with self._lock:
            return self._runner

    def refresh(self) -> PolicyChange | None:
        """Read the file again if it changed; None if there is nothing new."""
        with self._lock:
            stamp = self._stamp()
            if stamp == self._seen:
                return None
            self._seen = stamp
            old = self._runner.policy.digest
            try:
                policy = load_policy(self._path)
                if policy.digest == old:
                    return None
                # every classifier is loaded before the switch: there is no moment without a working gate
                self._runner = SafetyRunner.from_policy(policy, self._timeout)
            except GensafeError as error:
                return PolicyChange(old, "", str(error))
            return PolicyChange(old, policy.digest)

    def _stamp(self) -> tuple[int, int, int]:
        if self._path is None:
            return (0, 0, 0)
        try:
            found = self._path.stat()
        except OSError:
            return (-1, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)
