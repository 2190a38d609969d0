"""Animated pictures in and out: GIF, APNG, WebP (and AVIF in), with timing, number of plays and transparency.

``decode`` takes the first frame of an animation as the picture, on white; here all of them are read, each as a viewer
shows it once disposal and blending are done, and written again as whole frames that replace one another. A single
picture with transparency is an animation of one frame.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Video
from gensafe.media.images import DEFAULT_QUALITY, frame_count, in_srgb
from gensafe.media.limits import LIMITS, Limits
from gensafe.media.picture_files import FORMATS, each_frame, opened
from gensafe.media.sniff import sniff
from gensafe.media.words import plain

ANIMATED: Final = ("image/png", "image/webp", "image/gif")
"""Types ``encode_animation`` can write."""
_READABLE: Final = (*ANIMATED, "image/avif")
_UNSAID_MS: Final = 100  # what browsers make of a frame that says 0
_GIF_STEP: Final = 10  # ms
_OPAQUE: Final = 128  # GIF knows only there and not there


@dataclass(frozen=True, slots=True, eq=False)
class Animation:
    """An animated picture.

    Args:
        frames: uint8 (n, H, W, 4), sRGB with transparency.
        durations_ms: How long each is shown.
        plays: How often the whole is shown; 0 = without end.
        still_first: The first frame is no part of the motion: viewers that cannot animate show it (APNG only).
    """

    frames: NDArray[np.uint8]
    durations_ms: tuple[int, ...]
    plays: int = 0
    still_first: bool = False

    def shown(self) -> Video:
        """The frames on white, in order; the rate is that of their mean duration."""
        mean = sum(d or _UNSAID_MS for d in self.durations_ms) / len(self.durations_ms)
        alpha = self.frames[..., 3:].astype(np.uint16)
        white = (self.frames[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        return Video(white.astype(np.uint8), 1000 / max(mean, 1.0))

    def with_shown(self, frames: NDArray[np.uint8]) -> Animation:
        """The same animation with what changed in ``shown().frames`` added; transparency stays."""
        change = frames.astype(np.int16) - self.shown().frames
        out = self.frames.copy()
        out[..., :3] = np.clip(self.frames[..., :3] + change, 0, 255)
        return replace(self, frames=out)


def decode_animation(data: bytes, limits: Limits = LIMITS, *, single: bool = False) -> Animation | None:
    """Read an animated picture; None = the file is a single picture (unless ``single``), or no picture at all.

    Raises:
        UnreadableMedia: damaged, cut short, or the frames differ in size.
        MediaLimitExceeded: outside ``limits``; sizes and the number of frames are checked before a frame is decoded.
    """
    kind = sniff(data)
    if kind not in _READABLE:
        return None
    if (count := frame_count(data, kind)) < 2 - single:
        return None
    frames, durations = [], []
    with opened(data, kind, limits, "a frame of the ") as picture:
        limits.check("max_frames", count)
        limits.check("max_decoded_bytes", 4 * count * picture.size[0] * picture.size[1])
        still_first = bool(getattr(picture, "default_image", False))
        for index, frame in enumerate(each_frame(picture, limits)):
            frames.append(np.asarray(in_srgb(frame).convert("RGBA"), np.uint8))
            durations.append(0 if still_first and not index else round(picture.info.get("duration") or 0))
        plays = _plays(kind, picture.info.get("loop"))
    limits.check("max_duration_s", sum(durations) / 1000)
    if len({f.shape for f in frames}) > 1:
        raise UnreadableMedia("the frames differ in size")
    return Animation(np.stack(frames), tuple(durations), plays, still_first)


def _plays(kind: str, loop: Any) -> int:  # noqa: ANN401
    """Of GIF's block, absent = once and n = n times more; of the others, n = n times."""
    if kind != "image/gif":
        return int(loop or 0)
    return 1 if loop is None else int(loop) + 1 if loop else 0


def encode_animation(animation: Animation, media_type: str) -> bytes:
    """Encode to APNG (lossless), WebP (quality 92, as stills) or GIF (a palette and dithering for every frame).

    GIF keeps time in steps of 10 ms and transparency as there or not there.

    Raises:
        UnsupportedMedia: not one of ``ANIMATED``, or it cannot hold this animation.
    """
    if media_type not in ANIMATED:
        raise UnsupportedMedia(f"{media_type} holds no animation", fix=f"one of {', '.join(ANIMATED)}")
    options: dict[str, Any]
    frames, durations = animation.frames, list(animation.durations_ms)
    if animation.still_first and media_type != "image/png":
        frames, durations = frames[1:], durations[1:]
    if media_type == "image/gif":
        pictures = [_with_palette(frame) for frame in frames]
        options = {"duration": _in_steps(durations), "optimize": False, "disposal": 2}
        options |= {"transparency": 255} if (frames[..., 3] < _OPAQUE).any() else {}
        options |= {"loop": max(0, animation.plays - 1)} if animation.plays != 1 else {}
    else:
        opaque = bool((frames[..., 3] == 255).all())
        pictures = [PilImage.fromarray(frame[..., :3] if opaque else frame) for frame in frames]
        options = {"duration": durations, "loop": animation.plays}
        if media_type == "image/png":
            options |= {"disposal": 0, "blend": 0, "default_image": animation.still_first}
            options["duration"] = durations[1:] if animation.still_first else durations
        else:
            options |= {"quality": DEFAULT_QUALITY[media_type], "method": 4}
            options |= {} if opaque else {"kmin": 0, "kmax": 1}  # partial frames would fill in what is not there
    out = io.BytesIO()
    if len(pictures) > 1:
        options |= {"save_all": True, "append_images": pictures[1:]}
    else:
        options = {k: v for k, v in options.items() if k in ("quality", "method", "transparency", "optimize")}
    try:
        pictures[0].save(out, FORMATS[media_type], **options)
    except Exception as error:
        raise UnsupportedMedia(f"{media_type} cannot hold this animation: {plain(error)}") from None
    return out.getvalue()


def _with_palette(frame: NDArray[np.uint8]) -> PilImage.Image:
    """255 colours of its own and Floyd-Steinberg dithering; what is not there gets the last number."""
    colours = PilImage.fromarray(frame[..., :3]).quantize(
        255, PilImage.Quantize.MEDIANCUT, dither=PilImage.Dither.FLOYDSTEINBERG
    )
    numbers = np.asarray(colours).copy()
    numbers[frame[..., 3] < _OPAQUE] = 255
    out = PilImage.fromarray(numbers, "P")
    palette = (colours.getpalette() or [])[: 3 * 255]
    out.putpalette(palette + [255] * (768 - len(palette)))
    return out


def _in_steps(durations: list[int]) -> list[int]:
    """Rounded so that the sum does not drift; 0 stays 0."""
    ends = np.rint(np.cumsum(durations) / _GIF_STEP).astype(int) * _GIF_STEP
    return [0 if not d else max(_GIF_STEP, int(s)) for d, s in zip(durations, np.diff(ends, prepend=0), strict=True)]
