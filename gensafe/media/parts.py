"""All that a file holds: the medium that ``decode`` gives, and every further track, subtitle, cover and frame.

A person who opens the file may be shown any of them, so each is decoded to a medium that can be judged; what cannot be
is named with the reason, so that nobody takes it for examined. Text in the metadata and bytes behind the end of the
medium are not listed: re-encoding drops them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import MediaError, UnreadableMedia
from gensafe.core.types import Image, Medium, Modality, Text, Video
from gensafe.media.codecs import decode
from gensafe.media.limits import LIMITS, Limits
from gensafe.media.oddities import oddities
from gensafe.media.sniff import modality_of, sniff
from gensafe.media.words import plain

MAX_PARTS: Final = 32  # parts judged beside the medium; what is beyond is named as not examined. Chosen, not measured
_PLAIN: Final = (
    "audio/wav",
    "audio/aac",
    "audio/aiff",
    "audio/basic",
    "audio/x-w64",
    "audio/x-caf",
    "audio/amr",
)  # containers of one sound and nothing else
_STYLE: Final = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file.

    Args:
        name: What it is, for people; "" = the medium itself.
        media: What it holds; None = it could not be read. A stream only where ``open_parts`` gives one.
        reason: Why not.
        view: Another look at the medium itself (on another background): judged, but nothing more than it holds.
        notes: What is odd about the file and cost nothing, for people; of the medium itself only.
        cues: For subtitles, when each piece of the text is shown: (first character, one past the last, from s, to s).
    """

    name: str
    media: Medium | None
    reason: str = ""
    cues: tuple[tuple[int, int, float, float], ...] = ()
    view: bool = False
    notes: tuple[str, ...] = ()


def read_parts(data: bytes, media_type: str | None = None, limits: Limits = LIMITS) -> tuple[Part, ...]:
    """Decode a file with everything in it; the medium itself comes first.

    Args:
        data: The file.
        media_type: As for ``decode``.
        limits: For each part.

    Raises:
        UnreadableMedia, UnsupportedMedia, MediaLimitExceeded: as ``decode``, for the medium itself.
    """
    main = decode(data, media_type, limits)
    kind = sniff(data)
    modality = modality_of(kind)
    found = [Part("", main, notes=oddities(data))]
    if modality is Modality.IMAGE:
        found += _pictures(data, kind, limits)
    elif modality is not Modality.TEXT and kind not in _PLAIN:
        found += _tracks(data, kind, limits)
    return tuple(found)


def read_parts_untrusted(data: bytes, media_type: str | None = None, limits: Limits = LIMITS) -> tuple[Part, ...]:
    """``read_parts`` in a worker process.

    Raises:
        UnreadableMedia, UnsupportedMedia, MediaLimitExceeded: as ``read_parts``; also where a decoder crashed or hung.
    """
    from gensafe.media.sandbox import run_in_worker

    limits.check("max_bytes", len(data))
    parts = run_in_worker("gensafe.media.parts:read_parts", data, media_type, limits)
    if not isinstance(parts, tuple) or not parts or not all(isinstance(p, Part) for p in parts):
        raise UnreadableMedia("the worker's answer is not a list of parts")
    return parts


def unread_parts(data: bytes) -> tuple[str, ...]:
    """Names, with the reason, of the parts that cannot be read at all.

    Raises:
        UnreadableMedia, UnsupportedMedia, MediaLimitExceeded: as ``read_parts``.
    """
    return tuple(f"{p.name}: {p.reason}" for p in read_parts(data) if p.media is None)


def _pictures(data: bytes, kind: str, limits: Limits) -> list[Part]:
    """Further looks at a picture with transparency, all frames of an animation, pages, pictures that come with it."""
    from gensafe.media.images import frame_count, views

    found = [Part(f"the image {n}", Image(p), view=True) for n, p in views(data, kind, limits)]
    if kind == "image/jpeg":
        return [*found, *_further(data, limits)]
    count = frame_count(data, kind)
    return found if count < 2 else [*found, *_animation(data, kind, limits, count)]


def _further(data: bytes, limits: Limits) -> list[Part]:
    """Gain maps, previews and second views of a multi-picture JPEG. An index to nothing is a note, not a part."""
    from gensafe.media import jpeg
    from gensafe.media.images import decode_image

    found = [f for f in jpeg.further_pictures(data, jpeg.layout(data)) if f.data]
    parts = []
    for number, further in enumerate(found[:MAX_PARTS], 2):
        name = f"image {number} in the file ({further.kind})"
        try:
            parts.append(Part(name, decode_image(further.data, "image/jpeg", limits)))
        except MediaError as error:
            parts.append(Part(name, None, error.message))
    return [*parts, *too_many(len(found) - MAX_PARTS)]


def _animation(data: bytes, kind: str, limits: Limits, count: int) -> list[Part]:
    """All frames of an animation as a video; of the picture itself only the first is taken."""
    from gensafe.media.images import VIEWS, decode_frames

    name = f"animation of {count} frames"
    try:
        limits.check("max_frames", count)
        frames, times, transparent = decode_frames(data, kind, limits)
        if len({f.shape for f in frames}) > 1:
            pages = [Part(f"page {i + 1} of {count}", Image(f)) for i, f in enumerate(frames[: MAX_PARTS + 1])]
            return [*pages[1:], *too_many(count - len(pages))]
        parts = [Part(name, _as_video(frames, times, limits))]
        seen = [frames]
        for look, background in VIEWS if transparent else ():
            other, _, _ = decode_frames(data, kind, limits, background)
            if not any(all(map(np.array_equal, other, s)) for s in seen):
                seen.append(other)
                parts.append(Part(f"{name} {look}", _as_video(other, times, limits), view=True))
        return parts
    except MediaError as error:
        return [Part(name, None, error.message)]


def _as_video(frames: list[NDArray[np.uint8]], times: list[float], limits: Limits) -> Video:
    from gensafe.media.video import constant_rate, most_frames

    order, fps = constant_rate(times, 0.0, most_frames(len(frames), frames[0].nbytes, limits))
    return Video(np.stack([frames[i] for i in order]), fps)


def too_many(count: int) -> list[Part]:
    """A part that stands for those above the limit."""
    return [Part(f"{count} further parts", None, f"more than {MAX_PARTS} parts")] if count > 0 else []


Opened = Callable[..., Any]
"""Opens the file anew as an ``av`` container, with the demuxer's options given as keywords."""


def _tracks(data: bytes, kind: str, limits: Limits) -> list[Part]:
    from gensafe.media.audio import untagged

    whole = untagged(data, kind)
    opened = opener(lambda: io.BytesIO(whole), kind)
    further = further_tracks(opened, kind)
    parts = [read_track(opened, index, name, limits) for index, name in further[:MAX_PARTS]]
    if b"elst" in data and leaves_out(opened, kind):
        parts = [_edited_out(opened, limits), *parts]
    return [*parts, *too_many(len(further) - MAX_PARTS)]


def opener(file: Callable[[], Any], kind: str) -> Opened:
    """How to open what ``file`` gives as a file of type ``kind``."""
    import av

    from gensafe.media.audio import DEMUXER as SOUND
    from gensafe.media.video import DEMUXER as MOVING

    demuxer = {**SOUND, **MOVING}[kind]

    def opened(**options: str) -> Any:  # noqa: ANN401
        return av.open(file(), format=demuxer, options=options, metadata_errors="replace")

    return opened


def further_tracks(opened: Opened, kind: str) -> list[tuple[int, str]]:
    """Index and name of each track that ``decode`` does not read.

    Raises:
        UnreadableMedia: the file cannot be opened.
    """
    from gensafe.media.video import picture_tracks

    try:
        with opened() as container:
            read = {s.index for s in container.streams.audio[:1]}
            if modality_of(kind) is Modality.VIDEO:
                read |= {s.index for s in picture_tracks(container)[:1]}
            return [(s.index, _track_name(s)) for s in container.streams if s.index not in read]
    except Exception as error:
        raise UnreadableMedia(f"{kind} could not be opened: {plain(error)}") from None


EDITED_OUT: Final = "frames that the edit list leaves out"


def leaves_out(opened: Opened, kind: str) -> bool:
    """Whether an edit list leaves frames out of the picture track (ISO/IEC 14496-12 §8.6.6).

    A player that heeds the list never shows them, and ``decode`` heeds it; another one does.
    """
    from gensafe.media.audio import DEMUXER as SOUND
    from gensafe.media.video import DEMUXER as MOVING
    from gensafe.media.video import picture_tracks

    if {**SOUND, **MOVING}[kind] != "mov":
        return False
    counts = []
    try:
        for options in ({}, {"ignore_editlist": "1"}):
            with opened(**options) as container:
                tracks = picture_tracks(container)
                shown = (p for p in container.demux(tracks[0]) if p.size and not p.is_discard) if tracks else ()
                counts.append(sum(1 for _ in shown))
    except Exception:  # the part itself will say what is wrong
        return True
    return counts[0] != counts[1]


def _edited_out(opened: Opened, limits: Limits) -> Part:
    """The picture track as it is without its edit list."""
    from gensafe.media.video import picture_tracks, read_picture_track

    try:
        with opened(ignore_editlist="1") as container:
            return Part(EDITED_OUT, read_picture_track(container, picture_tracks(container)[0], None, limits))
    except MediaError as error:
        return Part(EDITED_OUT, None, error.message)
    except Exception as error:
        return Part(EDITED_OUT, None, f"could not be decoded: {plain(error)}")


def _track_name(stream: Any) -> str:  # noqa: ANN401 - av stream types differ by version
    import av

    kind = stream.type or "unknown"
    if stream.type == "video" and stream.disposition & av.stream.Disposition.attached_pic:
        return "cover image"
    codec = getattr(stream.codec_context, "name", "") or "unknown"
    language = stream.metadata.get("language", "")
    details = f"{codec}, {language}" if language not in ("", "und") else codec
    return f"{kind} track {stream.index + 1} ({details})"


def read_track(opened: Opened, index: int, name: str, limits: Limits) -> Part:
    """Decode one track; whatever is wrong with it, the part says so and the others are read all the same."""
    import av

    from gensafe.media.audio import AudioCollector, check_audio_stream
    from gensafe.media.video import read_picture_track

    try:
        with opened() as container:
            stream: Any = container.streams[index]
            if stream.type == "audio":
                check_audio_stream(stream, limits)
                collector = AudioCollector(limits)
                for frame in container.decode(stream):
                    collector.add(frame)
                return Part(name, collector.finish())
            if stream.type == "video":
                video = read_picture_track(container, stream, None, limits)
                return Part(name, Image(video.frames[0]) if len(video.frames) == 1 else video)
            if stream.type == "subtitle":
                if not stream.codec_context.codec.properties & av.codec.codec.Properties.TEXT_SUB.value:
                    return Part(name, None, "subtitles drawn as images cannot be examined")
                return _subtitles(name, _cues(container, stream), limits)
            return Part(name, None, f"{stream.type or 'unknown'} tracks cannot be examined")
    except MediaError as error:
        return Part(name, None, error.message)
    except Exception as error:
        return Part(name, None, f"could not be decoded: {plain(error)}")


def _cues(container: Any, stream: Any) -> Iterator[tuple[str, float, float]]:  # noqa: ANN401
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        start = float((packet.pts or 0) * packet.time_base)
        end = start + float((packet.duration or 0) * packet.time_base)
        for item in packet.decode():
            dialogue = getattr(item, "dialogue", None) or getattr(item, "text", None)
            if dialogue is None:
                raise UnreadableMedia("a line of these subtitles is not text")
            raw = dialogue.decode("utf-8", "replace") if isinstance(dialogue, bytes) else str(dialogue)
            text = _STYLE.sub("", raw.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")).strip()
            if text:
                yield text, start, end


def _subtitles(name: str, cues: Iterator[tuple[str, float, float]], limits: Limits) -> Part:
    lines: list[str] = []
    places: list[tuple[int, int, float, float]] = []
    at = 0
    for text, start, end in cues:
        lines.append(text)
        places.append((at, at + len(text), start, end))
        at += len(text) + 1
        limits.check("max_characters", at)
    return Part(name, Text("\n".join(lines)), "", tuple(places))
