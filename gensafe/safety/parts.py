"""One verdict over all parts of a file: each track, subtitle and animation is judged by the policy of its own kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import (
    ACTION_ORDER,
    Action,
    Coverage,
    Decision,
    Image,
    Medium,
    Stage,
    TimeRange,
    Verdict,
    Video,
    VideoStream,
)
from gensafe.media import Part
from gensafe.safety.runner import SafetyRunner


def judge_parts(runner: SafetyRunner, parts: Sequence[Part], stage: Stage) -> Verdict:
    """Judge every part and join the verdicts: the strictest action holds.

    Details and units name the part they are about. A part that could not be read is an error, as is any other part of
    an item that nobody examined, and so blocks.

    Args:
        runner: The policy.
        parts: Of one file, the medium itself first, as ``read_parts`` gives them.
        stage: Where in the request this is.
    """
    if not parts or parts[0].media is None:
        raise InvalidRequest("a file has a medium", field="parts")
    main = runner.judge(parts[0].media, stage)
    verdicts = [main]
    errors = list(main.errors)
    for part in parts[1:]:
        if part.media is None:
            errors.append(f"not examined: {part.name}: {part.reason}")
            continue
        own = runner.judge(part.media, stage)
        errors += [f"{part.name}: {error}" for error in own.errors]
        keep_boxes = _size(part.media) == _size(parts[0].media)
        decisions = tuple(_placed(d, part, keep_boxes=keep_boxes) for d in own.decisions)
        coverage = tuple(replace(c, unit=f"{c.unit} of {part.name}") for c in own.coverage)
        verdicts.append(replace(own, decisions=decisions, coverage=coverage))
    if len(parts) == 1:
        return main
    examined = Coverage("file", "parts", len(verdicts), len(parts))
    strictest = max((v.action for v in verdicts), key=ACTION_ORDER.index)
    joined = [d for v in verdicts for d in v.decisions]
    joined.sort(key=lambda d: (-ACTION_ORDER.index(d.action), -d.severity, -d.finding.score, d.finding.category))
    return replace(
        main,
        action=Action.BLOCK if errors else strictest,
        decisions=tuple(joined),
        coverage=(*(c for v in verdicts for c in v.coverage), examined),
        classifiers=tuple(dict.fromkeys(c for v in verdicts for c in v.classifiers)),
        errors=tuple(errors),
        monitor_only=all(v.monitor_only for v in verdicts) and len(verdicts) == len(parts),
        elapsed_ms=sum(v.elapsed_ms for v in verdicts),
    )


def _size(media: Medium) -> tuple[int, ...]:
    """Height and width; boxes of one part mean something on another only if these are the same."""
    if isinstance(media, Image):
        return media.pixels.shape[:2]
    if isinstance(media, VideoStream):
        return media.height, media.width
    return media.frames.shape[1:3] if isinstance(media, Video) else ()


def _placed(decision: Decision, part: Part, *, keep_boxes: bool) -> Decision:
    """Name the part; in subtitles, say when instead of where in the text."""
    finding = decision.finding
    detail = f"in {part.name}: {finding.detail}".rstrip(": ")
    times = finding.times
    if part.cues:
        shown = [
            TimeRange(round(start, 3), round(max(start, end), 3))
            for first, last, start, end in part.cues
            if not finding.spans or any(s.start < last and s.end > first for s in finding.spans)
        ]
        times = tuple(shown)
    boxes = finding.boxes if keep_boxes else ()
    return replace(decision, finding=replace(finding, detail=detail, spans=(), boxes=boxes, times=times))
