"""The notice a person sees or hears: drawn into pixels, put in front of sound, appended to text. Before watermarking.

Sizes are measured on the pixels that changed, not taken from the font: GB 45438-2025 asks for characters of at least
5 % of the shortest side (the whole film here, where it asks for 2 s at the start). "AI" and Latin letters come from
Pillow's built-in font; the two Chinese characters of the ``cn`` profile are drawn as strokes, so that no font has to be
installed. The audible notice is the standard's rhythm short-long, short-short (Morse "AI"), not a spoken sentence:
GenSafe ships no voice for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from gensafe.core.errors import CannotCarry, ConfigError
from gensafe.core.types import Audio, Image, Media, Text, Video
from gensafe.media.labels.model import PROFILES, Profile

_MARGIN: Final = 0.02  # of the shortest side
_BACKGROUND: Final = (0, 0, 0)  # black under white: the highest contrast there is
_INK: Final = (255, 255, 255)  # white
_TONE_HZ: Final = 880.0  # A5: well heard from small loudspeakers. Chosen by ear, not measured
_LEVEL: Final = 0.25  # of full scale, 12 dB below it. Chosen by ear, not measured
_UNIT_S: Final = 0.12  # seconds: Morse at 10 words a minute (1.2 s / 10)
TEXT_NOTICE: Final = "[AI-generated]"
TEXT_NOTICE_CN: Final = "[AI生成]"

# strokes on a unit square, origin top left: 生 (sheng) and 成 (cheng)
_STROKES: Final[tuple[tuple[tuple[tuple[float, float], ...], ...], ...]] = (
    (
        ((0.30, 0.06), (0.12, 0.44)),
        ((0.25, 0.27), (0.88, 0.27)),
        ((0.20, 0.58), (0.82, 0.58)),
        ((0.52, 0.05), (0.52, 0.93)),
        ((0.05, 0.93), (0.95, 0.93)),
    ),
    (
        ((0.14, 0.27), (0.93, 0.27)),
        ((0.17, 0.27), (0.16, 0.62), (0.04, 0.95)),
        ((0.17, 0.50), (0.45, 0.50), (0.42, 0.84), (0.32, 0.80)),
        ((0.55, 0.05), (0.60, 0.50), (0.75, 0.80), (0.92, 0.94), (0.96, 0.74)),
        ((0.85, 0.42), (0.72, 0.68), (0.53, 0.93)),
        ((0.71, 0.05), (0.85, 0.17)),
    ),
)


@dataclass(frozen=True, slots=True)
class VisibleEvidence:
    """What was drawn or sounded, measured on the result; ``as_entry`` is what the log keeps.

    ``height_permille``: height of the smallest character in thousandths of the shortest side; ``duration_ms``: how
    long it is seen or heard; ``position``: bottom-right | start | end.
    """

    kind: str  # drawn | sounded | written
    text: str
    position: str
    height_permille: int = 0
    duration_ms: int = 0

    def as_entry(self) -> dict[str, object]:
        """The evidence in the canonical profile."""
        entry: dict[str, object] = {"kind": self.kind, "text": self.text, "position": self.position}
        return entry | {"height_permille": self.height_permille, "duration_ms": self.duration_ms}


def apply_visible(media: Media, profile_name: str = "eu") -> tuple[Media, VisibleEvidence]:
    """Add the notice of a profile; returns the new medium and what was measured on it.

    Raises:
        ConfigError: no such profile.
        CannotCarry: the picture is too small for readable characters.
    """
    profile = PROFILES.get(profile_name or "eu")
    if profile is None:
        raise ConfigError(f"no label profile {profile_name!r}", field="label_profile")
    match media:
        case Image():
            pixels, evidence = _draw(media.pixels[None], profile, 0)
            return Image(pixels[0]), evidence
        case Video():
            frames, evidence = _draw(media.frames, profile, round(1000 * len(media.frames) / media.fps))
            return Video(frames, media.fps, media.audio), evidence
        case Audio():
            return _sound(media, profile)
        case Text():
            notice = TEXT_NOTICE_CN if profile.cjk else TEXT_NOTICE
            return Text(f"{media.text}\n\n{notice}"), VisibleEvidence("written", notice, "end")


def _draw(frames: NDArray[np.uint8], profile: Profile, duration_ms: int) -> tuple[NDArray[np.uint8], VisibleEvidence]:
    _, height, width, _ = frames.shape
    shortest = min(height, width)
    need = -(-shortest * profile.min_height_permille // 1000)
    if shortest < 64:
        raise CannotCarry(f"an image of {width} x {height} is too small for a readable label")
    patch, smallest = _patch(profile, max(need, 7))
    if patch.shape[1] > width or patch.shape[0] > height:
        raise CannotCarry(f"an image of {width} x {height} is too narrow for the label")
    margin = min(round(_MARGIN * shortest), height - patch.shape[0], width - patch.shape[1])
    top, left = height - margin - patch.shape[0], width - margin - patch.shape[1]
    out = frames.copy()
    out[:, top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    text = profile.text + ("生成" if profile.cjk else "")
    permille = smallest * 1000 // shortest
    return out, VisibleEvidence("drawn", text, "bottom-right", permille, duration_ms)


def _patch(profile: Profile, need: int) -> tuple[NDArray[np.uint8], int]:
    """The label as pixels, white on black, and the height in pixels of its smallest character."""
    size = need
    while True:  # the height of a capital is less than the font size, by a ratio only the font knows
        font = ImageFont.load_default(size)
        letters = [_glyph(character, font) for character in profile.text if character != " "]
        if min(_ink_height(letter) for letter in letters) >= need:
            break
        size += 1
    tallest = max(letter.shape[0] for letter in letters)
    smallest = min(_ink_height(letter) for letter in letters)
    gap = max(1, need // 6)
    columns: list[NDArray[np.uint8]] = []
    queue = iter(letters)
    for character in profile.text:
        if character == " ":
            columns.append(np.zeros((tallest, need // 2), np.uint8))
            continue
        letter = next(queue)
        below = np.zeros((tallest - letter.shape[0], letter.shape[1]), np.uint8)
        columns += [np.vstack([below, letter]), np.zeros((tallest, gap), np.uint8)]
    if profile.cjk:
        for strokes in _STROKES:
            side = max(tallest, need)
            while _ink_height(drawn := _stroked(strokes, side)) < need:
                side += 1
            smallest = min(smallest, _ink_height(drawn))
            columns = [_taller(column, drawn.shape[0]) for column in columns]
            columns += [drawn, np.zeros((drawn.shape[0], gap), np.uint8)]
    pad = max(2, need // 4)
    line = np.pad(np.hstack([_taller(column, max(c.shape[0] for c in columns)) for column in columns]), pad)
    ink = line[..., None].astype(np.uint16)
    mixed = (ink * np.array(_INK, np.uint16) + (255 - ink) * np.array(_BACKGROUND, np.uint16)) // 255
    return mixed.astype(np.uint8), smallest


def _glyph(character: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> NDArray[np.uint8]:
    box = font.getbbox(character)
    canvas = PilImage.new("L", (int(box[2]) + 2, int(box[3]) + 2))
    ImageDraw.Draw(canvas).text((0, 0), character, fill=255, font=font)
    pixels = np.asarray(canvas)
    rows, columns = np.nonzero(pixels.max(1))[0], np.nonzero(pixels.max(0))[0]
    return np.ascontiguousarray(pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _stroked(strokes: tuple[tuple[tuple[float, float], ...], ...], size: int) -> NDArray[np.uint8]:
    scale = 4  # drawn large and averaged down: Pillow's lines are not smoothed
    canvas = PilImage.new("L", (size * scale, size * scale))
    pen = ImageDraw.Draw(canvas)
    for points in strokes:
        pen.line([(x * size * scale, y * size * scale) for x, y in points], fill=255, width=max(3, size * scale // 11))
    return np.asarray(canvas.resize((size, size), PilImage.Resampling.BOX))


def _ink_height(glyph: NDArray[np.uint8]) -> int:
    """Rows between the first and the last that are at least half inked somewhere."""
    rows = np.nonzero(glyph.max(1) >= 128)[0]
    return int(rows[-1] - rows[0] + 1) if rows.size else 0


def _taller(column: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    missing = height - column.shape[0]
    return np.pad(column, ((missing // 2, missing - missing // 2), (0, 0))) if missing > 0 else column


def _sound(media: Audio, profile: Profile) -> tuple[Media, VisibleEvidence]:
    """Put the rhythm in front: short long, short short; units of 120 ms, padded to the profile's seconds."""
    rhythm = np.concatenate([_tone(media.rate, units) for units in (1, -1, 3, -3, 1, -1, 1, -3)])
    short = profile.min_seconds * media.rate - len(rhythm)
    notice = np.concatenate([rhythm, np.zeros(max(0, short))]) * _LEVEL
    block = np.repeat(notice[None].astype(np.float32), media.samples.shape[0], axis=0)
    sounded = Audio(np.concatenate([block, media.samples], axis=1), media.rate)
    duration = round(1000 * len(notice) / media.rate)
    return sounded, VisibleEvidence("sounded", "Morse AI", "start", 0, duration)


def _tone(rate: int, units: int) -> NDArray[np.float64]:
    """A tone of ``units`` * 120 ms with 5 ms ramps (no clicks); negative = silence."""
    count = int(abs(units) * _UNIT_S * rate)
    if units < 0:
        return np.zeros(count)
    time = np.arange(count) / rate
    ramp = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.005)
    return np.asarray(ramp * np.sin(2 * np.pi * _TONE_HZ * time))
