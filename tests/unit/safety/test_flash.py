"""The flash test against IRIS's logs and against a matrix of strobes made here."""

import csv
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from gensafe.media import decode
from gensafe.media.shrink import shrink
from gensafe.safety.signals.flash import HEIGHT, WIDTH, FlashResult, flash_report, worst_field

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "flash"
CLIPS = (
    "2Hz_5s",
    "2Hz_6s",
    "3Hz_6s",
    "GradualRedIncrease",
    "extendedFLONG",
    "flashStripes",
    "gray",
    "intermitentEF",
)
COLUMNS = {
    "LuminanceTransitions": lambda r, i: r.luminance[i].transitions,
    "RedTransitions": lambda r, i: r.red[i].transitions,
    "LuminanceExtendedFailCount": lambda r, i: r.luminance[i].extended,
    "RedExtendedFailCount": lambda r, i: r.red[i].extended,
    "FlashLuminanceFailedFrame": lambda r, i: int(r.luminance[i].result),
    "FlashRedFailedFrame": lambda r, i: int(r.red[i].result),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", CLIPS)
def test_agrees_with_iris_on_every_frame(name):
    if not SHARED.exists():
        pytest.skip("the shared data folder is not beside the checkout")
    video = decode((SHARED / "TestVideos" / f"{name}.mp4").read_bytes())
    log = SHARED / "ExpectedVideoLogFiles" / f"{name}_RELATIVE.csv"
    rows = list(csv.DictReader(log.read_text(encoding="utf-8-sig").splitlines()))
    report = flash_report(shrink(video.frames, HEIGHT, WIDTH), video.fps)
    assert len(rows) == len(video.frames)
    compared = [c for c in COLUMNS if c in rows[0]]
    assert compared
    for column in compared:
        expected = [int(float(row[column])) for row in rows]
        assert [COLUMNS[column](report, i) for i in range(len(rows))] == expected, column
    if "FlashFailedFrames" in rows[0]:  # an older log: 2 stands for a failed frame
        failed = [f.result is FlashResult.FAIL for f in report.luminance]
        assert failed == [row["FlashFailedFrames"] == "2" for row in rows]


def strobe(hertz, low, high, share=1.0, fps=30.0, seconds=2.0):
    """Square-wave strobe of a rectangle of ``share`` of the area in a corner."""
    count = round(fps * seconds)
    frames = np.full((count, HEIGHT, WIDTH, 3), low, np.uint8)
    rows, columns = round(HEIGHT * share**0.5), round(WIDTH * share**0.5)
    for i in range(count):
        if int(2 * hertz * i / fps) % 2:
            frames[i, :rows, :columns] = high
    return frames


BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@pytest.mark.parametrize(("hertz", "share"), list(product((4, 5, 7.5, 10, 15), (1.0, 0.25, 0.1))))
def test_fast_strobes_fail(hertz, share):
    assert flash_report(strobe(hertz, BLACK, WHITE, share), 30.0).worst() is FlashResult.FAIL


@pytest.mark.parametrize("hertz", [1, 2, 3])
def test_up_to_three_flashes_a_second_do_not_fail(hertz):
    assert flash_report(strobe(hertz, BLACK, WHITE), 30.0).worst() < FlashResult.EXTENDED_FAIL


@pytest.mark.parametrize(
    ("low", "high"),
    [((215, 215, 215), (226, 226, 226)), (BLACK, (85, 85, 85)), ((240, 240, 240), (255, 255, 255))],
    ids=["small step", "below a tenth", "both bright"],
)
def test_faint_strobes_pass(low, high):
    assert flash_report(strobe(10, low, high), 30.0).worst() is FlashResult.PASS


def test_small_areas_pass():
    assert flash_report(strobe(10, BLACK, WHITE, 0.02), 30.0).worst() is FlashResult.PASS


def test_red_flashes_fail_by_the_red_rule_alone():
    frames = strobe(8, (80, 110, 110), (255, 0, 0))  # luminance 0.14 against 0.21: below the step
    report = flash_report(frames, 30.0)
    assert max(f.result for f in report.red) is FlashResult.FAIL
    assert max(f.result for f in report.luminance) is FlashResult.PASS
    grey = strobe(8, (120, 120, 120), (200, 110, 110))  # not saturated
    assert max(f.result for f in flash_report(grey, 30.0).red) is FlashResult.PASS


def test_fine_checks_are_averaged_away():
    big = np.zeros((60, HEIGHT * 8, WIDTH * 8, 3), np.uint8)
    pattern = (np.indices(big.shape[1:3]).sum(axis=0) % 2 * 255).astype(np.uint8)
    big[0::2] = pattern[..., None]
    big[1::2] = 255 - pattern[..., None]
    assert flash_report(shrink(big, HEIGHT, WIDTH), 30.0).worst() is FlashResult.PASS


def test_extended_flash_needs_four_seconds():
    assert flash_report(strobe(2.5, BLACK, WHITE, seconds=3.5), 30.0).worst() is FlashResult.WARNING
    assert flash_report(strobe(2.5, BLACK, WHITE, seconds=6), 30.0).worst() is FlashResult.EXTENDED_FAIL


def test_slow_fades_pass_and_one_frame_is_no_flash():
    levels = (127.5 + 127.5 * np.sin(np.arange(120) / 30 * 2 * np.pi * 0.5)).astype(np.uint8)
    fade = np.repeat(levels, HEIGHT * WIDTH * 3).reshape(120, HEIGHT, WIDTH, 3)
    assert flash_report(fade, 30.0).worst() is FlashResult.PASS
    assert flash_report(fade[:1], 30.0).worst() is FlashResult.PASS
    assert flash_report([], 30.0).worst() is FlashResult.PASS


def test_worst_field_is_the_quarter_rule():
    counts = np.zeros((HEIGHT, WIDTH), np.int16)
    counts[:9, :16] = 7  # 144 of the 576 cells of an 18 x 32 field: exactly a quarter
    assert worst_field(counts) == 7
    counts[0, 0] = 0
    assert worst_field(counts) == 0
