"""``gensafe concept``: register something to look for in any medium, from words and a few examples."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gensafe.cli.common import Commands, Exit, note, print_json, read_medium, say
from gensafe.core.errors import InvalidRequest, MediaError
from gensafe.core.outfile import write_file
from gensafe.core.textfile import read_text
from gensafe.core.types import Assessment, Media, Modality, Stage, Text

GROUP = "gensafe.concepts"


class Book(Protocol):
    """A plugin of the group ``gensafe.concepts``; ``text`` is a concept file's contents, ``where`` its name."""

    def register(
        self,
        name: str,
        words: Sequence[str],
        like: Sequence[tuple[str, Media]],
        unlike: Sequence[tuple[str, Media]],
    ) -> str:
        """Contents of a new concept's file."""

    def renew(self, text: str, where: str) -> str:
        """Contents of the file, learned again by the model as it is now."""

    def explain(self, text: str, where: str) -> Mapping[str, Any]:
        """What the file says, for a person."""


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "concept",
        help="register something to look for, from words and a few examples",
        description="Concepts for the classifiers text_concepts, image_concepts, audio_concepts and video_concepts, "
        "which use the built-in model and so know only what it was trained on. Exit codes: 0 (test: nothing found), "
        "2 found, 3 a file cannot be read or (test) is unlike what the model knows, 64 usage error.",
    )
    parser.add_argument("--weights", default="", metavar="DIR", help="a model bundle (default: the one that ships)")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    register = actions.add_parser("register", help="make a concept file")
    register.add_argument("file", metavar="FILE.json", help="kept with what the model reads in the examples")
    register.add_argument("--name", default="", help="a to z, 0 to 9, _ and - (default: the file's)")
    register.add_argument("--word", action="append", default=[], metavar="WORDS", help="one to four words that name it")
    register.add_argument("--like", action="append", default=[], metavar="FILE", help="an example, of any medium")
    register.add_argument(
        "--unlike", action="append", default=[], metavar="FILE", help="an example of what is not meant"
    )
    show = actions.add_parser(
        "show", help="show what concepts are found by, and the share of the model's own test items they would stop"
    )
    show.add_argument("files", nargs="+", metavar="FILE.json")
    renew = actions.add_parser("renew", help="learn concepts again after the model's weights have changed")
    renew.add_argument("files", nargs="+", metavar="FILE.json")
    test = actions.add_parser("test", help="look for a concept in files or a text")
    test.add_argument("file", metavar="FILE.json")
    test.add_argument("media", nargs="*", metavar="MEDIUM")
    test.add_argument("--text", metavar="STR")
    for each in (register, show, renew, test):
        each.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Dispatch."""
    options = {"weights": args.weights} if args.weights else {}
    try:
        return _test(args, options) if args.action == "test" else _keep(args, options)
    except MediaError as error:
        note(f"gensafe: {error}")
        return Exit.UNREADABLE


def _keep(args: argparse.Namespace, options: Mapping[str, str]) -> int:
    from gensafe.core import plugins

    book: Book = plugins.load(GROUP, "symphony", options)
    if args.action == "register":
        return _register(args, book)
    told = []
    for name in args.files:
        text = read_text(name, "FILE")
        if args.action == "renew":
            text = book.renew(text, name)
            _write(Path(name), text)
        told.append({"file": name, **book.explain(text, name)})
    _tell(told, as_json=args.json)
    return Exit.OK


def _register(args: argparse.Namespace, book: Book) -> int:
    target = Path(args.file)
    like, unlike = ([(name, _medium(name)) for name in names] for names in (args.like, args.unlike))
    text = book.register(args.name or target.stem, args.word, like, unlike)
    _write(target, text)
    _tell([{"file": args.file, **book.explain(text, args.file)}], as_json=args.json)
    return Exit.OK


def _test(args: argparse.Namespace, options: Mapping[str, str]) -> int:
    from gensafe.core import plugins

    if not args.media and args.text is None:
        raise InvalidRequest("give files or --text", field="MEDIUM")
    items: list[tuple[str, Media]] = [("--text", Text(args.text))] if args.text is not None else []
    items += [(name, _medium(name)) for name in args.media]
    options = {**options, "concepts": args.file}
    classifiers: dict[Modality, Any] = {}
    rows, code = [], Exit.OK
    for name, item in items:
        if item.modality not in classifiers:
            classifiers[item.modality] = plugins.load("gensafe.classifiers", f"{item.modality}_concepts", options)
        found: Assessment = classifiers[item.modality].assess(item, Stage.STANDALONE)
        hits = [f for f in found.findings if f.category != "unc"]
        outside = [f.detail for f in found.findings if f.category == "unc"]
        rows.append({"medium": name, "found": bool(hits), "score": max((f.score for f in hits), default=0.0),
                     "not examined": outside[0] if outside else ""})  # fmt: skip
        if hits:
            code = Exit.BLOCKED
        elif outside and code is Exit.OK:
            code = Exit.UNREADABLE
    if args.json:
        print_json(rows)
    else:
        for row in rows:
            said = f"found, score {row['score']:.2f}" if row["found"] else row["not examined"] or "not found"
            say(f"{row['medium']}: {said}")
    return code


def _tell(told: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(list(told))
        return
    for each in told:
        say(f"{each['file']}: {each['name']}" + ("" if each["usable"] else "  (learned by other weights: renew it)"))
        for key in ("found in descriptions by", "found in texts by"):
            say(f"  {key}: {', '.join(each[key])}")
        if each["words the model lacks"]:
            lacks = ", ".join(each["words the model lacks"])
            note(f"  the model does not know this word, so it is found in texts only: {lacks}")
        for key in ("examples", "counter-examples"):
            if each[key]:
                say(f"  {key}: " + ", ".join(f"{n} {medium}" for medium, n in each[key].items()))
        shares = ", ".join(f"{rate:.1%} of {medium}" for medium, rate in each["share of the world"].items())
        say(f"  share of the model's own test items it would stop: {shares}")


def _medium(name: str) -> Media:
    from gensafe import media

    try:
        return media.decode_untrusted(read_medium(name))
    except MediaError as error:
        raise type(error)(f"{name}: {error.message}", fix=error.fix) from None


def _write(path: Path, text: str) -> None:
    write_file(path, text.encode(), "FILE")
