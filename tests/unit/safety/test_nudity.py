"""The nudity network is the published one, holds and blocks at its thresholds, and leaves ordinary pictures alone.

No explicit picture is used: six skin-coloured ellipses, found by search, are what the network takes for one.
"""

import numpy as np
import pytest

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Action, Image, Modality, Stage, Text, Video
from gensafe.safety import SafetyRunner, load_policy
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers import image_nudity, video_frames
from gensafe.safety.nudity import CLASSES, engine, shared_engine

GROUND = (116, 82, 39)
ELLIPSES = (  # middle x, y; half axes; colour; shade towards the edge
    (119, 183, 86, 36, 229, 182, 116, 0.36),
    (175, 154, 68, 32, 229, 190, 165, 0.47),
    (157, 97, 86, 34, 213, 140, 121, 0.14),
    (114, 172, 30, 26, 246, 198, 148, 0.32),
    (103, 175, 26, 52, 235, 157, 138, 0.37),
    (152.06, 213.04, 38.68, 66.07, 208.78, 158.09, 140.55, 0.3),
)


def ellipses(side: int = 224) -> np.ndarray:
    """Uint8 (side, side, 3)."""
    y, x = np.mgrid[:side, :side] * (224 / side)
    out = np.empty((side, side, 3))
    out[:] = GROUND
    for middle_x, middle_y, wide, tall, *colour, shade in ELLIPSES:
        distance = ((x - middle_x) / wide) ** 2 + ((y - middle_y) / tall) ** 2
        weight = np.clip((1 - distance) * 4, 0, 1)[..., None]
        out = out * (1 - weight) + weight * np.array(colour) * (1 - shade * np.clip(distance, 0, 1))[..., None]
    return np.clip(out, 0, 255).astype(np.uint8)


def waves(height: int, width: int) -> np.ndarray:
    """Coloured waves, uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([127 + 120 * np.sin(x / (7 + 3 * c) + y / (11 - 2 * c)) for c in range(3)], -1).astype(np.uint8)


PICTURES = {"ellipses": ellipses(), "large ellipses": ellipses(600), "waves": waves(300, 421)}
ORIGINAL = {  # NSFWJS 4.3.0 MobileNetV2Mid in Node, TensorFlow.js 4.22.0, on the same pixels
    "ellipses": (0.000167, 0.001983, 0.020362, 0.976744, 0.000744),
    "large ellipses": (0.000192, 0.002029, 0.019725, 0.977250, 0.000804),
    "waves": (0.000047, 0.000019, 0.999935, 0.0, 0.0),
}


@pytest.mark.parametrize("name", PICTURES)
def test_scores_are_those_of_the_original_in_node(name):
    found = shared_engine().scores(PICTURES[name])
    assert [found[c] for c in CLASSES] == pytest.approx(ORIGINAL[name], abs=0.01)


def test_a_picture_the_network_is_sure_of_is_blocked_by_the_default_policy():
    (found,) = image_nudity.create({}).find(ellipses())
    assert found.category == "sxc" and not found.boxes
    (decision,) = load_policy().decide([found], Modality.IMAGE, Stage.OUTPUT)
    assert decision.action is Action.BLOCK


@pytest.mark.parametrize(
    ("explicit", "action"),
    [(0.49, Action.ALLOW), (0.51, Action.REVIEW), (0.79, Action.REVIEW), (0.81, Action.BLOCK), (1.0, Action.BLOCK)],
)
@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.VIDEO])
@pytest.mark.parametrize("stage", [Stage.INPUT, Stage.OUTPUT])
def test_the_default_policy_holds_the_half_sure_and_blocks_the_sure(monkeypatch, explicit, action, modality, stage):
    check = image_nudity.ImageNudity()
    shares = {"porn": explicit / 2, "hentai": explicit / 2, "sexy": 0.0, "drawing": 0.0, "neutral": 1 - explicit}
    monkeypatch.setattr(check, "_engine", type("Fixed", (), {"scores": staticmethod(lambda pixels: shares)}))
    (decision,) = load_policy().decide(check.find(ellipses()), modality, stage)
    assert decision.action is action


def test_suggestive_pictures_are_noted_and_pass(monkeypatch):
    check = image_nudity.ImageNudity()
    shares = {"porn": 0.05, "hentai": 0.0, "sexy": 0.95, "drawing": 0.0, "neutral": 0.0}
    monkeypatch.setattr(check, "_engine", type("Fixed", (), {"scores": staticmethod(lambda pixels: shares)}))
    (decision,) = load_policy().decide(check.find(ellipses()), Modality.IMAGE, Stage.OUTPUT)
    assert decision.finding.detail == "suggestive" and decision.action is Action.ALLOW


def test_ordinary_pictures_give_no_finding():
    check = image_nudity.create({})
    for pixels in (waves(300, 421), np.zeros((1, 1, 3), np.uint8), np.full((9, 700, 3), 200, np.uint8)):
        assert check.find(pixels) == ()


def test_a_large_picture_is_averaged_and_not_sampled():
    """Points sampled from 4000 pixels skip most of them: a grid of harmless pixels would hide any picture."""
    large = np.repeat(np.repeat(ellipses(), 16, 0), 16, 1)
    at = np.linspace(0, len(large) - 1, 224).astype(int)
    for step in (0, 1):
        rows = np.minimum(at + step, len(large) - 1)
        large[np.ix_(rows, rows)] = (60, 120, 60)
    scores = shared_engine().scores(large)
    assert scores["porn"] + scores["hentai"] > 0.8


def test_frames_of_a_film_are_judged():
    frames = np.concatenate([np.repeat(waves(224, 224)[None], 12, 0), np.repeat(ellipses()[None], 12, 0)])
    found = video_frames.create({"classifiers": "text_rules", "transcriber": "none"}).assess(
        Video(frames, 12.0), Stage.OUTPUT
    )
    (explicit,) = [f for f in found.findings if f.category == "sxc"]
    assert explicit.times[0].start_s == 1.0


def test_the_default_policy_names_it_and_its_card_claims_nothing_on_children():
    assert "image_nudity" in load_policy().classifiers[Modality.IMAGE]
    card = read_card("image_nudity")
    assert card.categories == ("sxc",) and "sxc" in card.partial
    assert any("children" in line for line in card.not_covered)


def test_other_media_and_other_weights_are_refused(monkeypatch):
    with pytest.raises(SafetyUnavailable):
        image_nudity.create({}).assess(Text("x"), Stage.OUTPUT)
    monkeypatch.setattr(engine, "WEIGHTS", "0" * 64)
    with pytest.raises(SafetyUnavailable, match="not the pinned"):
        engine.NudityEngine()


def test_the_whole_default_policy_blocks_it():
    verdict = SafetyRunner.from_policy(load_policy(), timeout_s=60).judge(Image(ellipses()), Stage.INPUT)
    assert verdict.action is Action.BLOCK and not verdict.errors
