"""The voice under the shipped contract, and understood by a recogniser that knows nothing of it."""

from __future__ import annotations

import functools
from typing import ClassVar

import numpy as np
import pytest
from scipy.signal import resample_poly

from gensafe.core.errors import Cancelled, ConfigError, InvalidRequest
from gensafe.core.types import GenerationJob, Image, Modality, Parameters, Progress
from gensafe.testing.backend_contract import BackendContract
from gensafe_backends import hibari as voice

pytest.importorskip("hibari")


@functools.lru_cache(maxsize=1)
def backend():
    return voice.create({})


def job(prompt="Seven ships left the harbor. The fog came at six.", seed=3, inputs=(), **parameters):
    return GenerationJob(prompt, Modality.AUDIO, inputs, seed, 0, parameters=Parameters(**parameters))


def run(one, cancelled=lambda: False):
    return list(backend().generate(one, None, cancelled))


class TestHibari(BackendContract):
    prompts: ClassVar = {Modality.AUDIO: "Seven ships left the harbor. The fog came at six."}

    def make_backend(self):
        return backend()


def test_every_sentence_is_a_step_and_the_words_are_stated():
    events = run(job())
    assert [e.done for e in events if isinstance(e, Progress)] == [0, 1, 2]
    assert events[-1].script == "Seven ships left the harbor. The fog came at six."


def test_one_seed_gives_the_same_samples_and_another_does_not():
    first, again, other = (run(job(seed=s))[-1].media.samples for s in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_speed_is_honoured():
    slow, fast = (run(job(speed=s))[-1].media.samples.shape[1] for s in (0.7, 1.6))
    assert slow > 1.5 * fast


def test_cancelling_is_noticed_between_sentences():
    calls = iter([False, True])
    with pytest.raises(Cancelled):
        run(job(), cancelled=lambda: next(calls))


@pytest.mark.parametrize(
    "wrong",
    [
        {"voice": "emma"},  # would be downloaded
        {"language": "fr"},
        {"speed": 3.0},
        {"prompt": "漢字"},
        {"inputs": (Image(np.zeros((8, 8, 3), np.uint8)),)},
    ],
)
def test_what_it_cannot_do_is_refused_by_name(wrong):
    with pytest.raises(InvalidRequest):
        run(job(**wrong))


def test_wrong_options_are_refused():
    for wrong in ({"voice": "heart"}, {"threads": "x"}):
        with pytest.raises(ConfigError):
            voice.create(wrong)


def test_a_recogniser_understands_it():
    pytest.importorskip("pocketsphinx")
    from gensafe.safety.signals.transcribers import PocketSphinx

    spoken = run(job())[-1].media
    samples = resample_poly(spoken.samples[0], 2, 3).astype(np.float32)  # 24 to 16 kHz
    heard = " ".join(s.text for s in PocketSphinx().transcribe(samples)).lower()
    assert "seven ships" in heard and "six" in heard
