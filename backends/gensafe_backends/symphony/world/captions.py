"""Words for scenes, sounds and clips: many ways to ask (``*_prompt``), one way to answer (``describe_*``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gensafe_backends.symphony.world.clip import Clip, bounces
from gensafe_backends.symphony.world.scene import LAYOUTS, PLACES, WORDS, Bars, Board, Scene, Sign, Thing
from gensafe_backends.symphony.world.sound import Sound

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLACE_PHRASES = tuple(
    {"middle": "in the middle", "left": "on the left", "right": "on the right"}.get(p, f"at the {p}") for p in PLACES
)
SHAPE_NAMES: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "circle", "disc"),
    "square": ("square", "square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
}
IMAGE_OPENERS = (
    "",
    "",
    "",
    "draw ",
    "draw me ",
    "show me ",
    "paint ",
    "a picture of ",
    "an image of ",
    "make a picture of ",
    "please draw ",
)
IMAGE_QUESTIONS = ("", "what is in this picture", "describe the picture", "what do you see", "caption", "what is this")
AUDIO_QUESTIONS = (
    "",
    "what do you hear",
    "what is this sound",
    "write down what you hear",
    "transcribe",
    "what is this",
)
VIDEO_QUESTIONS = ("", "what happens in this video", "describe the video", "what do you see", "caption", "what is this")


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of several strings."""
    return options[int(rng.integers(len(options)))]


def article(word: str) -> str:
    """``a`` or ``an``."""
    return "an" if word[0] in "aeiou" else "a"


def _noun(thing: Thing, name: str | None = None) -> str:
    size = "" if thing.size == "medium" else thing.size + " "
    phrase = f"{size}{thing.colour} {name or thing.shape}"
    return f"{article(phrase)} {phrase}"


def _uniform(board: Board) -> int:
    """N if the board is n equal things in the layout of dice, else 0."""
    things = board.things
    same = {(t.colour, t.shape, t.size) for t in things}
    if len(same) != 1 or things[0].size != "medium":
        return 0
    return len(things) if tuple(t.place for t in things) == LAYOUTS.get(len(things)) else 0


def join(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c`` without the comma: ``a and b and c``."""
    return " and ".join(parts)


def describe_scene(scene: Scene) -> str:
    """The caption of a picture: the one the model is taught to give, complete and parseable."""
    if isinstance(scene, Sign):
        return f"the {'word' if scene.text in WORDS else 'number'} {scene.text.lower()} in {scene.colour}"
    if isinstance(scene, Bars):
        return "a bar chart with " + join([f"{c} {h}" for c, h in scene.bars])
    n = _uniform(scene)
    if n:
        return f"{NUMBERS[n]} {scene.things[0].colour} {scene.things[0].shape}s"
    if scene.things[0].size == "huge":
        return _noun(scene.things[0])
    return join([f"{_noun(t)} {PLACE_PHRASES[t.place]}" for t in scene.things])


def scene_prompt(scene: Scene, rng: np.random.Generator) -> str:
    """One of the ways to ask for a scene. Every way determines the scene or leaves only its layout open."""
    opener = pick(rng, IMAGE_OPENERS)
    if isinstance(scene, Sign):
        kind = "word" if scene.text in WORDS else "number"
        text = scene.text.lower()
        return opener + pick(
            rng,
            (
                f"the {kind} {text} in {scene.colour}",
                f"{text} in {scene.colour}",
                f"{article(scene.colour)} {scene.colour} {text}",
                f"the {scene.colour} {kind} {text}",
            ),
        )
    if isinstance(scene, Bars):
        body = join([f"{c} {h}" for c, h in scene.bars])
        return opener + pick(
            rng, (f"a bar chart with {body}", f"a chart with {body}", f"bars {body}", f"a bar chart {body}")
        )
    n = _uniform(scene)
    first = scene.things[0]
    name = pick(rng, SHAPE_NAMES[first.shape])
    if n:
        plural = name + ("es" if name == "box" else "s")
        return opener + f"{NUMBERS[n] if rng.random() < 0.8 else n} {first.colour} {plural}"
    if first.size == "huge":
        phrase = f"{pick(rng, ('', '', 'huge ', 'big ', 'large '))}{first.colour} {name}"
        return opener + f"{article(phrase)} {phrase}"
    things = list(scene.things)
    if len(things) == 2 and rng.random() < 0.75:
        a, b = things
        if (a.place, b.place) == (3, 5) and rng.random() < 0.6:  # side by side is what a pair without places means
            return opener + f"{_noun(a)} and {_noun(b)}"
        pair = {(3, 5): ("left of", "right of"), (1, 7): ("above", "below")}.get((a.place, b.place))
        if pair:
            forward = rng.random() < 0.5
            one, two = (a, b) if forward else (b, a)
            relation = pair[0] if forward else pair[1]
            return opener + f"{_noun(one)} {relation} {_noun(two)}"
    if rng.random() < 0.4:
        things = [things[i] for i in rng.permutation(len(things))]
    glue = pick(rng, (" and ", " and ", " and ", " with "))
    spoken = []
    for t in things:
        phrase = PLACE_PHRASES[t.place]
        if rng.random() < 0.15:
            phrase = {
                "in the middle": "in the center",
                "at the top": "at the top middle",
                "at the bottom": "at the bottom middle",
            }.get(phrase, phrase)
        spoken.append(f"{_noun(t, pick(rng, SHAPE_NAMES[t.shape]))} {phrase}")
    return opener + glue.join(spoken)


def describe_sound(sound: Sound) -> str:
    """The transcript of a sound."""
    body = " ".join(sound.items)
    if sound.kind == "words":
        return f"the words {body}"
    if sound.kind == "melody":
        return f"the melody {body}"
    if sound.kind == "dial":
        return f"dialling {body}"
    n, pitch = len(sound.items), (sound.items[0] + " " if sound.items[0] else "")
    return f"{NUMBERS[n]} {pitch}beep{'' if n == 1 else 's'}"


def sound_prompt(sound: Sound, rng: np.random.Generator) -> str:
    """One of the ways to ask for a sound."""
    body = " ".join(sound.items)
    if sound.kind == "words":
        return (
            pick(
                rng,
                (
                    "say ",
                    "say ",
                    "say the words ",
                    "a voice saying ",
                    "speak ",
                    "the spoken words ",
                    "read aloud ",
                    "please say ",
                ),
            )
            + body
        )
    if sound.kind == "melody":
        return (
            pick(rng, ("a melody ", "play ", "play the melody ", "the notes ", "play the notes ", "the melody ")) + body
        )
    if sound.kind == "dial":
        body = body if rng.random() < 0.6 else "".join(sound.items)
        return pick(rng, ("dial ", "dial the number ", "the phone number ", "dialling ", "phone tones ")) + body
    n, pitch = len(sound.items), (sound.items[0] + " " if sound.items[0] else "")
    count = NUMBERS[n] if rng.random() < 0.8 else str(n)
    if n == 1:
        return pick(rng, (f"a {pitch}beep", f"one {pitch}beep", f"play a {pitch}beep"))
    return pick(rng, (f"{count} {pitch}beeps", f"play {count} {pitch}beeps", f"{count} {pitch}beeps please"))


_LANES = {
    True: {
        "first": ("along the top", "near the top"),
        "centre": ("", "", "through the middle"),
        "last": ("along the bottom", "near the bottom"),
    },
    False: {"first": ("on the left",), "centre": ("", "", "in the middle"), "last": ("on the right",)},
}
_CLIP_OPENERS = ("", "", "", "a video of ", "a clip of ", "show ", "film ", "make a video of ", "animate ")
_MOTION_WORDS = {
    "right": ("moving right", "moving right", "moving to the right", "going right"),
    "left": ("moving left", "moving left", "moving to the left", "going left"),
    "up": ("moving up", "moving up", "going up", "rising"),
    "down": ("moving down", "moving down", "going down", "falling"),
    "bounce across": ("bouncing left and right", "bouncing from side to side"),
    "bounce up": ("bouncing up and down", "bouncing up and down", "bouncing"),
}


def _across(clip: Clip) -> bool:
    return clip.motion in ("right", "left", "bounce across")


def describe_clip(clip: Clip) -> str:
    """The caption of a film: shape, motion, lane, and how often it knocks."""
    lane = _LANES[_across(clip)][clip.lane][0]
    knocks = len(bounces(clip))
    tail = f" with {NUMBERS[knocks]} knock{'' if knocks == 1 else 's'}" if knocks else ""
    phrase = f"{clip.colour} {clip.shape}"
    return f"{article(phrase)} {phrase} {_MOTION_WORDS[clip.motion][0]}{' ' + lane if lane else ''}{tail}"


def clip_prompt(clip: Clip, rng: np.random.Generator) -> str:
    """One of the ways to ask for a film."""
    name = pick(rng, ("circle", "circle", "ball")) if clip.shape == "circle" else clip.shape
    lane = pick(rng, _LANES[_across(clip)][clip.lane])
    phrase = f"{clip.colour} {name}"
    words = f"{article(phrase)} {phrase} {pick(rng, _MOTION_WORDS[clip.motion])}{' ' + lane if lane else ''}"
    knocks = len(bounces(clip))
    if knocks and rng.random() < 0.25:
        words += f" with {NUMBERS[knocks]} knock{'' if knocks == 1 else 's'}"
    return pick(rng, _CLIP_OPENERS) + words
