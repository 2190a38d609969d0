"""Where a marked picture was changed, from its mark alone."""

import numpy as np
import pytest

from gensafe_watermark import image
from gensafe_watermark.image.local import locate

KEY, PAYLOAD = bytes(range(32)), bytes([16, 1, 2, 3, 4, 5, 6])
HERE = (slice(150, 290), slice(60, 220))


def scene(seed):
    """Waves of many sizes: texture like that of a photograph, without one."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((400, 480)))
    fy, fx = np.fft.fftfreq(400)[:, None], np.fft.rfftfreq(480)[None]
    plane = np.fft.irfft2(spectrum / np.maximum(np.hypot(fy, fx), 0.004), (400, 480))
    plane = 128 + 45 * plane / plane.std()
    return np.clip(np.stack([plane, plane * 0.9 + 8, plane * 0.8 + 20], -1), 5, 250).astype(np.uint8)


@pytest.fixture(scope="module")
def marked():
    return image.embed(scene(1), PAYLOAD, KEY, strength=4)  # noise hides a mark better than photographs do


def overlap(areas, where):
    found = np.zeros((400, 480), bool)
    for left, top, right, bottom in areas:
        found[round(top * 400) : round(bottom * 400), round(left * 480) : round(right * 480)] = True
    truth = np.zeros_like(found)
    truth[where] = True
    return (found & truth).sum() / (found | truth).sum()


def test_a_marked_picture_has_no_foreign_area(marked):
    found = locate(marked, PAYLOAD, KEY)
    assert found.areas == () and found.judged > 0.8


def test_a_pasted_and_a_moved_patch_are_found(marked):
    pasted, moved = marked.copy(), marked.copy()
    pasted[HERE] = scene(2)[HERE]
    moved[HERE] = marked[10:150, 300:460]
    for changed in (pasted, moved):
        assert overlap(locate(changed, PAYLOAD, KEY).areas, HERE) > 0.6


def test_a_cropped_picture_is_not_judged(marked):
    assert locate(np.ascontiguousarray(marked[37:, 51:]), PAYLOAD, KEY) is None


def test_another_picture_is_not_judged():
    assert locate(scene(3), PAYLOAD, KEY) is None


def test_a_mark_too_faint_to_judge_by_is_said_to_be_so():
    assert locate(image.embed(scene(1), PAYLOAD, KEY), PAYLOAD, KEY) is None
