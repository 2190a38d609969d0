"""Bounds checked before and while decoding, so that a small file cannot become a large problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gensafe.core.errors import MediaLimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder accepts. Every field is an inclusive maximum.

    Args:
        max_bytes: Size of the encoded file.
        max_pixels: Pixels of a picture or of one frame.
        max_side: Width or height in pixels (a 100000 x 1 picture is refused by this, not by ``max_pixels``).
        max_frames: Frames of a video, as they are in the file.
        max_duration_s: Seconds of sound or video.
        max_channels: Sound channels (8 = 7.1).
        max_rate: Sound samples per second.
        max_decoded_bytes: Memory of the decoded arrays.
        max_characters: Length of a text.
    """

    max_bytes: int = 256 << 20
    max_pixels: int = 50_000_000
    max_side: int = 16_384
    max_frames: int = 18_000
    max_duration_s: float = 600.0
    max_channels: int = 8
    max_rate: int = 192_000
    max_decoded_bytes: int = 2 << 30
    max_characters: int = 1_000_000

    def check(self, name: str, value: float) -> None:
        """Compare ``value`` with the limit called ``name``.

        Raises:
            MediaLimitExceeded: it is larger; the message names the limit.
        """
        limit = getattr(self, name)
        if value > limit:
            raise MediaLimitExceeded(f"{name} is {limit:g}, this medium has {value:g}", field=name)

    def check_picture(self, width: int, height: int) -> None:
        """Check the size of one picture.

        Raises:
            MediaLimitExceeded: a side or the area is too large.
        """
        self.check("max_side", max(width, height))
        self.check("max_pixels", width * height)


LIMITS: Final = Limits()

# For films and sounds that are read in chunks: their size in memory does not grow with their length. Four hours, at 60
# frames a second; a round number. 16 GiB is four hours at 9 Mbit/s.
LONG_LIMITS: Final = Limits(max_bytes=16 << 30, max_frames=4 * 3600 * 60, max_duration_s=4 * 3600.0)
