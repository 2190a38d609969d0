"""The world's readers: the truth on renderings, something else on what was changed, nothing on noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gensafe.core.types import Audio
from gensafe_backends.symphony.world import reading
from gensafe_backends.symphony.world.clip import Clip, bounces, render_track
from gensafe_backends.symphony.world.render import render
from gensafe_backends.symphony.world.sample import sample_board, sample_scene
from gensafe_backends.symphony.world.sound import Sound, render_sound, sample_sound


def test_pictures_are_read_as_they_were_drawn():
    rng = np.random.default_rng(3)
    for _ in range(8):
        scene = sample_scene(rng)
        noisy = np.clip(render(scene) + rng.normal(0, 6, (256, 256, 3)), 0, 255).astype(np.uint8)
        assert reading.read_picture(render(scene)) == scene
        assert reading.read_picture(noisy) == scene


def test_a_changed_picture_is_read_differently():
    rng = np.random.default_rng(4)
    for _ in range(3):
        board = sample_board(rng)
        first = board.things[0]
        other = replace(
            board, things=(replace(first, colour="red" if first.colour != "red" else "blue"), *board.things[1:])
        )
        assert reading.read_picture(render(other)) == other != board
    assert reading.read_picture(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)) is None
    assert reading.read_picture(np.zeros((256, 256, 3), np.uint8)) is None


def test_sounds_are_read_as_they_were_made():
    rng = np.random.default_rng(5)
    for _ in range(8):
        sound = sample_sound(rng)
        assert reading.read_sound(Audio(render_sound(sound)[None], 16000)) == sound
    assert reading.read_sound(Audio(render_sound(Sound("words", ("one", "two")))[None], 16000)) != Sound(
        "words", ("two", "one")
    )
    assert reading.read_sound(Audio(rng.normal(0, 0.1, (1, 32000)).astype(np.float32), 16000)) is None


@pytest.mark.parametrize("start", [16, 48, 80])
@pytest.mark.parametrize("forward", [True, False])
def test_knocks_are_heard_when_the_shape_bounces(start, forward):
    clip = Clip("red", "circle", "bounce up", start=start, forward=forward)
    assert reading.knock_frames(Audio(render_track(clip)[None], 16000)) == bounces(clip)
    still = Clip("red", "circle", "up")
    assert reading.knock_frames(Audio(render_track(still)[None], 16000)) == []
