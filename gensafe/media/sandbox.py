"""Run a function on untrusted bytes in a separate process that cannot hurt this one.

The worker is started with ``exec`` (never forked: the native signer and gRPC do not survive a fork) and is reused, so a
call costs a pipe round trip. What holds it:

- time: the parent kills it at ``wall_s``; the kernel at ``cpu_s`` of processor time per call;
- memory: ``RLIMIT_AS``; files: ``RLIMIT_FSIZE`` 0 (no writing), ``RLIMIT_NOFILE``; no core dumps;
- output: an answer larger than ``output_bytes`` is refused on both sides of the pipe;
- network, programs, signals, files: on Linux (x86-64, arm64) a seccomp filter allows the calls that reading needs and
  refuses every other; Landlock lets it read Python's own files and nothing else; capabilities are given up, and this
  process's memory and environment are closed to others of the same user before the first worker starts. Where the
  kernel has neither, Python's own ``socket`` is blocked, which a hostile native library could step around:
  ``status()`` says which protections are in force.

Not covered without Landlock: the worker can read the files its user can read. Answers come back through an unpickler
that makes nothing but numbers, strings, containers, NumPy arrays and GenSafe's own types, so a taken-over worker cannot
run code here.
"""

from __future__ import annotations

import atexit
import io
import os
import pickle
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from gensafe.core.errors import GensafeError, MediaLimitExceeded, UnreadableMedia
from gensafe.core.types import Audio, Image, Media, Text, Video
from gensafe.media.limits import LIMITS, Limits
from gensafe.media.sandbox_landlock import close_parent
from gensafe.media.spool import Source

_HEADER: Final = struct.Struct(">Q")
_START_S: Final = 60.0  # seconds a worker may take to start on a busy machine. Chosen, not measured
_MOST_READ: Final = 64 << 20  # bytes of a file that a worker gets at once; a header larger than this is refused
_ALLOWED_MODULES: Final = (
    "gensafe.core.types.media",
    "gensafe.core.types",
    "gensafe.core.errors",
    "gensafe.media.limits",
)
_ALLOWED_NAMES: Final = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("builtins", "complex"),
    ("builtins", "bytearray"),
    ("fractions", "Fraction"),
    ("gensafe.media.parts", "Part"),
}


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one call may use.

    Args:
        wall_s: Seconds until the worker is killed.
        cpu_s: Seconds of processor time.
        memory_bytes: Address space of the worker, its libraries included (about 1 GiB of it is theirs).
        output_bytes: Size of the pickled answer.
        open_files: File descriptors.
    """

    wall_s: float = 60.0
    cpu_s: int = 60
    memory_bytes: int = 6 << 30
    output_bytes: int = 2 << 30
    open_files: int = 64


WORKER_LIMITS: Final = WorkerLimits()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        if "." not in name and (module in _ALLOWED_MODULES or (module, name) in _ALLOWED_NAMES):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} may not come out of a worker")


def safe_loads(data: bytes) -> Any:  # noqa: ANN401
    """Unpickle plain values, NumPy arrays and GenSafe's types only.

    Raises:
        UnreadableMedia: anything else is in there.
    """
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:
        raise UnreadableMedia(f"the worker's answer could not be read: {error}") from None


class _Worker:
    """One child process and its two pipes."""

    def __init__(self, limits: WorkerLimits, without: frozenset[str]) -> None:
        self.limits = limits
        closed = close_parent()
        self.calls = 0
        self.answered = True  # False while a call is under way: after a crash or a stop the pipes are out of step
        environment = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")}
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment |= dict.fromkeys(threads, "1") | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self._process = subprocess.Popen(  # our own interpreter and module
            [sys.executable, "-P", "-m", "gensafe.media.sandbox_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            close_fds=True,
        )
        deadline = time.monotonic() + _START_S
        self._send(pickle.dumps((limits.memory_bytes, limits.open_files, without)), deadline)
        self.status: Mapping[str, bool] = {**safe_loads(self._receive(1 << 16, deadline)), "parent_closed": closed}

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def call(self, target: str, args: tuple[object, ...], limits: WorkerLimits) -> object:
        self.calls += 1
        self.answered = False
        deadline = time.monotonic() + limits.wall_s
        self._send(pickle.dumps((target, args, limits.cpu_s, limits.output_bytes, False), protocol=5), deadline)
        answer = self._receive(limits.output_bytes + 1024, deadline)
        self.answered = True
        kind, value = safe_loads(answer)
        if kind == "error":
            raise value if isinstance(value, GensafeError) else UnreadableMedia("the worker's answer is malformed")
        return value

    def converse(
        self, target: str, args: tuple[object, ...], source: Source, limits: WorkerLimits
    ) -> Generator[object, object, None]:
        """Run a function that talks: yields what it hands over, and sends it what the caller sends in return."""
        self.calls += 1
        self.answered = False
        message = pickle.dumps((target, args, limits.cpu_s, limits.output_bytes, True), protocol=5)
        while True:
            deadline = time.monotonic() + limits.wall_s  # for one answer: a film may take as long as it is read
            self._send(message, deadline)
            kind, value = safe_loads(self._receive(limits.output_bytes + 1024, deadline))
            if kind == "read":
                offset, size = (int(v) for v in value)
                message = source.read_at(max(0, offset), max(0, min(size, _MOST_READ)))
            elif kind == "ask" and isinstance(value, str) and value == "length":
                message = pickle.dumps(source.length)
            elif kind == "ask":
                message = pickle.dumps((yield value))
            else:
                self.answered = True
                if kind == "error":
                    raise value if isinstance(value, GensafeError) else UnreadableMedia("the worker's answer is wrong")
                return

    def close(self) -> None:
        if self.alive():
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass

    def _send(self, data: bytes, deadline: float) -> None:
        pipe = self._pipe(self._process.stdin)
        os.set_blocking(pipe, False)
        view = memoryview(_HEADER.pack(len(data)) + data)
        try:
            while view:
                self._wait([], [pipe], deadline)
                view = view[os.write(pipe, view[: 1 << 20]) :]
        except BrokenPipeError:
            raise UnreadableMedia(self._died()) from None

    def _receive(self, largest: int, deadline: float) -> bytes:
        pipe = self._pipe(self._process.stdout)
        (size,) = _HEADER.unpack(self._read(pipe, _HEADER.size, deadline))
        if size > largest:
            raise MediaLimitExceeded(f"the worker's answer has {size} bytes", field="output_bytes")
        return self._read(pipe, size, deadline)

    def _read(self, pipe: int, count: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        while count:
            self._wait([pipe], [], deadline)
            part = os.read(pipe, min(count, 1 << 20))
            if not part:
                raise UnreadableMedia(self._died())
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _wait(self, readers: list[int], writers: list[int], deadline: float) -> None:
        left = deadline - time.monotonic()
        ready = left > 0 and any(select.select(readers, writers, [], left)[:2])
        if not ready:
            raise MediaLimitExceeded("decoding took too long and was stopped", field="wall_s")

    def _died(self) -> str:
        code = self._process.wait()
        if code == -24:  # SIGXCPU
            return "decoding used up its processor time"
        return f"the decoder crashed ({'signal ' + str(-code) if code < 0 else 'exit ' + str(code)})"

    @staticmethod
    def _pipe(stream: IO[bytes] | None) -> int:
        assert stream is not None
        return stream.fileno()


class WorkerPool:
    """Reusable workers, at most ``size`` at a time; safe to call from many threads.

    Args:
        size: Workers that may run at once; further calls wait.
        calls_each: A worker is replaced after so many calls, so that what one file left behind does not pile up.
        without: Protections to leave out ("seccomp", "landlock"), as a kernel without them would; for tests.
    """

    def __init__(self, size: int = 2, calls_each: int = 1000, without: frozenset[str] = frozenset()) -> None:
        self._without = without
        self._slots = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._calls_each = calls_each
        self._closed = False

    def run(self, target: str, *args: object, limits: WorkerLimits = WORKER_LIMITS) -> object:
        """Call ``target`` ("module:function") in a worker and return what it returns.

        Args:
            target: Importable name; the function gets ``args``.
            args: Picklable.
            limits: Bounds on this call.

        Raises:
            UnreadableMedia: the worker crashed, or answered with something that is not plain data.
            MediaLimitExceeded: it took too long, used too much memory, or its answer is too large.
            GensafeError: whatever GenSafe error the function raised.
        """
        with self._slots:
            worker = self._take(limits)
            try:
                answer = worker.call(target, args, limits)
            except GensafeError:
                self._give_back(worker)
                raise
            except BaseException:
                worker.close()
                raise
            self._give_back(worker)
            return answer

    def converse(
        self, target: str, *args: object, source: Source, limits: WorkerLimits = WORKER_LIMITS
    ) -> Generator[object, object, None]:
        """Call a function that talks: ``target`` gets a ``sandbox_worker.Line`` before ``args``.

        The worker is taken at the first ``next`` and kept until the generator ends or is closed; one that is closed
        half way is killed. ``limits`` hold for each answer, not for the whole.

        Yields:
            What the function hands over by ``ask``; what is sent in is the answer to it.

        Raises:
            UnreadableMedia, MediaLimitExceeded, GensafeError: as ``run``.
        """
        with self._slots:
            worker = self._take(limits)
            try:
                yield from worker.converse(target, args, source, limits)
            finally:
                self._give_back(worker)

    def status(self) -> Mapping[str, bool]:
        """Which protections are in force here.

        "rlimits", "seccomp", "landlock", "no_capabilities", "python_socket_block" in a worker, "parent_closed" for this
        process.
        """
        with self._slots:
            worker = self._take(WORKER_LIMITS)
            self._give_back(worker)
            return dict(worker.status)

    def close(self) -> None:
        """Kill all idle workers; later calls fail."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()

    def _take(self, limits: WorkerLimits) -> _Worker:
        while True:
            with self._lock:
                if self._closed:
                    raise UnreadableMedia("the worker pool is closed")
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                return _Worker(limits, self._without)
            same = (worker.limits.memory_bytes, worker.limits.open_files) == (limits.memory_bytes, limits.open_files)
            if same and worker.alive():
                return worker
            worker.close()

    def _give_back(self, worker: _Worker) -> None:
        """Keep a worker that answered properly; one that crashed or was stopped half way is killed."""
        with self._lock:
            keep = not self._closed and worker.alive() and worker.answered and worker.calls < self._calls_each
            if keep:
                self._idle.append(worker)
        if not keep:
            worker.close()


_pool: WorkerPool | None = None
_film_pool: WorkerPool | None = None
_pool_lock = threading.Lock()


def default_pool() -> WorkerPool:
    """The process-wide pool, made on first use; its workers end with the process."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = WorkerPool(size=max(2, min(8, os.cpu_count() or 2)))
            atexit.register(_pool.close)
        return _pool


def film_pool() -> WorkerPool:
    """The process-wide pool for films and long sounds: they occupy a worker for as long as they are examined."""
    global _film_pool
    with _pool_lock:
        if _film_pool is None:
            _film_pool = WorkerPool(size=max(2, min(8, os.cpu_count() or 2)))
            atexit.register(_film_pool.close)
        return _film_pool


def decode_untrusted(
    data: bytes,
    media_type: str | None = None,
    limits: Limits = LIMITS,
    worker_limits: WorkerLimits = WORKER_LIMITS,
) -> Media:
    """``gensafe.media.decode`` in a worker.

    Raises:
        UnreadableMedia, UnsupportedMedia, MediaLimitExceeded: as ``decode``, and for a decoder that crashed or hung.
    """
    limits.check("max_bytes", len(data))
    media = run_in_worker("gensafe.media.codecs:decode", data, media_type, limits, limits=worker_limits)
    if not isinstance(media, Text | Image | Audio | Video):
        raise UnreadableMedia("the worker's answer is not a medium")
    return media


def run_in_worker(target: str, *args: object, limits: WorkerLimits = WORKER_LIMITS) -> object:
    """``WorkerPool.run`` on the process-wide pool.

    Raises:
        UnreadableMedia, MediaLimitExceeded, GensafeError: as ``WorkerPool.run``.
    """
    return default_pool().run(target, *args, limits=limits)
