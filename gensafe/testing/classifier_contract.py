"""What every Classifier must do, as checks a plugin's own tests can call.

``check_classifier(classifier, items)`` raises AssertionError with the clause that is broken. ``items`` should hold
ordinary, empty, long and strange items of the classifier's modality.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from gensafe.core.errors import GensafeError, SafetyUnavailable
from gensafe.core.hazards import CATEGORIES
from gensafe.core.ports import Classifier
from gensafe.core.types import Assessment, Audio, Image, Media, Modality, Stage, Text, Video


def check_classifier(classifier: Classifier, items: Sequence[Media], custom: Sequence[str] = ()) -> None:
    """Run every clause of the contract.

    Args:
        classifier: The one to check.
        items: Items of its modality.
        custom: Categories beyond ``hazards.CATEGORIES`` it may report.
    """
    _check_identity(classifier)
    for item in items:
        assert item.modality is classifier.modality, "give items of the classifier's own modality"
        assessment = classifier.assess(item, Stage.STANDALONE)
        _check_assessment(classifier, item, assessment, {*CATEGORIES, *custom})
        assert classifier.assess(item, Stage.STANDALONE) == assessment, "same item, same answer"
    _check_wrong_modality(classifier)
    _check_threads(classifier, items)


def _check_identity(classifier: Classifier) -> None:
    identity, card = classifier.identity(), classifier.card()
    assert identity == classifier.identity(), "identity is constant"
    assert identity.name == classifier.name == card.name, "one name everywhere"
    assert identity.version == card.version, "the card is of this version"
    assert identity.weights_digest == "" or identity.weights_digest.startswith("sha256:"), "digests describe themselves"
    assert card.modality is classifier.modality, "the card is of this modality"
    assert card.categories, "the card says what it looks for"
    assert card.summary, "the card says what it is"
    assert card.not_covered, "the card says what it misses"


def _check_assessment(classifier: Classifier, item: Media, found: Assessment, known: set[str]) -> None:
    categories = set(classifier.card().categories)
    for finding in found.findings:
        assert finding.category in known, f"{finding.category} is not a category"
        assert finding.category in categories or finding.category not in CATEGORIES, "the card lists what is reported"
        assert 0.0 <= finding.score <= 1.0, "scores lie in 0..1"
        assert finding.classifier == classifier.name, "findings carry the classifier's name"
        for span in finding.spans:
            assert isinstance(item, Text) or classifier.modality is not Modality.TEXT, "spans are offsets in text"
            if isinstance(item, Text):
                assert 0 <= span.start < span.end <= len(item.text), "spans lie inside the text"
        for box in finding.boxes:
            assert box.left < box.right, "boxes have a width"
            assert box.top < box.bottom, "boxes have a height"
        for times in finding.times:
            assert 0 <= times.start_s <= times.end_s, "times are ordered"
        if isinstance(item, Text) and len(item.text) > 20:
            assert item.text not in finding.detail, "a detail never quotes the content"
    assert found.coverage, "coverage is stated"
    for coverage in found.coverage:
        assert coverage.classifier == classifier.name, "coverage carries the classifier's name"
        assert 0 <= coverage.examined <= coverage.total, "not more is examined than there is"


def _check_wrong_modality(classifier: Classifier) -> None:
    import numpy as np

    others: dict[Modality, Media] = {
        Modality.TEXT: Text("x"),
        Modality.IMAGE: Image(np.zeros((8, 8, 3), np.uint8)),
        Modality.AUDIO: Audio(np.zeros((1, 160), np.float32), 16000),
        Modality.VIDEO: Video(np.zeros((2, 8, 8, 3), np.uint8), 8.0),
    }
    for modality, item in others.items():
        if modality is not classifier.modality:
            try:
                classifier.assess(item, Stage.STANDALONE)
            except SafetyUnavailable:
                continue
            raise AssertionError(f"a {modality} must be refused with SafetyUnavailable, not passed")


def _check_threads(classifier: Classifier, items: Sequence[Media]) -> None:
    expected = [classifier.assess(item, Stage.OUTPUT) for item in items]
    wrong: list[str] = []

    def work() -> None:
        try:
            if [classifier.assess(item, Stage.OUTPUT) for item in items] != expected:
                wrong.append("another answer")
        except GensafeError as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"safe to call from several threads at once: {wrong[0]}"
