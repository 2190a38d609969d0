"""A verdict as a picture: boxes on the image, spans on the waveform, a film strip over a time line.

For people who review what was held. Findings' details never quote the content, so neither does the legend; the picture
itself shows the medium and is to be kept like it.
"""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from gensafe.core.errors import UnsupportedMedia
from gensafe.core.hazards import CATEGORIES
from gensafe.core.types import Action, Audio, Decision, Image, Media, TimeRange, Verdict, Video

WIDTH: Final = 960  # pixels, here and below: fits a browser window. The sizes are chosen by eye, not measured
MARGIN: Final = 16  # by eye
ROW: Final = 26  # by eye
LINE: Final = 18  # by eye
MAX_LINES: Final = 24  # of the legend, by eye
STRIP: Final = 8  # frames side by side, by eye
LANE: Final = 120  # pixels of height for a channel's waveform
TRACK_LANE: Final = 64  # the same below a film strip
# by eye: red stops, orange waits, violet is painted over, blue is a note, grey is nothing
COLOURS: Final = {
    Action.BLOCK: (200, 30, 40),
    Action.REVIEW: (220, 120, 0),
    Action.REDACT: (140, 60, 170),
    Action.ANNOTATE: (30, 100, 190),
    Action.ALLOW: (120, 125, 130),
}
_INK: Final = (30, 34, 40)  # by eye
_PAPER: Final = (250, 250, 248)  # by eye
_FAINT: Final = (222, 224, 226)  # by eye
_QUIET: Final = (110, 114, 120)  # by eye


def draw_verdict(media: Media, verdict: Verdict) -> Image:
    """Draw ``verdict`` on ``media``.

    Returns:
        A picture 960 pixels wide: the outcome, the medium with what was found where, one line for each decision, and
        what was examined and what was not.

    Raises:
        UnsupportedMedia: text; its spans are better shown as text.
    """
    if isinstance(media, Image):
        body = _image_body(media, verdict)
    elif isinstance(media, Audio):
        body = _audio_body(media, verdict)
    elif isinstance(media, Video):
        body = _video_body(media, verdict)
    else:
        raise UnsupportedMedia("a verdict on a text has no image", fix="print its spans")
    legend = _legend(verdict) or [(COLOURS[Action.ALLOW], "nothing found")]
    examined = _wrapped(_examined(verdict), 118)
    below = ROW * len(legend) + MARGIN // 2 + LINE * len(examined)
    height = MARGIN + 40 + body.height + MARGIN + below + MARGIN
    sheet = PilImage.new("RGB", (WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    title = "BLOCK, not examined in full" if verdict.errors else verdict.action.value.upper()
    pen.rectangle((0, 0, 10, height), fill=COLOURS[verdict.action])
    pen.text((MARGIN + 8, MARGIN), title, font=_font(24), fill=COLOURS[verdict.action])
    pen.text((WIDTH - MARGIN, MARGIN + 6), verdict.policy_id, font=_font(14), fill=_INK, anchor="ra")
    sheet.paste(body, (MARGIN + 8, MARGIN + 40))
    top = MARGIN + 40 + body.height + MARGIN
    for colour, text in legend:
        pen.rectangle((MARGIN + 8, top + 5, MARGIN + 22, top + 19), fill=colour)
        pen.text((MARGIN + 32, top + 2), text, font=_font(15), fill=_INK)
        top += ROW
    top += MARGIN // 2
    for text in examined:
        pen.text((MARGIN + 8, top), text, font=_font(13), fill=_QUIET)
        top += LINE
    return Image(np.asarray(sheet))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _legend(verdict: Verdict) -> list[tuple[tuple[int, int, int], str]]:
    """One line for each error and each decision, the strictest first."""
    lines = [(COLOURS[Action.BLOCK], _cut(error)) for error in verdict.errors]
    for decision in verdict.decisions:
        found = decision.finding
        where = ", ".join(f"{t.start_s:.2f}-{t.end_s:.2f} s" for t in found.times[:3])
        more = " ..." if len(found.times) > 3 else ""
        name = CATEGORIES.get(found.category, found.category).split(":")[0]
        text = f"{found.category} {found.score:.2f}  {decision.action.value}  {found.detail or name}"
        lines.append((COLOURS[decision.action], _cut(f"{text}  {where}{more}".rstrip())))
    if len(lines) > MAX_LINES:
        rest = len(lines) - MAX_LINES + 1
        return [*lines[: MAX_LINES - 1], (COLOURS[Action.ALLOW], f"and {rest} more, see the verdict itself")]
    return lines


def _cut(text: str) -> str:
    return text if len(text) <= 112 else text[:110] + " ..."


def _examined(verdict: Verdict) -> list[str]:
    """What was looked at, by unit: the most that any classifier saw of it."""
    best: dict[str, tuple[int, int, list[str]]] = {}
    for part in verdict.coverage:
        seen, total, names = best.get(part.unit, (0, 0, []))
        best[part.unit] = (max(seen, part.examined), max(total, part.total), [*names, part.classifier])
    return [
        f"examined {seen} of {total} {unit}: {', '.join(dict.fromkeys(names))}"
        for unit, (seen, total, names) in best.items()
        if total
    ]


def _wrapped(lines: list[str], width: int) -> list[str]:
    return [piece for line in lines for piece in textwrap.wrap(line, width, subsequent_indent="    ")]


def _image_body(media: Image, verdict: Verdict) -> PilImage.Image:
    room = WIDTH - 2 * MARGIN - 8
    height, width = media.pixels.shape[:2]
    scale = min(room / width, 640 / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = PilImage.Resampling.NEAREST if scale > 2 else PilImage.Resampling.LANCZOS
    body = PilImage.fromarray(np.ascontiguousarray(media.pixels)).resize(size, method)
    pen = ImageDraw.Draw(body)
    for decision in reversed(verdict.decisions):  # the strictest is drawn last and stays visible
        for box in decision.finding.boxes if decision.action is not Action.ALLOW else ():
            corners = [round(v * scale) for v in (box.left, box.top, box.right, box.bottom)]
            pen.rectangle(corners, outline=COLOURS[decision.action], width=3)
            label = decision.finding.category
            top = max(0, corners[1] - 18)
            pen.rectangle((corners[0], top, corners[0] + 9 * len(label) + 6, top + 18), fill=COLOURS[decision.action])
            pen.text((corners[0] + 4, top + 1), label, font=_font(14), fill=(255, 255, 255))
    return body


def _audio_body(media: Audio, verdict: Verdict) -> PilImage.Image:
    channels, count = media.samples.shape
    seconds, room = count / media.rate, WIDTH - 2 * MARGIN - 8
    body = PilImage.new("RGB", (room, channels * LANE + 24), (255, 255, 255))
    pen = ImageDraw.Draw(body)
    _shade(pen, verdict, seconds, room, (0, channels * LANE))
    _waveforms(pen, media, seconds, room, 0, LANE)
    _axis(pen, seconds, room, channels * LANE)
    return body


def _waveforms(pen: ImageDraw.ImageDraw, media: Audio, seconds: float, room: int, top: int, lane: int) -> None:
    """One lane per channel; a sound shorter than the time line ends where it ends."""
    columns = max(1, min(room, round(room * media.samples.shape[1] / media.rate / seconds)))
    for row, channel in enumerate(media.samples):
        middle = top + row * lane + lane // 2
        for x, (low, high) in enumerate(_envelope(channel, columns)):
            pen.line((x, middle - high * 0.46 * lane, x, middle - low * 0.46 * lane), fill=(60, 90, 130))
        pen.line((0, middle, room, middle), fill=_FAINT)


def _video_body(media: Video, verdict: Verdict) -> PilImage.Image:
    count, height, width = media.frames.shape[:3]
    seconds, room = count / media.fps, WIDTH - 2 * MARGIN - 8
    each = room // STRIP
    tall = max(1, min(160, round(each * height / width)))
    timed = [d for d in verdict.decisions if d.finding.times][:MAX_LINES]
    bars = tall + 8 + 16 * max(1, len(timed))
    lanes = 0 if media.audio is None else media.audio.samples.shape[0] * TRACK_LANE
    body = PilImage.new("RGB", (room, bars + lanes + 24), (255, 255, 255))
    pen = ImageDraw.Draw(body)
    for place, index in enumerate(_strip_frames(count, media.fps, timed)):
        frame = _strip_frame(media, index, timed, (each - 4, tall))
        body.paste(frame, (place * each, 0))
        pen.text(
            (place * each + 4, 3),
            f"{index / media.fps:.2f} s",
            font=_font(13),
            fill=(255, 255, 255),
            stroke_width=2,
            stroke_fill=(0, 0, 0),
        )
    for row, decision in enumerate(timed):
        top = tall + 8 + 16 * row
        pen.line((0, top + 7, room, top + 7), fill=_FAINT)
        for time in decision.finding.times:
            pen.rectangle((*_columns(time, seconds, room, top + 2), top + 12), fill=COLOURS[decision.action])
        pen.text((2, top), decision.finding.category, font=_font(12), fill=_INK, stroke_width=2, stroke_fill=_PAPER)
    if media.audio is not None:
        _waveforms(pen, media.audio, seconds, room, bars, TRACK_LANE)
    _axis(pen, seconds, room, bars + lanes)
    return body


def _strip_frame(media: Video, index: int, timed: list[Decision], size: tuple[int, int]) -> PilImage.Image:
    """One frame of the strip, with the boxes of what was found in it."""
    frame = PilImage.fromarray(np.ascontiguousarray(media.frames[index])).resize(size)
    pen = ImageDraw.Draw(frame)
    height, width = media.frames.shape[1:3]
    at = (index + 0.5) / media.fps
    for decision in reversed(timed):
        if any(t.start_s <= at < t.end_s for t in decision.finding.times):
            for box in decision.finding.boxes:
                x, y = size[0] / width, size[1] / height
                corners = (box.left * x, box.top * y, max(box.left * x + 1, box.right * x), box.bottom * y)
                pen.rectangle(corners, outline=COLOURS[decision.action], width=2)
    return frame


def _strip_frames(count: int, fps: float, timed: list[Decision]) -> list[int]:
    """Up to eight frames: where something was found first, the rest spread evenly, in order."""
    marked = [min(count - 1, int((t.start_s + t.end_s) / 2 * fps)) for d in timed for t in d.finding.times]
    chosen = list(dict.fromkeys(marked))[: STRIP // 2]
    for index in np.linspace(0, count - 1, STRIP).round().astype(int):
        if len(chosen) < STRIP and int(index) not in chosen:
            chosen.append(int(index))
    return sorted(chosen)


def _envelope(channel: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """(columns, 2) lowest and highest sample under each column."""
    edges = np.linspace(0, channel.size, columns + 1).astype(int)
    spans = [channel[a : max(a + 1, b)] for a, b in pairwise(edges)]
    return np.array([(s.min(initial=0), s.max(initial=0)) for s in spans], np.float32)


def _shade(pen: ImageDraw.ImageDraw, verdict: Verdict, seconds: float, room: int, rows: tuple[int, int]) -> None:
    for decision in reversed(verdict.decisions):  # the strictest is drawn last and stays visible
        tint = tuple(int(255 - (255 - c) * 0.3) for c in COLOURS[decision.action])
        for time in decision.finding.times if decision.action is not Action.ALLOW else ():
            pen.rectangle((*_columns(time, seconds, room, rows[0]), rows[1]), fill=tint)


def _columns(time: TimeRange, seconds: float, room: int, top: int) -> tuple[float, float, float]:
    """Left, top and right edge of a time range."""
    left = time.start_s / seconds * room
    return left, top, max(left + 2, min(room, time.end_s / seconds * room))


def _axis(pen: ImageDraw.ImageDraw, seconds: float, room: int, top: int) -> None:
    step = next(s for s in (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 1e9) if seconds / s <= 12)
    for k in range(int(seconds / step) + 1):
        x = k * step / seconds * room
        pen.line((x, top, x, top + 5), fill=_INK)
        if x < room - 40:
            pen.text((x + 3, top + 5), f"{k * step:g} s", font=_font(12), fill=_INK)
