"""A copy for a reviewer carries its own id, and it can be read back from the copy's bytes alone."""

import numpy as np
import pytest

from gensafe import media
from gensafe.core import ids, plugins
from gensafe.core.config import Config
from gensafe.core.types import (
    Action,
    Admission,
    Audio,
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
from gensafe.keys import KeyRing, Role
from gensafe.pipeline.copies import review_copy

COPY, RECORD = 0xC0FFEE0C0FFEE, 0x1234512345123
RNG = np.random.default_rng(8)


def picture() -> Image:
    y, x = np.mgrid[0:256, 0:256]
    waves = 128 + 60 * np.sin(x / 9) + 40 * np.cos(y / 13)
    return Image(np.clip(waves[..., None] + RNG.normal(0, 8, (256, 256, 3)), 0, 255).astype(np.uint8))


def sound() -> Audio:
    t = np.arange(8 * 24_000) / 24_000
    tones = sum(0.1 * np.sin(2 * np.pi * f * t + f) for f in (220, 440, 700, 1500, 3100))
    return Audio((tones + RNG.normal(0, 0.03, t.size))[None].astype(np.float32), 24_000)


def held(content) -> Judged:
    kind = content.modality
    verdict = Verdict(Stage.OUTPUT, kind, Action.REVIEW, (), (), (), "test", "sha256:" + "0" * 64)
    request = GenerationRequest(ids.new_request_id(), "a red circle", kind)
    job = GenerationJob("a red circle", kind, (), 0, 0)
    record = GenerationRecord("test", "test", "1", "sha256:" + "0" * 64, 0, 0, "")
    return Judged(Admission(request, job, RECORD, 0, verdict, "hmac-sha256:0"), Draft(content, record), verdict)


@pytest.mark.parametrize("make", [picture, sound])
def test_a_copy_leads_back_to_its_entry_also_after_a_rotation(make, tmp_path):
    """Only ``marked`` was asserted before; nothing read the mark from a copy as whoever finds a leak would."""
    ring = KeyRing.open(tmp_path / "keys")
    ring.rotate(Role.WATERMARK)
    content = make()
    copy = review_copy(Config(), ring, held(content), "0123456789abcdef", COPY)
    assert copy.marked, copy.note
    ring.rotate(Role.WATERMARK)  # the copy leaks later
    kind = content.modality
    found = plugins.load("gensafe.watermarks", kind.value).detect(
        media.decode(copy.data, media.DEFAULT_MEDIA_TYPE[kind]), ring.watermark_key(kind, 1)
    )
    assert found.level is MarkLevel.RECORD and found.p_value < 1e-6
    assert ids.unpack_payload(found.payload) == (COPY, 1)  # the copy's id, never the record's


def test_a_copy_of_a_text_says_whose_it_is_in_its_first_line(tmp_path):
    copy = review_copy(Config(), KeyRing.open(tmp_path / "keys"), held(Text("a draft")), "0123456789abcdef", COPY)
    first, _, rest = copy.data.decode().partition("\n")
    assert ids.record_id_text(COPY) in first and "not released" in first and rest == "a draft"
    assert not copy.marked and Modality.TEXT.value in copy.note
