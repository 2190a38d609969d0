"""What a file holds besides the part that ``decode`` reads, so that nobody takes it for examined."""

from __future__ import annotations

import io

from gensafe.core.errors import UnreadableMedia
from gensafe.core.types import Modality
from gensafe.media.sniff import modality_of, sniff


def unread_parts(data: bytes) -> tuple[str, ...]:
    """Name the parts of a file that ``decode`` leaves out.

    Args:
        data: A file of any readable type; pass it through ``decode`` first, which checks limits and damage.

    Returns:
        For instance ("3 further frames",) of an animation, or ("sound track aac", "subtitle track mov_text"); empty
        where all of the file is read. Metadata and bytes behind the end of a picture are not listed: re-encoding drops
        them.

    Raises:
        UnreadableMedia, UnsupportedMedia: not a readable file.
    """
    kind = sniff(data)
    modality = modality_of(kind)
    if modality is Modality.TEXT:
        return ()
    if modality is Modality.IMAGE:
        from gensafe.media.images import frame_count

        more = frame_count(data, kind) - 1
        return (f"{more} further frame{'s' if more > 1 else ''}",) if more > 0 else ()
    if modality is Modality.AUDIO and kind in ("audio/wav", "audio/flac", "audio/mpeg", "audio/aac", "audio/aiff"):
        return ()
    import av

    from gensafe.media.audio import DEMUXER as SOUND
    from gensafe.media.audio import reason
    from gensafe.media.video import DEMUXER as MOVING
    from gensafe.media.video import picture_tracks

    try:
        with av.open(io.BytesIO(data), format={**SOUND, **MOVING}[kind], metadata_errors="replace") as container:
            read = {s.index for s in container.streams.audio[:1]}
            if modality is Modality.VIDEO:
                read |= {s.index for s in picture_tracks(container)[:1]}
            names = {"video": "picture", "audio": "sound"}
            return tuple(
                f"{names.get(s.type, s.type)} track {getattr(s.codec_context, 'name', '') or 'unknown'}".strip()
                for s in container.streams
                if s.index not in read
            )
    except Exception as error:
        raise UnreadableMedia(f"{kind} could not be opened: {reason(error)}") from None
