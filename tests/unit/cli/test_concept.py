"""``gensafe concept``: make, show, renew and try concept files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gensafe.cli import main
from gensafe.core.types import Image
from gensafe.media import encode
from gensafe_backends.symphony.world.render import render
from gensafe_backends.symphony.world.scene import Board, Thing


@pytest.fixture
def files(tmp_path):
    """Pictures with and without a star, and one that is not of the world."""
    scenes = {
        "one": (Thing(0, "red", "star"), Thing(4, "blue", "square")),
        "two": (Thing(4, "green", "star"),),
        "three": (Thing(2, "yellow", "circle"), Thing(6, "blue", "star")),
        "other": (Thing(1, "purple", "triangle"),),
    }
    made = {}
    for name, things in scenes.items():
        made[name] = tmp_path / f"{name}.png"
        made[name].write_bytes(encode(Image(render(Board(things))), "image/png"))
    made["noise"] = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    made["noise"].write_bytes(encode(Image(noise), "image/png"))
    made["concept"] = tmp_path / "thing.json"
    return {k: str(v) for k, v in made.items()}


def concept(capsys, *arguments) -> tuple[int, str, str]:
    status = main(["concept", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_from_examples_to_finds(files, capsys):
    likes = [a for name in ("one", "two", "three") for a in ("--like", files[name])]
    status, out, _ = concept(capsys, "register", files["concept"], *likes, "--json")
    (told,) = json.loads(out)
    assert status == 0
    assert told["name"] == "thing"
    assert told["found in descriptions by"] == ["star"]
    assert told["examples"] == {"image": 3}
    assert 0 < told["share of the world"]["image"] < 1

    status, out, _ = concept(capsys, "test", files["concept"], files["two"], files["other"], "--text", "two stars")
    assert status == 2
    assert [line.rsplit(": ", 1)[1] for line in out.splitlines()] == [
        "found, score 0.85",
        "found, score 0.85",
        "not found",
    ]
    assert concept(capsys, "test", files["concept"], files["other"])[0] == 0
    status, out, _ = concept(capsys, "test", files["concept"], files["other"], files["noise"])
    assert status == 3
    assert "not examined" in out

    assert concept(capsys, "renew", files["concept"])[0] == 0
    status, out, _ = concept(capsys, "show", files["concept"])
    assert status == 0
    assert "found in texts by: star" in out


def test_what_cannot_be_done_is_said(files, capsys, tmp_path):
    status, _, err = concept(capsys, "register", files["concept"])
    assert (status, "--word" in err) == (64, True)
    status, _, err = concept(capsys, "register", files["concept"], "--like", files["noise"])
    assert (status, "outside" in err) == (64, True)
    status, _, err = concept(capsys, "register", files["concept"], "--like", str(tmp_path / "none.png"))
    assert (status, "none.png" in err) == (3, True)
    status, _, err = concept(capsys, "register", files["concept"], "--name", "A B", "--word", "star")
    assert (status, "name" in err) == (64, True)
    status, _, err = concept(capsys, "show", files["one"])
    assert (status, "is not UTF-8" in err) == (64, True)
    status, _, err = concept(capsys, "register", files["concept"], "--word", "zebra")
    assert (status, "does not know this word" in err and "zebra" in err) == (0, True)
    status, _, err = concept(capsys, "register", files["concept"], "--word", "star")
    assert (status, err) == (0, "")
    status, _, err = concept(capsys, "test", files["concept"])
    assert (status, "--text" in err) == (64, True)
    status, _, err = concept(capsys, "register", str(tmp_path / "no" / "x.json"), "--word", "star")
    assert (status, "cannot write" in err) == (74, True)
