"""The plugin on a random pico bundle: options, streaming, records, refusals, inputs, altered bundles, threads."""

from __future__ import annotations

import shutil
import threading

import numpy as np
import pytest

from gensafe.core import plugins
from gensafe.core.errors import (
    BackendError,
    BackendUnavailable,
    Cancelled,
    ConfigError,
    InvalidRequest,
    PromptNotUnderstood,
)
from gensafe.core.types import Audio, Draft, GenerationJob, Image, Modality, Progress, Text, TextDelta, Video
from gensafe.testing.backend_contract import BackendContract, same_media
from gensafe_backends.symphony import plugin
from gensafe_backends.symphony.config import PICO
from gensafe_backends.symphony.random_init import write_random_bundle
from gensafe_backends.symphony.understand import normalise, unknown_words

PROMPTS = {
    Modality.TEXT: "tell me a story",
    Modality.IMAGE: "a red circle at the top left",
    Modality.AUDIO: "say one two three",
    Modality.VIDEO: "a blue square moving left",
}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bundle")
    write_random_bundle(directory, PICO, seed=4)
    return directory


@pytest.fixture(scope="session")
def backend(bundle):
    return plugin.create({"weights": str(bundle)})


@pytest.fixture(autouse=True)
def _short_texts(monkeypatch):
    monkeypatch.setattr(plugin, "MAX_TEXT", 40)


def job(modality, prompt=None, inputs=(), seed=1, max_tokens=0):
    return GenerationJob(PROMPTS[modality] if prompt is None else prompt, modality, inputs, seed, max_tokens)


def run(backend, one, mark=None):
    return list(backend.generate(one, mark, lambda: False))


class TestSymphony(BackendContract):
    prompts = PROMPTS
    outside = (Modality.IMAGE, "a photo of my dog", "dog")
    rereads = False  # random weights write byte salad

    @pytest.fixture(autouse=True)
    def _made(self, backend):
        self._backend = backend

    def make_backend(self):
        return self._backend


def test_it_is_found_by_its_entry_point(bundle):
    found = plugins.load("gensafe.backends", "symphony", {"weights": str(bundle), "engine": "numpy"})
    assert isinstance(found, plugin.SymphonyBackend)


def test_media_have_the_promised_sizes(backend):
    image = run(backend, job(Modality.IMAGE))[-1].media
    assert min(image.pixels.shape[:2]) >= 256
    audio = run(backend, job(Modality.AUDIO))[-1].media
    assert audio.rate == 16000 and audio.samples.shape[1] >= 2 * 16000
    video = run(backend, job(Modality.VIDEO))[-1].media
    assert video.fps >= 8 and len(video.frames) / video.fps >= 1.5 and min(video.frames.shape[1:3]) >= 128
    assert video.audio.samples.shape[1] / video.audio.rate == len(video.frames) / video.fps


def test_text_streams_token_by_token_and_adds_up(backend):
    events = run(backend, job(Modality.TEXT, max_tokens=60))
    deltas = [e.text for e in events if isinstance(e, TextDelta)]
    assert len(deltas) > 5 and "".join(deltas) == events[-1].media.text
    assert events[-1].record.tokens <= 60


def test_progress_grows_to_its_total(backend):
    steps = [e for e in run(backend, job(Modality.IMAGE)) if isinstance(e, Progress)]
    assert [s.done for s in steps] == sorted(s.done for s in steps) and steps[-1].done == steps[-1].total


@pytest.mark.parametrize("modality", list(Modality))
def test_cancelled_is_asked_at_least_once_per_token(backend, modality):
    asked = []

    def cancelled():
        asked.append(0)
        return False

    draft = list(backend.generate(job(modality, max_tokens=20 if modality is Modality.TEXT else 0), None, cancelled))[
        -1
    ]
    assert len(asked) >= draft.record.tokens


def test_cancelling_before_rendering(backend):
    """The last question, after all tokens: the caller left, nothing is rendered."""
    total, asked = [], []
    list(backend.generate(job(Modality.IMAGE), None, lambda: bool(total.append(0))))
    with pytest.raises(Cancelled, match="turned into media"):
        list(backend.generate(job(Modality.IMAGE), None, lambda: asked.append(0) or len(asked) >= len(total)))


def test_unknown_words_are_named_for_media_and_answered_in_words_for_text(backend):
    with pytest.raises(PromptNotUnderstood) as refused:
        run(backend, job(Modality.IMAGE, "a red dragon over the castle, please!"))
    assert refused.value.unknown == ("dragon", "over", "castle") and "circle" in refused.value.fix
    with pytest.raises(PromptNotUnderstood):
        run(backend, job(Modality.IMAGE, "?!"))
    *deltas, draft = run(backend, job(Modality.TEXT, "who won the election"))
    assert '"won"' in draft.media.text and "".join(d.text for d in deltas) == draft.media.text
    assert draft.record.parameters["written_by_model"] is False and draft.record.tokens == 0
    assert draft.record.sampling_mark == "not marked by sampling: a fixed answer"
    assert not any("election" in n for n in draft.record.notes)  # records hold nothing of the prompt


def test_words_belong_to_a_modality():
    assert unknown_words("a red circle moving left", Modality.IMAGE) == ("moving",)
    assert unknown_words("a red circle moving left", Modality.VIDEO) == ()
    assert unknown_words("dial 5551234", Modality.AUDIO) == ()
    assert unknown_words("dial 55512345", Modality.AUDIO) == ("55512345",)
    assert unknown_words("42 in blue", Modality.IMAGE) == ()
    assert normalise("  A RED circle,\tplease!\n") == "a red circle please"


PICTURE = Image(np.full((40, 60, 3), 200, np.uint8))
SOUND = Audio(np.zeros((2, 8000), np.float32), 8000)
FILM = Video(np.zeros((5, 32, 32, 3), np.uint8), 10.0, None)


@pytest.mark.parametrize(
    ("medium", "question"),
    [(PICTURE, "What is in this picture?"), (SOUND, "Transcribe!"), (FILM, ""), (PICTURE, "")],
)
def test_media_of_any_size_are_read_and_described(backend, medium, question):
    draft = run(backend, job(Modality.TEXT, question, (medium,)))[-1]
    assert draft.media.text and draft.record.parameters["temperature"] == "0"
    assert same_media(draft.media, run(backend, job(Modality.TEXT, question, (medium,), seed=99))[-1].media)


def test_a_picture_can_be_handed_in_to_be_changed(backend):
    draft = run(backend, job(Modality.IMAGE, "Make the circle blue!", (PICTURE,)))[-1]
    assert draft.media.pixels.shape == (256, 256, 3)
    with pytest.raises(PromptNotUnderstood) as refused:
        run(backend, job(Modality.IMAGE, "make the sky blue", (PICTURE,)))
    assert refused.value.unknown == ("sky",)
    impossible = (
        job(Modality.IMAGE, "", (PICTURE,)),
        job(Modality.AUDIO, "say yes", (PICTURE,)),
        job(Modality.IMAGE, "make the circle blue", (SOUND,)),
        job(Modality.TEXT, "", (PICTURE, PICTURE)),
    )
    for wrong in impossible:
        with pytest.raises(PromptNotUnderstood):
            run(backend, wrong)


def test_questions_it_was_not_taught_are_refused_in_words(backend):
    draft = run(backend, job(Modality.TEXT, "who painted this picture", (PICTURE,)))[-1]
    assert '"painted"' in draft.media.text and draft.record.parameters["written_by_model"] is False


def test_questions_about_media_are_put_to_the_model(backend):
    for medium, question in ((PICTURE, "How high is the red bar?"), (SOUND, "how many notes do you hear"),
                             (FILM, "which way does it move"), (PICTURE, "svg")):  # fmt: skip
        draft = run(backend, job(Modality.TEXT, question, (medium,)))[-1]
        assert draft.record.parameters["written_by_model"] and not any("taught" in n for n in draft.record.notes)
        assert draft.record.parameters["temperature"] == "0"


def test_a_spoken_count_is_compared_with_a_picture_in_either_order(backend):
    asked = "Does the spoken count match the picture?"
    first, second = (
        run(backend, job(Modality.TEXT, asked, inputs))[-1] for inputs in ((PICTURE, SOUND), (SOUND, PICTURE))
    )
    assert same_media(first.media, second.media) and first.record.parameters["written_by_model"]
    for inputs in ((PICTURE, FILM), (SOUND, SOUND), (PICTURE, SOUND, SOUND)):
        with pytest.raises(PromptNotUnderstood, match="not taught"):
            run(backend, job(Modality.TEXT, asked, inputs))


def test_impossible_requests(backend):
    with pytest.raises(InvalidRequest):
        run(backend, job(Modality.IMAGE, max_tokens=3))
    with pytest.raises(InvalidRequest):
        run(backend, job(Modality.IMAGE, "red " * 200))
    with pytest.raises(InvalidRequest):
        run(backend, job(Modality.TEXT, "", (PICTURE,) * 9))


def test_memory_is_bounded(bundle):
    backend = plugin.create({"weights": str(bundle), "engine": "numpy", "memory_mb": "0"})
    with pytest.raises(BackendUnavailable, match="bytes"):
        run(backend, job(Modality.IMAGE))


def test_requests_in_parallel_get_what_they_get_alone(bundle):
    backend = plugin.create({"weights": str(bundle)})
    jobs = [job(m, seed=s) for m in Modality for s in (1, 2)]
    alone = [run(backend, j)[-1].media for j in jobs]
    got: dict[int, Draft] = {}
    threads = [
        threading.Thread(target=lambda i=i, j=j: got.update({i: run(backend, j)[-1]})) for i, j in enumerate(jobs)
    ]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all(same_media(got[i].media, alone[i]) for i in range(len(jobs)))


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer.safetensors", "card.json"]
)
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_an_altered_bundle_is_refused(bundle, tmp_path, name, harm):
    broken = tmp_path / "bundle"
    shutil.copytree(bundle, broken)
    data = bytearray((broken / name).read_bytes())
    if harm == "remove":
        (broken / name).unlink()
    elif harm == "cut":
        (broken / name).write_bytes(data[: len(data) // 2])
    elif name == "card.json":
        (broken / name).write_bytes(bytes(data).replace(b"sha256:", b"sha256:0", 1))
    else:
        data[len(data) // 2] ^= 1
        (broken / name).write_bytes(data)
    with pytest.raises(BackendError):
        plugin.create({"weights": str(broken), "engine": "numpy"})


@pytest.mark.parametrize(
    "wrong",
    [{"engine": "abacus"}, {"temperature": "hot"}, {"temperature": "-1"}, {"top_p": "0"}, {"sparse": "maybe"},
     {"memory_mb": "much"}, {"prefix_mb": "513"}, {"prefix_mb": "-1"}, {"bits": "8"},
     {"engine": "mlx", "bits": "5"}, {"bits": "few"}, {"flavour": "sweet"}],
)  # fmt: skip
def test_wrong_options_are_refused(bundle, wrong):
    with pytest.raises(ConfigError):
        plugin.create({"weights": str(bundle), **wrong})


def test_options_reach_the_sampler_and_the_record(bundle):
    backend = plugin.create({"weights": str(bundle), "engine": "numpy", "temperature": "0.5", "image_temperature": "0"})
    record = run(backend, job(Modality.IMAGE))[-1].record
    assert record.parameters["temperature"] == "0" and record.parameters["engine"] == "numpy"
    assert same_media(
        run(backend, job(Modality.IMAGE, seed=1))[-1].media, run(backend, job(Modality.IMAGE, seed=2))[-1].media
    )
    assert run(backend, job(Modality.AUDIO))[-1].record.parameters["temperature"] == "0.5"


def test_without_a_compiler_the_default_is_numpy(bundle, monkeypatch):
    def no_library():
        raise BackendUnavailable("no C compiler")

    monkeypatch.setattr("gensafe_backends.symphony.model.native.engine.load_library", no_library)
    assert plugin.create({"weights": str(bundle)}).engine.name == "numpy"
    with pytest.raises(BackendUnavailable):
        plugin.create({"weights": str(bundle), "engine": "native"})


class _Never:
    scheme, key_id = "test", "k"

    def choose(self, context, probabilities):
        return None


def test_a_mark_that_never_chose_is_not_claimed(backend):
    draft = run(backend, job(Modality.TEXT, max_tokens=10), _Never())[-1]
    assert draft.record.sampling_mark.startswith("not marked by sampling")
    assert isinstance(draft.media, Text)
