"""Moving pictures in and out through FFmpeg's libraries (PyAV).

What comes out of ``decode_video`` has a constant frame rate and no rotation left to apply. No source frame is lost on
the way: a file with a variable rate is brought to the rate of its shortest frame, up to
``MAX_FPS``; limits count its own frames.
Which encoder is used by default, and why it is not H.264, stands in docs/codecs.md.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import MediaError, UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Audio, Video
from gensafe.media.audio import (
    AAC_RATES,
    LAYOUTS,
    AudioCollector,
    check_audio_stream,
    check_samples,
    check_whole,
    fitting_rate,
    write_samples,
)
from gensafe.media.limits import Limits
from gensafe.media.words import plain

MAX_FPS: Final = 120.0  # twice the usual 60. Chosen, not measured
# decoded frames up to here may be repeated freely. A round number, chosen, not measured
STRETCHED_BYTES: Final = 256 << 20
DEFAULT_CRF: Final = {"vp9": 18, "h264": 18}  # commonly taken for transparent in H.264; chosen, not measured
DEMUXER: Final = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/x-msvideo": "avi",
    "video/ogg": "ogg",
    "video/mp2t": "mpegts",
    "video/mpeg": "mpeg",
    "video/x-flv": "flv",
    "video/x-ms-asf": "asf",
}
_H264_ENCODERS: Final = ("libx264", "libopenh264", "h264_videotoolbox")
_QUARTER_TURNS: Final = {90: 1, 180: 2, 270: 3, -90: 3, -180: 2, -270: 1}  # degrees -> quarter turns


def decode_video(data: bytes, media_type: str, limits: Limits) -> Video:
    """Decode the first picture track to uint8 (n, H, W, 3) at a constant rate, with the first sound track.

    Raises:
        UnreadableMedia: damaged, cut short, or without a single frame.
        MediaLimitExceeded: outside ``limits``; announced sizes are checked before any frame is decoded.
    """
    check_whole(data, media_type)
    try:
        with av.open(io.BytesIO(data), format=DEMUXER[media_type], metadata_errors="replace") as container:
            tracks = picture_tracks(container)
            if not tracks:
                raise UnreadableMedia("the file has no video track")
            sounds = container.streams.audio[0] if container.streams.audio else None
            return read_picture_track(container, tracks[0], sounds, limits)
    except MediaError:
        raise
    except Exception as error:  # the library raises its own errors, AttributeError, MemoryError, ValueError, ...
        raise UnreadableMedia(f"{media_type} could not be decoded: {plain(error)}") from None


def read_picture_track(container: Any, pictures: Any, sounds: Any, limits: Limits) -> Video:  # noqa: ANN401
    """Decode one picture track of an open container, with the sound track ``sounds`` or None.

    Raises:
        UnreadableMedia, MediaLimitExceeded: as ``decode_video``.
    """
    limits.check_picture(pictures.width, pictures.height)
    if container.duration:
        limits.check("max_duration_s", container.duration / av.time_base)
    if pictures.frames:
        limits.check("max_frames", pictures.frames)
        limits.check("max_decoded_bytes", pictures.frames * pictures.width * pictures.height * 3)
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    collector, sound_start = AudioCollector(limits), None
    if sounds is not None:
        check_audio_stream(sounds, limits)
    for frame in demuxed(container, [pictures] if sounds is None else [pictures, sounds]):
        if isinstance(frame, av.AudioFrame):
            sound_start = frame.time if sound_start is None else sound_start
            collector.add(frame)
            continue
        limits.check_picture(frame.width, frame.height)
        limits.check("max_frames", len(frames) + 1)
        limits.check("max_decoded_bytes", (len(frames) + 1) * frame.width * frame.height * 3)
        frames.append(rgb(frame))
        times.append(float(frame.time) if frame.time is not None else float("nan"))
    if not frames:
        raise UnreadableMedia("the file has no decodable frame")
    if len({f.shape for f in frames}) > 1:
        raise UnreadableMedia("the frames change their size")
    rate = pictures.average_rate or pictures.guessed_rate or pictures.base_rate
    most = most_frames(len(frames), frames[0].nbytes, limits)
    order, fps = constant_rate(times, float(rate) if rate else 0.0, most)
    audio = None
    if sound_start is not None:
        start = times[0] if np.isfinite(times[0]) else 0.0
        audio = _shift(_trim(collector.finish(), sounds), float(sound_start) - start, limits)
    return Video(np.stack([frames[i] for i in order]), fps, audio)


def demuxed(container: Any, streams: list[Any]) -> Iterator[Any]:  # noqa: ANN401
    """Decoded frames of one picture track and further sound tracks, in the order of the file.

    Raises:
        UnreadableMedia: the file is cut short, or a picture is damaged that a player would show.
    """
    for stream in streams:
        if stream.type == "video":
            stream.codec_context.options = {"err_detect": "explode"}
            stream.codec_context.thread_count = 1  # damage is then reported by the frame it belongs to
    lead = _Lead()
    for packet in container.demux(streams):
        if packet.is_corrupt:
            raise UnreadableMedia("the file is cut short or damaged")
        for frame in _decoded(packet, lead):
            if packet.stream.type == "video" and frame.is_corrupt:
                if lead.covers(frame):
                    continue
                raise UnreadableMedia("a frame is damaged")
            yield frame


class _Lead:
    """The pictures before the first that can be decoded alone: a cut out of a longer video may begin with some.

    They refer to pictures that are not in the file (an open group of pictures, ISO/IEC 14496-10 §7.4.1.2.4). Players
    leave them out, and nobody can see them.
    """

    def __init__(self) -> None:
        self._key: int | None = None

    def covers(self, item: Any) -> bool:  # noqa: ANN401
        """Whether a packet or frame is shown before the first key picture."""
        return self._key is None or (item.pts is not None and item.pts < self._key)

    def see(self, packet: Any) -> None:  # noqa: ANN401
        """Take note of the first key picture."""
        if packet.is_keyframe and self._key is None and packet.pts is not None:
            self._key = packet.pts


def _decoded(packet: Any, lead: _Lead) -> list[Any]:  # noqa: ANN401
    if packet.stream.type != "video":
        return list(packet.decode())
    lead.see(packet)
    try:
        return list(packet.decode())
    except av.error.InvalidDataError:
        if packet.pts is not None and lead.covers(packet):
            return []
        raise


def picture_tracks(container: Any) -> list[Any]:  # noqa: ANN401
    """The video streams of an open container, cover pictures left out."""
    cover = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & cover]


def most_frames(count: int, frame_bytes: int, limits: Limits) -> int:
    """How many frames ``count`` of them may become at a constant rate: memory must not follow from the time stamps.

    Four times as many always (24 among 60 frames a second); more up to ``STRETCHED_BYTES``; within ``limits`` both.
    """
    fits = min(limits.max_frames, limits.max_decoded_bytes // frame_bytes)
    return max(count, min(fits, max(4 * count, STRETCHED_BYTES // frame_bytes)))


def constant_rate(times: list[float], announced: float, most: int = 1 << 62) -> tuple[list[int], float]:
    """Choose a constant rate for frames shown at ``times`` (seconds, in order).

    Args:
        times: One per frame; NaN where the file gives none.
        announced: Frames per second by the container, 0 = not said.
        most: At most so many frames come back (but never fewer than there are): the longest waits are shortened, all
            to one length, and what comes after them moves forward. The rate, and with it every quick change, stays.

    Returns:
        (index of the source frame for each output frame, frames per second). Frames at a constant rate (within 1.5 ms,
        the rounding of WebM time stamps, or 5 % of a frame) come back one to one. Every frame comes back at least
        once, however short its time: what a checker does not get, nobody examines.
    """
    count = len(times)
    stamps = np.asarray(times, dtype=np.float64)
    if count == 1 or not np.isfinite(stamps).all() or stamps[-1] <= stamps[0]:
        return list(range(count)), min(announced, 1000.0) if announced > 0 else 1.0
    stamps = np.sort(stamps - stamps[0])
    measured = (count - 1) / stamps[-1]
    for fps in (announced, measured):
        if fps > 0 and np.abs(stamps - np.arange(count) / fps).max() <= max(0.0015, 0.05 / fps):
            return list(range(count)), float(fps)
    steps = np.diff(stamps)
    fps = float(min(1.0 / max(steps[steps > 1e-6].min(), 1e-3), MAX_FPS))
    fps = float(round(fps)) if abs(fps - round(fps)) < 0.02 * fps else fps
    stamps = _shortened(stamps, fps, most)
    ticks = np.arange(round(stamps[-1] * fps) + 1) / fps
    order = np.searchsorted(stamps, ticks + 0.5 / fps, side="left") - 1
    order = np.clip(order, 0, count - 1)
    too_short = np.setdiff1d(np.arange(count), order)  # shown for less than 1 / MAX_FPS
    return [int(i) for i in np.sort(np.concatenate([order, too_short]))], fps


def _shortened(stamps: NDArray[np.float64], fps: float, most: int) -> NDArray[np.float64]:
    """Time stamps with the longest waits cut to one length, so that they span at most ``most`` frames."""
    steps = np.diff(stamps)
    spare = most - len(stamps)  # frames shown for less than one tick are put in beside the ticks
    if stamps[-1] * fps + 1 <= max(spare, 1):
        return stamps
    low, high = 0.0, float(steps.max())
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(steps, middle).sum() * fps + 1 <= spare else (low, middle)
    return np.concatenate([[0.0], np.cumsum(np.minimum(steps, max(low, 1 / fps)))])


def quarter_turns(frame: Any) -> int:  # noqa: ANN401
    """How often ``np.rot90`` turns a frame to how it is shown, 0..3."""
    return _QUARTER_TURNS.get(round(frame.rotation), 0)


def rgb(frame: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """uint8 (H, W, 3) sRGB of an ``av.VideoFrame``, turned as the file says."""
    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _trim(audio: Audio, stream: Any) -> Audio:  # noqa: ANN401
    """Cut what an AAC coder adds to fill its last block, where the container says how long the sound is."""
    if stream.codec_context.name != "aac" or not stream.duration:
        return audio
    count = round(float(stream.duration * stream.time_base) * audio.rate)
    if 0 < audio.samples.shape[1] - count < 1024:
        return Audio(np.ascontiguousarray(audio.samples[:, :count]), audio.rate)
    return audio


def _shift(audio: Audio, start_s: float, limits: Limits) -> Audio:
    """Move a sound track that does not start with the first frame to time 0: pad with silence, or cut the lead."""
    offset = round(start_s * audio.rate)
    if abs(start_s) < 0.001 or offset == 0:
        return audio
    if offset < 0:
        cut = audio.samples[:, -offset:]
        return Audio(np.ascontiguousarray(cut), audio.rate) if cut.shape[1] else audio
    limits.check("max_duration_s", start_s + audio.samples.shape[1] / audio.rate)
    return Audio(np.pad(audio.samples, ((0, 0), (offset, 0))), audio.rate)


def encode_video(media: Video, media_type: str, *, codec: str, crf: int | None) -> bytes:
    """Encode as MP4 (VP9 or H.264, with AAC) or WebM (VP9 with Opus); equal input gives equal bytes.

    Args:
        media: Frames uint8 (n, H, W, 3); a constant rate.
        media_type: One of ``ENCODABLE[Modality.VIDEO]``.
        codec: "vp9" or "h264" (MP4 only; needs an H.264 encoder in the FFmpeg build).
        crf: Constant quality, 0 (best) .. 63 for VP9 and .. 51 for H.264; None = 18, visually near the source.

    Raises:
        UnsupportedMedia: wrong array, or the encoder does not take it.
    """
    frames = media.frames
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise UnsupportedMedia(f"frames must be uint8 (n, H, W, 3), got {frames.dtype} {frames.shape}")
    if not 0 < media.fps <= 1000:
        raise UnsupportedMedia(f"a rate of {media.fps} frames per second is not valid")
    if media.audio is not None:
        check_samples(media.audio)
    encoder, options = _picture_encoder(codec, DEFAULT_CRF[codec] if crf is None else crf)
    if codec == "h264" and (frames.shape[1] % 2 or frames.shape[2] % 2):
        raise UnsupportedMedia("H.264 takes even sides only", fix="use VP9, which takes any size")
    out = io.BytesIO()
    muxer = "mp4" if media_type == "video/mp4" else "webm"
    try:
        with av.open(out, "w", format=muxer, options={"fflags": "+bitexact"}) as container:
            _write(container, media, encoder, options, muxer)
    except Exception as error:
        raise UnsupportedMedia(f"{media_type} cannot hold this video: {plain(error)}") from None
    return out.getvalue()


def _write(container: Any, media: Video, encoder: str, options: dict[str, str], muxer: str) -> None:  # noqa: ANN401
    rate = Fraction(media.fps).limit_denominator(1001)
    pictures = container.add_stream(encoder, rate=rate, options=options)
    pictures.height, pictures.width = media.frames.shape[1:3]
    pictures.pix_fmt = "yuv420p"
    context = pictures.codec_context
    context.thread_count = 1  # bytes must not depend on the number of cores
    context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
    context.color_range = 1  # limited
    sounds = None
    if media.audio is not None:
        coder = "aac" if muxer == "mp4" else "libopus"
        sample_rate = fitting_rate(media.audio.rate, AAC_RATES) if coder == "aac" else 48000
        layout = LAYOUTS[media.audio.samples.shape[0]]
        sounds = container.add_stream(coder, rate=sample_rate, layout=layout, options={"flags": "+bitexact"})
        sounds.bit_rate = 96_000 * min(media.audio.samples.shape[0], 2)
    for index, pixels in enumerate(media.frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = index, 1 / rate
        container.mux(pictures.encode(frame))
    container.mux(pictures.encode(None))
    if sounds is not None and media.audio is not None:
        write_samples(container, sounds, media.audio, "fltp" if muxer == "mp4" else "flt", sounds.rate)


def _picture_encoder(codec: str, crf: int) -> tuple[str, dict[str, str]]:
    if codec == "vp9":
        options = {"crf": str(crf), "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "0"}
        return "libvpx-vp9", options | {"flags": "+bitexact"}
    for name in _H264_ENCODERS:
        if name in av.codecs_available:
            quality = {"crf": str(crf), "preset": "medium"} if name == "libx264" else {"qp": str(crf)}
            return name, quality | {"flags": "+bitexact"}
    raise UnsupportedMedia("this FFmpeg build has no H.264 encoder", fix="use video/mp4 without codecs=avc1 (VP9)")
