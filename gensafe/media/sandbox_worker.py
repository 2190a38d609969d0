"""The child process behind ``gensafe.media.sandbox``: lock the door, then serve calls from standard input."""

from __future__ import annotations

import importlib
import os
import pickle
import resource
import struct
import sys
from typing import IO, Any, Final

from gensafe.core.errors import GensafeError, MediaLimitExceeded, UnreadableMedia
from gensafe.media.spool import Source

_HEADER: Final = struct.Struct(">Q")


def main() -> None:
    """Serve until standard input ends."""
    requests, answers = _take_pipes()
    memory_bytes, open_files, without = pickle.loads(_read(requests))  # noqa: S301 - from our own parent
    _write(answers, pickle.dumps(lock_down(memory_bytes, open_files, without)))
    while True:
        try:
            request = _read(requests)
        except EOFError:
            return
        target, args, cpu_s, output_bytes, talks = pickle.loads(request)  # noqa: S301 - from our own parent
        _allow_cpu(cpu_s)
        line = (Line(requests, answers, cpu_s, output_bytes),) if talks else ()
        _write(answers, _answer(target, (*line, *args), output_bytes))


class Line(Source):
    """What a function that runs here may ask of its parent: the bytes of the file, and what to do next.

    The parent answers one request at a time, so a worker never runs ahead of it.
    """

    def __init__(self, requests: IO[bytes], answers: IO[bytes], cpu_s: int, output_bytes: int) -> None:
        self._requests, self._answers = requests, answers
        self._cpu_s, self._output_bytes = cpu_s, output_bytes
        self.length = int(self.ask("length"))

    def ask(self, value: object) -> Any:  # noqa: ANN401 - what the parent wants next
        """Hand ``value`` over and wait for the answer."""
        data = pickle.dumps(("ask", value), protocol=5)
        if len(data) > self._output_bytes:
            raise MediaLimitExceeded(f"the answer has {len(data)} bytes", field="output_bytes")
        _write(self._answers, data)
        reply = pickle.loads(_read(self._requests))  # noqa: S301 - from our own parent
        _allow_cpu(self._cpu_s)
        return reply

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file."""
        _write(self._answers, pickle.dumps(("read", (offset, size)), protocol=5))
        return _read(self._requests)


def _answer(target: str, args: tuple[Any, ...], output_bytes: int) -> bytes:
    error: GensafeError
    try:
        module, _, name = target.partition(":")
        answer = pickle.dumps(("value", getattr(importlib.import_module(module), name)(*args)), protocol=5)
        if len(answer) <= output_bytes:
            return answer
        error = MediaLimitExceeded(f"the answer has {len(answer)} bytes", field="output_bytes")
    except GensafeError as known:
        error = known
    except MemoryError:
        error = MediaLimitExceeded("decoding needs more memory than it may have", field="memory_bytes")
    except Exception as stray:
        error = UnreadableMedia(f"decoding failed: {type(stray).__name__}: {stray}"[:500])
    return pickle.dumps(("error", error), protocol=5)


def lock_down(memory_bytes: int, open_files: int, without: frozenset[str] = frozenset()) -> dict[str, bool]:
    """Give up what a decoder does not need. Returns which protections took effect."""
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, open_files),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        _lower(kind, value)
    _block_python_sockets()
    from gensafe.media import sandbox_landlock, sandbox_seccomp

    # The filter comes last: it refuses the calls that the others need.
    status = {
        "rlimits": True,
        "python_socket_block": True,
        "closed": sandbox_landlock.close_parent(),  # this worker to its siblings
        "no_capabilities": sandbox_landlock.drop_capabilities(),
        "landlock": "landlock" not in without and sandbox_landlock.install(),
    }
    return {**status, "seccomp": "seccomp" not in without and sandbox_seccomp.install()}


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):  # macOS refuses RLIMIT_AS; time and output limits still hold
        return


def _allow_cpu(seconds: int) -> None:
    """Let the process use ``seconds`` more than it has; the kernel ends it with SIGXCPU after that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _block_python_sockets() -> None:
    import socket

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError("no network in a media worker")

    socket.socket.__init__ = refuse  # type: ignore[method-assign]


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the two pipes for the protocol; whatever a library prints goes nowhere."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _read(stream: IO[bytes]) -> bytes:
    head = stream.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise EOFError
    (size,) = _HEADER.unpack(head)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(_HEADER.pack(len(data)))
    stream.write(data)
    stream.flush()


if __name__ == "__main__":
    main()
    sys.exit(0)
