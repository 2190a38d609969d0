"""The picture mark on small synthetic pictures: quality, survival, refusal, silence on what is not marked."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy import ndimage

from gensafe.core.errors import CannotCarry, InvalidRequest, KeyError_
from gensafe.core.types import MarkLevel
from gensafe_watermark import image
from gensafe_watermark.image import embedder, perception

KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("1f23456789abcd")


def shapes(seed: int, size: int = 256) -> np.ndarray:
    """A plain, lightly textured ground with flat shapes, as the bundled generator draws them."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    picture = np.empty((size, size, 3))
    picture[:] = rng.integers(30, 240, 3)
    picture += ndimage.gaussian_filter(rng.normal(size=(size, size)), 2)[..., None] * rng.uniform(2, 12)
    for _ in range(rng.integers(1, 4)):
        cx, cy, r = *rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.1, 0.25) * size
        inside = (
            (xx - cx) ** 2 + (yy - cy) ** 2 < r * r
            if rng.random() < 0.5
            else np.maximum(abs(xx - cx), abs(yy - cy)) < r
        )
        picture[inside] = rng.integers(0, 255, 3)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    data = io.BytesIO()
    Pillow.fromarray(pixels).save(data, "JPEG", quality=quality)
    return np.asarray(Pillow.open(data).convert("RGB"))


def resize(pixels: np.ndarray, factor: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    return np.asarray(Pillow.fromarray(pixels).resize((round(width * factor), round(height * factor))))


@pytest.fixture(scope="module")
def marked() -> list[tuple[np.ndarray, np.ndarray]]:
    pictures = [shapes(seed) for seed in range(2)]
    return [(picture, image.embed(picture, PAYLOAD, KEY)) for picture in pictures]


ATTACKS = {
    "none": lambda a: a,
    "jpeg 70": lambda a: jpeg(a, 70),
    "three quarters": lambda a: resize(a, 0.75),
    "three quarters, jpeg 70": lambda a: jpeg(resize(a, 0.75), 70),
    "half": lambda a: resize(a, 0.5),
    "double": lambda a: resize(a, 2),
    "quarter turn": lambda a: np.rot90(a),
    "mirror": lambda a: a[:, ::-1],
    "half as bright": lambda a: (a * 0.5).astype(np.uint8),
    "grey": lambda a: np.repeat(np.asarray(Pillow.fromarray(a).convert("L"))[..., None], 3, axis=2),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_small_synthetic_pictures_keep_their_payload(marked, attack):
    found = [image.detect(np.ascontiguousarray(ATTACKS[attack](after)), KEY) for _, after in marked]
    assert [f.payload for f in found] == [PAYLOAD] * len(marked)
    assert all(f.level is MarkLevel.RECORD and f.p_value < 1e-6 for f in found)


GEOMETRY = {
    "crop": lambda p: p.crop((40, 25, 240, 226)),
    "crop, enlarged": lambda p: p.crop((30, 30, 230, 230)).resize((256, 256)),
    "turned by 7 degrees": lambda p: p.rotate(7, resample=Pillow.Resampling.BICUBIC),
    "narrowed": lambda p: p.resize((205, 256), Pillow.Resampling.LANCZOS),
    "perspective": lambda p: p.transform(
        (256, 256), Pillow.Transform.QUAD, (0, 6, 8, 250, 256, 244, 246, 0), resample=Pillow.Resampling.BICUBIC
    ),
}


@pytest.mark.parametrize("attack", GEOMETRY)
def test_geometry_is_found_again(marked, attack):
    moved = np.asarray(GEOMETRY[attack](Pillow.fromarray(marked[0][1])))
    found = image.detect(moved, KEY)
    assert found.payload == PAYLOAD
    assert found.attempts >= 1 and found.p_value == pytest.approx(found.attempts * 8 / 2**40)


def busy(seed: int, shape: tuple[int, int], contrast: float) -> np.ndarray:
    """Leaves and gravel: detail at every size."""
    rng = np.random.default_rng(seed)
    layers = [ndimage.gaussian_filter(rng.normal(size=shape), s) * s * contrast for s in (0.7, 2, 6)]
    return np.clip(128 + sum(layers)[..., None] * [1.0, 0.9, 0.7], 0, 255).astype(np.uint8)


def test_a_picture_is_marked_as_strongly_as_its_crops_need():
    quality = {}
    for name, picture in (("busy", busy(1, (256, 320), 60)), ("plain", shapes(0))):
        after = image.embed(picture, PAYLOAD, KEY)
        quality[name] = perception.psnr(picture, after)
    assert 40 <= quality["busy"] < quality["plain"] - 1.5


def test_parts_of_an_attacked_copy_are_what_the_strength_is_chosen_by():
    after = image.embed(busy(1, (321, 481), 45), PAYLOAD, KEY)
    layout = embedder.plan((321, 481), PAYLOAD, KEY, image.MEDIUM)
    whole, parts = embedder.dimmed(layout, perception.luma(after))
    assert 0.8 < parts < whole  # 0.58 at the least strength that leaves the whole readable


def test_half_of_a_busy_picture_darkened_and_recoded_is_read():
    part = image.embed(busy(1, (321, 481), 20), PAYLOAD, KEY)[60:287, 90:430]
    found = image.detect(jpeg((part * 0.5).astype(np.uint8), 50), KEY)
    assert (found.payload, found.detail["found_by"]) == (PAYLOAD, "crops")


def test_the_change_is_small(marked):
    for before, after in marked:
        assert after.shape == before.shape and after.dtype == np.uint8
        assert perception.psnr(before, after) >= 40
        assert np.abs(after.astype(int) - before).max() <= 40


def test_unmarked_pictures_and_wrong_keys_show_nothing(marked):
    before, after = marked[0]
    for found in (image.detect(before, KEY), image.detect(after, bytes(32))):
        assert found.level is MarkLevel.NONE and found.payload is None
        assert found.p_value > 1e-6


def test_embedding_is_deterministic(marked):
    before, after = marked[1]
    assert np.array_equal(image.embed(before, PAYLOAD, KEY), after)


def test_strength_trades_quality(marked):
    before, after = marked[1]
    assert perception.psnr(before, image.embed(before, PAYLOAD, KEY, strength=1.5)) < perception.psnr(before, after) - 2


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.full((80, 300, 3), 128, np.uint8), "96"),
        (np.zeros((256, 256, 3), np.uint8), "black or white"),
        (np.full((256, 256, 3), 255, np.uint8), "black or white"),
    ],
)
def test_pictures_that_cannot_carry_are_refused_with_the_reason(picture, reason):
    with pytest.raises(CannotCarry, match=reason):
        image.embed(picture, PAYLOAD, KEY)


def test_a_perfectly_flat_grey_carries():
    flat = np.full((256, 256, 3), 128, np.uint8)
    assert image.detect(jpeg(image.embed(flat, PAYLOAD, KEY), 70), KEY).payload == PAYLOAD


@pytest.mark.parametrize("size", [(96, 97), (97, 96), (131, 257), (200, 99)])
def test_odd_sizes(size):
    picture = shapes(9)[: size[0], : size[1]] if size[1] <= 256 else resize(shapes(9), 2)[: size[0], : size[1]]
    assert image.detect(image.embed(picture, PAYLOAD, KEY), KEY).payload == PAYLOAD


@pytest.mark.parametrize(
    "bad", [np.zeros((100, 100, 2), np.uint8), np.zeros((100, 100, 3)), np.zeros((0, 100, 3), np.uint8)]
)
def test_other_arrays_are_refused(bad):
    with pytest.raises(InvalidRequest):
        image.embed(bad, PAYLOAD, KEY)
    with pytest.raises(InvalidRequest):
        image.detect(bad, KEY)


def test_tiny_pictures_are_undecidable():
    assert image.detect(np.zeros((20, 300, 3), np.uint8), KEY).level is MarkLevel.UNDECIDABLE


def test_keys_are_checked():
    with pytest.raises(KeyError_):
        image.embed(shapes(0), PAYLOAD, b"short")
    with pytest.raises(KeyError_):
        image.detect(shapes(0), b"short")


def other_forms() -> dict[str, np.ndarray]:
    colour = shapes(3)
    grey = np.asarray(Pillow.fromarray(colour).convert("L"))
    alpha = np.full((256, 256, 1), 255, np.uint8)
    alpha[:40] = 90
    deep = colour.astype(np.uint16) * 257 + np.random.default_rng(0).integers(-100, 100, colour.shape).astype(np.int16)
    return {
        "grey": grey,
        "RGBA": np.concatenate([colour, alpha], axis=2),
        "16-bit": deep.astype(np.uint16),
        "16-bit grey": grey.astype(np.uint16) * 257,
        "16-bit RGBA": np.concatenate([colour, alpha], axis=2).astype(np.uint16) * 257,
    }


@pytest.mark.parametrize("form", other_forms())
def test_other_forms_keep_shape_type_and_transparency(form):
    before = other_forms()[form]
    after = image.embed(before, PAYLOAD, KEY)
    assert after.shape == before.shape and after.dtype == before.dtype
    assert image.detect(after, KEY).payload == PAYLOAD
    assert image.forms.seen(before).shape == (256, 256, 3)
    assert perception.psnr(image.forms.seen(before), image.forms.seen(after)) >= 40
    if before.ndim == 3 and before.shape[2] == 4:
        assert np.array_equal(after[..., 3], before[..., 3])
    if before.dtype == np.uint16:  # the mark is finer than 8 bits, and the picture's own fine steps stay
        assert len(np.unique(after)) > 300
        assert image.detect((after >> 8).astype(np.uint8), KEY).payload == PAYLOAD


def test_a_cmyk_file_is_marked_as_it_is_shown():
    from gensafe import media

    data = io.BytesIO()
    Pillow.fromarray(shapes(4)).convert("CMYK").save(data, "JPEG", quality=95)
    shown = media.decode(data.getvalue()).pixels
    assert image.detect(jpeg(image.embed(shown, PAYLOAD, KEY), 80), KEY).payload == PAYLOAD
