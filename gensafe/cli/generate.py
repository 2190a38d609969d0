"""``gensafe generate``: one output, through a server or in process on the embedded defaults."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, progress, read_config, say
from gensafe.cli.remote import add_server_arguments, client_options
from gensafe.core import ids
from gensafe.core.errors import InvalidRequest, SafetyBlocked
from gensafe.core.outfile import write_file
from gensafe.core.stopped import held_sentence, stopped_sentence
from gensafe.core.types import GenerationRequest, InputMedia, Message, Modality, Progress, Role, read_parameters

if TYPE_CHECKING:
    from gensafe.client.results import Receipt
    from gensafe.v1 import generation_pb2

SUFFIXES = {
    ".txt": "text/plain",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "generate",
        help="generate one output, checked, marked, signed and logged",
        description="Generate one output. Without --server the same chain runs in this process. "
        "Exit codes: 0 written, 1 failed, 2 blocked by policy or held for review, 64 usage error.",
    )
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument("--modality", required=True, choices=[m.value for m in Modality])
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="where to write; its suffix picks the container"
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="FILE",
        help="an image, audio, video or text file to go with the prompt",
    )
    parser.add_argument("--model", default="", help="model name (default: chosen by what is asked for)")
    parser.add_argument("--system", default="", metavar="TEXT", help="system message of a conversation")
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="temperature=0.2, top_p=0.9, stop=END, width=512, voice=heart and so on; gensafe models lists what an "
        "engine takes",
    )
    parser.add_argument("--seed", type=int, help="same seed, same output")
    parser.add_argument("--max-tokens", type=int, default=0)
    parser.add_argument(
        "--request-id",
        default="",
        metavar="UUID",
        help="repeat a request: the same output again, or what a review said",
    )
    parser.add_argument("--visible-label", action="store_true", help="add a visible or audible AI label")
    parser.add_argument("--label-profile", default="", help="metadata labels: eu, ca, cn, kr, in")
    parser.add_argument(
        "--subject",
        default="",
        metavar="NAME",
        help="your end user; only a keyed commitment is kept, and privacy erase --subject finds it",
    )
    add_server_arguments(parser, help="use a running server")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Generate and write."""
    target = Path(args.output)
    if target.is_dir():
        raise InvalidRequest(f"{target} is a directory", field="--output")
    if not target.parent.is_dir():
        raise InvalidRequest(f"{target.parent} does not exist", field="--output", fix="make the directory first")
    if args.seed is not None and not 0 <= args.seed < 2**63:
        raise InvalidRequest("must be between 0 and 2^63 - 1", field="--seed")
    if args.max_tokens < 0:
        raise InvalidRequest("must not be negative", field="--max-tokens")
    return _remote(args, target) if args.server else _local(args, target)


def media_type_of(path: Path, modality: Modality) -> str:
    """The container a file name asks for; "" = the modality's default.

    Raises:
        InvalidRequest: the suffix names a container of another modality, or none that can be written.
    """
    from gensafe import media

    suffix = path.suffix.lower()
    if not suffix:
        return ""
    known = SUFFIXES.get(suffix)
    if known is None or known not in media.ENCODABLE[modality]:
        usable = sorted(s for s, t in SUFFIXES.items() if t in media.ENCODABLE[modality])
        raise InvalidRequest(f"{suffix} is not a container for {modality}", field="--output", fix=", ".join(usable))
    return known


def parameters_of(arguments: list[str]) -> dict[str, object]:
    """NAME=VALUE arguments; a name that comes twice becomes a list.

    Raises:
        InvalidRequest: one without "=".
    """
    given: dict[str, object] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"{argument!r} is not NAME=VALUE", field="--parameter")
        earlier = given.get(name)
        given[name] = value if earlier is None else [*(earlier if isinstance(earlier, list) else [earlier]), value]
    return given


def _remote(args: argparse.Namespace, target: Path) -> int:
    from gensafe.client import Client
    from gensafe.client.results import as_json
    from gensafe.client.statuses import Blocked, HeldForReview

    show = progress()

    def on_event(event: generation_pb2.GenerateResponse) -> None:
        if event.HasField("progress"):
            show(event.progress.stage, event.progress.done, event.progress.total)

    with Client(client_options(args)) as client:
        try:
            output = client.generate(
                args.prompt,
                args.modality,
                on_event=on_event,
                request_id=args.request_id,
                inputs=args.input,
                model=args.model,
                seed=args.seed,
                media_type=media_type_of(target, Modality(args.modality)),
                max_tokens=args.max_tokens,
                visible_label=args.visible_label,
                label_profile=args.label_profile,
                subject=args.subject,
                messages=[("system", args.system)] if args.system else [],
                parameters=parameters_of(args.parameter),
            )
        except Blocked as blocked:
            show("", 0, 0)
            note(f"gensafe: {blocked}")
            if args.json:
                print_json(as_json(blocked.blocked))
            return Exit.BLOCKED
        except HeldForReview as stopped:
            show("", 0, 0)
            held = stopped.held
            report_held(held.review_id, held.categories, held.request_id, held.record_id, args.json)
            return Exit.BLOCKED
    show("", 0, 0)
    write_file(target, output.data, "--output")
    _report(args, target, output.completed)
    return Exit.OK


def _report(args: argparse.Namespace, target: Path, receipt: Receipt) -> None:
    """Print the receipt: the same with a server and without one."""
    from gensafe.client.results import as_json

    if args.json:
        print_json(as_json(receipt))
        return
    _say_written(target, receipt.record_id, receipt.digest, receipt.watermark.note)


def _local(args: argparse.Namespace, target: Path) -> int:
    from gensafe.client.messages import read_media
    from gensafe.client.results import Receipt, read
    from gensafe.pipeline import CallControl, Held, Released, Stopped, open_chain
    from gensafe.pipeline import run as run_pipeline
    from gensafe.server.convert import completed_to_pb

    inputs = [read_media(Path(path)) for path in args.input]
    request = GenerationRequest(
        request_id=ids.check_request_id(args.request_id) if args.request_id else ids.new_request_id(),
        prompt=args.prompt,
        modality=Modality(args.modality),
        inputs=tuple(InputMedia(m.data, m.media_type, m.name) for m in inputs),
        model=args.model,
        seed=args.seed,
        media_type=media_type_of(target, Modality(args.modality)),
        max_tokens=args.max_tokens,
        visible_label=args.visible_label,
        label_profile=args.label_profile,
        messages=(Message(Role.SYSTEM, args.system),) if args.system else (),
        parameters=read_parameters(parameters_of(args.parameter)),
        subject=ids.check_subject(args.subject),
    )
    show = progress()
    released: Released | None = None
    with open_chain(read_config(args)) as chain:
        for event in run_pipeline(chain, request, CallControl()):
            match event:
                case Progress():
                    show(event.stage, event.done, event.total)
                case Stopped():
                    show("", 0, 0)
                    report_blocked(SafetyBlocked("blocked by policy", event.verdict), args.json)
                    return Exit.BLOCKED
                case Held():
                    show("", 0, 0)
                    record = ids.record_id_text(event.record_id)
                    report_held(event.review_id, event.categories, event.request_id, record, args.json)
                    return Exit.BLOCKED
                case Released():
                    released = event
    show("", 0, 0)
    if released is None:
        raise AssertionError("a run ends with Released, Held, Stopped or an error")
    signed = released.recorded.signed
    write_file(target, signed.data, "--output")
    _report(args, target, read(Receipt, completed_to_pb(released)))
    return Exit.OK


def report_blocked(error: SafetyBlocked, as_json: bool) -> None:
    """Print a policy stop: categories, never content."""
    from gensafe.safety import verdict_dict

    verdict = error.verdict
    note(f"gensafe: {stopped_sentence(verdict)} (policy {verdict.policy_id})")
    for failed in verdict.errors:
        note(f"  not examined: {failed}")
    for sentence in {d.finding.detail for d in verdict.decisions if d.finding.category == "unc"}:
        note(f"  {sentence}")
    if as_json:
        print_json({"blocked": verdict_dict(verdict)})


def report_held(review_id: str, categories: tuple[str, ...], request_id: str, record_id: str, as_json: bool) -> None:
    """Print that a person must see the output first, and how to get it afterwards."""
    note(f"gensafe: held for review {review_id}: {held_sentence(categories)}")
    note(f"  decide with: gensafe review show|release|reject {review_id}")
    note(f"  then repeat this command with --request-id {request_id}")
    if as_json:
        held = {"review_id": review_id, "categories": categories, "request_id": request_id, "record_id": record_id}
        print_json({"held": held})


def _say_written(target: Path, record_id: str, digest: str, watermark_note: str) -> None:
    say(f"{target}: record {record_id}, {digest}")
    if watermark_note:
        note(f"watermark: {watermark_note}")
