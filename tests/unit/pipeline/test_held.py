"""A held draft comes back sample for sample, with everything that is signed and logged about it."""

import io

import numpy as np
import pytest

from gensafe.core.errors import RegistryError
from gensafe.core.types import (
    Action,
    Admission,
    Audio,
    Box,
    ClassifierId,
    Coverage,
    Decision,
    Draft,
    Finding,
    GenerationJob,
    GenerationRecord,
    GenerationRequest,
    Image,
    InputMedia,
    Judged,
    Modality,
    Span,
    Stage,
    Text,
    TimeRange,
    Verdict,
    Video,
)
from gensafe.pipeline.held import pack, unpack
from gensafe.safety.receipt import verdict_digest

RNG = np.random.default_rng(5)
SOUND = Audio(RNG.normal(0, 0.2, (2, 999)).astype(np.float32), 44_100)
MEDIA = [
    Text("ein Zebra \U0001f993 \ud800 x"),
    Image(RNG.integers(0, 256, (7, 5, 3), np.uint8)),
    SOUND,
    Video(RNG.integers(0, 256, (3, 6, 4, 3), np.uint8), 12.5, SOUND),
    Video(RNG.integers(0, 256, (3, 6, 4, 3), np.uint8), 12.5),
]


def judged(media) -> Judged:
    finding = Finding("vcr", 0.7, "text_rules", "x", (Span(1, 3),), (Box(0, 1, 2, 3),), (TimeRange(0.5, 1.25),))
    verdict = Verdict(
        Stage.OUTPUT,
        media.modality,
        Action.REVIEW,
        (Decision(finding, 0.5, 4, Action.REVIEW),),
        (Coverage("text_rules", "characters", 3, 3),),
        (ClassifierId("text_rules", "1", "sha256:" + "a" * 64),),
        "p",
        "sha256:" + "b" * 64,
        elapsed_ms=7,
    )
    inputs = (InputMedia(b"bytes", "image/png", "a.png"),)
    request = GenerationRequest("id", "a secret prompt", media.modality, inputs, seed=None, label_profile="eu")
    job = GenerationJob(request.prompt, media.modality, (Text("in"),), 2**62 + 1, 9)
    admission = Admission(request, job, 2**51 + 3, 17, verdict, "hmac-sha256:" + "c" * 64, ("sha256:" + "d" * 64,), 3)
    record = GenerationRecord("b", "m", "1", "sha256:" + "e" * 64, 5, 9, "none", {"t": 1, "x": "y", "z": True}, ("n",))
    return Judged(admission, Draft(media, record), verdict)


@pytest.mark.parametrize("media", MEDIA, ids=lambda m: m.modality.value)
def test_round_trip(media):
    before = judged(media)
    data = pack(before)
    after = unpack(data)
    assert after.verdict == before.verdict
    assert verdict_digest(after.verdict) == verdict_digest(before.verdict)
    assert after.draft.record == before.draft.record
    assert type(after.draft.record.parameters["z"]) is bool
    admission = after.admission
    assert admission.request.label_profile == "eu"
    assert (admission.record_id, admission.intent_index, admission.job.seed) == (2**51 + 3, 17, 2**62 + 1)
    assert admission.input_digests == before.admission.input_digests
    assert [(i.name, i.media_type) for i in admission.request.inputs] == [("a.png", "image/png")]
    for name in ("text", "pixels", "samples", "rate", "frames", "fps"):
        assert np.array_equal(getattr(after.draft.media, name, None), getattr(media, name, None))
    if isinstance(media, Video) and media.audio:
        assert np.array_equal(after.draft.media.audio.samples, SOUND.samples)


def test_neither_prompt_nor_input_bytes_are_in_it():
    with np.load(io.BytesIO(pack(judged(MEDIA[1])))) as arrays:
        facts = arrays["facts"].tobytes()
    assert b"secret" not in facts
    assert b"bytes" not in facts.replace(b"bytes_", b"")


def test_damage_is_an_error_of_ours():
    data = pack(judged(MEDIA[0]))
    for broken in (b"", b"PK", data[:-30], data[: len(data) // 2], b"{}", data.replace(b"facts", b"fakts")):
        with pytest.raises(RegistryError):
            unpack(broken)


def test_every_modality_is_covered():
    assert {m.modality for m in MEDIA} == set(Modality)
