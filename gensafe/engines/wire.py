"""Messages between the server and the process of an engine: JSON over a Unix socket, arrays as passed memory.

A message is a length (4 bytes, big-endian), that many bytes of JSON, and file descriptors that came with the length:
one anonymous memory file for each array. The server unpickles nothing, so an engine that was taken over can send wrong
values but run no code there. Arrays are copied out of the file when they come: who sent them keeps the file and could
still write into it, after the array was judged, or cut it short. Then the first byte of the file is set, and the sender
uses its pages again, since fresh ones cost several times what writing into used ones does.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
from collections import deque
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core import errors
from gensafe.core.errors import BackendError, GensafeError, InvalidRequest
from gensafe.core.plain import from_plain, to_plain
from gensafe.core.types import (
    Answer,
    Audio,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Image,
    Media,
    Message,
    Modality,
    Parameters,
    Progress,
    Text,
    TextDelta,
    Video,
)

MAX_JSON: Final = 64 << 20  # bytes; the longest text and its script are far below
MAX_ARRAYS: Final = 64  # of one message: eight inputs with sound each, and room
KEPT_FILES: Final = 2  # memory files a sender keeps for the next arrays: a film and its sound
KEPT_BYTES: Final = 32 << 20  # of one kept file: four 1080p frames; a larger one is given back
BUFFER: Final = 1 << 16  # bytes read at once: some hundred pieces of text
_PAGE: Final = 4096  # the array begins here in its file, so that it is copied by whole pages
_LENGTH: Final = struct.Struct(">I")

Array = NDArray[Any]


class Closed(Exception):
    """The other side is gone."""


class Channel:
    """One end of the socket. Any thread may send; one thread receives."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = Lock()
        self._kept: list[int] = []  # memory files that were sent, for the next arrays
        self._came = bytearray()  # read and not yet handed on
        self._files: deque[int] = deque()  # that came with them, in order
        self._closed = False

    def send(self, message: Mapping[str, Any], arrays: tuple[Array, ...] = ()) -> None:
        """Send one message.

        Raises:
            Closed: nobody reads any more.
        """
        shapes = [{"dtype": a.dtype.str, "shape": list(a.shape)} for a in arrays]
        data = json.dumps({**message, "arrays": shapes}, ensure_ascii=True).encode("ascii")
        with self._sending:
            files: list[int] = []
            try:
                for array in arrays:
                    files.append(self._filled(array))
                whole = memoryview(_LENGTH.pack(len(data)) + data)
                sent = socket.send_fds(self._socket, [whole], files) if files else 0
                if sent < len(whole):
                    self._socket.sendall(whole[sent:])
            except OSError as error:
                raise Closed from error
            finally:
                self._keep(files)

    def receive(self) -> tuple[dict[str, Any], tuple[Array, ...]]:
        """Wait for the next message.

        Raises:
            Closed: the other side is gone, or sent what is no message.
        """
        files: list[int] = []
        try:
            (size,) = _LENGTH.unpack(self._taken(_LENGTH.size))
            if size > MAX_JSON:
                raise Closed
            message = json.loads(self._taken(size))
            shapes = message.pop("arrays")
            if len(shapes) > len(self._files):
                raise Closed
            files = [self._files.popleft() for _ in shapes]
            return message, tuple(_read(f, s["dtype"], s["shape"]) for f, s in zip(files, shapes, strict=True))
        except (OSError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
            raise Closed from error
        finally:
            for file in files:
                os.close(file)

    def _taken(self, size: int) -> bytes:
        """The next ``size`` bytes; files come no later than the first byte of their message."""
        while len(self._came) < size:
            piece, files, _, _ = socket.recv_fds(self._socket, max(BUFFER, size - len(self._came)), MAX_ARRAYS)
            self._files += files
            if not piece or len(self._files) > 2 * MAX_ARRAYS:  # of this message and the next
                raise Closed
            self._came += piece
        taken = bytes(self._came[:size])
        del self._came[:size]
        return taken

    def _filled(self, array: Array) -> int:
        """A memory file that holds the array: one that was read by the other side, or a new one."""
        file = next((one for one in self._kept if os.pread(one, 1, 0) == b"\1"), -1)
        if file >= 0:
            self._kept.remove(file)
        else:
            file = _memory_file()
        try:
            os.pwrite(file, b"\0", 0)
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
            done = 0
            while done < len(data):
                done += os.pwrite(file, data[done:], _PAGE + done)
        except BaseException:
            os.close(file)
            raise
        return file

    def _keep(self, files: list[int]) -> None:
        """Keep what was sent for the next arrays, the newest first, and let go of the rest."""
        small = [] if self._closed else [f for f in files if os.fstat(f).st_size <= KEPT_BYTES]
        known = [*small, *self._kept]
        self._kept = [] if self._closed else known[:KEPT_FILES]
        for file in {*files, *known} - {*self._kept}:
            os.close(file)

    def close(self) -> None:
        """Hang up; a receiver on this end wakes."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
        with self._sending:
            self._closed = True
            self._keep([])
        while self._files:
            os.close(self._files.popleft())


def _memory_file() -> int:
    """An anonymous file, readable and writable."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gensafe-array", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as made:  # macOS
        return os.dup(made.fileno())


def _read(file: int, dtype: str, shape: list[int]) -> Array:
    """The array in a memory file, copied, and the file given back.

    Raises:
        ValueError: the file is too short for it.
    """
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError("arrays of objects are not passed")
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if not 0 <= size <= max(0, os.fstat(file).st_size - _PAGE):
        raise ValueError("the array is cut short")
    array = np.empty(shape, kind)
    if size:
        into, done = array.reshape(-1).view(np.uint8).data, 0
        while done < size:
            came = os.preadv(file, [into[done:]], _PAGE + done)
            if not came:
                raise ValueError("the array is cut short")
            done += came
    os.pwrite(file, b"\1", 0)
    return array


# --- values ---------------------------------------------------------------------------------------------------------


def media_out(media: Media) -> tuple[dict[str, Any], tuple[Array, ...]]:
    """A medium as a description and its arrays."""
    match media:
        case Text():
            return {"kind": "text", "text": media.text}, ()
        case Image():
            return {"kind": "image"}, (media.pixels,)
        case Audio():
            return {"kind": "audio", "rate": media.rate}, (media.samples,)
        case Video():
            sound = (media.audio.samples,) if media.audio else ()
            rate = media.audio.rate if media.audio else 0
            return {"kind": "video", "fps": media.fps, "rate": rate}, (media.frames, *sound)


def media_in(said: Mapping[str, Any], arrays: list[Array]) -> Media:
    """The medium again; takes its arrays from the front of ``arrays``.

    Raises:
        BackendError: arrays of the wrong shape or type.
    """
    match said.get("kind"):
        case "text":
            return Text(str(said["text"]))
        case "image":
            return Image(_checked(arrays.pop(0), np.uint8, 3))
        case "audio":
            return Audio(_checked(arrays.pop(0), np.float32, 2), int(said["rate"]))
        case "video":
            frames = _checked(arrays.pop(0), np.uint8, 4)
            sound = Audio(_checked(arrays.pop(0), np.float32, 2), int(said["rate"])) if said["rate"] else None
            return Video(frames, float(said["fps"]), sound)
    raise BackendError("the engine sent a medium of no known kind")


def _checked(array: Array, kind: Any, axes: int) -> Array:  # noqa: ANN401 - numpy's own
    if array.dtype != kind or array.ndim != axes or (kind is np.uint8 and array.shape[-1] != 3):
        raise BackendError("the engine sent an array of another shape or type than its medium has")
    return array


def job_out(job: GenerationJob) -> tuple[dict[str, Any], tuple[Array, ...]]:
    """A job as a description and the arrays of its inputs."""
    inputs = [media_out(medium) for medium in job.inputs]
    plain = {
        "prompt": job.prompt,
        "modality": job.modality.value,
        "seed": job.seed,
        "max_tokens": job.max_tokens,
        "model": job.model,
        "messages": to_plain(job.messages),
        "parameters": to_plain(job.parameters),
        "inputs": [said for said, _ in inputs],
    }
    return plain, tuple(array for _, arrays in inputs for array in arrays)


def job_in(said: Mapping[str, Any], arrays: tuple[Array, ...]) -> GenerationJob:
    """The job again."""
    left = list(arrays)
    return GenerationJob(
        prompt=said["prompt"],
        modality=Modality(said["modality"]),
        inputs=tuple(media_in(one, left) for one in said["inputs"]),
        seed=said["seed"],
        max_tokens=said["max_tokens"],
        model=said["model"],
        messages=tuple(from_plain(Message, one) for one in said["messages"]),
        parameters=from_plain(Parameters, said["parameters"]),
    )


def event_out(event: BackendEvent) -> tuple[dict[str, Any], tuple[Array, ...]]:
    """An event as a description and its arrays."""
    match event:
        case Progress():
            return {"event": "progress", "done": event.done, "total": event.total, "stage": event.stage}, ()
        case TextDelta():
            return {"event": "text", "text": event.text}, ()
        case Draft():
            said, arrays = media_out(event.media)
            answer = event.answer
            if answer is not None:
                arrays += (np.frombuffer(answer.data, np.uint8),)
            return {
                "event": "draft",
                "media": said,
                "record": to_plain(event.record),
                "script": event.script,
                "answer": None if answer is None else {"dropped": answer.dropped},
            }, arrays


def event_in(said: Mapping[str, Any], arrays: tuple[Array, ...]) -> BackendEvent:
    """The event again.

    Raises:
        BackendError: it is none.
    """
    try:
        match said["event"]:
            case "progress":
                return Progress(int(said["done"]), int(said["total"]), str(said["stage"]))
            case "text":
                return TextDelta(str(said["text"]))
            case "draft":
                record, rest, answer = from_plain(GenerationRecord, said["record"]), list(arrays), None
                if said["answer"] is not None:
                    answer = Answer(rest.pop().tobytes(), str(said["answer"]["dropped"]))
                return Draft(media_in(said["media"], rest), record, str(said["script"]), answer)
    except (KeyError, IndexError, TypeError, ValueError, InvalidRequest) as error:
        raise BackendError("the engine's process sent what is no event") from error
    raise BackendError("the engine's process sent what is no event")


def error_out(error: GensafeError) -> dict[str, Any]:
    """An error by the name of its class, or of the nearest one above it that the server knows, with its words."""
    unknown = list(getattr(error, "unknown", ()))
    known = next(kind for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    return {
        "error": known.__name__,
        "message": error.message,
        "field": error.field,
        "fix": error.fix,
        "unknown": unknown,
    }


def error_in(said: Mapping[str, Any]) -> GensafeError:
    """The error again; one that a backend may not raise becomes BackendError."""
    kind = getattr(errors, str(said.get("error")), None)
    message, field, fix = str(said.get("message")), said.get("field"), said.get("fix")
    if kind is errors.PromptNotUnderstood:
        return errors.PromptNotUnderstood(message, unknown=tuple(map(str, said.get("unknown", ()))), fix=fix)
    allowed = (InvalidRequest, BackendError, errors.Cancelled, errors.ConfigError, errors.PluginError)
    if isinstance(kind, type) and issubclass(kind, allowed):
        return kind(message, field=field, fix=fix)
    return BackendError(message)


__all__ = ["Channel", "Closed", "error_in", "error_out", "event_in", "event_out", "job_in", "job_out"]
