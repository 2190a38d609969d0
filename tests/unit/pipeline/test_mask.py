"""Policy action ``redact`` outside of text outputs: prompts are masked before the engine, media painted over.

Seen failing on the old policy: a picture with a readable address was held, never painted. A prompt with the action
"redact" went to the engine as it was (by reading: nothing masked it).
"""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from gensafe.core.errors import SafetyBlocked
from gensafe.core.types import (
    Action,
    Box,
    Draft,
    Finding,
    GenerationJob,
    GenerationRecord,
    Image,
    Judged,
    Modality,
    Stage,
    TimeRange,
)
from gensafe.pipeline.mask import mask_prompt
from gensafe.pipeline.produce import _judged_media
from gensafe.safety import SafetyRunner, parse_policy

POLICY = """
[classifiers]
text = ["text_rules"]
image = ["image_text"]
[options.image_text]
classifiers = "text_rules"
[categories.pii]
review = 0.5
block = 0.5
review_action = "redact"
block_action = "redact"
"""


@pytest.fixture(scope="module")
def safety():
    return SafetyRunner.from_policy(parse_policy(POLICY), timeout_s=120)


def job(prompt, **more):
    return GenerationJob(prompt, Modality.TEXT, (), 1, 0, **more)


def test_the_engine_gets_the_prompt_without_the_address(safety):
    sent = "write to anna.weber@example.org about the meeting"
    found = mask_prompt(safety, job(sent))
    assert "anna" not in found.prompt and "example.org" not in found.prompt
    assert found.prompt.startswith("write to ") and found.prompt.endswith(" about the meeting")
    assert len(found.prompt) == len(sent)


def test_what_cannot_be_masked_stops_the_request(safety):
    plain = job("tell a story")
    stopping = replace(plain, parameters=replace(plain.parameters, stop=("anna.weber@example.org",)))
    with pytest.raises(SafetyBlocked, match="masking"):
        mask_prompt(safety, stopping)


def picture(text):
    page = PilImage.new("RGB", (640, 160), "white")
    ImageDraw.Draw(page).text((30, 60), text, "black", ImageFont.load_default(32))
    return Image(np.asarray(page))


def draft(media):
    record = GenerationRecord("t", "t", "1", "", 1, 0, "")
    return Draft(media, record)


def test_an_address_in_a_picture_is_painted_over_and_the_rest_is_released(safety):
    original = picture("anna.weber@example.org")
    first = safety.judge(original, Stage.OUTPUT)
    assert first.action is Action.REDACT, first.errors
    ended = _judged_media(None, draft(original), safety)
    assert isinstance(ended, Judged)
    assert not np.array_equal(ended.draft.media.pixels, original.pixels)
    assert ended.verdict.action is Action.ALLOW and not ended.verdict.decisions


def test_a_find_without_a_place_is_held(safety):
    policy = parse_policy(POLICY)
    placeless = Finding("pii", 1.0, "image_text")
    for modality in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO):
        (decision,) = policy.decide([placeless], modality, Stage.OUTPUT)
        assert decision.action is Action.REVIEW


def test_a_find_with_a_place_is_redacted_in_every_medium_but_not_in_inputs(safety):
    policy = parse_policy(POLICY)
    box, time = (Box(1, 1, 9, 9),), (TimeRange(0.1, 0.2),)
    for modality, boxes, times in (
        (Modality.IMAGE, box, ()),
        (Modality.AUDIO, (), time),
        (Modality.VIDEO, (), time),
        (Modality.VIDEO, box, time),
    ):
        finding = Finding("pii", 1.0, "x", boxes=boxes, times=times)
        (decision,) = policy.decide([finding], modality, Stage.OUTPUT)
        assert decision.action is Action.REDACT
        (decision,) = policy.decide([finding], modality, Stage.INPUT)
        assert decision.action is Action.REVIEW, "an input reaches the engine as it is"
