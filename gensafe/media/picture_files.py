"""Open a picture file through Pillow so that only its pixels decide whether it can be read.

Faults in the metadata (text, Exif, resolution, XMP, an index of further pictures) are noted and cost nothing. A missing
end marker is noted where every pixel is there; missing pixels are refused: Pillow shows whatever it got of a cut file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from PIL import Image as PilImage
from PIL import UnidentifiedImageError

from gensafe.core.errors import MediaError, MediaLimitExceeded, UnreadableMedia
from gensafe.media import gif, jpeg, orientation, png, tiff
from gensafe.media.limits import Limits
from gensafe.media.words import plain

FORMATS: Final = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What Pillow gets to see.

    Args:
        data: The file without what its pixels do not need.
        turn: Exif orientation 1..8; None = Pillow finds it.
        profile: An ICC profile that was taken out.
        unfinished: For a JPEG without end marker, its layout: whether all of it is there must be found out.
        notes: What is odd about the file.
    """

    data: bytes
    turn: int | None = None
    profile: bytes = b""
    unfinished: jpeg.Layout | None = None
    notes: tuple[str, ...] = ()


def source_of(data: bytes, media_type: str) -> Source:
    """Walk the container to its end, with check sums where the format has them.

    Raises:
        UnreadableMedia: the file is cut short or damaged.
    """
    if media_type == "image/png":
        found = png.pixels_only(data)
        return Source(found.data, orientation.in_exif(found.exif), found.profile, notes=found.notes)
    if media_type == "image/jpeg":
        shape = jpeg.layout(data)
        notes = [] if shape.end >= 0 else ["the end marker (EOI) is missing"]
        if any(not p.data for p in jpeg.further_pictures(data, shape)):
            notes.append("its index names further images that are not in the file")
        turn = orientation.in_exif(jpeg.exif_of(data, shape))
        unfinished = shape if shape.end < 0 else None
        return Source(jpeg.pixels_only(data, shape), turn, unfinished=unfinished, notes=tuple(notes))
    if media_type == "image/tiff":
        return Source(tiff.pixels_only(data))
    if media_type == "image/gif":
        whole, said = gif.completed(data)
        return Source(whole, 1, notes=said)
    if media_type == "image/webp":
        size = 8 + int.from_bytes(data[4:8], "little")
        if size - (size & 1) > len(data) + 1 or size > len(data) + 1:
            raise UnreadableMedia("the WebP file is cut short")
    return Source(data)


def picture_notes(data: bytes, media_type: str) -> tuple[str, ...]:
    """What is odd about a picture file that can be read all the same, in words.

    Raises:
        UnreadableMedia: as ``source_of``.
    """
    return source_of(data, media_type).notes


@contextmanager
def opened(data: bytes, media_type: str, limits: Limits, what: str = "") -> Iterator[PilImage.Image]:
    """A picture file, opened; its size is checked before a pixel is decoded, and errors come out as GenSafe's own.

    Args:
        data: The file.
        media_type: One of ``FORMATS``.
        limits: Bounds.
        what: Put before the type in the message of an error.

    Raises:
        UnreadableMedia: damaged, cut short, or not of ``media_type``.
        MediaLimitExceeded: larger than ``limits`` allow.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd but legal metadata; our own limits apply
        warnings.simplefilter("error", PilImage.DecompressionBombWarning)
        try:
            source = source_of(data, media_type)
            with PilImage.open(io.BytesIO(source.data), formats=(FORMATS[media_type],)) as picture:
                limits.check_picture(*picture.size)
                limits.check("max_decoded_bytes", 4 * picture.size[0] * picture.size[1])
                if source.unfinished and not jpeg.has_every_sample(data, source.unfinished, _samples):
                    raise UnreadableMedia("the JPEG file is cut short")
                if source.profile:
                    picture.info["icc_profile"] = source.profile
                if source.turn is not None:
                    picture.info[orientation.INFO_KEY] = source.turn
                yield picture
        except MediaError:
            raise
        except (PilImage.DecompressionBombError, PilImage.DecompressionBombWarning) as error:
            raise MediaLimitExceeded(plain(error), field="max_pixels") from None
        except UnidentifiedImageError:
            raise UnreadableMedia(f"{what}{media_type} could not be decoded: its structure is damaged") from None
        except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error, ...
            raise UnreadableMedia(f"{what}{media_type} could not be decoded: {plain(error)}") from None


def each_frame(picture: PilImage.Image, limits: Limits) -> Iterator[PilImage.Image]:
    """Every frame or page of an opened file, as a viewer shows it; what belongs to all of them goes with each."""
    keys = ("icc_profile", orientation.INFO_KEY)
    common = {k: picture.info[k] for k in keys if k in picture.info}
    for index in range(int(getattr(picture, "n_frames", 1))):
        picture.seek(index)
        limits.check_picture(*picture.size)
        picture.load()
        frame = picture.copy()
        frame.info.update({k: v for k, v in common.items() if k not in frame.info})
        yield frame


def _samples(data: bytes) -> bytes:
    with PilImage.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        return picture.tobytes()
