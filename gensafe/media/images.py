"""Pictures in and out, through Pillow.

How a file is opened, and told from a damaged one, is in ``picture_files``.
What comes out is always 8-bit sRGB (H, W, 3): 16-bit is scaled, CMYK converted, transparency laid on white, Exif
orientation applied, an embedded ICC profile converted to sRGB; of an animation the first frame is taken.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageCms

from gensafe.core.errors import UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Image
from gensafe.media.limits import LIMITS, Limits
from gensafe.media.orientation import upright
from gensafe.media.picture_files import FORMATS, each_frame, opened
from gensafe.media.words import plain

# the marks are measured through re-encoding down to far lower ones; chosen, not measured
DEFAULT_QUALITY: Final = {"image/jpeg": 92, "image/webp": 92}
# 0 = black
VIEWS: Final[tuple[tuple[str, int | None], ...]] = (("on black", 0), ("with its transparency removed", None))


def decode_image(data: bytes, media_type: str, limits: Limits) -> Image:
    """Decode one picture to uint8 (H, W, 3) sRGB.

    Raises:
        UnreadableMedia: damaged, cut short, or not of ``media_type``.
        MediaLimitExceeded: larger than ``limits`` allow; checked on the header, before any pixel is decoded.
    """
    with opened(data, media_type, limits) as picture:
        picture.load()
        return Image(_to_srgb(picture))


def frame_count(data: bytes, media_type: str) -> int:
    """Frames in a picture file: more than 1 = an animation or pages, of which ``decode_image`` shows only the first.

    A JPEG is one picture, whatever index it has: what comes with it is listed by ``jpeg.further_pictures``.

    Raises:
        UnreadableMedia: not a readable picture.
    """
    if media_type == "image/jpeg":
        return 1
    with opened(data, media_type, LIMITS) as picture:
        return int(getattr(picture, "n_frames", 1))


def views(data: bytes, media_type: str, limits: Limits) -> list[tuple[str, NDArray[np.uint8]]]:
    """Other looks at a picture with transparency: (name, uint8 (H, W, 3)); [] for an opaque one.

    ``decode_image`` lays it on white. On black, what is white or nearly so can be read; any colour stands out from one
    of the two. The colours without their transparency show what is drawn under alpha 0, which many programs reveal.
    A look that equals one before it is left out.
    """
    with opened(data, media_type, limits) as picture:
        picture.load()
        if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
            return []
        rgba = in_srgb(picture)
        if rgba.mode != "RGBA" or int(np.asarray(rgba)[..., 3].min()) == 255:
            return []
        seen = [on_background(rgba, 255)]
        found = []
        for name, background in VIEWS:
            look = on_background(rgba, background)
            if not any(np.array_equal(look, s) for s in seen):
                seen.append(look)
                found.append((name, look))
        return found


def decode_frames(
    data: bytes, media_type: str, limits: Limits, background: int | None = 255
) -> tuple[list[NDArray[np.uint8]], list[float], bool]:
    """Every frame of an animation, or page of a TIFF, as uint8 (H, W, 3), when each is shown (s), and transparency.

    Args:
        data: The file.
        media_type: Its type.
        limits: Bounds.
        background: As for ``on_background``.

    Returns:
        (frames, times, whether a frame is transparent anywhere).

    Raises:
        UnreadableMedia: a frame is damaged.
        MediaLimitExceeded: a frame, or all together, are outside ``limits``.
    """
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    at, size, transparent = 0.0, 0, False
    with opened(data, media_type, limits, "a frame of the ") as picture:
        for frame in each_frame(picture, limits):
            transparent |= frame.has_transparency_data
            frames.append(_to_srgb(frame, background))
            size += frames[-1].nbytes
            limits.check("max_decoded_bytes", size)
            times.append(at)
            at += max(10.0, float(picture.info.get("duration") or 100.0)) / 1000
            limits.check("max_duration_s", at)
    return frames, times, transparent


PNG_LEVEL: Final = 4
"""Of zlib's 1 to 9. A generated image of 1024 x 1024 took 172 ms of processor time and 1,211 KiB, at level 6 520 ms and
1,115 KiB; two of 256 x 256 from docs/gallery 11 ms and 56 KiB, at level 6 28 ms and 54 KiB."""


def encode_image(media: Image, media_type: str, quality: int | None) -> bytes:
    """Encode to PNG (lossless), JPEG or WebP; the same pixels and settings give the same bytes.

    Args:
        media: Pixels uint8 (H, W, 3).
        media_type: One of ``ENCODABLE[Modality.IMAGE]``.
        quality: 1..100 for JPEG and WebP (default 92, chroma not subsampled at 90 and above); None for PNG.

    Raises:
        UnsupportedMedia: wrong array type or shape, or a side the container cannot hold.
    """
    pixels = media.pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UnsupportedMedia(f"pixels must be uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
    options: dict[str, Any] = {}
    if media_type == "image/png":
        options = {"compress_level": PNG_LEVEL}
    else:
        q = DEFAULT_QUALITY[media_type] if quality is None else quality
        options = {"quality": q, "method": 4} if media_type == "image/webp" else {"quality": q}
        if media_type == "image/jpeg":
            options["subsampling"] = 0 if q >= 90 else 2
    out = io.BytesIO()
    try:
        PilImage.fromarray(np.ascontiguousarray(pixels)).save(out, FORMATS[media_type], **options)
    except Exception as error:
        raise UnsupportedMedia(f"{media_type} cannot hold this image: {plain(error)}") from None
    return out.getvalue()


def in_srgb(picture: PilImage.Image) -> PilImage.Image:
    """Orientation, then profile; transparency, where there is any, in an alpha channel."""
    picture = upright(picture)
    if "transparency" in picture.info or picture.mode in ("LA", "PA", "La", "RGBa"):
        picture = picture.convert("RGBA")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "RGBA", "CMYK", "L"):
        picture = _apply_profile(picture, profile)
    return picture


def on_background(picture: PilImage.Image, background: int | None) -> NDArray[np.uint8]:
    """An RGBA picture on a grey of 0..255 (255 = white), or its colours without their transparency (None)."""
    if background is None:
        return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8)[..., :3])
    ground = PilImage.new("RGBA", picture.size, (background, background, background, 255))
    return np.asarray(PilImage.alpha_composite(ground, picture).convert("RGB"), dtype=np.uint8).copy()


def _to_srgb(picture: PilImage.Image, background: int | None = 255) -> NDArray[np.uint8]:
    """As ``in_srgb``, of any bit depth, on a background."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _deep_grey(upright(picture))
    picture = in_srgb(picture)
    if picture.mode == "RGBA":
        return on_background(picture, background)
    return np.asarray(picture.convert("RGB"), dtype=np.uint8).copy()


def _deep_grey(picture: PilImage.Image) -> NDArray[np.uint8]:
    """16-bit, 32-bit and float greyscale to 8 bits. Non-finite floats are refused."""
    values = np.asarray(picture, dtype=np.float64)
    if not np.isfinite(values).all():
        raise UnreadableMedia("the image contains values that are not numbers")
    scale = 257.0 if picture.mode != "F" else (1 / 255 if values.size and values.max() <= 1.0 else 1.0)
    grey = np.clip(np.rint(values / scale), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _apply_profile(picture: PilImage.Image, profile: bytes) -> PilImage.Image:
    """Convert from the embedded ICC profile; a profile that cannot be used leaves the picture as it is."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    return picture if converted is None else converted
