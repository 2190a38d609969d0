"""What is marked is found again in the bytes that are signed; what cannot be marked says so. With the real schemes."""

from dataclasses import replace

import numpy as np
import pytest

from gensafe import media
from gensafe.core import ids, plugins
from gensafe.core.errors import WatermarkNotDetected
from gensafe.core.types import (
    Action,
    Admission,
    Draft,
    GenerationJob,
    GenerationRecord,
    GenerationRequest,
    Image,
    Judged,
    MarkLevel,
    Modality,
    Stage,
    Text,
    Verdict,
)
from gensafe.marking import Marker

KEYS = {epoch: bytes([epoch + 1]) * 32 for epoch in range(3)}
RECORD = 0x5A5A5A5A5A5A5


@pytest.fixture(scope="module")
def marker():
    kinds = (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO)
    return Marker(
        watermarkers={kind: plugins.load("gensafe.watermarks", kind.value) for kind in kinds},
        text_scheme=plugins.load("gensafe.watermarks", "text"),
        key_for=lambda modality, epoch: KEYS[epoch],
        epoch_now=lambda: 1,
        label=lambda judged, data, media_type: data,
    )


def judged(content, *, sampling_mark="", key_epoch=0, **asked):
    kind = content.modality
    request = GenerationRequest(ids.new_request_id(), "a red circle", kind, **asked)
    verdict = Verdict(Stage.OUTPUT, kind, Action.ALLOW, (), (), (), "test", "sha256:" + "0" * 64)
    job = GenerationJob("a red circle", kind, (), 0, 0)
    admission = Admission(request, job, RECORD, 0, verdict, "hmac-sha256:0", key_epoch=key_epoch)
    record = GenerationRecord("test", "test", "1", "sha256:" + "0" * 64, 0, 0, sampling_mark)
    return Judged(admission, Draft(content, record), verdict)


def test_a_picture_carries_its_record_under_the_current_key(marker, picture_of):
    marked = marker.mark(judged(picture_of()), None)
    found = marker.watermarkers[Modality.IMAGE].detect(media.decode(marked.data, marked.media_type), KEYS[1])
    assert found.level is MarkLevel.RECORD
    assert found.payload == marked.receipt.payload == ids.pack_payload(RECORD, 1)
    assert marked.receipt.key_id == ids.watermark_key_id(1)


def test_a_picture_too_small_for_a_mark_is_written_without_one_and_says_why(marker):
    marked = marker.mark(judged(Image(np.full((16, 16, 3), 128, np.uint8))), None)
    assert marked.receipt.level is MarkLevel.NONE and marked.receipt.scheme == "" and marked.receipt.note
    assert media.decode(marked.data, marked.media_type).pixels.shape == (16, 16, 3)


class Recorder:
    """The real scheme, with the strengths it was asked for; ``wipe`` loses what was embedded below that strength."""

    def __init__(self, scheme, wipe):
        self.scheme, self.wipe, self.strengths = scheme, wipe, []

    def embed(self, content, payload, key, strength=1.0):
        self.strengths.append(strength)
        return content if strength < self.wipe else self.scheme.embed(content, payload, key, strength)

    def detect(self, content, key):
        return self.scheme.detect(content, key)


@pytest.mark.parametrize(("wipe", "survives"), [(1.1, True), (9.0, False)])
def test_a_mark_lost_in_encoding_is_tried_once_more_with_more_strength(marker, picture_of, wipe, survives):
    scheme = Recorder(marker.watermarkers[Modality.IMAGE], wipe)
    marker = replace(marker, watermarkers={Modality.IMAGE: scheme})
    if survives:
        assert marker.mark(judged(picture_of()), None).receipt.level is MarkLevel.RECORD
    else:
        with pytest.raises(WatermarkNotDetected, match="did not survive encoding as image/png"):
            marker.mark(judged(picture_of()), None)
    assert len(scheme.strengths) == 2 and scheme.strengths[0] == 1.0 < scheme.strengths[1]


def test_a_text_that_was_not_marked_while_sampled_says_so_under_the_key_of_its_admission(marker):
    marked = marker.mark(
        judged(Text("Once."), sampling_mark="not marked by sampling: remote engine", key_epoch=2), None
    )
    assert marked.receipt.level is MarkLevel.NONE
    assert marked.receipt.note == "not marked by sampling: remote engine"
    assert marked.receipt.key_id == ids.watermark_key_id(2)


def test_the_fingerprint_is_of_what_a_reader_decodes_not_of_what_was_drawn(marker, picture_of):
    marked = marker.mark(judged(picture_of(), media_type="image/jpeg"), None)
    seen = media.decode(marked.data, "image/jpeg")
    assert marked.fingerprint == media.fingerprint.fingerprint(seen)
