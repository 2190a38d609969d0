"""What may come before a sound: ID3v2 tags, padding and stray bytes; and the frame headers that end the search.

Sources: ID3v2.2, 2.3 and 2.4 §3.1 (tag header, footer, padding); ISO/IEC 11172-3 §2.4.1.3 and 13818-3 (layer III);
ISO/IEC 13818-7 §6.2 (ADTS).
"""

from __future__ import annotations

from typing import Final

RESYNC: Final = 64 << 10  # bytes searched for the first MP3 frame; FFmpeg's MP3 reader stops there too
_MIN_FRAMES: Final = 3  # one frame sync is in every 16,000 random bytes, three that fit one another in 1e15
_MAX_TAGS: Final = 64  # tags before a sound; real files have one or two. Bounds the work. Chosen, not measured
# by layer III's version: ISO/IEC 11172-3 and 13818-3, table of bitrate_index
_MP3_KBPS: Final = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# Hz by version bits: ISO/IEC 11172-3, 13818-3, and MPEG-2.5
_MP3_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def after_tags(data: bytes) -> int:
    """Offset behind all leading ID3v2 tags, their footers and the zeros some writers put after them; 0 = no tag.

    The size in the header counts extended header, frames, unsynchronisation bytes and padding, but not the footer.
    """
    at = 0
    for _ in range(_MAX_TAGS):
        head = data[at : at + 10]
        if head[:3] != b"ID3" or len(head) < 10 or 0xFF in head[3:5] or max(head[6:10]) > 0x7F:
            break
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        at += 10 + size + (10 if head[5] & 0x10 else 0)
        at = _after_zeros(data, at)
    return min(at, len(data))


def _after_zeros(data: bytes, at: int) -> int:
    rest = data[at : at + RESYNC]
    return at + len(rest) - len(rest.lstrip(b"\0")) if rest[:1] == b"\0" else at


def mp3_frame_length(data: bytes, at: int) -> int:
    """Length in bytes of the MPEG audio layer III frame whose header is at ``at``; 0 = no header there."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or (head[1] >> 1) & 3 != 1:
        return 0
    version, index, rate_index = (head[1] >> 3) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == 1 or index in (0, 15) or rate_index == 3:
        return 0
    kbps = _MP3_KBPS[1 if version == 3 else 2][index]
    return (144 if version == 3 else 72) * kbps * 1000 // _MP3_RATES[version][rate_index] + ((head[2] >> 1) & 1)


def mp3_frames(data: bytes, at: int = 0) -> int:
    """Consecutive MP3 frame headers from ``at`` on, of one version and rate, counted up to 3."""
    count, first = 0, data[at : at + 4]
    while count < _MIN_FRAMES and (length := mp3_frame_length(data, at)):
        if data[at + 1] & 0xFE != first[1] & 0xFE or data[at + 2] & 0x0C != first[2] & 0x0C:
            break
        at, count = at + length, count + 1
    return count


def mp3_start(data: bytes, at: int = 0) -> int:
    """Offset of the first MP3 frame at or after ``at``; -1 = none within ``RESYNC``.

    At ``at`` itself two frames are enough; after stray bytes, three.
    """
    if mp3_frames(data, at) >= 2:
        return at
    stop = min(len(data), at + RESYNC)
    found = at
    while (found := data.find(b"\xff", found + 1, stop)) >= 0:
        if mp3_frames(data, found) >= _MIN_FRAMES:
            return found
    return -1


def adts_frames(data: bytes, at: int = 0) -> int:
    """Consecutive ADTS headers from ``at`` on, counted up to 3."""
    count = 0
    while count < _MIN_FRAMES and len(data) >= at + 7 and data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0:
        length = ((data[at + 3] & 3) << 11) | (data[at + 4] << 3) | (data[at + 5] >> 5)
        if length < 7:
            break
        at, count = at + length, count + 1
    return count
