"""Sound in and out: WAVE here, coded formats through FFmpeg's libraries (PyAV).

The demuxer is always named, never probed: FFmpeg's play-list formats would otherwise open other files.
"""

from __future__ import annotations

import io
from typing import Any, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from gensafe.core.errors import MediaError, UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Audio
from gensafe.media.leading import after_tags, mp3_frame_length, mp3_start
from gensafe.media.limits import Limits
from gensafe.media.tracks import iso_end, segment_end
from gensafe.media.wav import encode_wav, to_int16
from gensafe.media.words import plain

DEMUXER: Final = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/mp4": "mov",
    "audio/aac": "aac",
    "audio/aiff": "aiff",
    "audio/basic": "au",
    "audio/x-caf": "caf",
    "audio/x-w64": "w64",
    "audio/amr": "amr",
    "audio/amr-wb": "amr",
    "audio/webm": "matroska",
    "audio/x-matroska": "matroska",
    "audio/x-msvideo": "avi",
    "audio/mp2t": "mpegts",
    "audio/x-mpeg-ps": "mpeg",
    "audio/x-ms-wma": "asf",
    "audio/x-flv": "flv",
}
_ENDED_VIDEO: Final = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
}
# kbit/s that are commonly taken for transparent; chosen, not measured here
DEFAULT_KBPS: Final = {"audio/mpeg": 192, "audio/ogg": 128}
# FFmpeg's names of channel layouts
LAYOUTS: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
# Hz that layer III has: ISO/IEC 11172-3, 13818-3, and MPEG-2.5
_MP3_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)  # Hz: RFC 6716, section 2
# Hz: ISO/IEC 14496-3, samplingFrequencyIndex, without 7350
AAC_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
# Hz that a frame header names without escape (RFC 9639, section 9.1.2), and 11025
_FLAC_RATES: Final = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
_CODERS: Final[dict[str, tuple[str, str, str, tuple[int, ...], int]]] = {  # encoder, muxer, sample format, ...
    "audio/mpeg": ("libmp3lame", "mp3", "fltp", _MP3_RATES, 2),
    "audio/flac": ("flac", "flac", "s16", _FLAC_RATES, 8),
    "audio/ogg": ("libopus", "ogg", "flt", _OPUS_RATES, 8),
}


def decode_audio(data: bytes, media_type: str, limits: Limits) -> Audio:
    """Decode the first sound track to float32 (channels, n) in [-1, 1] at its own rate (Opus: 48 kHz).

    Plain WAVE is read by ``wav.decode_wav`` before.

    Raises:
        UnreadableMedia: damaged, cut short, without a single sample, or holding values that are not numbers.
        MediaLimitExceeded: outside ``limits``.
    """
    check_whole(data, media_type)
    try:
        container: Any
        with av.open(io.BytesIO(untagged(data, media_type)), **opening(media_type)) as container:
            if not container.streams.audio:
                raise UnreadableMedia("the file has no audio track")
            stream = container.streams.audio[0]
            check_audio_stream(stream, limits)
            collector = AudioCollector(limits)
            for frame in container.decode(stream):
                collector.add(frame)
            audio = collector.finish()
            if media_type == "audio/flac" and stream.duration:
                announced = round(float(stream.duration * stream.time_base) * audio.rate)
                if announced > audio.samples.shape[1]:
                    raise UnreadableMedia("the FLAC file is cut short")
            return audio
    except MediaError:
        raise
    except Exception as error:  # the library raises its own errors, AttributeError, MemoryError, ValueError, ...
        raise UnreadableMedia(f"{media_type} could not be decoded: {plain(error)}") from None


def check_whole(data: bytes, media_type: str) -> None:
    """Refuse a file of sound or pictures whose structure shows that its end is missing.

    Raises:
        UnreadableMedia: it is cut short.
    """
    if media_type == "audio/ogg":
        _check_ogg(data)
    if media_type == "audio/mpeg":
        _check_mp3(data)
    form = DEMUXER.get(media_type) or _ENDED_VIDEO.get(media_type)
    if form == "mov":
        iso_end(data)
    if form == "matroska":
        segment_end(data)


def untagged(data: bytes, media_type: str) -> bytes:
    """Without leading ID3v2 tags, where FFmpeg's reader does not expect them; MP3 needs the header it starts with."""
    return data[after_tags(data) :] if media_type not in ("audio/mpeg", "audio/wav") else data


def opening(media_type: str) -> dict[str, Any]:
    """Arguments of ``av.open`` for a type of ``DEMUXER``."""
    return {"format": DEMUXER[media_type], "metadata_errors": "replace"}


def encode_audio(media: Audio, media_type: str, kbps: int | None) -> bytes:
    """Encode; equal samples and settings give equal bytes.

    Args:
        media: Samples float32 (channels, n) in [-1, 1]; values outside are clipped, non-finite ones refused.
        media_type: One of ``ENCODABLE[Modality.AUDIO]``. WAVE and FLAC are 16-bit and lossless for 16-bit samples.
        kbps: Bit rate in kbit/s for MP3 (default 192) and Ogg Opus (default 128), lowered to what the format allows
            at this rate; None or ignored for WAVE and FLAC.

    Raises:
        UnsupportedMedia: wrong array, no samples, or more channels than the container holds.
    """
    check_samples(media)
    if media_type == "audio/wav":
        return encode_wav(media)
    encoder, muxer, sample_format, rates, channels = _CODERS[media_type]
    if media.samples.shape[0] > channels:
        raise UnsupportedMedia(f"{media_type} holds at most {channels} channels")
    rate = fitting_rate(media.rate, rates)
    out = io.BytesIO()
    try:
        with av.open(out, "w", format=muxer, options={"fflags": "+bitexact"}) as container:
            options = {"flags": "+bitexact"} | ({"vbr": "off"} if encoder == "libopus" else {})
            stream: Any = container.add_stream(
                encoder, rate=rate, layout=LAYOUTS[media.samples.shape[0]], options=options
            )
            stream.format = sample_format
            if encoder != "flac":
                stream.bit_rate = 1000 * _allowed_kbps(media_type, rate, kbps or DEFAULT_KBPS[media_type])
            write_samples(container, stream, media, sample_format, rate)
    except Exception as error:
        raise UnsupportedMedia(f"{media_type} cannot hold this audio: {plain(error)}") from None
    data = out.getvalue()
    if not data:
        raise UnsupportedMedia(f"the audio is too short for {media_type}")
    return data


def write_samples(container: Any, stream: Any, media: Audio, sample_format: str, rate: int) -> None:  # noqa: ANN401
    """Feed ``media`` to an open encoder stream in one-second frames and flush it."""
    layout = LAYOUTS[media.samples.shape[0]]
    integer = sample_format.startswith("s16")
    source = to_int16(media.samples) if integer else np.clip(media.samples, -1.0, 1.0).astype(np.float32)
    resampler = AudioResampler(format=sample_format, layout=layout, rate=rate)
    for start in range(0, source.shape[1], media.rate):
        block: Any = np.ascontiguousarray(source[:, start : start + media.rate].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="s16" if integer else "flt", layout=layout)
        frame.sample_rate, frame.pts = media.rate, start
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
    for part in resampler.resample(None):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def check_samples(media: Audio) -> None:
    """Check array type, shape and values.

    Raises:
        UnsupportedMedia: not float32 (channels, n) with 1..8 channels and n >= 1, or values that are not numbers.
    """
    samples = media.samples
    if samples.dtype != np.float32 or samples.ndim != 2 or samples.shape[0] not in LAYOUTS or not samples.shape[1]:
        raise UnsupportedMedia(f"samples must be float32 (1..8, n >= 1), got {samples.dtype} {samples.shape}")
    if not np.isfinite(samples).all():
        raise UnsupportedMedia("the audio contains values that are not numbers")
    if not 1 <= media.rate <= 768_000:
        raise UnsupportedMedia(f"a rate of {media.rate} Hz is not valid")


def check_audio_stream(stream: Any, limits: Limits) -> None:  # noqa: ANN401 - av stream types differ by version
    """Check what the header announces, before decoding.

    Raises:
        UnreadableMedia: no rate or no channels.
        MediaLimitExceeded: outside ``limits``.
    """
    context = stream.codec_context
    if not context.sample_rate or not context.channels:
        raise UnreadableMedia("the audio track announces no rate or no channels")
    limits.check("max_channels", context.channels)
    limits.check("max_rate", context.sample_rate)
    if stream.duration and stream.time_base:
        limits.check("max_duration_s", float(stream.duration * stream.time_base))


class AudioCollector:
    """Gathers decoded frames as float32 planes, checking the limits as they come.

    Args:
        limits: For the whole sound.
        whole: All of it will be kept: its size in memory is limited too.
    """

    def __init__(self, limits: Limits, *, whole: bool = True) -> None:
        self._limits, self._whole = limits, whole
        self._blocks: list[NDArray[np.float32]] = []
        self._count = 0
        self._resampler: AudioResampler | None = None
        self._rate = 0
        self._channels = 0

    def add(self, frame: Any) -> None:  # noqa: ANN401
        """Take one decoded ``av.AudioFrame``."""
        if frame.is_corrupt:
            raise UnreadableMedia("the audio track is damaged")
        channels = len(frame.layout.channels)
        if self._resampler is None:
            self._rate, self._channels = frame.sample_rate, channels
            self._limits.check("max_channels", channels)
            self._limits.check("max_rate", frame.sample_rate)
            self._resampler = AudioResampler(format="flt", layout=frame.layout.name, rate=frame.sample_rate)
        elif (frame.sample_rate, channels) != (self._rate, self._channels):
            raise UnreadableMedia("the audio track changes its rate or its channels")
        frame.pts = None  # gaps in time stamps are closed up; a sample is never dropped for its time stamp
        for part in self._resampler.resample(frame):
            self._push(part.to_ndarray())

    def _push(self, packed: NDArray[Any]) -> None:
        block = packed.reshape(-1, self._channels).T.astype(np.float32)
        self._count += block.shape[1]
        self._limits.check("max_duration_s", self._count / self._rate)
        if self._whole:
            self._limits.check("max_decoded_bytes", 4 * self._count * self._channels)
        self._blocks.append(block)

    @property
    def count(self) -> int:
        """Samples of each channel so far."""
        return self._count

    @property
    def pending(self) -> int:
        """Samples of each channel that ``take`` has not given out."""
        return sum(block.shape[1] for block in self._blocks)

    def take(self, count: int) -> Audio | None:
        """Give out and forget the first ``count`` samples that are kept; None where there are fewer."""
        if self.pending < count:
            return None
        joined = np.concatenate(self._blocks, axis=1)
        self._blocks = [joined[:, count:]]
        return self._checked(joined[:, :count])

    def finish(self) -> Audio:
        """Join the blocks.

        Raises:
            UnreadableMedia: there was nothing, or values that are not numbers.
        """
        if self._resampler is not None:
            for part in self._resampler.resample(None):
                self._push(part.to_ndarray())
        if not self._count:
            raise UnreadableMedia("the audio has no samples")
        return self._checked(np.concatenate(self._blocks, axis=1))

    def _checked(self, samples: NDArray[np.float32]) -> Audio:
        if not np.isfinite(samples).all():
            raise UnreadableMedia("the audio contains values that are not numbers")
        return Audio(np.clip(samples, -1.0, 1.0).astype(np.float32, copy=False), self._rate)


def fitting_rate(rate: int, allowed: tuple[int, ...]) -> int:
    """The rate itself where the coder takes it, else the next higher one it takes, else its highest."""
    return next((r for r in allowed if r >= rate), allowed[-1])


def _allowed_kbps(media_type: str, rate: int, kbps: int) -> int:
    """MPEG-2 layer III ends at 160 kbit/s, MPEG-2.5 at 64; Opus takes 6..510."""
    if media_type == "audio/mpeg":
        return max(8, min(kbps, 320 if rate >= 32000 else 160 if rate >= 16000 else 64))
    return max(6, min(kbps, 510))


def _check_ogg(data: bytes) -> None:
    """Every page must be whole (RFC 3533 §6), and so must the last packet.

    A missing end-of-stream flag is no damage: recorders and live streams that are stopped leave it out, and all their
    samples are there.
    """
    at, cut = 0, False
    while data[at : at + 4] == b"OggS":
        lacing = data[at + 27 : at + 27 + data[at + 26]] if at + 27 <= len(data) else b""
        start = at + 27 + (data[at + 26] if at + 27 <= len(data) else 0)
        end = start + sum(lacing)
        if at + 27 > len(data) or end > len(data):
            raise UnreadableMedia("the Ogg file is cut short")
        cut = lacing[-1:] == b"\xff" and not data[at + 5] & 4
        at = end
    rest = data[at:]
    if cut or (rest and b"OggS".startswith(rest)):
        raise UnreadableMedia("the Ogg file is cut short")


def _check_mp3(data: bytes) -> None:
    """A LAME / Xing header says how many bytes there are; without one a cut MP3 cannot be told from a short one."""
    at = mp3_start(data, after_tags(data))
    if at < 0:
        return
    first = data[at : at + mp3_frame_length(data, at)]
    tag = max(first.find(b"Xing"), first.find(b"Info"))
    if tag < 0 or len(first) < tag + 16 or first[tag + 7] & 3 != 3:
        return
    announced = int.from_bytes(first[tag + 12 : tag + 16], "big")
    if announced > len(data) - at:
        raise UnreadableMedia("the MP3 file is cut short")
