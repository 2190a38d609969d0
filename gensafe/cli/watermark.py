"""``gensafe watermark embed|detect``: the marks by themselves, without the chain."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, read_config, read_medium, say
from gensafe.cli.watermark_key import no_text, read_key
from gensafe.core.errors import InvalidRequest, MediaError
from gensafe.core.textfile import read_text
from gensafe.core.types import PAYLOAD_BYTES, Detection, Image, MarkLevel, Media, Modality, Video

REJECT_BELOW = 0.01  # of a Kolmogorov-Smirnov test: one key id in a hundred is refused for nothing
ENOUGH_TEXTS = 20_000  # the size of the runs behind docs/watermark-text.md
MIN_TOKENS = 20  # shorter texts have too few scored tokens for a p-value of any value


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "watermark",
        help="embed or detect a watermark",
        description="Embed or detect an invisible watermark in an image (animated or not), audio or video. "
        "test-keys says which key ids of the text mark may be used. "
        "Exit codes: 0 embedded, found or all usable, 1 failed, 2 nothing found, 3 unreadable, 64 usage error.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    embed = verbs.add_parser(
        "embed",
        help="write a marked copy",
        description="Write a marked copy, once its mark has been read back from the encoded bytes; otherwise nothing. "
        "The suffix of OUT picks the container: .png .jpg .webp (animations: .png .webp .gif), .wav .mp3 .flac .ogg, "
        ".mp4 .webm. The copy contains what is seen and heard: the first image and audio track, 8 bits in sRGB; no "
        "metadata, no Content Credentials.",
    )
    embed.add_argument("input", metavar="IN")
    embed.add_argument("output", metavar="OUT", help="replaced where it exists; not IN itself")
    embed.add_argument("--payload", required=True, metavar="HEX", help=f"{2 * PAYLOAD_BYTES} hex digits")
    embed.add_argument("--strength", type=float, default=1.0, help="1 = the scheme's default (0.5 to 2)")
    embed.add_argument("--json", action="store_true")
    detect = verbs.add_parser(
        "detect",
        help="look for a mark",
        description="Look for a mark under one key: record (payload read), present, none, or undecidable. An image "
        "is searched as a frame of a video too, and a video as an animation.",
    )
    detect.add_argument("input", metavar="FILE")
    detect.add_argument("--json", action="store_true")
    test = verbs.add_parser("test-keys", help="test this installation's text key on texts known to be unmarked")
    test.add_argument(
        "texts", nargs="+", metavar="FILE", help="UTF-8; an empty line ends a text, short ones do not count"
    )
    test.add_argument("--json", action="store_true")
    add_config_arguments(test)
    for verb in (embed, detect):
        verb.add_argument("--key", required=True, metavar="FILE", help="32 bytes, raw or as 64 hex digits")


def run(args: argparse.Namespace) -> int:
    """Embed or detect."""
    if args.verb == "test-keys":
        return _test_keys(args)
    if args.verb == "embed":
        from gensafe.cli import watermark_embed

        return watermark_embed.run(args)
    return _detect(args)


def _detect(args: argparse.Namespace) -> int:
    from gensafe import media
    from gensafe.media.animations import decode_animation

    key = read_key(Path(args.key))
    try:
        data = read_medium(args.input)
        animation = decode_animation(data)
        decoded = media.decode(data) if animation is None else animation.shown()
    except MediaError as error:
        note(f"gensafe: {args.input}: {error}")
        return Exit.UNREADABLE
    no_text(decoded.modality)
    found = _search(decoded, animation is not None, key)
    if args.json:
        print_json(
            {
                "level": found.level.value,
                "payload": found.payload.hex() if found.payload else None,
                "p_value": found.p_value,
                "scheme": found.scheme,
                "attempts": found.attempts,
                "detail": dict(found.detail),
            }
        )
    else:
        payload = f" payload {found.payload.hex()}" if found.payload else ""
        reason = f", {found.detail['reason']}" if "reason" in found.detail else ""
        say(f"{args.input}: {found.level.value}{payload} (p = {found.p_value:.2g}, {found.scheme}{reason})")
    return Exit.OK if found.level in (MarkLevel.RECORD, MarkLevel.PRESENT) else Exit.BLOCKED


def _search(decoded: Media, animated: bool, key: bytes) -> Detection:
    """Ask the medium's own scheme; where it finds nothing, an image may be a frame of a video, a video an animation.

    Two schemes asked: the p-value is doubled (union bound).
    """
    from gensafe.core import plugins
    from gensafe.core.ports import Watermarker

    def ask(modality: Modality, medium: Media) -> Detection:
        scheme: Watermarker = plugins.load("gensafe.watermarks", modality.value)
        return scheme.detect(medium, key)

    if not isinstance(decoded, Image | Video):
        return ask(decoded.modality, decoded)
    frames = decoded.frames if isinstance(decoded, Video) else decoded.pixels[None]
    silent = Video(frames, decoded.fps if isinstance(decoded, Video) else 1.0)
    own = Modality.IMAGE if animated else decoded.modality
    first = ask(own, decoded)
    if first.level in (MarkLevel.RECORD, MarkLevel.PRESENT):
        return first
    second = ask(Modality.VIDEO if own is Modality.IMAGE else Modality.IMAGE, silent)
    better = second if second.level in (MarkLevel.RECORD, MarkLevel.PRESENT) else first
    return replace(better, p_value=min(1.0, 2 * better.p_value), attempts=first.attempts + second.attempts)


def _test_keys(args: argparse.Namespace) -> int:
    """Say which key ids give uniform p-values on unmarked texts: one that does not would accuse too often."""
    from gensafe.core import plugins
    from gensafe.core.ports import SamplingWatermark
    from gensafe.installation import Installation

    config = read_config(args)
    home = Installation(config)
    tokenizers = home.tokenizers()
    if not tokenizers:
        raise InvalidRequest("no engine has a tokenizer, so no text carries a mark", field="engines")
    whole = "\n\n".join(read_text(name, "FILE", error=InvalidRequest) for name in args.texts)
    parts = re.split(r"\r?\n[ \t]*\r?\n", whole)
    pieces = (tokenizer.encode(text) for tokenizer in tokenizers for text in parts)
    texts = [tokens for tokens in pieces if len(tokens) >= MIN_TOKENS]
    scheme: SamplingWatermark = plugins.load("gensafe.watermarks", "text", config.watermark.text)
    found = scheme.test_keys(texts, home.open_keys().watermark_key(Modality.TEXT))
    usable = [key_id for key_id, p in found.items() if p >= REJECT_BELOW]
    if args.json:
        print_json({"texts": len(texts), "p_values": {str(k): p for k, p in found.items()}, "usable": usable})
    else:
        for key_id, p in found.items():
            say(f"key id {key_id:2d}: p = {p:.3g}{'' if p >= REJECT_BELOW else '  do not use'}")
        if len(texts) < ENOUGH_TEXTS:
            note(f"{len(texts)} texts: {ENOUGH_TEXTS:,} are enough to see a small leaning")
        if usable and len(usable) < len(found):
            joined = ",".join(map(str, usable))
            note("to use the others only, configure:")
            note("[watermark.text]")
            note(f'key_ids = "{joined}"')
    return Exit.OK if len(usable) == len(found) else Exit.FAILED
