"""``image_signal`` and ``image_hashlist``."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFilter

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.types import Image, Stage, Text
from gensafe.media import decode, encode
from gensafe.safety.classifiers import image_hashlist, image_signal
from gensafe.safety.signals.hashlist import ListEntry, parse_list
from gensafe.safety.signals.pdq_index import PdqIndex
from gensafe.safety.signals.pdq_views import crop_hashes, dihedral_hashes, listing_hashes

CHECK = image_signal.create({})


def scene(size=10, ground="white", colour="red"):
    picture = PilImage.new("RGB", (256, 256), ground)
    ImageDraw.Draw(picture).ellipse((100, 100, 100 + 2 * size, 100 + 2 * size), fill=colour)
    return np.asarray(picture)


def landscape(seed=0):
    """A picture with structure at all scales, as photographs have."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    coarse = PilImage.fromarray(noise).resize((320, 240), PilImage.Resampling.BICUBIC)
    return np.asarray(coarse.filter(ImageFilter.GaussianBlur(1)))


def scores(pixels, stage=Stage.OUTPUT):
    return [(f.category, f.score) for f in CHECK.assess(Image(pixels), stage).findings]


@pytest.mark.parametrize("size", [6, 10, 60])
@pytest.mark.parametrize(("ground", "colour"), [("white", "red"), ("black", "navy"), ("white", "gold")])
def test_plain_drawings_pass(size, ground, colour):
    assert scores(scene(size, ground, colour)) == []


def test_blank_and_noise_are_bad_outputs_only():
    blank = np.full((256, 256, 3), (200, 30, 30), np.uint8)
    grain = (blank.astype(int) + np.random.default_rng(0).integers(-3, 4, blank.shape)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert scores(blank) == scores(grain) == [("bad", 1.0)]
    assert scores(noise) == [("bad", 0.6)]
    assert scores(blank, Stage.INPUT) == [("bad", 0.2)]
    assert scores(landscape()) == []


def test_coverage_and_refusals():
    (coverage,) = CHECK.assess(Image(scene()), Stage.OUTPUT).coverage
    assert (coverage.unit, coverage.examined, coverage.total) == ("pixels", 65536, 65536)
    for item in (Text("x"), Image(np.zeros((4, 4), np.uint8)), Image(np.zeros((0, 4, 3), np.uint8))):
        with pytest.raises(SafetyUnavailable):
            CHECK.assess(item, Stage.OUTPUT)


# --- block lists -----------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "known.txt"
    path.write_text("# a comment\n" + "\n".join(listing_hashes(landscape(1))) + "\n")
    return image_hashlist.create({"lists": str(path)})


def test_copies_of_a_listed_picture_are_found(listed):
    original = landscape(1)
    small = np.asarray(PilImage.fromarray(original).resize((160, 120)))
    copies = {
        "same": original,
        "jpeg": decode(encode(Image(original), "image/jpeg", quality=20)).pixels,
        "small": small,
        "mirrored": original[:, ::-1],
        "turned": np.rot90(original),
        "cropped": original[12:-12, 16:-16],
    }
    for name, pixels in copies.items():
        (finding,) = listed.assess(Image(np.ascontiguousarray(pixels)), Stage.OUTPUT).findings
        assert (finding.category, finding.score) == ("lst", 1.0), name
    for seed in range(2, 12):
        assert listed.assess(Image(landscape(seed)), Stage.OUTPUT).findings == ()


def off_centre(pixels, turns=0):
    """8 % of each side cut off, none of it on the left and at the bottom."""
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(np.rot90(pixels[round(0.08 * height) :, : width - round(0.08 * width)], turns))


@pytest.mark.parametrize("turns", [0, 1])
def test_crops_off_the_centre_are_found(listed, turns, tmp_path):
    (finding,) = listed.assess(Image(off_centre(landscape(1), turns)), Stage.OUTPUT).findings
    assert finding.score == 1.0 and "as a crop" in finding.detail
    alone = tmp_path / "whole.txt"
    alone.write_text(dihedral_hashes(landscape(1))[0][0].hex())
    check = image_hashlist.create({"lists": str(alone)})
    (finding,) = check.assess(Image(off_centre(landscape(1), turns)), Stage.OUTPUT).findings
    assert finding.score >= image_hashlist.CROP_SCORE
    assert check.look_up(off_centre(landscape(1), turns), crops=False) == ()
    for seed in range(2, 8):
        assert check.assess(Image(off_centre(landscape(seed))), Stage.OUTPUT).findings == ()


def test_a_window_hashes_as_pdq_hashes_it():
    pixels = landscape(4)
    whole = np.frombuffer(dihedral_hashes(pixels)[0][0], np.uint8)
    middle = np.frombuffer(bytes.fromhex(listing_hashes(pixels)[-1]), np.uint8)
    views = crop_hashes(pixels)
    for wanted, view in ((whole, views[0]), (middle, views[8 * 225])):  # nothing cut off any edge
        assert np.bitwise_count(wanted ^ view).sum() <= 20


def test_categories_and_formats(tmp_path):
    digest = dihedral_hashes(landscape(3))[0][0].hex()
    forms = {
        "a.json": json.dumps({"data": [{"id": "7", "type": "HASH_PDQ", "indicator": digest}], "paging": {}}),
        "b.json": json.dumps([{"hash": digest}]),
        "c.json": json.dumps({"indicator": digest}) + "\n" + json.dumps({"indicator": "00" * 32}),
        "d.csv": f"hash,quality\n{digest},100\n",
        "e.csv": f'17,"{digest}"\n',
    }
    for name, text in forms.items():
        path = tmp_path / name
        path.write_text(text)
        check = image_hashlist.create({"lists": f"cse={path}"})
        (finding,) = check.assess(Image(landscape(3)), Stage.INPUT).findings
        assert finding.category == "cse", name


def test_unreadable_lists_are_errors(tmp_path):
    for text in ("", "no hash here", "{not json", "[1, 2]", '{"data": 3}'):
        path = tmp_path / "bad.txt"
        path.write_text(text)
        with pytest.raises(ConfigError):
            image_hashlist.create({"lists": str(path)})
    with pytest.raises(ConfigError):
        image_hashlist.create({"lists": str(tmp_path / "missing.txt")})


@given(st.text(max_size=200))
def test_any_text_is_a_list_or_a_config_error(text):
    try:
        assert all(len(e.digest) == 32 for e in parse_list(text, "lst", "fuzz"))
    except ConfigError:
        pass


def test_without_a_list_nothing_is_found():
    check = image_hashlist.create({})
    assert check.assess(Image(landscape()), Stage.OUTPUT).findings == ()


def test_the_index_finds_exactly_what_a_scan_finds():
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (21_000, 32), dtype=np.uint8)
    entries = [ListEntry(row.tobytes(), "lst", str(i)) for i, row in enumerate(raw)]
    index, scan = PdqIndex(entries), PdqIndex(entries[:19_000])
    for bits in (0, 15, 31, 32):
        target = np.unpackbits(raw[5])
        target[rng.choice(256, bits, replace=False)] ^= 1
        query = np.packbits(target).tobytes()
        found = [(h.entry.label, h.distance) for h in index.search([query])]
        assert found == [(h.entry.label, h.distance) for h in scan.search([query])]
        assert found == ([("5", bits)] if bits <= 31 else [])
