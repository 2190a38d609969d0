"""Whether the name of a file claims another kind of content than its bytes hold.

The bytes alone decide how a file is read (``sniff``). A name is asked one thing only: any few bytes of letters are
valid text, so a text under the name of a picture, a sound or a film is mostly what is left of a failed download (an
error page, say), and "nothing found in the text" would be read as an answer about the picture.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from gensafe.core.types import Modality
from gensafe.media.sniff import READABLE

# The usual suffixes. Not ``mimetypes``: its table differs from system to system. Left out are suffixes that text files
# have too: .svg and .xpm are written as text, .ts is TypeScript.
_SUFFIXES: Final = {
    "a picture": ".png .jpg .jpeg .jpe .jfif .gif .webp .avif .heic .heif .tif .tiff .bmp .ico .jp2 .jxl .psd .dng",
    "a sound": ".wav .mp3 .flac .ogg .oga .opus .m4a .m4b .aac .aif .aiff .au .wma .amr .caf .mka .weba",
    "a film": ".mp4 .m4v .mov .webm .mkv .avi .mpg .mpeg .wmv .flv .3gp .3g2 .ogv .m2ts .vob",
}
_KIND_OF: Final = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}


def name_contradicts(name: str, media_type: str) -> str:
    """Why the bytes cannot be what ``name`` says; "" = no contradiction.

    Args:
        name: A file name or path, or any other name.
        media_type: What the bytes are, as ``sniff`` names it.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix not in _KIND_OF or READABLE.get(media_type) is not Modality.TEXT:
        return ""  # a JPEG named .png is common and harmless: its content speaks for itself
    return f"the name ends in {suffix}, but the content is text and not {_KIND_OF[suffix]}"
