"""Films and sounds of any length, as sources of bounded chunks that can be read again from the start.

Frames come as they are coded, with their own time stamps: nothing is repeated or dropped to reach a constant rate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from gensafe.core.types.media import Audio, Media, Modality

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRID: Final = (54, 96)
"""Rows and columns of the small copy of every frame: what tests that look at every frame work on. Cells of about 0.1
degree at the usual distance, the finest that WCAG's flash test asks for (gensafe.safety.signals.flash)."""
KEPT: Final = 4  # frames before a chunk whose pixels can still be asked for: the look-ahead of the outlier test


@dataclass(frozen=True, slots=True, eq=False)
class FrameChunk:
    """Consecutive frames.

    Args:
        first: Index of the first frame in the film.
        times: (n + 1,) seconds from the first frame of the film, ascending: when each frame appears, and when the last
            one of the chunk ends.
        small: uint8 (n, *GRID, 3) sRGB, each frame area-averaged.
        last: Whether the film ends with this chunk.
        fetch: Gives the pixels of a frame by its index in the film.
    """

    first: int
    times: NDArray[np.float64]
    small: NDArray[np.uint8]
    last: bool
    fetch: Callable[[int], NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.small)

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) sRGB of frame ``index`` of the film: one of this chunk, or of the KEPT before it.

        Only until the next chunk is asked for.
        """
        return self.fetch(index)


class AudioStream(ABC):
    """A sound as chunks. ``seconds`` is what the file announces, 0 = not said."""

    modality: Final = Modality.AUDIO
    rate: int
    channels: int
    seconds: float

    @abstractmethod
    def chunks(self) -> Iterator[Audio]:
        """The sound from its start, in order, each chunk of the same rate and channels and of a few MiB at most.

        Raises:
            UnreadableMedia, MediaLimitExceeded: as the decoder comes to the place.
        """


class VideoStream(ABC):
    """A film as chunks. ``seconds`` is what the file announces, 0 = not said."""

    modality: Final = Modality.VIDEO
    height: int
    width: int
    seconds: float
    sound: AudioStream | None

    @abstractmethod
    def chunks(self) -> Iterator[FrameChunk]:
        """The film from its start, in order. Close the iterator when leaving early: it may occupy a decoder.

        Raises:
            UnreadableMedia, MediaLimitExceeded: as the decoder comes to the place.
        """


Medium: TypeAlias = Media | VideoStream | AudioStream
"""What can be judged: a whole in memory, or a stream."""
