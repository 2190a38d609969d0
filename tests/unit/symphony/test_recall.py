"""The lesson of remembering: its talks say where an answer was told, and its losses reach the layers that must bind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gensafe_backends.symphony.config import PICO  # noqa: E402
from gensafe_backends.symphony.model.torch_model import SymphonyModel  # noqa: E402
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer  # noqa: E402
from gensafe_backends.symphony.train.recall import LESSONS, TalkSource, recall_losses  # noqa: E402
from gensafe_backends.symphony.vocab import ASST  # noqa: E402
from gensafe_backends.symphony.weights import ASSETS  # noqa: E402
from gensafe_backends.symphony.world import stories  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def tokenizer() -> UniversalTokenizer:
    return UniversalTokenizer.load(ASSETS / "symphony-nano")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda x: str(x.length))
def test_every_recall_points_at_the_thing_of_its_name(tokenizer, lesson) -> None:
    talks = TalkSource(tokenizer.encode_text).rows(np.random.default_rng(3), lesson)
    ids, told, name, loss = (x.numpy() for x in (talks.rows.ids, talks.told, talks.name, talks.rows.loss))
    recalls = np.argwhere(told >= 0)
    assert len(recalls) > len(ids)
    for row, at in recalls:
        place = told[row, at]
        end = at if ids[row, at] == ASST else at - 2  # of the name: in a question, or in a fact told again ("has the")
        assert place < at
        assert loss[row, at + 1] and ids[row, at + 1] == ids[row, place]  # the answer is what was told ...
        assert name[row, at] == name[row, place]
        who = tokenizer.encode_text(f"remember {stories.NAMES[name[row, at]].lower()}")[3:]
        assert list(ids[row, end - len(who) : end]) == who  # ... about the one who is asked for
        back = list(ids[row, place - 3 - len(who) : place - 3])
        assert back == who
    assert loss.sum() == len(recalls)
    assert 0 < sum(ids[row, at] != ASST for row, at in recalls) < len(recalls) / 2


def test_the_losses_reach_the_layers_before_the_global_one(tokenizer) -> None:
    model = SymphonyModel(replace(PICO, text_vocab=960), seed=1)
    talks = TalkSource(tokenizer.encode_text).rows(np.random.default_rng(3), LESSONS[0])
    probe = torch.nn.Linear(PICO.dim, len(stories.NAMES))
    loss, right = recall_losses(model, probe, talks)
    loss.backward()
    assert 0 <= right <= 1 and np.isfinite(loss.item())
    for name in ("layers.0.attn.v.weight", "layers.1.attn.q.weight", "layers.1.attn.k.weight"):
        assert model.weight(name).grad.abs().max() > 0, name


def test_a_row_may_narrow_the_window(tokenizer) -> None:
    talks = TalkSource(tokenizer.encode_text).rows(np.random.default_rng(3), LESSONS[2])
    wide, narrow = SymphonyModel(PICO, seed=1), SymphonyModel(replace(PICO, window=7), seed=1)
    windows = [torch.full_like(talks.rows.window, w) for w in (7, 512)]
    with torch.no_grad():
        a, b = (wide.trunk(replace(talks.rows, window=w)).hidden for w in windows)
        torch.testing.assert_close(narrow.trunk(replace(talks.rows, window=windows[0])).hidden, a)
    assert (a - b).abs().max() > 1e-3
