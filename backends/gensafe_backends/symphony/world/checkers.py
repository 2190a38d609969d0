"""Rule-based checkers: does a medium show exactly what was asked? 1.0 on the world's own renderings, 0.0 on others.

Pictures, sounds and films are read by synthesis (``reading.py``); captions are parsed by the grammar that writes them.
No learned part takes part, so a model cannot please them by accident.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Audio, Video
from gensafe_backends.symphony.world import captions
from gensafe_backends.symphony.world.clip import FPS, LANES, MOTIONS, RATE, STARTS, Clip
from gensafe_backends.symphony.world.questions import GLYPH_OF
from gensafe_backends.symphony.world.reading import in_sync, read_film, read_picture, read_sound
from gensafe_backends.symphony.world.scene import (
    COLOURS,
    LAYOUTS,
    PLACES,
    SHAPES,
    WORDS,
    Bars,
    Board,
    Scene,
    Sign,
    Thing,
    place_centre,
)
from gensafe_backends.symphony.world.sound import BEEPS, NOTES, Sound
from gensafe_backends.symphony.world.speech import SPOKEN

_C, _S = "|".join(COLOURS), "|".join(SHAPES)
_SIGN: Final = re.compile(rf"the (word|number) (\w{{1,2}}) in ({_C})")
_BARS: Final = re.compile(rf"a bar chart with ((?:{_C}) [1-6](?: and (?:{_C}) [1-6]){{1,3}})")
_COUNT: Final = re.compile(rf"(two|three|four|five|six) ({_C}) ({_S})s")
_HUGE: Final = re.compile(rf"a huge ({_C}) ({_S})")
_MARK: Final = re.compile(rf'<text x="(\d+)" y="(\d+)" fill="({_C})">([{"".join(GLYPH_OF.values())}])</text>')
_THING: Final = re.compile(rf"an? (small )?({_C}) ({_S}) ({'|'.join(captions.PLACE_PHRASES)})")


def check_image(pixels: NDArray[np.uint8], drawn: Scene) -> dict[str, float]:
    """Scores of a 256x256 picture against its scene: ``exact``, and the share of ``objects`` right."""
    seen = read_picture(pixels)
    exact = float(seen == drawn)
    if not isinstance(drawn, Board) or not isinstance(seen, Board):
        return {"exact": exact, "objects": exact}
    right = len(set(seen.things) & set(drawn.things))
    return {"exact": exact, "objects": right / max(len(seen.things), len(drawn.things), 1)}


def check_audio(samples: NDArray[np.float32], drawn: Sound) -> dict[str, float]:
    """Scores of a two-second sound (n,) against what should be heard: ``exact``, and the share of ``items`` right."""
    heard = read_sound(Audio(np.atleast_2d(samples), RATE))
    if heard is None or heard.kind != drawn.kind:
        return {"exact": 0.0, "items": 0.0}
    right = sum(a == b for a, b in zip(heard.items, drawn.items, strict=False))
    return {"exact": float(heard == drawn), "items": right / max(len(heard.items), len(drawn.items))}


def check_video(frames: NDArray[np.uint8], track: NDArray[np.float32], drawn: Clip) -> dict[str, float]:
    """Scores of a film (12, 128, 128, 3) with its sound (n,): ``identity``, ``motion``, ``sync`` of knocks and bounces.

    Two bouncing films that look the same frame by frame count as the same.
    """
    video = Video(frames, float(FPS), Audio(np.atleast_2d(track), RATE))
    seen = read_film(video)
    if seen is None:
        return {"identity": 0.0, "motion": 0.0, "sync": 0.0}
    return {
        "identity": float((seen.colour, seen.shape) == (drawn.colour, drawn.shape)),
        "motion": float((seen.motion, seen.lane) == (drawn.motion, drawn.lane)),
        "sync": float(in_sync(video, seen)),
    }


def check_caption(text: str, right: str) -> float:
    """Whether a caption says what the right one says, letter case and spacing aside."""
    return float(text.lower().split() == right.lower().split())


def parse_scene(text: str) -> Scene | None:
    """The scene a caption of ``captions.describe_scene`` describes; None if it is not such a caption."""
    if m := _SIGN.fullmatch(text):
        shown = m[2].upper()
        if (m[1] == "word") == (shown in WORDS) and (
            shown in WORDS or shown == str(int(shown) if shown.isdigit() else -1)
        ):
            return Sign(shown, m[3])
        return None
    if m := _BARS.fullmatch(text):
        return Bars(tuple((c, int(h)) for c, h in (bar.split() for bar in m[1].split(" and "))))
    if m := _COUNT.fullmatch(text):
        return Board(tuple(Thing(p, m[2], m[3]) for p in LAYOUTS[captions.NUMBERS.index(m[1])]))
    if m := _HUGE.fullmatch(text):
        return Board((Thing(4, m[1], m[2], "huge"),))
    parts = [_THING.fullmatch(p) for p in text.split(" and ")]
    if not all(parts):
        return None
    things = [
        Thing(captions.PLACE_PHRASES.index(p[4]), p[2], p[3], "small" if p[1] else "medium")
        for p in parts
        if p is not None
    ]
    return Board(tuple(sorted(things)))


def parse_svg(text: str) -> Board | None:
    """The board an SVG of ``questions.svg`` draws; None if it is not one."""
    body = re.fullmatch(rf"<svg>((?:{_MARK.pattern})+)</svg>", text)
    if body is None:
        return None
    centres = {place_centre(p): p for p in range(len(PLACES))}
    shapes = {glyph: shape for shape, glyph in GLYPH_OF.items()}
    things = []
    for x, y, colour, glyph in _MARK.findall(body[1]):
        if (int(y), int(x)) not in centres:
            return None
        things.append(Thing(centres[int(y), int(x)], colour, shapes[glyph]))
    return Board(tuple(sorted(things)))


@lru_cache(maxsize=1)
def _ways() -> dict[str, Clip]:
    """What a caption of a film says after its colour and shape -> a red circle that moves so; the first that fits."""
    ways: dict[str, Clip] = {}
    for motion in MOTIONS:
        for lane in LANES:
            for start in STARTS if motion.startswith("bounce") else STARTS[:1]:
                for forward in (True, False):
                    film = Clip("red", "circle", motion, lane, start, forward)
                    ways.setdefault(captions.describe_clip(film).removeprefix("a red circle "), film)
    return ways


def parse_clip(text: str) -> Clip | None:
    """A film a caption of ``captions.describe_clip`` describes; None if it is not such a caption."""
    found = re.fullmatch(rf"an? ({_C}) ({_S}) (.+)", text)
    way = _ways().get(found[3]) if found else None
    return replace(way, colour=found[1], shape=found[2]) if found and way else None


def parse_sound(text: str) -> Sound | None:
    """The sound a transcript of ``captions.describe_sound`` describes; None if it is not such a transcript."""
    words = text.split()
    if words[:2] == ["the", "words"] and words[2:] and all(w in SPOKEN for w in words[2:]):
        return Sound("words", tuple(words[2:]))
    if words[:2] == ["the", "melody"] and words[2:] and all(w in NOTES for w in words[2:]):
        return Sound("melody", tuple(words[2:]))
    if words[:1] == ["dialling"] and words[1:] and all(len(w) == 1 and w.isdigit() for w in words[1:]):
        return Sound("dial", tuple(words[1:]))
    if words and words[0] in captions.NUMBERS[1:] and words[-1] in ("beep", "beeps"):
        pitch = " ".join(words[1:-1])
        if pitch in BEEPS:
            return Sound("beeps", (pitch,) * captions.NUMBERS.index(words[0]))
    return None
