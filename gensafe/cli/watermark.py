"""``gensafe watermark embed|detect``: the marks by themselves, without the chain."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, read_config, say
from gensafe.core.errors import InvalidRequest, MediaError
from gensafe.core.types import PAYLOAD_BYTES, MarkLevel, Modality

KEY_BYTES = 32
REJECT_BELOW = 0.01  # of a Kolmogorov-Smirnov test: one key id in a hundred is refused for nothing
ENOUGH_TEXTS = 20_000
MIN_TOKENS = 20  # shorter texts have too few scored tokens for a p-value of any value


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "watermark",
        help="embed or detect a watermark",
        description="Embed or detect an invisible watermark in an image, sound or video. "
        "test-keys says which key ids of the text mark may be used. "
        "Exit: 0 embedded, found or all usable, 2 nothing found, 1 failed, 3 unreadable, 64 usage.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    embed = verbs.add_parser("embed", help="write a marked copy")
    embed.add_argument("input", metavar="IN")
    embed.add_argument("output", metavar="OUT")
    embed.add_argument("--payload", required=True, metavar="HEX", help=f"{2 * PAYLOAD_BYTES} hex digits")
    embed.add_argument("--strength", type=float, default=1.0, help="1 = the scheme's default (0.5 to 2)")
    detect = verbs.add_parser("detect", help="look for a mark")
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
    from gensafe import media
    from gensafe.core import plugins
    from gensafe.core.ports import Watermarker

    if args.verb == "test-keys":
        return _test_keys(args)
    key = read_key(Path(args.key))
    data = _read(Path(args.input))
    try:
        decoded = media.decode(data)
    except MediaError as error:
        say(f"gensafe: {args.input}: {error}")
        return Exit.UNREADABLE
    if decoded.modality is Modality.TEXT:
        raise InvalidRequest("text is marked while it is written, not afterwards", field="IN")
    scheme: Watermarker = plugins.load("gensafe.watermarks", decoded.modality.value)
    if args.verb == "embed":
        from gensafe.cli.generate import media_type_of, write_atomically

        _refuse_animation(data, decoded.modality)
        if not 0.5 <= args.strength <= 2:
            raise InvalidRequest("must be between 0.5 and 2", field="--strength")
        target = Path(args.output)
        container = media_type_of(target, decoded.modality) or media.DEFAULT_MEDIA_TYPE[decoded.modality]
        marked = scheme.embed(decoded, read_payload(args.payload), key, args.strength)
        write_atomically(target, media.encode(marked, container))
        say(f"{target}: {scheme.scheme}")
        return Exit.OK
    found = scheme.detect(decoded, key)
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
        say(f"{args.input}: {found.level.value}{payload} (p = {found.p_value:.2g}, {found.scheme})")
    return Exit.OK if found.level in (MarkLevel.RECORD, MarkLevel.PRESENT) else Exit.BLOCKED


def _test_keys(args: argparse.Namespace) -> int:
    """Say which key ids give uniform p-values on unmarked texts: one that does not would accuse too often."""
    from gensafe.core import plugins
    from gensafe.core.ports import SamplingWatermark
    from gensafe.pipeline.assemble import open_keys, text_tokenizer

    config = read_config(args)
    tokenizer = text_tokenizer(config)
    if tokenizer is None:
        raise InvalidRequest("this backend has no tokenizer, so its texts carry no mark", field="generation.backend")
    try:
        whole = "\n\n".join(_read(Path(name)).decode("utf-8") for name in args.texts)
    except UnicodeDecodeError:
        raise InvalidRequest("not UTF-8", field="FILE") from None
    pieces = (tokenizer.encode(text) for text in re.split(r"\r?\n[ \t]*\r?\n", whole))
    texts = [tokens for tokens in pieces if len(tokens) >= MIN_TOKENS]
    scheme: SamplingWatermark = plugins.load("gensafe.watermarks", "text", config.watermark.text)
    found = scheme.test_keys(texts, open_keys(config).watermark_key(Modality.TEXT))
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


def _refuse_animation(data: bytes, modality: Modality) -> None:
    """Only stills are written: marking the first frame alone would drop the others without a word."""
    from gensafe import media
    from gensafe.media.images import frame_count

    if modality is Modality.IMAGE and (frames := frame_count(data, media.sniff(data))) > 1:
        raise InvalidRequest(
            f"an animation of {frames} frames, and only still pictures are written",
            field="IN",
            fix="convert it to a film (MP4, WebM), or choose one frame",
        )


def read_key(path: Path) -> bytes:
    """Read a watermark key.

    Raises:
        InvalidRequest: not 32 raw bytes or 64 hex digits.
    """
    data = _read(path)
    if len(data) == KEY_BYTES:
        return data
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except (UnicodeDecodeError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidRequest(f"{path} holds no key", field="--key", fix="32 bytes, raw or as 64 hex digits")
    return key


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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None
