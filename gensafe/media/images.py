"""Pictures in and out, through Pillow.

Decoding is strict: Pillow shows whatever it got of a cut file, so the container's own end is checked first. What comes
out is always 8-bit sRGB (H, W, 3): 16-bit is scaled, CMYK converted, transparency laid on white, EXIF orientation
applied, an embedded ICC profile converted to sRGB; of an animation the first frame is taken.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from gensafe.core.errors import MediaError, MediaLimitExceeded, UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Image
from gensafe.media.limits import Limits

FORMATS: Final = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
}
DEFAULT_QUALITY: Final = {"image/jpeg": 92, "image/webp": 92}


def decode_image(data: bytes, media_type: str, limits: Limits) -> Image:
    """Decode one picture to uint8 (H, W, 3) sRGB.

    Raises:
        UnreadableMedia: damaged, cut short, or not of ``media_type``.
        MediaLimitExceeded: larger than ``limits`` allow; checked on the header, before any pixel is decoded.
    """
    check_complete(data, media_type)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd but legal metadata; our own limits apply
        warnings.simplefilter("error", PilImage.DecompressionBombWarning)
        try:
            with PilImage.open(io.BytesIO(data), formats=(FORMATS[media_type],)) as picture:
                limits.check_picture(*picture.size)
                limits.check("max_decoded_bytes", 4 * picture.size[0] * picture.size[1])
                picture.load()
                return Image(_to_srgb(picture))
        except MediaError:
            raise
        except (PilImage.DecompressionBombError, PilImage.DecompressionBombWarning) as error:
            raise MediaLimitExceeded(str(error), field="max_pixels") from None
        except UnidentifiedImageError:  # its message holds a memory address
            raise UnreadableMedia(f"{media_type} could not be decoded: its structure is damaged") from None
        except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error, ...
            raise UnreadableMedia(f"{media_type} could not be decoded: {error}") from None


def frame_count(data: bytes, media_type: str) -> int:
    """Frames in a picture file: more than 1 = an animation, of which ``decode_image`` shows only the first.

    Raises:
        UnreadableMedia: not a readable picture.
    """
    try:
        with PilImage.open(io.BytesIO(data), formats=(FORMATS[media_type],)) as picture:
            return int(getattr(picture, "n_frames", 1))
    except Exception:
        raise UnreadableMedia(f"{media_type} could not be opened") from None


def decode_frames(data: bytes, media_type: str, limits: Limits) -> tuple[list[NDArray[np.uint8]], list[float]]:
    """Every frame of an animation, or page of a TIFF, as uint8 (H, W, 3), and when each is shown (s).

    Raises:
        UnreadableMedia: a frame is damaged.
        MediaLimitExceeded: a frame, or all together, are outside ``limits``.
    """
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    at, size = 0.0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PilImage.DecompressionBombWarning)
        try:
            with PilImage.open(io.BytesIO(data), formats=(FORMATS[media_type],)) as picture:
                for index in range(int(getattr(picture, "n_frames", 1))):
                    picture.seek(index)
                    limits.check_picture(*picture.size)
                    picture.load()
                    frames.append(_to_srgb(picture.copy()))
                    size += frames[-1].nbytes
                    limits.check("max_decoded_bytes", size)
                    times.append(at)
                    at += max(10.0, float(picture.info.get("duration") or 100.0)) / 1000
                    limits.check("max_duration_s", at)
        except MediaError:
            raise
        except (PilImage.DecompressionBombError, PilImage.DecompressionBombWarning) as error:
            raise MediaLimitExceeded(str(error), field="max_pixels") from None
        except Exception as error:
            raise UnreadableMedia(f"a frame of the {media_type} could not be decoded: {error}") from None
    return frames, times


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
        options = {"compress_level": 6}
    else:
        q = DEFAULT_QUALITY[media_type] if quality is None else quality
        options = {"quality": q, "method": 4} if media_type == "image/webp" else {"quality": q}
        if media_type == "image/jpeg":
            options["subsampling"] = 0 if q >= 90 else 2
    out = io.BytesIO()
    try:
        PilImage.fromarray(np.ascontiguousarray(pixels)).save(out, FORMATS[media_type], **options)
    except Exception as error:
        raise UnsupportedMedia(f"{media_type} cannot hold this picture: {error}") from None
    return out.getvalue()


def in_srgb(picture: PilImage.Image) -> PilImage.Image:
    """Orientation, then profile; transparency, where there is any, in an alpha channel."""
    picture = ImageOps.exif_transpose(picture)
    if "transparency" in picture.info or picture.mode in ("LA", "PA", "La", "RGBa"):
        picture = picture.convert("RGBA")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "RGBA", "CMYK", "L"):
        picture = _apply_profile(picture, profile)
    return picture


def _to_srgb(picture: PilImage.Image) -> NDArray[np.uint8]:
    """As ``in_srgb``, of any bit depth, on white."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _deep_grey(ImageOps.exif_transpose(picture))
    picture = in_srgb(picture)
    if picture.mode == "RGBA":
        white = PilImage.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = PilImage.alpha_composite(white, picture)
    return np.asarray(picture.convert("RGB"), dtype=np.uint8).copy()


def _deep_grey(picture: PilImage.Image) -> NDArray[np.uint8]:
    """16-bit, 32-bit and float greyscale to 8 bits. Non-finite floats are refused."""
    values = np.asarray(picture, dtype=np.float64)
    if not np.isfinite(values).all():
        raise UnreadableMedia("the picture holds values that are not numbers")
    scale = 257.0 if picture.mode != "F" else (1 / 255 if values.size and values.max() <= 1.0 else 1.0)
    grey = np.clip(np.rint(values / scale), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _apply_profile(picture: PilImage.Image, profile: bytes) -> PilImage.Image:
    """Convert from the embedded ICC profile; a profile that cannot be used leaves the picture as it is."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return picture if converted is None else converted


def check_complete(data: bytes, media_type: str) -> None:
    """Walk the container to its end marker, with check sums where the format has them.

    Raises:
        UnreadableMedia: the file is cut short or damaged.
    """
    if media_type == "image/png":
        _check_png(data)
    elif media_type == "image/jpeg":
        _check_jpeg(data)
    elif media_type == "image/webp" and 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise UnreadableMedia("the WebP file is cut short")
    elif media_type == "image/gif" and b"\x3b" not in data[-64:]:
        raise UnreadableMedia("the GIF file has no trailer")


def _check_png(data: bytes) -> None:
    at = 8
    while True:
        if at + 12 > len(data):
            raise UnreadableMedia("the PNG file is cut short")
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise UnreadableMedia(f"the PNG file is cut short in its {kind.decode('latin-1')} chunk")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise UnreadableMedia(f"a {kind!r} chunk of the PNG file has a wrong check sum")
        if kind == b"IEND":
            return
        at = end


def _check_jpeg(data: bytes) -> None:
    """Follow the marker segments and the scans to EOI (T.81 annex B)."""
    at = 2
    while at + 2 <= len(data):
        if data[at] != 0xFF:  # stray bytes between segments: readers skip them
            at = data.find(b"\xff", at)
            if at < 0:
                break
            continue
        marker = data[at + 1]
        if marker == 0xD9:
            return
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2:
                raise UnreadableMedia("a JPEG segment has no length")
            at += 2 + length
            if marker == 0xDA:  # entropy-coded data: up to the next marker that is neither stuffing nor a restart
                while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
                    if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
                        break
                    at += 2
                if at < 0:
                    break
    raise UnreadableMedia("the JPEG file is cut short")
