"""Training: it learns, it resumes exactly, it keeps what it must not see out, and it balances modalities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gensafe.core.types import Audio  # noqa: E402
from gensafe_backends.symphony.config import PICO  # noqa: E402
from gensafe_backends.symphony.model.engine import Feeder  # noqa: E402
from gensafe_backends.symphony.model.numpy_engine import NumpyEngine  # noqa: E402
from gensafe_backends.symphony.model.torch_model import SymphonyModel  # noqa: E402
from gensafe_backends.symphony.tokenizers.coder import Coder  # noqa: E402
from gensafe_backends.symphony.tokenizers.text import TextTokenizer, learn_merges  # noqa: E402
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer  # noqa: E402
from gensafe_backends.symphony.train.coder_training import TorchCoder  # noqa: E402
from gensafe_backends.symphony.train.data import LONG_ROW, ExampleSource  # noqa: E402
from gensafe_backends.symphony.train.heard import Heard  # noqa: E402
from gensafe_backends.symphony.train.losses import GradientBalancer, modality_losses  # noqa: E402
from gensafe_backends.symphony.train.mix import STAGES, Leaning, phase_at  # noqa: E402
from gensafe_backends.symphony.train.tasks import Task, hard  # noqa: E402
from gensafe_backends.symphony.train.tokenizers import coder_configs  # noqa: E402
from gensafe_backends.symphony.train.trainer import Trainer, TrainSettings  # noqa: E402
from gensafe_backends.symphony.vocab import vocabulary  # noqa: E402
from gensafe_backends.symphony.weights import ASSETS, load_model  # noqa: E402
from gensafe_backends.symphony.world import clip, remarks, sample, scene, sound, tales  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def source() -> ExampleSource:
    """Examples of the real world with an untrained tokenizer: ids are arbitrary but consistent."""
    torch.manual_seed(3)
    coders = {n: Coder(c, TorchCoder(c).tensors()) for n, c in coder_configs(PICO).items()}
    text = TextTokenizer(learn_merges([" a red circle at the top left and a blue square"], 30), PICO.text_vocab)
    return ExampleSource(PICO, UniversalTokenizer(PICO, text, coders))


@pytest.fixture(scope="module")
def shipped_source() -> ExampleSource:
    """Examples with the tokenizer that ships."""
    config, _ = load_model(ASSETS / "symphony-nano")
    return ExampleSource(config, UniversalTokenizer.load(ASSETS / "symphony-nano"))


def settings(**changes: object) -> TrainSettings:
    base: dict[str, object] = {"steps": 30, "rows": 2, "length": 384, "learning_rate": 8e-3, "warmup": 5}
    return TrainSettings(**{**base, **changes})  # type: ignore[arg-type]


def test_pico_overfits_one_batch_in_thirty_steps(source: ExampleSource) -> None:
    class One(ExampleSource):
        def __init__(self) -> None:
            self._rows, self.phases = source.rows(1, 0, count=2, length=384), source.phases

        def rows(self, seed: int, step: int, *, count: int, length: int):
            return self._rows

    trainer = Trainer(PICO, settings(), One())
    losses = [sum(trainer.train_step()["loss"].values()) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


def test_two_runs_are_equal_and_a_resumed_one_too(source: ExampleSource, tmp_path: Path) -> None:
    def weights(trainer: Trainer) -> dict[str, np.ndarray]:
        return trainer.model.state()

    straight = Trainer(PICO, settings(), source)
    for _ in range(4):
        straight.train_step()
    first = Trainer(PICO, settings(), source)
    for _ in range(2):
        first.train_step()
    first.save(tmp_path / "c.pt")
    second = Trainer(PICO, settings(), source)
    second.resume(tmp_path / "c.pt")
    for _ in range(2):
        second.train_step()
    for name, value in weights(straight).items():
        assert np.array_equal(value, weights(second)[name]), name
    assert second.step == 4 and second.tokens == straight.tokens


def test_training_never_draws_a_held_out_board(source: ExampleSource) -> None:
    rng = np.random.default_rng(0)
    lean = Leaning(crowds=0.3, charts=0.3)
    for name in sorted({n for s in STAGES.values() for p in s for n in (*p.tasks, *p.long)}):
        for _ in range(40 if "image" in name or "tale" in name else 1):
            assert not any(sample.board_held_out(b) for b in boards(source.draw(name, rng, lean=lean).truth)), name
    assert sample.board_held_out(source.draw("text->image", rng, held_out=True).truth)  # type: ignore[arg-type]


def boards(truth: object) -> list[scene.Board]:
    """Every board that a task's truth speaks of, frames of revised films among them."""
    if isinstance(truth, tales.Tale):
        return [e for e in truth.events if isinstance(e, scene.Board)]
    if isinstance(truth, tuple) and isinstance(truth[0], clip.Clip):  # a film, a remark, the film after it
        return [remarks.frame(truth[-1])]
    if isinstance(truth, tuple):
        return [b for part in truth for b in boards(part)]
    return [truth] if isinstance(truth, scene.Board) else []


def test_a_measured_channel_returns_what_came_back_as_often_as_it_did() -> None:
    heard, rng = Heard({5: {5: 1, 9: 3}, 7: {7: 4}}), np.random.default_rng(0)
    back = heard.read([5] * 4000 + [7, 8], rng)
    assert back[-2:] == (7, 8) and set(back[:-2]) == {5, 9}
    assert 0.72 < back.count(9) / 4000 < 0.78


def test_media_are_read_through_the_channel_and_written_without(source: ExampleSource) -> None:
    vocab = vocabulary(PICO)
    first = {i: {ids.start: 1} for ids in (vocab.image, vocab.audio, vocab.video) for i in ids}
    noisy = ExampleSource(PICO, source.tokenizer, heard=Heard(first))
    for name in ("video+audio->video", "image+text->image", "media->tale", "audio->text"):
        always, never = (noisy.draw(name, np.random.default_rng(4), lean=Leaning(heard=h)) for h in (1.0, 0.0))
        told = [t for t, loss in zip(always.spans.ids, always.spans.loss, strict=True) if loss]
        assert always.spans.ids != never.spans.ids and always.spans.loss == never.spans.loss
        assert told == [t for t, loss in zip(never.spans.ids, never.spans.loss, strict=True) if loss]


def test_edits_can_be_those_that_are_learned_last(source: ExampleSource) -> None:
    small = scene.Board((scene.Thing(1, "red", "star", "small"), scene.Thing(4, "blue", "star")))
    bare = scene.Board(small.things[1:])
    assert hard("turn the star into a circle", bare, bare) and hard("remove the red star", small, bare)
    assert hard("remove the star", small, bare) and not hard("make the star blue", bare, scene.Board(()))
    rng, kinds = np.random.default_rng(5), []
    for share in (0.0, 1.0):
        tasks = [source.draw("image+text->image", rng, lean=Leaning(hard=share)) for _ in range(40)]
        kinds.append([hard(source.tokenizer.decode_text(_words(t)), *t.truth) for t in tasks])  # type: ignore[misc]
    assert all(kinds[1]) and not all(kinds[0])


def _words(task: Task) -> list[int]:
    """Text ids of what was asked."""
    text = vocabulary(PICO).text
    return [i for i, answer in zip(task.spans.ids, task.spans.loss, strict=True) if i in text and not answer]


def test_every_task_lays_out_and_packs(source: ExampleSource) -> None:
    rng = np.random.default_rng(1)
    for name in {n for s in STAGES.values() for p in s for n in (*p.tasks, *p.long)}:
        task = source.draw(name, rng)
        assert len(task.spans.ids) > 4 and (any(task.spans.loss) or name == "memory")  # its recall may be cut off
        assert name in ("story", "media->tale") or len(task.spans.ids) <= 400  # this tokenizer has few merges
    rows = source.rows(1, 5, count=3, length=384)
    again = source.rows(1, 5, count=3, length=384)
    assert all(torch.equal(getattr(rows, f), getattr(again, f)) for f in rows.__slots__)
    assert float((rows.exchange >= 0).float().mean()) > 0.6
    assert source.rows(1, source.phases[0].long_every - 1, count=6, length=192).ids.shape == (
        3,
        LONG_ROW,
    )  # room for a story


def test_phases_follow_one_another() -> None:
    phases = STAGES["words"]
    at = (0, phases[1].start - 1, phases[1].start, 10**9)
    assert [phase_at(s, phases) for s in at] == [*phases[:1] * 2, *phases[1:]]


def test_sounds_from_parts_have_the_ids_of_the_whole(shipped_source: ExampleSource) -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        drawn = sound.sample_sound(rng)
        whole = shipped_source.tokenizer.encode(Audio(sound.render_sound(drawn)[None], 16000))
        assert shipped_source.media.of_sound(drawn) == tuple(whole), drawn


def test_a_second_stage_starts_from_given_weights(source: ExampleSource) -> None:
    first = Trainer(PICO, settings(), source)
    first.train_step()
    second = Trainer(PICO, settings(seed=2), source)
    second.start_from(first.averaged().state())
    for name, value in second.averaged().state().items():
        assert np.array_equal(value, first.averaged().state()[name]), name
    assert second.step == 0 and second.train_step()["rate"] < 0.5 * 8e-3  # warms up again


def test_balancing_gives_each_modality_its_share(source: ExampleSource) -> None:
    rows = source.rows(2, 0, count=6, length=384)
    model = SymphonyModel(PICO)
    hidden = model.trunk(rows).hidden.detach().requires_grad_(True)
    balancer = GradientBalancer(shares=(0.25, 0.25, 0.25, 0.25))
    losses = modality_losses(model, hidden, rows, PICO)
    balancer.combine(hidden, losses)
    assert max(balancer.seen["balanced"]) == pytest.approx(1 / len(losses), abs=1e-6)
    assert max(balancer.seen["raw"]) > max(balancer.seen["balanced"])


def test_training_model_equals_the_oracle(source: ExampleSource) -> None:
    """Packed rows, folded bias and gates as factors give the logits of the definition, exchange by exchange."""
    model = SymphonyModel(PICO, seed=5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("beta", "bias")):
                p.normal_(0, 0.5, generator=torch.Generator().manual_seed(len(name)))
    everything = {
        n: w for n, w in STAGES["words"][0].tasks.items() if n != "memory"
    }  # talks are seen by narrow windows
    rows = ExampleSource(PICO, source.tokenizer, everything).rows(4, 1, count=1, length=384)
    with torch.no_grad():
        hidden = model.trunk(rows).hidden
        logits = model.logits(hidden, 0, model.weight("embed.weight").shape[0]).numpy()[0]
    engine = NumpyEngine(PICO, model.state())
    exchange = rows.exchange.numpy()[0]
    for start in sorted(set(exchange[exchange >= 0].tolist()))[:3]:
        at = np.flatnonzero(exchange == start)
        batch = Feeder(PICO).push(rows.ids.numpy()[0, at].tolist())
        assert np.abs(engine.forward(batch, engine.new_cache()).reshape(-1) - logits[at[-1]]).max() < 1e-4
