"""Where the mark is weaker, when nothing but the key is here: a hint for its owner that decides nothing."""

from dataclasses import replace

import numpy as np
import pytest

from gensafe import media
from gensafe.core.errors import MediaError
from gensafe.core.ids import pack_payload
from gensafe.core.languages import words_of
from gensafe.core.types import Conclusion, Image, Modality, Outcome
from gensafe.core.types.caller import OneTenant, Public
from gensafe.server.http.where import changes
from gensafe.verify import verify_bytes
from gensafe.verify.render import report_line, report_text
from gensafe_watermark import image


def scene(seed):
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((400, 480)))
    fy, fx = np.fft.fftfreq(400)[:, None], np.fft.rfftfreq(480)[None]
    plane = np.fft.irfft2(spectrum / np.maximum(np.hypot(fy, fx), 0.004), (400, 480))
    plane = 128 + 45 * plane / plane.std()
    return np.clip(np.stack([plane, plane * 0.9 + 8, plane * 0.8 + 20], -1), 5, 250).astype(np.uint8)


@pytest.fixture
def context(deployment):
    return replace(deployment.context, records=None, log=None)


@pytest.fixture
def marked(context):
    epoch = context.epochs[0]
    return image.embed(scene(1), pack_payload(77, epoch), context.key_for(Modality.IMAGE, epoch), strength=4)


@pytest.fixture
def pasted(marked):
    marked[150:290, 60:220] = scene(2)[150:290, 60:220]
    return png(marked)


def png(pixels):
    return media.encode(Image(pixels), "image/png")


def hint(report):
    return next((check for check in report.checks if check.name == "mark in all parts"), None)


def test_a_pasted_patch_is_named_as_a_hint_that_decides_nothing(context, pasted):
    report = verify_bytes(pasted, name="x.png", context=context)
    found = hint(report)
    assert found.outcome is Outcome.ABSENT and found.evidence["judged"] > 0.5
    (part,) = found.evidence["parts"]
    for side, true in (("left", 60 / 480), ("right", 220 / 480), ("top", 150 / 400), ("bottom", 290 / 400)):
        assert abs(part[side] - true) < 0.07
    without = verify_bytes(pasted, name="x.png", context=replace(context, locators={}))
    assert hint(without) is None
    assert report.conclusion is without.conclusion is Conclusion.FOUND_UNTRUSTED
    assert report.explanation == without.explanation and report_line(report) == report_line(without)
    assert "the watermark is weaker at 1" in report_text(report) and "of the image could be judged" in found.summary


def test_the_page_draws_it_and_calls_it_no_proof(context, pasted):
    report = verify_bytes(pasted, name="x.png", context=context)
    page = changes(report, pasted, words_of("en"))
    assert page.count("<rect x=") == 1 and "Where the watermark is weaker" in page and "it proves no change" in page
    assert "changed" not in page.split("base64,")[0] and "recorded output" not in page
    german = changes(report, pasted, words_of("de"))
    assert "Where" not in german and "% des Bildes" in german


def test_others_are_not_told(context, pasted):
    for scope in (OneTenant("another"), Public()):  # they could remove a mark by it
        assert hint(verify_bytes(pasted, name="x.png", context=context, scope=scope)) is None


def test_a_whole_mark_is_said_to_be_whole_and_a_cropped_picture_is_not_judged(context, marked):
    report = verify_bytes(png(marked), name="x.png", context=context)
    assert hint(report).outcome is Outcome.PASS and "fine edits can escape" in hint(report).summary
    assert changes(report, png(marked), words_of("en")) == ""
    cropped = verify_bytes(png(np.ascontiguousarray(marked[37:, 51:])), name="x.png", context=context)
    assert cropped.conclusion is Conclusion.FOUND_UNTRUSTED and hint(cropped) is None
    assert hint(verify_bytes(png(scene(3)), name="x.png", context=context)) is None


def test_a_locator_that_fails_does_not_fail_the_report(context, pasted):
    def fails(*_):
        raise MediaError("no memory")

    report = verify_bytes(pasted, name="x.png", context=replace(context, locators={Modality.IMAGE: fails}))
    assert hint(report).outcome is Outcome.ERROR and report.conclusion is Conclusion.FOUND_UNTRUSTED
