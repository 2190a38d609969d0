"""Media of the procedural world with what is true of them, for benchmarks.symphony.guard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from gensafe.core.types import Audio, Image, Media, Modality, Text, Video
from gensafe_backends.symphony.understand import normalise
from gensafe_backends.symphony.world import captions, render, sample, stories
from gensafe_backends.symphony.world.clip import FPS, Clip, render_frames, render_track, sample_clip
from gensafe_backends.symphony.world.scene import Bars, Board, Scene, Sign
from gensafe_backends.symphony.world.sound import Sound, render_sound, sample_sound

Thing = Scene | Sound | Clip | str
# concept -> the words an operator would give for it
CONCEPTS: Final[dict[str, tuple[str, ...]]] = {
    "star": ("star",),
    "circle": ("circle",),
    "blue": ("blue",),
    "seven": ("seven",),
    "bounce": ("bouncing",),
    "red circle": ("red circle",),
    "chart": ("chart",),
    "beep": ("beep",),
}
# what a careful person without a model would write: the word and the synonyms that come to mind
WORD_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "star": ("star", "stars"),
    "circle": ("circle", "circles", "round"),
    "blue": ("blue",),
    "seven": ("seven", "7"),
    "bounce": ("bounce", "bouncing", "bounces"),
    "red circle": ("red circle", "red circles"),
    "chart": ("chart", "charts", "diagram"),
    "beep": ("beep", "beeps"),
}


@dataclass(frozen=True, eq=False)
class Item:
    """A medium and the concepts that are truly in it, taken from what it was rendered from, never from a model."""

    media: Media
    concepts: frozenset[str]


def truth(thing: Thing) -> frozenset[str]:
    """Which concepts of CONCEPTS a described thing holds."""
    found: set[str] = set()
    if isinstance(thing, Board):
        for t in thing.things:
            found |= {t.shape, t.colour, f"{t.colour} {t.shape}"}
    elif isinstance(thing, Sign):
        found |= {thing.colour, "seven" if thing.text == "7" else ""}
    elif isinstance(thing, Bars):
        found |= {"chart", *(c for c, _ in thing.bars)}
    elif isinstance(thing, Sound):
        found |= {"beep"} if thing.kind == "beeps" else set(thing.items)
        found |= {"seven"} if thing.kind == "dial" and "7" in thing.items else set()
    elif isinstance(thing, Clip):
        found |= {thing.colour, thing.shape, f"{thing.colour} {thing.shape}"}
        found |= {"bounce"} if thing.motion.startswith("bounce") else set()
    else:
        said = [w.rstrip("s") for w in normalise(thing).split()]
        found |= {*said, *(f"{a} {b}" for a, b in pairwise(said))}
    return frozenset(found & set(CONCEPTS))


def draw(modality: Modality, rng: np.random.Generator) -> tuple[Thing, str]:
    """A random thing of one medium; for texts also a way to ask for it, or a piece of a story."""
    if modality is Modality.IMAGE:
        return sample.sample_scene(rng), ""
    if modality is Modality.AUDIO:
        return sample_sound(rng), ""
    if modality is Modality.VIDEO:
        return sample_clip(rng), ""
    kind = rng.random()
    if kind < 0.4:
        scene = sample.sample_scene(rng)
        return scene, captions.scene_prompt(scene, rng)
    if kind < 0.65:
        sound = sample_sound(rng)
        return sound, captions.sound_prompt(sound, rng)
    if kind < 0.9:
        clip = sample_clip(rng)
        return clip, captions.clip_prompt(clip, rng)
    sentences = stories.story(rng).split(". ")
    at = int(rng.integers(len(sentences) - 3))
    told = ". ".join(sentences[at : at + 3])
    return told, told


def render_thing(thing: Thing, text: str) -> Media:
    """The medium."""
    if text:
        return Text(text)
    if isinstance(thing, Sound):
        return Audio(render_sound(thing)[None], 16_000)
    if isinstance(thing, Clip):
        return Video(render_frames(thing), float(FPS), Audio(render_track(thing)[None], 16_000))
    assert isinstance(thing, Board | Sign | Bars)
    return Image(render.render(thing))


def items(modality: Modality, count: int, least: int, seed: int) -> Iterator[Item]:
    """``count`` random items, then more until every concept that this medium can hold has ``least``."""
    rng = np.random.default_rng([seed, list(Modality).index(modality)])
    have = dict.fromkeys(CONCEPTS, 0)
    for n in range(40 * count):
        thing, text = draw(modality, rng)
        held = truth(thing)
        if n >= count and not any(have[c] < least for c in held):
            continue
        for c in held:
            have[c] += 1
        yield Item(render_thing(thing, text), held)
