"""``gensafe watermark embed``: a marked copy of a file, read back before it is written.

Procedure, as the chain's own (gensafe.marking.runner):

1. everything that can be wrong with the arguments, before anything slow
2. decode; of an animation every frame
3. mark, encode, decode those bytes and look for the payload
4. if it is not found: once more with more strength; then give up
5. write all or nothing
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gensafe.cli.common import Exit, note, print_json, read_medium, say
from gensafe.core.errors import InvalidRequest, MediaError, WatermarkNotDetected
from gensafe.core.outfile import write_file
from gensafe.core.types import PAYLOAD_BYTES, Image, Media, Modality, Video

if TYPE_CHECKING:
    from gensafe.core.ports import Watermarker
    from gensafe.media.animations import Animation

RETRY_STRENGTH = 1.4  # about 3 dB more, once, before giving up. Chosen, not measured
_ANIMATED = {".png": "image/png", ".apng": "image/png", ".webp": "image/webp", ".gif": "image/gif"}


def run(args: argparse.Namespace) -> int:
    """Embed; see the module's procedure."""
    from gensafe import media
    from gensafe.cli.watermark_key import no_text, read_key
    from gensafe.core import plugins
    from gensafe.media.animations import decode_animation

    # 1. arguments
    if not 0.5 <= args.strength <= 2:
        raise InvalidRequest("must be between 0.5 and 2", field="--strength")
    payload, key = read_payload(args.payload), read_key(Path(args.key))
    source, target = Path(args.input), Path(args.output)
    _check_places(source, target)
    # 2. decode
    try:
        data = read_medium(source)
        animation = decode_animation(data) or _transparent(data, target)
        decoded = media.decode(data) if animation is None else _shown(animation)
        modality = decoded.modality if animation is None else Modality.IMAGE
        if animation is None:
            _refuse_pages(data, modality)
    except MediaError as error:
        note(f"gensafe: {source}: {error}")
        return Exit.UNREADABLE
    no_text(modality)
    write, read = _container(target, modality, animation)
    scheme: Watermarker = plugins.load("gensafe.watermarks", modality.value)
    # 3. 4. mark and read back
    for strength in (args.strength, RETRY_STRENGTH * args.strength):
        marked = scheme.embed(decoded, payload, key, strength)
        out = write(marked)
        found = scheme.detect(read(out), key)
        if found.payload == payload:
            break
    else:
        raise WatermarkNotDetected(
            f"the mark does not come back from {target.suffix or 'the encoded file'}, not even with more strength",
            fix="another container, or --strength 2; very flat or small media carry little",
        )
    # 5. write
    write_file(target, out, "OUT")
    if isinstance(decoded, Video) and isinstance(marked, Video) and marked.audio and marked.audio is decoded.audio:
        note("the audio track is too short or too quiet for a mark of its own; the frames carry it")
    if args.json:
        print_json({"output": str(target), "scheme": scheme.scheme, "payload": payload.hex(), "strength": strength})
    else:
        say(f"{target}: {scheme.scheme}, payload {payload.hex()} read back")
    return Exit.OK


def _check_places(source: Path, target: Path) -> None:
    if target.is_dir():
        raise InvalidRequest(f"{target} is a directory", field="OUT", fix="name a file")
    if not target.parent.is_dir():
        raise InvalidRequest(f"{target.parent} does not exist", field="OUT", fix="make the directory first")
    if target.exists() and source.exists() and target.samefile(source):
        raise InvalidRequest("OUT is IN: the unmarked original would be lost", field="OUT", fix="another name")


def _transparent(data: bytes, target: Path) -> Animation | None:
    """A single image with transparency, where the target can keep it; elsewhere it is laid on white."""
    from gensafe.media.animations import decode_animation

    if target.suffix.lower() not in (".png", ".webp", ""):
        return None
    found = decode_animation(data, single=True)
    return found if found is not None and found.frames[..., 3].min() < 255 else None


def _shown(animation: Animation) -> Media:
    shown = animation.shown()
    return shown if len(shown.frames) > 1 else Image(shown.frames[0])


def _container(
    target: Path, modality: Modality, animation: Animation | None
) -> tuple[Callable[[Media], bytes], Callable[[bytes], Media]]:
    """How to write and to read back what the target's name asks for.

    Raises:
        InvalidRequest: a suffix that cannot hold this medium.
    """
    from gensafe import media
    from gensafe.cli.generate import media_type_of
    from gensafe.media.animations import decode_animation, encode_animation

    if animation is None:
        try:
            kind = media_type_of(target, modality) or media.DEFAULT_MEDIA_TYPE[modality]
        except InvalidRequest as error:
            raise InvalidRequest(error.message, field="OUT", fix=error.fix) from None
        return (lambda marked: media.encode(marked, kind)), (lambda data: media.decode(data, kind))
    suffix = target.suffix.lower() or ".png"
    if suffix not in _ANIMATED:
        raise InvalidRequest(
            f"IN is an animation of {len(animation.frames)} frames, and {suffix} holds none",
            field="OUT",
            fix=", ".join(sorted(_ANIMATED)),
        )

    def write(marked: Media) -> bytes:
        assert isinstance(marked, Image | Video)
        frames = marked.frames if isinstance(marked, Video) else marked.pixels[None]
        return encode_animation(animation.with_shown(frames), _ANIMATED[suffix])

    def read(data: bytes) -> Media:
        again = decode_animation(data)
        return media.decode(data) if again is None else again.shown()  # one frame, or all were equal and became one

    return write, read


def _refuse_pages(data: bytes, modality: Modality) -> None:
    """Pages are not frames of one motion: marking the first alone would drop the others without a word."""
    from gensafe import media
    from gensafe.media.images import frame_count

    if modality is Modality.IMAGE and (pages := frame_count(data, media.sniff(data))) > 1:
        raise InvalidRequest(
            f"{pages} images in one file, and only one can be written", field="IN", fix="split the file first"
        )


def read_payload(text: str) -> bytes:
    """Parse a payload.

    Raises:
        InvalidRequest: not PAYLOAD_BYTES bytes in hex.
    """
    try:
        payload = bytes.fromhex(text)
    except ValueError:
        payload = b""
    if len(payload) != PAYLOAD_BYTES:
        raise InvalidRequest(f"{text!r} is not {2 * PAYLOAD_BYTES} hex digits", field="--payload")
    return payload
