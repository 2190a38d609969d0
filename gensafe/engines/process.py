"""A backend in a process of its own: to the server a ``Backend`` like any other; a crash there is a failed job here.

A process that ends (a crash, the out-of-memory killer, a GPU that must be reset) fails the jobs it had with a clear
error, and is started again at the next job, after a pause that doubles with every failure in a row. A job that does not
end ``GRACE_S`` after it was cancelled has hung: its process is killed, with whatever else ran in it.
"""

from __future__ import annotations

import base64
import itertools
import logging
import pickle
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled
from gensafe.core.ports import CancelCheck, SamplingMark, TextTokenizer
from gensafe.core.threads import environment_of_engines
from gensafe.core.types import BackendCapabilities, BackendEvent, GenerationJob, Modality
from gensafe.engines.wire import Channel, Closed, error_in, event_in, job_out

log = logging.getLogger("gensafe.engines")

POLL_S: Final = 0.05  # a cancelled caller is noticed within this
GRACE_S: Final = 5.0  # from asking a job to stop to killing its process; the longest step measured is 0.9 s (a film)
START_S: Final = 120.0  # for loading the weights; symphony takes 1 s here, a 7B model from disk half a minute
FIRST_PAUSE_S: Final = 0.5  # before a process that failed is started again; doubled at every failure in a row
LONGEST_PAUSE_S: Final = 30.0  # between two starts of an engine that keeps ending; chosen by eye, not measured

Answer = tuple[dict[str, Any], tuple[Any, ...]]


class ProcessBackend:
    """Runs a backend plugin in a process. Safe between threads; one process serves all jobs.

    Args:
        backend: Name of the plugin.
        options: Its options.
    """

    def __init__(self, backend: str, options: Mapping[str, str]) -> None:
        self._plugin, self._options = backend, dict(options)
        self._lock = threading.Lock()
        self._running: _Process | None = None
        self._failures = 0
        self._not_before = 0.0
        first = self._process()
        self.name, self.version = str(first.said["name"]), str(first.said["version"])
        self._models = {str(name): str(digest) for name, digest in first.said["models"].items()}
        can = first.said["can"]
        self._can = BackendCapabilities(
            outputs=frozenset(map(Modality, can["outputs"])),
            inputs=frozenset(map(Modality, can["inputs"])),
            sampling_marks=bool(can["sampling_marks"]),
            streaming_text=bool(can["streaming_text"]),
            description=str(can["description"]),
            parameters=frozenset(map(str, can["parameters"])),
        )

    @property
    def pid(self) -> int:
        """Process id of the engine; 0 = it does not run."""
        return self._running.pid if self._running and self._running.alive else 0

    def capabilities(self) -> BackendCapabilities:
        """As the plugin stated when it was first loaded."""
        return self._can

    def models(self) -> Mapping[str, str]:
        """As the plugin stated when it was first loaded."""
        return self._models

    def tokenizer(self) -> TextTokenizer | None:
        """The plugin's tokenizer, asked in its process."""
        return _Tokenizer(self) if self._process().said["tokenizer"] else None

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``; further raises BackendUnavailable when the process ends or cannot be started."""
        if cancelled():
            raise Cancelled("the request was cancelled before it was begun")
        process = self._process()
        said, arrays = job_out(job)
        sent = base64.b64encode(pickle.dumps(mark)).decode("ascii") if mark else ""
        with process.ask({"do": "run", "job": said, "mark": sent}, arrays) as answers:
            asked_to_stop = 0.0
            while True:
                message, came = self._next(process, answers, asked_to_stop)
                if message is None:
                    if not asked_to_stop and cancelled():
                        asked_to_stop = time.monotonic()
                        answers.cancel()
                    continue
                if "error" in message:
                    raise error_in(message)
                if message["event"] == "end":
                    self._failures = 0
                    if asked_to_stop:  # it finished before the wish reached it: nobody waits for the result
                        raise Cancelled("the request was cancelled")
                    return
                if asked_to_stop:
                    continue  # what it made since nobody waits for
                yield event_in(message, came)
                if cancelled():
                    asked_to_stop = time.monotonic()
                    answers.cancel()

    def warm(self) -> None:
        """Get ready for the first job, in the background, where the plugin has something to prepare."""
        self._process().tell({"do": "warm"})

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``."""
        process = self._process()
        with process.ask({"do": "encode", "text": text}, ()) as answers:
            while True:
                message, _ = self._next(process, answers, 0.0)
                if message is not None:
                    return [int(i) for i in message["ids"]]

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._running:
                self._running.end()
                self._running = None

    def _next(self, process: _Process, answers: _Answers, asked_to_stop: float) -> tuple[dict[str, Any] | None, Any]:
        """The next message of a job; None = none within ``POLL_S``."""
        try:
            answer = answers.queue.get(timeout=POLL_S)
        except queue.Empty:
            if asked_to_stop and time.monotonic() - asked_to_stop > GRACE_S:
                log.error("the engine %s does not stop; its process is killed", self._plugin)
                process.kill()
                raise Cancelled("the request was cancelled, and its engine had to be killed") from None
            return None, ()
        if answer is None:
            raise BackendUnavailable(f"the engine's process ended ({process.ending()})", fix="try again")
        return answer

    def _process(self) -> _Process:
        """The running process, started where there is none.

        Raises:
            BackendUnavailable: it failed a moment ago, or cannot be started.
        """
        with self._lock:
            if self._running is not None and self._running.alive:
                return self._running
            if self._running is not None:
                self._failed()
                self._running = None
            wait = self._not_before - time.monotonic()
            if wait > 0:
                fix = f"retry after {wait:.1f} s"
                raise BackendUnavailable("the engine's process ended and is started again soon", fix=fix)
            try:
                self._running = _Process(self._plugin, self._options)
            except BackendError:
                self._failed()
                raise
            return self._running

    def _failed(self) -> None:
        self._failures += 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._failures - 1))
        # The first failure is followed by a start at once: the next request works.
        self._not_before = time.monotonic() + (pause if self._failures > 1 else 0)


class _Tokenizer:
    def __init__(self, backend: ProcessBackend) -> None:
        self._backend = backend

    def encode(self, text: str) -> list[int]:
        return self._backend.encode(text)


class _Answers:
    """The messages that belong to one question, while it is open."""

    def __init__(self, process: _Process, number: int) -> None:
        self._process, self._number = process, number
        self.queue: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()

    def cancel(self) -> None:
        self._process.tell({"do": "cancel", "id": self._number})

    def __enter__(self) -> _Answers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.forget(self._number):
            self.cancel()


class _Process:
    """One started process and the thread that reads what it says."""

    def __init__(self, plugin: str, options: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "gensafe.engines.worker", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment_of_engines()
            )
        self.pid = self._process.pid
        self._channel = Channel(ours)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[int, _Answers] = {}
        self.alive = True
        ours.settimeout(START_S)
        try:
            self._channel.send({"backend": plugin, "options": dict(options)})
            self.said, _ = self._channel.receive()
        except Closed:
            self.kill()
            raise BackendUnavailable(f"the engine {plugin} did not start ({self.ending()})") from None
        if "error" in self.said:
            self.end()
            raise error_in(self.said)
        ours.settimeout(None)
        threading.Thread(target=self._read, name=f"engine-{plugin}", daemon=True).start()

    def ask(self, message: Mapping[str, Any], arrays: tuple[Any, ...]) -> _Answers:
        """Send a question; its answers come to the returned queue, None = the process ended."""
        number = next(self._numbers)
        answers = _Answers(self, number)
        with self._lock:
            if not self.alive:
                answers.queue.put(None)
                return answers
            self._open[number] = answers
        try:
            self._channel.send({**message, "id": number}, arrays)
        except Closed:
            answers.queue.put(None)
        return answers

    def tell(self, message: Mapping[str, Any]) -> None:
        try:
            self._channel.send(message)
        except Closed:
            pass  # the reader notices

    def forget(self, number: int) -> bool:
        """Close a question; whether the process still works on it is unknown, so it is told to stop."""
        with self._lock:
            return self._open.pop(number, None) is not None and self.alive

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """Hang up and wait; a process that does not go is killed."""
        self._channel.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ending(self) -> str:
        """How the process ended, in words."""
        try:
            code = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return "it hung up"
        if code < 0:
            return f"signal {-code}" + (", often: out of memory" if -code == 9 else "")
        return f"exit code {code}"

    def _read(self) -> None:
        while True:
            try:
                message, arrays = self._channel.receive()
            except Closed:
                break
            with self._lock:
                answers = self._open.get(int(message.get("id", 0)))
            if answers is not None:
                answers.queue.put((message, arrays))
        with self._lock:
            self.alive = False
            for answers in self._open.values():
                answers.queue.put(None)
        self._channel.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


__all__ = ["ProcessBackend"]
