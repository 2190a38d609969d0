"""What is odd about a file that can be read all the same: said beside the verdict, never a reason to refuse it."""

from __future__ import annotations

from typing import Final

from gensafe.core.errors import MediaError
from gensafe.media import tracks
from gensafe.media.leading import after_tags, mp3_start
from gensafe.media.sniff import sniff, text_encoding
from gensafe.media.wav import wav_notes

_KNOWN_LAST: Final = 8  # bytes: less is no box


def oddities(data: bytes) -> tuple[str, ...]:
    """Notes on a file that ``decode`` reads: a missing end marker, metadata that is not used, bytes nobody shows, ...

    () for a file with nothing to say about, and for one that cannot be read.
    """
    try:
        kind = sniff(data)
        if kind.startswith("image/"):
            from gensafe.media.picture_files import FORMATS, picture_notes

            return picture_notes(data, kind) if kind in FORMATS else ()
    except MediaError:
        return ()
    if kind == "text/plain":
        encoding = text_encoding(data)
        return () if encoding == "utf-8" else (f"the text is in {encoding.upper()}",)
    if kind == "audio/wav":
        return wav_notes(data)
    if kind == "audio/mpeg":
        tags = after_tags(data)
        stray = mp3_start(data, tags) - tags
        return (f"{stray} bytes before the first frame are not audio",) if stray > 0 else ()
    if kind == "audio/ogg":
        return () if tracks.ogg_is_ended(data) else ("the last page is not marked as the last",)
    if kind in ("video/mp4", "video/quicktime", "audio/mp4"):
        behind = len(data) - tracks.iso_end(data)
        return (f"{behind} bytes behind the last box are not part of the video",) if behind else ()
    return ()
