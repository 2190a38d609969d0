"""How a picture is to be turned (Exif tag 0x0112), read so that no fault in the metadata can stop a picture.

Source: CIPA DC-008 (Exif 3.0) §4.6.4; browsers ignore the tag where it cannot be read, and so does this.
"""

from __future__ import annotations

from typing import Final

from PIL import Image as PilImage

_TAG: Final = 0x0112  # Exif 3.0, section 4.6.4
_MAX_ENTRIES: Final = 1000  # tags of one directory. Bounds the work. Chosen, not measured
# values 2 to 8 of the tag: Exif 3.0, section 4.6.4
_TURNS: Final = {
    2: PilImage.Transpose.FLIP_LEFT_RIGHT,
    3: PilImage.Transpose.ROTATE_180,
    4: PilImage.Transpose.FLIP_TOP_BOTTOM,
    5: PilImage.Transpose.TRANSPOSE,
    6: PilImage.Transpose.ROTATE_270,
    7: PilImage.Transpose.TRANSVERSE,
    8: PilImage.Transpose.ROTATE_90,
}
INFO_KEY: Final = "gensafe_orientation"


def in_exif(exif: bytes) -> int:
    """1..8 from an Exif block, with or without its "Exif" prefix, once or twice; 1 where it cannot be read."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    order = "little" if exif[:2] == b"II" else "big"
    at = int.from_bytes(exif[4:8], order)  # type: ignore[arg-type]
    count = int.from_bytes(exif[at : at + 2], order)  # type: ignore[arg-type]
    for index in range(min(count, _MAX_ENTRIES)):
        entry = exif[at + 2 + 12 * index : at + 14 + 12 * index]
        if len(entry) < 12:
            break
        tag, kind = int.from_bytes(entry[:2], order), int.from_bytes(entry[2:4], order)  # type: ignore[arg-type]
        if tag == _TAG and kind in (1, 3, 4):
            width = {1: 1, 3: 2, 4: 4}[kind]
            value = int.from_bytes(entry[8 : 8 + width], order)  # type: ignore[arg-type]
            return value if value in _TURNS else 1
    return 1


def upright(picture: PilImage.Image) -> PilImage.Image:
    """The picture turned as its metadata says; as it is where they say nothing that can be read."""
    value = picture.info.get(INFO_KEY)
    if value is None:
        try:
            value = picture.getexif().get(_TAG)
        except Exception:  # whatever is wrong there, the pixels are not
            value = 1
    method = _TURNS.get(value) if isinstance(value, int) else None
    return picture if method is None else picture.transpose(method)
