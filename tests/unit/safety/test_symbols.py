"""Symbols in pictures: found where they are drawn, in several colours, sizes and turns; not in what resembles them."""

import io

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Image, Modality, Stage, Text
from gensafe.safety.classifiers import image_symbols
from gensafe.safety.symbols import engine
from gensafe.testing.classifier_contract import check_classifier

GROUND, INK = (205, 190, 170), (40, 50, 60)


def hooked_cross(side, hooks=4, ground=GROUND, ink=INK, degrees=0.0):
    """A cross of four equal arms of which ``hooks`` end in a bar at a right angle, on 360 x 300 pixels."""
    picture = PilImage.new("RGB", (360, 300), ground)
    draw = ImageDraw.Draw(picture)
    reach, half = side / 2, side / 12
    for index, (dx, dy) in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1))):
        x, y = 150 + dx * reach, 140 + dy * reach
        ends = [((150, 140), (x, y))]
        if index < hooks:
            ends.append(((x, y), (x - dy * reach, y + dx * reach)))
        for a, b in ends:
            (left, right), (top, bottom) = sorted((a[0], b[0])), sorted((a[1], b[1]))
            draw.rectangle((left - half, top - half, right + half, bottom + half), fill=ink)
    return np.asarray(picture.rotate(degrees, PilImage.Resampling.BICUBIC, center=(150, 140), fillcolor=ground))


def kinds(pixels):
    return {f.detail for f in image_symbols.create({}).find(pixels)}


@pytest.mark.parametrize("side", [60, 110, 180])
@pytest.mark.parametrize("degrees", [0, 45])
def test_a_hooked_cross_is_found_where_it_is(side, degrees):
    (finding,) = image_symbols.create({}).find(hooked_cross(side, degrees=degrees))
    assert (finding.category, finding.detail) == ("hte", "hooked cross")
    assert any(b.left < 150 < b.right and b.top < 140 < b.bottom for b in finding.boxes)


def test_in_a_large_picture_it_is_found_in_its_own_pixels():
    large = np.kron(hooked_cross(110), np.ones((10, 10, 1), np.uint8))  # 3600 x 3000
    (finding,) = image_symbols.create({}).find(large)
    assert any(700 < b.left < 1500 < b.right < 2300 and 700 < b.top < 1400 < b.bottom < 2200 for b in finding.boxes)


def test_in_either_hand_light_on_dark_and_through_jpeg():
    pixels = hooked_cross(120, ground=(150, 30, 30), ink=(240, 240, 240))
    for changed in (pixels, np.ascontiguousarray(pixels[:, ::-1])):
        out = io.BytesIO()
        PilImage.fromarray(changed).save(out, "JPEG", quality=50)
        assert kinds(np.asarray(PilImage.open(out))) == {"hooked cross"}


def test_what_resembles_it_is_none():
    for side in (60, 120, 180):
        assert kinds(hooked_cross(side, hooks=0)) == set()
    picture = PilImage.new("RGB", (300, 200), "white")
    ImageDraw.Draw(picture).text((40, 40), "ZN 55 H+", font=ImageFont.load_default(60), fill="black")
    assert kinds(np.asarray(picture)) == set()


def test_a_find_is_held_for_a_person_by_the_thresholds_of_the_default_policy():
    from gensafe.safety.policy import load_policy

    rule = load_policy().rule("hte", Modality.IMAGE, Stage.OUTPUT)
    (finding,) = image_symbols.create({}).find(hooked_cross(120))
    assert rule.review <= finding.score < rule.block


@pytest.mark.shared
def test_photographs_without_symbols(shared_data):
    paths = sorted((shared_data / "photos" / "bsds500_test").glob("*.jpg"))[1:40:2]
    assert len(paths) == 20
    found = [p.stem for p in paths if kinds(np.asarray(PilImage.open(p).convert("RGB")))]
    assert found == []


def test_contract():
    check_classifier(
        image_symbols.create({}), (Image(np.zeros((1, 1, 3), np.uint8)), Image(np.full((9, 700, 3), 9, np.uint8)))
    )
    with pytest.raises(SafetyUnavailable):
        image_symbols.create({}).assess(Text("x"), Stage.OUTPUT)


def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(engine, "WEIGHTS", "0" * 64)
    with pytest.raises(SafetyUnavailable):
        engine.SymbolEngine()
