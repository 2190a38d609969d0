"""Films and sounds as streams: of untrusted files by a worker process, and of arrays that are in memory.

What a worker hands over is checked: shapes, types and the order of the times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import MediaLimitExceeded, UnreadableMedia
from gensafe.core.types import (
    GRID,
    KEPT,
    Audio,
    AudioStream,
    FrameChunk,
    Media,
    Medium,
    Modality,
    Video,
    VideoStream,
)
from gensafe.media.limits import LIMITS, LONG_LIMITS, Limits
from gensafe.media.parts import Part, read_parts_untrusted
from gensafe.media.sandbox import WorkerLimits, film_pool
from gensafe.media.sniff import modality_of
from gensafe.media.spool import BytesSource, FileSource, Source

# of a sound or of a file that holds no film: up to so many seconds and bytes it is decoded as a whole, which gives the
# same answers as ever. Two minutes of stereo at 48 kHz are 46 MB of samples; chosen for memory
SHORT_S: Final = 120.0
SHORT_BYTES: Final = 64 << 20  # of a file, as said above
WHOLE_BYTES: Final = 512 << 20  # of decoded frames that a classifier without chunks may be given. Chosen for memory
_ARRAY_FRAMES: Final = 64  # of an array in one chunk, as from a file (gensafe.media.film_worker)
# one answer of the worker: a chunk, or a frame of at most 50 megapixels
_ANSWERS: Final = WorkerLimits(wall_s=60.0, cpu_s=60, output_bytes=256 << 20)
_SHORT: Final = Limits(max_bytes=SHORT_BYTES, max_duration_s=SHORT_S)

_SHOWN: Final = 32  # frames of an overview, at least half of them; a strip shows eight
_SHOWN_SIDE: Final = 640  # pixels of their longer side; a strip of eight is 960 wide


def open_parts(source: Source | bytes, media_type: str | None = None) -> tuple[Part, ...]:
    """As ``read_parts_untrusted``, but films and long sounds come as streams, which are read as they are judged.

    Args:
        source: The file.
        media_type: As for ``decode``.

    Raises:
        UnreadableMedia, UnsupportedMedia, MediaLimitExceeded: as ``decode``. Damage further on shows while it is read.
    """
    source = BytesSource(source) if isinstance(source, bytes) else source
    LONG_LIMITS.check("max_bytes", source.length)
    kind, entries = _described(source, media_type)
    modality = modality_of(kind)
    if not entries or modality is Modality.AUDIO:
        if not entries:
            LIMITS.check("max_bytes", source.length)
        try:
            limits = _SHORT if entries else LIMITS
            limits.check("max_bytes", source.length)
            return read_parts_untrusted(source.read_at(0, source.length), media_type, limits)
        except MediaLimitExceeded as error:
            if not entries or error.field not in ("max_bytes", "max_duration_s", "max_decoded_bytes"):
                raise
    parts = [_part(source, kind, form, what) for form, what in entries]
    if parts and parts[0].media is None:
        raise UnreadableMedia(parts[0].reason)
    return tuple(parts)


def open_file(path: Any, media_type: str | None = None) -> tuple[Part, ...]:  # noqa: ANN401 - str or Path
    """``open_parts`` of a file on disk, which is never in memory as a whole."""
    return open_parts(FileSource(path), media_type)


def _described(source: Source, media_type: str | None) -> tuple[str, tuple[tuple[str, Any], ...]]:
    session = film_pool().converse(
        "gensafe.media.film_worker:describe", media_type, LONG_LIMITS, source=source, limits=_ANSWERS
    )
    with closing(session):
        answer = next(session, None)
        found = _entries(answer)
        _end(session)
    return found


def _entries(answer: Any) -> tuple[str, tuple[tuple[str, Any], ...]]:  # noqa: ANN401
    try:
        kind, entries = answer
        return str(kind), tuple((str(form), what) for form, what in entries)
    except (TypeError, ValueError):
        raise UnreadableMedia("the worker's answer is not a list of parts") from None


def _part(source: Source, kind: str, form: str, what: Any) -> Part:  # noqa: ANN401
    try:
        if form == "film":
            return Part(str(what.get("name", "")), FileVideo(source, kind, what))
        if form == "sound":
            return Part(str(what.get("name", "")), FileAudio(source, kind, what))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnreadableMedia("the worker's answer is not a list of parts") from None
    if not isinstance(what, Part):
        raise UnreadableMedia("the worker's answer is not a part")
    return what


class FileVideo(VideoStream):
    """One picture track of a file, decoded in a worker each time it is read."""

    def __init__(self, source: Source, kind: str, facts: Mapping[str, Any]) -> None:
        self._source, self._kind, self._index = source, kind, int(facts["index"])
        self._options = {str(k): str(v) for k, v in facts.get("options", {}).items()}
        self.height, self.width, self.seconds = int(facts["height"]), int(facts["width"]), float(facts["seconds"])
        sound = facts.get("sound")
        self.sound = FileAudio(source, kind, sound) if sound else None

    def chunks(self) -> Iterator[FrameChunk]:
        """See ``VideoStream``."""
        session = film_pool().converse(
            "gensafe.media.film_worker:frames",
            self._kind,
            self._index,
            self._options,
            LONG_LIMITS,
            source=self._source,
            limits=_ANSWERS,
        )
        with closing(session):
            count, now = 0, -1.0
            answer: object = next(session, None)
            while answer is not None:
                chunk = _checked(answer, count, now, session.send)
                count, now = count + len(chunk), float(chunk.times[-1])
                yield chunk
                if chunk.last:
                    _end(session)
                    return
                answer = session.send(None)
            raise UnreadableMedia("the worker ended before the film did")


def _checked(answer: Any, first: int, now: float, ask: Any) -> FrameChunk:  # noqa: ANN401
    """A chunk as the worker gave it, refused where it is not one."""
    try:
        word, start, times, small, last = answer
        good = word == "chunk" and start == first and small.dtype == np.uint8 and small.shape[1:] == (*GRID, 3)
        good = good and len(small) > 0 and times.shape == (len(small) + 1,) and times.dtype == np.float64
        good = good and bool(np.isfinite(times).all() and (np.diff(times) >= 0).all() and times[0] >= max(now, 0.0))
    except (AttributeError, TypeError, ValueError):
        good = False
    if not good:
        raise UnreadableMedia("the worker's answer is not a chunk of a film")
    stop = first + len(small)

    def fetch(index: int) -> NDArray[np.uint8]:
        if not max(0, first - KEPT) <= index < stop:
            raise IndexError(f"frame {index} is not in reach")
        try:
            pixels = ask(index)
        except StopIteration:
            raise UnreadableMedia("the film was read on, or closed") from None
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise UnreadableMedia("the worker's answer is not a frame")
        return pixels

    return FrameChunk(first, times, small, bool(last), fetch)


class FileAudio(AudioStream):
    """One sound track of a file, decoded in a worker each time it is read."""

    def __init__(self, source: Source, kind: str, facts: Mapping[str, Any]) -> None:
        self._source, self._kind, self._index = source, kind, int(facts["index"])
        self._lead = float(facts.get("lead", 0.0))
        self.rate, self.channels, self.seconds = int(facts["rate"]), int(facts["channels"]), float(facts["seconds"])

    def chunks(self) -> Iterator[Audio]:
        """See ``AudioStream``."""
        session = film_pool().converse(
            "gensafe.media.film_worker:sound",
            self._kind,
            self._index,
            self._lead,
            LONG_LIMITS,
            source=self._source,
            limits=_ANSWERS,
        )
        with closing(session):
            form: tuple[int, int] | None = None
            answer = next(session, None)
            while answer is not None:
                if not isinstance(answer, Audio) or answer.samples.ndim != 2 or answer.samples.dtype != np.float32:
                    raise UnreadableMedia("the worker's answer is not a piece of sound")
                found = len(answer.samples), answer.rate
                if form not in (None, found):
                    raise UnreadableMedia("the sound changes its form")
                form = found
                yield answer
                answer = next(session, None)


def _end(session: Any) -> None:  # noqa: ANN401
    """Let the worker finish, so that it can be used again."""
    next(session, None)


class ArrayVideo(VideoStream):
    """A film that is in memory."""

    def __init__(self, whole: Video) -> None:
        self.whole = whole
        self.height, self.width = whole.frames.shape[1:3]
        self.seconds = len(whole.frames) / whole.fps
        self.sound = ArrayAudio(whole.audio) if whole.audio is not None else None

    def chunks(self) -> Iterator[FrameChunk]:
        """See ``VideoStream``."""
        from gensafe.media.shrink import shrink

        frames, fps = self.whole.frames, self.whole.fps
        for first in range(0, len(frames), _ARRAY_FRAMES):
            part = frames[first : first + _ARRAY_FRAMES]
            times = np.arange(first, first + len(part) + 1) / fps
            last = first + len(part) == len(frames)
            yield FrameChunk(first, times, shrink(part, *GRID), last, lambda index: frames[index])


class ArrayAudio(AudioStream):
    """A sound that is in memory."""

    def __init__(self, whole: Audio) -> None:
        self.whole = whole
        self.rate, self.channels = whole.rate, len(whole.samples)
        self.seconds = whole.samples.shape[1] / whole.rate

    def chunks(self) -> Iterator[Audio]:
        """See ``AudioStream``."""
        yield self.whole


def whole_video(film: VideoStream, limit: int = WHOLE_BYTES) -> Video:
    """The frames of a film as one array at a constant rate, for what cannot work on chunks; without its sound.

    Raises:
        MediaLimitExceeded: it takes more than ``limit`` bytes.
    """
    from gensafe.media.video import constant_rate

    if isinstance(film, ArrayVideo):
        return film.whole
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    size = 0
    with closing(film.chunks()) as chunks:  # type: ignore[type-var] # every one is a generator
        for chunk in chunks:
            for k in range(len(chunk)):
                size += film.height * film.width * 3
                if size > limit:
                    raise MediaLimitExceeded(f"as one array it takes more than {limit >> 20} MiB", field="frames")
                frames.append(chunk.pixels(chunk.first + k))
            times += chunk.times[:-1].tolist()
    order, fps = constant_rate(times, 0.0, max(len(frames), limit // frames[0].nbytes))
    return Video(np.stack([frames[i] for i in order]), fps)


def overview(medium: Medium) -> Media:
    """A medium to draw: of a stream, some frames over its whole length and the loudest samples of its sound.

    Raises:
        UnreadableMedia, MediaLimitExceeded: as reading the stream.
    """
    if isinstance(medium, AudioStream):
        return _envelope(medium)
    if not isinstance(medium, VideoStream):
        return medium
    frames: list[NDArray[np.uint8]] = []
    step, due, end = 0.0, 0.0, 0.0
    with closing(medium.chunks()) as chunks:  # type: ignore[type-var] # every one is a generator
        for chunk in chunks:
            end = float(chunk.times[-1])
            for k, start in enumerate(chunk.times[:-1]):
                if start < due:
                    continue
                frames.append(_reduced(chunk.pixels(chunk.first + k)))
                if len(frames) >= 2 * _SHOWN:
                    frames, step = frames[::2], 2 * step if step else 2 * float(start) / len(frames)
                due = float(start) + step
    sound = _envelope(medium.sound) if medium.sound is not None else None
    return Video(np.stack(frames), len(frames) / end if end > 0 else 1.0, sound)


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from gensafe.media.shrink import resize

    scale = _SHOWN_SIDE / max(pixels.shape[:2])
    return resize(pixels, *(max(1, round(side * scale)) for side in pixels.shape[:2])) if scale < 1 else pixels


def _envelope(sound: AudioStream) -> Audio:
    """A hundred samples a second, each the one farthest from 0 of its hundredth."""
    size = max(1, sound.rate // 100)
    parts = []
    for chunk in sound.chunks():
        count = chunk.samples.shape[1] // size * size
        blocks = chunk.samples[:, :count].reshape(len(chunk.samples), -1, size)
        at = np.abs(blocks).argmax(axis=2)
        parts.append(np.take_along_axis(blocks, at[..., None], axis=2)[..., 0])
    samples = np.concatenate(parts, axis=1)
    return Audio(samples if samples.size else np.zeros((sound.channels, 1), np.float32), max(1, sound.rate // size))
