"""``gensafe classify``: the policy's verdict over a file or a text."""

from __future__ import annotations

import argparse
from pathlib import Path

from gensafe.cli.common import Commands, Exit, note, print_json, say
from gensafe.core.errors import GensafeError, InvalidRequest, MediaError
from gensafe.core.hazards import in_words
from gensafe.core.outfile import PRIVATE, write_file
from gensafe.core.types import Action, Audio, AudioStream, Medium, Modality, Stage, Text, Verdict


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "classify",
        help="judge a file or a text under the policy",
        description="Judge one file or text; of a file every track, subtitle and frame. "
        "Exit codes: 0 allowed, 2 blocked or held for review, 3 unreadable or refused, 64 usage error.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", metavar="FILE")
    what.add_argument("--text", metavar="STR")
    parser.add_argument("--policy", metavar="FILE", help="TOML policy, or strict, balanced (default), permissive")
    parser.add_argument(
        "--script", metavar="TEXT", help="the words an audio file should say: are they spoken, word for word?"
    )
    parser.add_argument(
        "--picture",
        metavar="OUT.png",
        help="draw the verdict: boxes on the image, spans on the waveform, findings under the video frames",
    )
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Judge."""
    from gensafe import media
    from gensafe.safety import SafetyRunner, judge_parts, load_policy, verdict_dict
    from gensafe.safety.signals.script_match import script_words

    policy = load_policy(args.policy or None)
    if args.script is not None:
        script_words(args.script)
        policy = policy.with_classifier(Modality.AUDIO, "audio_script", {"script": args.script})
    if args.text is not None:
        if not args.text:
            raise InvalidRequest("is empty", field="--text")
        parts: tuple[media.Part, ...] = (media.Part("", Text(args.text)),)
    else:
        try:
            parts = media.open_file(args.file)
        except MediaError as error:
            note(f"gensafe: {args.file}: {error}")
            return Exit.UNREADABLE
    main = parts[0].media
    if args.text is None and isinstance(main, Text) and (problem := media.name_contradicts(args.file, "text/plain")):
        note(f"gensafe: {args.file}: {problem}")
        return Exit.UNREADABLE
    if args.picture and (main is None or isinstance(main, Text)):
        raise InvalidRequest("a verdict on a text cannot be drawn", field="--picture")
    if args.script is not None and not isinstance(main, Audio | AudioStream):
        raise InvalidRequest("applies to audio only", field="--script")
    try:
        verdict = judge_parts(SafetyRunner.from_policy(policy), parts, Stage.STANDALONE)
    except GensafeError as error:
        note(f"gensafe: {error}")
        return Exit.UNREADABLE
    if args.picture and main is not None:
        _write_picture(Path(args.picture), main, verdict)
    if args.json:
        print_json(verdict_dict(verdict))
    else:
        show(verdict)
    if verdict.errors:
        return Exit.UNREADABLE
    return Exit.BLOCKED if verdict.action in (Action.BLOCK, Action.REVIEW) else Exit.OK


def _write_picture(path: Path, item: Medium, verdict: Verdict) -> None:
    from gensafe.media import encode, overview
    from gensafe.media.verdict_picture import draw_verdict

    write_file(path, encode(draw_verdict(overview(item), verdict), "image/png"), "--picture", mode=PRIVATE)


def show(verdict: Verdict) -> None:
    """Print a verdict for a person."""
    say(f"{verdict.action}  ({verdict.policy_id}, {verdict.elapsed_ms} ms)")
    for error in verdict.errors:
        say(f"  not examined: {error}")
    for decision in verdict.decisions:
        finding = decision.finding
        if decision.action is Action.ALLOW:
            continue
        name = in_words(finding.category)
        where = "".join(
            [f" chars {s.start}-{s.end}" for s in finding.spans]
            + [f" box {b.left},{b.top}-{b.right},{b.bottom}" for b in finding.boxes]
            + [f" {t.start_s:.2f}-{t.end_s:.2f} s" for t in finding.times]
        )
        say(
            f"  {decision.action}: {name} {finding.score:.2f} >= {decision.threshold:.2f} [{finding.classifier}]{where}"
        )
        if finding.detail:
            say(f"    {finding.detail}")
    for part in verdict.coverage:
        say(f"  examined by {part.classifier}: {part.examined} of {part.total} {part.unit}")
