"""Questions about media and their one right answer each: charts, boards, sounds, films, and two media at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gensafe_backends.symphony.world.captions import NUMBERS, PLACE_PHRASES, article, pick
from gensafe_backends.symphony.world.clip import Clip, bounces
from gensafe_backends.symphony.world.scene import COLOURS, SHAPES, Bars, Board, Scene, Sign, Thing, place_centre
from gensafe_backends.symphony.world.sound import Sound

COUNT_QUESTION = "does the spoken count match the picture"
SVG_QUESTIONS = ("svg", "write this as svg")
GLYPH_OF = {"circle": "\u25cf", "square": "\u25a0", "triangle": "\u25b2", "star": "\u2605"}
_UNITS = {"words": "words", "melody": "notes", "dial": "digits", "beeps": "beeps"}
_MOVES = {
    "right": "to the right",
    "left": "to the left",
    "up": "up",
    "down": "down",
    "bounce across": "left and right",
    "bounce up": "up and down",
}
_CHART = ("which bar is the highest", "which bar is the lowest", "how many bars are there")
_SIGN = ("what is written here", "what colour is it")
_FILM = ("what colour is it", "what shape is it", "which way does it move", "how many knocks do you hear")


def ask_scene(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """A question about a picture and its answer, one to six words."""
    if isinstance(scene, Bars):
        return _ask_chart(scene, rng)
    if isinstance(scene, Sign):
        asked = pick(rng, _SIGN)
        return asked, scene.text.lower() if asked == _SIGN[0] else scene.colour
    things, kind = scene.things, rng.random()
    single = [t for t in things if sum(u.shape == t.shape for u in things) == 1]
    if kind < 0.3 and single:
        thing = single[int(rng.integers(len(single)))]
        return f"what colour is the {thing.shape}", thing.colour
    if kind < 0.55 and things[0].size != "huge":
        place = things[int(rng.integers(len(things)))].place if rng.random() < 0.7 else int(rng.integers(9))
        found = [t for t in things if t.place == place]
        return f"what is {PLACE_PHRASES[place]}", _name(found[0]) if found else "nothing"
    if kind < 0.8:
        there = rng.random() < 0.5
        chosen = things[int(rng.integers(len(things)))]
        shape = chosen.shape if there else pick(rng, SHAPES)
        return f"is there {article(shape)} {shape}", "yes" if any(t.shape == shape for t in things) else "no"
    return "how many shapes are there", NUMBERS[len(things)]


def _name(thing: Thing) -> str:
    phrase = f"{thing.colour} {thing.shape}"
    return f"{article(phrase)} {phrase}"


def _ask_chart(chart: Bars, rng: np.random.Generator) -> tuple[str, str]:
    heights = sorted(h for _, h in chart.bars)
    kind = rng.random()
    if kind < 0.3 and heights[-1] != heights[-2]:
        return _CHART[0], max(chart.bars, key=lambda b: b[1])[0]
    if kind < 0.5 and heights[0] != heights[1]:
        return _CHART[1], min(chart.bars, key=lambda b: b[1])[0]
    if kind < 0.6:
        return _CHART[2], NUMBERS[len(chart.bars)]
    colour, height = chart.bars[int(rng.integers(len(chart.bars)))]
    return f"how high is the {colour} bar", str(height)


def ask_bars(chart: Bars, rng: np.random.Generator) -> tuple[str, str]:
    """Which of two bars is the higher one; a question as ``ask_scene`` has them if all are equally high."""
    pairs = [(a, b) for a in chart.bars for b in chart.bars if a[1] != b[1]]
    if not pairs:
        return _ask_chart(chart, rng)
    one, two = pairs[int(rng.integers(len(pairs)))]
    return f"which is higher {one[0]} or {two[0]}", max(one, two, key=lambda b: b[1])[0]


def ask_sound(sound: Sound, rng: np.random.Generator) -> tuple[str, str]:
    """A question about a sound and its answer, one word."""
    unit = _UNITS[sound.kind]
    if sound.kind == "beeps" or rng.random() < 0.4:
        return f"how many {unit} do you hear", NUMBERS[len(sound.items)]
    if rng.random() < 0.5:
        return f"what is the first of the {unit}", sound.items[0]
    return f"what is the last of the {unit}", sound.items[-1]


def ask_clip(clip: Clip, rng: np.random.Generator) -> tuple[str, str]:
    """A question about a film with its sound and its answer."""
    asked = pick(rng, _FILM)
    answers = (clip.colour, clip.shape, _MOVES[clip.motion], NUMBERS[len(bounces(clip))])
    return asked, answers[_FILM.index(asked)]


def ask_count(board: Board, spoken: int) -> tuple[str, str]:
    """Whether a spoken number is the number of shapes on a picture."""
    true = len(board.things)
    return COUNT_QUESTION, f"{'yes' if true == spoken else 'no'} there {'is' if true == 1 else 'are'} {NUMBERS[true]}"


def svg(board: Board) -> str:
    """A board of medium shapes as a small drawing in SVG: one character per shape, centred where the shape is."""
    body = []
    for thing in board.things:
        y, x = place_centre(thing.place)
        body.append(f'<text x="{x}" y="{y}" fill="{thing.colour}">{GLYPH_OF[thing.shape]}</text>')
    return f"<svg>{''.join(body)}</svg>"


@lru_cache(maxsize=1)
def picture_questions() -> frozenset[str]:
    """Every question there is about one picture."""
    return frozenset(
        {*_CHART, *_SIGN, *SVG_QUESTIONS, "how many shapes are there"}
        | {f"what colour is the {s}" for s in SHAPES}
        | {f"is there {article(s)} {s}" for s in SHAPES}
        | {f"what is {p}" for p in PLACE_PHRASES}
        | {f"how high is the {c} bar" for c in COLOURS}
        | {f"which is higher {a} or {b}" for a in COLOURS for b in COLOURS if a != b}
    )


@lru_cache(maxsize=1)
def sound_questions() -> frozenset[str]:
    """Every question there is about one sound."""
    counts = {f"how many {u} do you hear" for u in _UNITS.values()}
    return frozenset(counts | {f"what is the {e} of the {u}" for u in _UNITS.values() for e in ("first", "last")})


def film_questions() -> frozenset[str]:
    """Every question there is about one film."""
    return frozenset(_FILM)
