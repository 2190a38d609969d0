"""Several watermark epochs: which key is tried first, and what the answer is worth.

Before, a file of a retired epoch was searched under every newer key first, each search a failed one and thus whole.
"""

from dataclasses import replace

import numpy as np
import pytest

from gensafe.core.ids import pack_payload
from gensafe.core.types import Detection, Image, MarkLevel, Modality
from gensafe.provenance import read_asset
from gensafe.verify import VerifyContext, marks
from gensafe.verify.budget import Budget

PICTURE = Image(np.zeros((8, 8, 3), np.uint8))


def context(marked: int, asked: list[int], epochs=(3, 2, 1, 0)) -> VerifyContext:
    """A detector that finds a mark under the key of one epoch, and notes which keys it was asked with."""

    def detect(content, key):
        asked.append(key[0])
        if key[0] == marked:
            return Detection(MarkLevel.RECORD, pack_payload(77, marked), 1e-9, "s", 1, {})
        return Detection(MarkLevel.NONE, None, 1.0, "s", 1, {})

    return VerifyContext(
        detectors={Modality.IMAGE: detect}, key_for=lambda _, epoch: bytes([epoch]) * 32, epochs=epochs
    )


@pytest.mark.parametrize(
    ("first", "order", "p_value"),
    [(None, [3, 2, 1, 0], 4e-9), (0, [0], 4e-9), (2, [2, 3, 1, 0], 4e-9), (9, [3, 2, 1, 0], 4e-9)],
)
def test_the_named_epoch_is_tried_first_and_the_rest_after_it(first, order, p_value):
    asked: list[int] = []
    found = marks.search(PICTURE, context(0, asked), Budget(), first)
    assert asked == order and (found.epoch, found.record_id) == (0, 77)
    assert found.detection.p_value == pytest.approx(p_value)


def test_without_a_hint_the_answer_is_worth_the_keys_tried():
    found = marks.search(PICTURE, context(3, []), Budget())
    assert found.detection.p_value == pytest.approx(1e-9)


def test_the_epoch_is_read_from_the_manifest_of_an_output(deployment, outputs):
    bench = deployment.bench
    reading = read_asset(outputs["image"].data, "image/png", trust=bench.trust)
    assert marks.promised_epoch(reading) == bench.ring.current_epoch
    assert marks.promised_epoch(None) is None


class Prepared:
    """Notes what is asked; the mark of ``quick`` or ``whole`` lies under the key of epoch 0."""

    def __init__(self, asked, where):
        self.asked, self.where = asked, where

    def _found(self, step, key):
        self.asked.append((step, key[0]))
        if step == self.where and key[0] == 0:
            return Detection(MarkLevel.RECORD, pack_payload(77, 0), 1e-9, "s", 1, {})
        return None if step == "quick" else Detection(MarkLevel.NONE, None, 1.0, "s", 1, {})

    def quick(self, key):
        return self._found("quick", key)

    def whole(self, key):
        return self._found("whole", key)


@pytest.mark.parametrize("where", ["quick", "whole"])
def test_the_quick_part_comes_first_under_every_key(where):
    """Before, a file of the oldest of k epochs whose manifest was stripped cost k - 1 whole searches in vain."""
    asked = []
    base = replace(context(0, []), preparers={Modality.IMAGE: lambda _: Prepared(asked, where)})
    found = marks.search(PICTURE, base, Budget())
    quick = [("quick", epoch) for epoch in (3, 2, 1, 0)]
    assert asked == (quick if where == "quick" else quick + [("whole", epoch) for epoch in (3, 2, 1, 0)])
    assert (found.epoch, found.record_id, found.detection.p_value) == (0, 77, pytest.approx(4e-9))


def test_a_prepared_search_answers_as_the_plain_one(picture_of):
    from gensafe_watermark import image

    right, wrong = bytes(32), bytes([1]) * 32
    marked = image.embed(picture_of(3, 128).pixels, pack_payload(77, 0), right)
    search = image.Search(marked)
    assert search.quick(wrong) is None
    assert search.quick(right) == search.whole(right) == image.detect(marked, right)
    assert search.whole(right).level is MarkLevel.RECORD
    assert search.whole(wrong) == image.detect(marked, wrong)  # the second key, on what the first one measured
