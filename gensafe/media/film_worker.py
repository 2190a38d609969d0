"""What the sandboxed worker does with a film or a long sound: list its parts, and hand it over chunk by chunk.

Each function gets a ``sandbox_worker.Line`` first, by which it reads the file and hands over what it has.
"""

from __future__ import annotations

import io
from collections import deque
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from gensafe.core.errors import MediaError, UnreadableMedia
from gensafe.core.types import GRID, KEPT, Audio, Modality
from gensafe.media.audio import AudioCollector, check_audio_stream, check_whole
from gensafe.media.leading import after_tags
from gensafe.media.limits import LIMITS, Limits
from gensafe.media.parts import EDITED_OUT, MAX_PARTS, Opened, further_tracks, leaves_out, opener, read_track, too_many
from gensafe.media.sandbox_worker import Line
from gensafe.media.shrink import shrink
from gensafe.media.sniff import canonical_type, modality_of, sniff
from gensafe.media.spool import BLOCK, SourceFile, View
from gensafe.media.tracks import boxes
from gensafe.media.video import DEMUXER as MOVING
from gensafe.media.video import demuxed, picture_tracks, quarter_turns, rgb
from gensafe.media.words import plain

CHUNK_BYTES: Final = 48 << 20  # of decoded frames kept for one chunk: 15 frames at 1080p. Chosen for memory
CHUNK_FRAMES: Final = 64  # at most, so that a film of small frames answers often; a round number
CHUNK_S: Final = 5.0  # seconds of sound in a chunk: 2 MB of stereo at 48 kHz. Chosen for memory
_MOVIE_BOX: Final = 64 << 20  # bytes of a movie box that are searched; a larger one is taken to have an edit list
_RED: Final = 2.0  # red over green and blue together; at the threshold it is 4 of linear light
_RED_CELLS: Final = 0.01  # share of the cells; a flash needs a quarter of a ninth of the picture
_SAME_IN_444: Final = {"yuv420p": "yuv444p", "yuvj420p": "yuvj444p"}


def describe(line: Line, media_type: str | None, limits: Limits) -> None:
    """Hand over (kind, entries): an entry is ("film", facts), ("sound", facts) or ("part", Part); the medium first.

    ``kind`` alone, with no entries, where the file is neither film nor sound.

    Raises:
        UnreadableMedia, UnsupportedMedia, MediaLimitExceeded: as ``decode``.
    """
    kind = _kind(line, media_type)
    modality = modality_of(kind)
    if modality not in (Modality.AUDIO, Modality.VIDEO):
        line.ask((kind, ()))
        return
    limits.check("max_bytes", line.length)
    view: Any = View(line)
    check_whole(view, kind)
    opened = _opened(line, kind)
    entries: list[tuple[str, Any]] = []
    try:
        with opened() as container:
            sounds = container.streams.audio
            if modality is Modality.VIDEO:
                tracks = picture_tracks(container)
                if not tracks:
                    raise UnreadableMedia("the file has no video track")
                entries.append(("film", _film(container, tracks[0], sounds[0] if sounds else None, limits)))
            elif sounds:
                entries.append(("sound", _sound(sounds[0], limits)))
            else:
                raise UnreadableMedia("the file has no audio track")
    except MediaError:
        raise
    except Exception as error:
        raise UnreadableMedia(f"{kind} could not be decoded: {plain(error)}") from None
    if modality is Modality.VIDEO and _has_edit_list(view, kind) and leaves_out(opened, kind):
        with opened(ignore_editlist="1") as container:
            facts = _film(container, picture_tracks(container)[0], None, limits)
            entries.append(("film", {**facts, "name": EDITED_OUT, "options": {"ignore_editlist": "1"}}))
    further = further_tracks(opened, kind)
    for index, name in further[:MAX_PARTS]:
        entries.append(_further(opened, index, name, limits))
    entries += [("part", part) for part in too_many(len(further) - MAX_PARTS)]
    line.ask((kind, tuple(entries)))


def _further(opened: Opened, index: int, name: str, limits: Limits) -> tuple[str, Any]:
    with opened() as container:
        stream = container.streams[index]
        cover = bool(stream.type == "video" and stream.disposition & av.stream.Disposition.attached_pic)
        try:
            if stream.type == "video" and not cover:
                return "film", {**_film(container, stream, None, limits), "name": name}
            if stream.type == "audio":
                return "sound", {**_sound(stream, limits), "name": name}
        except MediaError:
            pass  # said by the part
    return "part", read_track(opened, index, name, limits)


def _film(container: Any, pictures: Any, sounds: Any, limits: Limits) -> dict[str, Any]:  # noqa: ANN401
    limits.check_picture(pictures.width, pictures.height)
    seconds = container.duration / av.time_base if container.duration else 0.0
    limits.check("max_duration_s", seconds)
    if pictures.frames:
        limits.check("max_frames", pictures.frames)
    facts = {"index": pictures.index, "height": pictures.height, "width": pictures.width, "seconds": seconds}
    if sounds is not None:
        lead = _start(sounds) - _start(pictures)
        facts["sound"] = {**_sound(sounds, limits), "lead": lead if abs(lead) >= 0.001 else 0.0}
    return facts


def _sound(stream: Any, limits: Limits) -> dict[str, Any]:  # noqa: ANN401
    check_audio_stream(stream, limits)
    seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    context = stream.codec_context
    return {"index": stream.index, "rate": context.sample_rate, "channels": context.channels, "seconds": seconds}


def _start(stream: Any) -> float:  # noqa: ANN401
    return float((stream.start_time or 0) * stream.time_base)


def frames(line: Line, kind: str, index: int, options: dict[str, str], limits: Limits) -> None:
    """Hand over ("chunk", first, times, small, last) and, when asked for a frame by its index, its pixels.

    Raises:
        UnreadableMedia, MediaLimitExceeded: as ``decode_video``, when the place is reached.
    """
    kept: deque[Any] = deque(maxlen=KEPT)
    waiting: list[Any] = []
    grids: list[NDArray[np.uint8]] = []
    times: list[float] = []
    first, size, held = 0, None, 0

    def hand_over(end: float, *, last: bool) -> None:
        nonlocal first, held
        asked = line.ask(("chunk", first, np.array([*times, end]), np.stack(grids), last))
        known = [*kept, *waiting]
        while asked is not None:
            asked = line.ask(rgb(known[asked - first + len(kept)]))
        first += len(waiting)
        kept.extend(waiting)
        waiting.clear()
        grids.clear()
        times.clear()
        held = 0

    with _opened(line, kind)(**options) as container:
        stream = container.streams[index]
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        step = 1.0 / float(rate) if rate else 1.0
        clock, now = _Clock(step), 0.0
        try:
            for frame in demuxed(container, [stream]):
                limits.check_picture(frame.width, frame.height)
                if size not in (None, (frame.width, frame.height)):
                    raise UnreadableMedia("the frames change their size")
                size = frame.width, frame.height
                now = clock.at(frame)
                if waiting and (held >= CHUNK_BYTES or len(waiting) >= CHUNK_FRAMES):
                    hand_over(now, last=False)
                limits.check("max_frames", first + len(waiting) + 1)
                limits.check("max_duration_s", now)
                waiting.append(frame)
                grids.append(look(frame))
                times.append(now)
                held += frame.width * frame.height * 3 // 2
        except MediaError:
            raise
        except Exception as error:
            raise UnreadableMedia(f"{kind} could not be decoded: {plain(error)}") from None
        if not waiting:
            raise UnreadableMedia("the file has no decodable frame")
        hand_over(now + clock.last_step(waiting[-1]), last=True)


class _Clock:
    """Time stamps from 0 on, never backwards; a frame without one follows the last by the announced step."""

    def __init__(self, step: float) -> None:
        self._step, self._now = step, -step
        self._zero: float | None = None

    def at(self, frame: Any) -> float:  # noqa: ANN401
        """Seconds at which a frame appears."""
        stamp = float(frame.time) if frame.time is not None else None
        if self._zero is None and stamp is not None:
            self._zero = stamp - (self._now + self._step)
        now = stamp - self._zero if stamp is not None and self._zero is not None else self._now + self._step
        self._now = max(now, self._now, 0.0)
        return self._now

    def last_step(self, frame: Any) -> float:  # noqa: ANN401
        """How long the last frame is shown."""
        if frame.duration and frame.time_base:
            return float(frame.duration * frame.time_base)
        return self._step


def look(frame: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """uint8 (*GRID, 3) sRGB: a frame area-averaged.

    In its own planes where it has the usual ones: half the price, and the same but for rounding. The test for red
    flashes has a sharp threshold, so a frame with saturated red in it is averaged in RGB.
    """
    turns = quarter_turns(frame)
    height, width = GRID if turns % 2 == 0 else GRID[::-1]
    name = _SAME_IN_444.get(frame.format.name)
    if name is None or frame.width < 2 * width or frame.height < 2 * height:
        return np.asarray(shrink(rgb(frame)[None], *GRID)[0])
    small = av.VideoFrame(width, height, name)
    for source, target in zip(frame.planes, small.planes, strict=True):
        rows = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)[: source.height, : source.width]
        averaged = PilImage.fromarray(np.ascontiguousarray(rows)).resize((width, height), PilImage.Resampling.BOX)
        padded = np.zeros((height, target.line_size), np.uint8)
        padded[:, :width] = np.asarray(averaged)
        target.update(padded.tobytes())
    small.colorspace, small.color_range = frame.colorspace, frame.color_range
    pixels = np.asarray(small.to_ndarray(format="rgb24"), np.uint8)
    if _is_red(pixels):
        return np.asarray(shrink(rgb(frame)[None], *GRID)[0])
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _is_red(small: NDArray[np.uint8]) -> bool:
    """Whether a hundredth of the cells is red enough to be near the threshold of a red flash (80 % of linear light)."""
    light = small.astype(np.int32) ** 2  # about linear light
    red = light[..., 0] > _RED * (light[..., 1] + light[..., 2])
    return bool(red.mean() > _RED_CELLS)


def sound(line: Line, kind: str, index: int, lead: float, limits: Limits) -> None:
    """Hand over ``Audio`` chunks.

    Args:
        line: To the parent.
        kind: Of the file.
        index: Of the stream.
        lead: Seconds by which the sound starts after the pictures: silence before it; negative = its start is cut.
        limits: For all of it.

    Raises:
        UnreadableMedia, MediaLimitExceeded: as ``decode_audio``, when the place is reached.
    """
    collector = AudioCollector(limits, whole=False)
    size = 0
    chunks = _Shifted(line, lead)
    with _opened(line, kind)() as container:
        stream = container.streams[index]
        try:
            for frame in demuxed(container, [stream]):
                collector.add(frame)
                size = size or round(CHUNK_S * frame.sample_rate)
                # a block of AAC more than a chunk is kept back, of which the end may be filling
                while collector.pending >= size + 2048 and (ready := collector.take(size)) is not None:
                    chunks.give(ready)
            rest = collector.finish()
        except MediaError:
            raise
        except Exception as error:
            raise UnreadableMedia(f"{kind} could not be decoded: {plain(error)}") from None
        announced = round(float(stream.duration * stream.time_base) * rest.rate) if stream.duration else 0
        if kind == "audio/flac" and announced > collector.count:
            raise UnreadableMedia("the FLAC file is cut short")
        surplus = collector.count - announced if stream.codec_context.name == "aac" and announced else 0
        if 0 < surplus < 1024 and surplus < rest.samples.shape[1]:
            rest = Audio(rest.samples[:, :-surplus], rest.rate)
        chunks.give(rest)


class _Shifted:
    """Hands chunks over, the first after ``lead`` seconds of silence, or without its first ``-lead`` seconds."""

    def __init__(self, line: Line, lead: float) -> None:
        self._line, self._lead, self._cut = line, lead, -1

    def give(self, chunk: Audio) -> None:
        if self._cut < 0:
            offset = round(self._lead * chunk.rate)
            self._cut = max(0, -offset)
            while offset > 0:
                count = min(offset, round(CHUNK_S * chunk.rate))
                self._line.ask(Audio(np.zeros((len(chunk.samples), count), np.float32), chunk.rate))
                offset -= count
        cut = min(self._cut, chunk.samples.shape[1])
        self._cut -= cut
        if cut < chunk.samples.shape[1]:
            self._line.ask(Audio(np.ascontiguousarray(chunk.samples[:, cut:]), chunk.rate))


def _kind(line: Line, media_type: str | None) -> str:
    view: Any = View(line)
    head = line.read_at(0, 4 * BLOCK)
    whole = head if line.length <= len(head) else view
    try:
        actual = sniff(whole)
    except AttributeError:  # a text is told from all its bytes, which a view does not give
        LIMITS.check("max_bytes", line.length)
        actual = sniff(line.read_at(0, line.length))
    if media_type is not None:
        claimed = canonical_type(media_type)
        modality_of(claimed)
        iso = {"video/mp4", "video/quicktime", "audio/mp4"}
        if claimed != actual and not {claimed, actual} <= iso:
            raise UnreadableMedia(f"the bytes are {actual}, not {claimed} as claimed")
    return actual


def _has_edit_list(view: Any, kind: str) -> bool:  # noqa: ANN401
    if MOVING.get(kind) != "mov":
        return False
    found = [(start, end) for name, start, end in boxes(view) if name == b"moov"]
    return any(end - start > _MOVIE_BOX or b"elst" in view[start:end] for start, end in found)


def _opened(line: Line, kind: str) -> Opened:
    start = after_tags(View(line)) if kind not in ("audio/mpeg", "audio/wav") else 0  # type: ignore[arg-type]
    return opener(lambda: io.BufferedReader(SourceFile(line, start), BLOCK), kind)
