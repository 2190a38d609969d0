"""RIFF/WAVE in and out without a codec library: the one audio container that must be exact to the sample.

Sources: Microsoft "Multiple channel audio data and WAVE files" (WAVE_FORMAT_EXTENSIBLE); EBU Tech 3306 (RF64);
ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import UnreadableMedia
from gensafe.core.types import Audio
from gensafe.media.limits import Limits
from gensafe.media.words import four_letters

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # wFormatTag: mmreg.h
_UNKNOWN_FROM: Final = 0x7FFF0000
"""A data size of 0, or of this and more that reaches past the end of the file, is a placeholder: "until the end".

Programs that stream into a pipe do not know the length. They write 0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, one of these
less the 36..44 bytes of the header, or a whole number of blocks below (SoX: 0x7FFFF000). All are within 64 KiB of 2 GiB
or above; nothing that this program reads is that large, so no file can be both whole and of such a size.
A smaller size that reaches past the end is a cut file.
"""
_UNKNOWN_64: Final = 1 << 62  # in RF64 and BW64: 0, or the highest numbers


def decode_wav(data: bytes, limits: Limits) -> Audio | None:
    """Decode PCM (8, 16, 24, 32 bit) or float (32, 64 bit) WAVE.

    Returns:
        The sound, or None when the samples are coded (ADPCM, mu-law, ...) and a codec library is needed.

    Raises:
        UnreadableMedia: cut short, contradictory, or holding values that are not numbers.
        MediaLimitExceeded: outside ``limits``.
    """
    form: bytes | None = None
    body: bytes | None = None
    for name, start, size in _chunks(data):
        if name == b"fmt " and form is None:
            form = data[start : start + size]
        elif name == b"data" and body is None:
            body = data[start : start + size]
        if form is not None and body is not None:
            break
    if form is None or len(form) < 16 or body is None:
        raise UnreadableMedia("the WAVE file lacks its format (fmt) or its samples (data)")
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", form)
    if tag == _EXTENSIBLE and len(form) >= 26:
        (tag,) = struct.unpack_from("<H", form, 24)
    if tag not in (_PCM, _FLOAT):
        return None
    if not channels or not rate or align != channels * ((bits + 7) // 8):
        raise UnreadableMedia("the WAVE header contradicts itself")
    count = len(body) // align
    limits.check("max_channels", channels)
    limits.check("max_rate", rate)
    limits.check("max_duration_s", count / rate)
    limits.check("max_decoded_bytes", 4 * count * channels)
    if not count:
        raise UnreadableMedia("the audio has no samples")
    flat = _samples(body[: count * align], tag, bits)
    return Audio(np.ascontiguousarray(flat.reshape(count, channels).T), rate)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, size) of the chunks; the size of ``data`` is what is there where the header has a placeholder.

    Raises:
        UnreadableMedia: a chunk is cut short.
    """
    at, sizes64 = 12, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        start, rest = at + 8, len(data) - at - 8
        if name == b"ds64":
            sizes64 = int.from_bytes(data[start + 8 : start + 16], "little")
        if name == b"data":
            size = _data_size(size, sizes64, rest)
        if size > rest:
            raise UnreadableMedia(f"the WAVE file is cut short in its {four_letters(name)} chunk")
        yield name, start, size
        at = start + size + (size & 1)


def _data_size(size: int, sizes64: int, rest: int) -> int:
    if size == 0xFFFFFFFF and 0 < sizes64 < _UNKNOWN_64:
        return sizes64
    return rest if size == 0 or (size >= _UNKNOWN_FROM and size > rest) else size


def wav_notes(data: bytes) -> tuple[str, ...]:
    """Whether the length is a placeholder, in words."""
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"data":
            streamed = data[:4] == b"RIFF" and (size == 0 or size >= _UNKNOWN_FROM) and size != len(data) - at - 8
            return ("the header does not say how long the audio is; it was read to the end of the file",) * streamed
        at += 8 + size + (size & 1)
    return ()


def _samples(body: bytes, tag: int, bits: int) -> NDArray[np.float32]:
    if tag == _FLOAT and bits in (32, 64):
        values: NDArray[np.float64] = np.frombuffer(body, "<f4" if bits == 32 else "<f8").astype(np.float64)
        if not np.isfinite(values).all():
            raise UnreadableMedia("the audio contains values that are not numbers")
        return np.clip(values, -1.0, 1.0).astype(np.float32)
    if tag == _PCM and bits == 8:
        return (np.frombuffer(body, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if tag == _PCM and bits == 16:
        return np.frombuffer(body, "<i2").astype(np.float32) / np.float32(32768)
    if tag == _PCM and bits == 24:
        parts = np.frombuffer(body, np.uint8).reshape(-1, 3).astype(np.int32)
        wide = (parts[:, 0] << 8) | (parts[:, 1] << 16) | (parts[:, 2] << 24)
        return ((wide >> 8) / 8388608.0).astype(np.float32)
    if tag == _PCM and bits == 32:
        return (np.frombuffer(body, "<i4") / 2147483648.0).astype(np.float32)
    raise UnreadableMedia(f"WAVE with {bits} bits a sample is not valid")


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round to 16 bits on the scale 1.0 = 32768, the inverse of decoding: decode(encode(x)) is exact for 16-bit x."""
    return np.clip(np.rint(samples.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)


def encode_wav(media: Audio) -> bytes:
    """Encode as 16-bit PCM with the plain 44-byte header."""
    channels = media.samples.shape[0]
    body = to_int16(media.samples).T.astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, media.rate, media.rate * channels * 2, channels * 2, 16)
    head = b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", len(body)) + body
