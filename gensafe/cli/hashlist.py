"""``gensafe hashlist``: add files to a block list, so that copies are found."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gensafe.cli.common import Commands, Exit, note, print_json, read_medium, say
from gensafe.core.errors import MediaError, OutputFailed, SafetyUnavailable
from gensafe.core.types import Audio, Image, Media, Video


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "hashlist",
        help="add files to a block list",
        description="Append the fingerprints of images, audio and videos to a list that image_hashlist, "
        "audio_hashlist and video_hashlist read. Images get ten hashes, so that crops are found too. The files "
        "themselves are not kept. Exit codes: 0 success, 3 a file cannot be read or is too plain to be distinguished "
        "from others, 64 usage error.",
    )
    parser.add_argument("list", metavar="LIST.jsonl", help="made if it does not exist")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Fingerprint and append."""
    from gensafe import media

    target = Path(args.list)
    code, added = Exit.OK, []
    for name in args.files:
        try:
            rows = listing_rows(media.decode_untrusted(read_medium(name)), Path(name).name)
        except (MediaError, SafetyUnavailable) as error:
            note(f"gensafe: {name}: {error}")
            code = Exit.UNREADABLE
            continue
        try:
            with target.open("a", encoding="utf-8") as out:
                out.writelines(json.dumps(row, sort_keys=True) + "\n" for row in rows)
        except OSError as error:
            raise OutputFailed(f"cannot write {target}: {error.strerror}", field="LIST") from None
        added.append({"file": name, "type": rows[0]["type"], "rows": len(rows)})
        if not args.json:
            say(f"{name}: {len(rows)} x {rows[0]['type']}")
    if args.json:
        print_json({"list": args.list, "added": added})
    return code


def listing_rows(item: Media, label: str) -> list[dict[str, str]]:
    """The lines for one medium, see ``gensafe.safety.signals.print_lists``.

    Raises:
        MediaError: a text, or a medium too plain or too short to be distinguished from others.
    """
    from gensafe.safety.classifiers.video_hashlist import frame_hashes
    from gensafe.safety.signals.audio_print import SHORTEST, audio_print
    from gensafe.safety.signals.pdq_index import QUALITY_MIN
    from gensafe.safety.signals.pdq_views import listing_hashes, pdq

    if isinstance(item, Image):
        if pdq(item.pixels)[1] < QUALITY_MIN:
            raise MediaError("the image is too plain: others would match it")
        return [{"type": "HASH_PDQ", "id": label, "indicator": h} for h in listing_hashes(item.pixels)]
    if isinstance(item, Audio):
        codes = audio_print(item.samples.mean(axis=0), item.rate)
        if (codes != 0).sum() < SHORTEST:
            raise MediaError("the audio is too short or too quiet: others would match it")
        return [{"type": "HASH_AUDIO", "id": label, "indicator": codes.astype(">u4").tobytes().hex()}]
    if isinstance(item, Video):
        frames = frame_hashes(item)
        if not frames:
            raise MediaError("every frame is too plain: others would match it")
        return [{"type": "HASH_VPDQ", "id": label, "indicator": " ".join(f.hex() for f in frames)}]
    raise MediaError("texts are not listed by fingerprint")
