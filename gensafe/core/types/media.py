"""Decoded media. Arrays appear only as type annotations: nothing here imports numpy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Modality(StrEnum):
    """What a medium is to a person."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text (Unicode, not normalised)."""

    text: str

    modality = Modality.TEXT


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Pixels: uint8 (H, W, 3), sRGB."""

    pixels: NDArray[np.uint8]

    modality = Modality.IMAGE


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Samples: float32 (channels, n) in [-1, 1] at ``rate`` Hz."""

    samples: NDArray[np.float32]
    rate: int

    modality = Modality.AUDIO


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Frames: uint8 (n, H, W, 3) sRGB at a constant ``fps``, with an optional audio track starting at time 0."""

    frames: NDArray[np.uint8]
    fps: float
    audio: Audio | None = None

    modality = Modality.VIDEO


Media: TypeAlias = Text | Image | Audio | Video
