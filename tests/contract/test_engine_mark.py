"""A remote engine's own mark: stated only where it is found in the finished text, whatever the configuration says."""

from __future__ import annotations

import numpy as np
import pytest

from gensafe.core import plugins
from gensafe.core.errors import ConfigError
from gensafe_backends import openai_http
from tests.contract.openai_engine import DONE, Answer, piece, running
from tests.contract.test_openai_http import CHAT, STOP, job, options
from tests.unit.watermark.test_sglang_gumbel import written as written_by_sglang
from tests.unit.watermark.test_vllm_gumbel import KEY, written

WORDS = [f"w{n}" for n in range(64)]
OURS = bytes(range(32))


@pytest.fixture
def engine():
    with running() as engine:
        yield engine


@pytest.fixture
def folder(tmp_path):
    """Keys, and a tokenizer of whole words as its library saves it."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "theirs").write_bytes(KEY.to_bytes(8, "little"))
    (tmp_path / "ours").write_bytes(OURS)
    return tmp_path


def says(engine, ids):
    pieces = [piece(WORDS[i] + " ") for i in ids]
    engine.says(CHAT, Answer(pieces=(*pieces, STOP, DONE)))


def record(engine, folder, **more):
    given = {"engine_mark": "vllm-gumbel", "mark_key_file": str(folder / "theirs"), "tokenizer": str(folder), **more}
    return list(openai_http.create(options(engine, **given)).generate(job(), None, lambda: False))[-1].record


def test_a_text_that_carries_the_engines_mark_is_recorded_as_marked(engine, folder):
    says(engine, written(1))
    said = record(engine, folder).sampling_mark
    assert said.startswith("vllm-gumbel-w4: made by the engine, found in the finished text, p = ")


def test_an_engine_that_does_not_mark_is_not_believed(engine, folder):
    """The configuration says that it marks; the text says that it does not."""
    for ids in (np.random.default_rng(1).integers(0, 64, 220), written(1, key=KEY + 1), written(1)[:4]):
        says(engine, ids)
        said = record(engine, folder).sampling_mark
        assert said.startswith("not marked by sampling: the engine's mark vllm-gumbel-w4 was not found, p = ")


def test_the_mark_of_sglang(engine, folder):
    says(engine, written_by_sglang(1))
    said = record(engine, folder, engine_mark="sglang-gumbel").sampling_mark
    assert said.startswith("sglang-gumbel-w4: made by the engine, found in the finished text, p = ")
    assert record(engine, folder).sampling_mark.startswith("not marked")


def test_what_it_can_do_names_the_mark(engine, folder):
    given = {"engine_mark": "vllm-gumbel", "mark_key_file": str(folder / "theirs"), "tokenizer": str(folder)}
    assert "vllm-gumbel-w4" in openai_http.create(options(engine, **given)).capabilities().description
    assert "not marked" in openai_http.create(options(engine)).capabilities().description


def test_ours_in_the_engine(engine, folder):
    mark, rng, ids = plugins.load("gensafe.watermarks", "text").sampler(OURS), np.random.default_rng(2), []
    for _ in range(200):
        p = rng.dirichlet(np.full(64, 0.3))
        chosen = mark.choose(ids, p)
        ids.append(int(rng.choice(64, p=p)) if chosen is None else chosen)
    says(engine, ids)
    said = record(engine, folder, engine_mark="gensafe", mark_key_file=str(folder / "ours")).sampling_mark
    assert said.startswith("gumbel-h3: made by the engine")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"engine_mark": "other"}, "engine_mark"),
        ({"engine_mark": ""}, "mark_key_file"),
        ({"mark_key_file": ""}, "mark_key_file"),
        ({"mark_key_file": "ours"}, "mark_key_file"),  # of the wrong length
        ({"tokenizer": ""}, "tokenizer"),
        ({"mark_context": "0"}, "mark_context"),
        ({"extra": "lora, watermarking"}, "extra"),  # a caller could switch the mark off
    ],
)
def test_options_are_checked(engine, folder, change, field):
    if change.get("mark_key_file") == "ours":
        change = {"mark_key_file": str(folder / "ours")}
    with pytest.raises(ConfigError) as error:
        record(engine, folder, **change)
    assert error.value.field == field
