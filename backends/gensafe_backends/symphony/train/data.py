"""Training examples of OmniNet-mini: exact media -> ids, mixed over tasks, packed into rows; all from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.torch_model import PackedRows
from gensafe_backends.symphony.positions import positions
from gensafe_backends.symphony.sequence import Example, TokenSpan, example, next_turn
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.train.media import MediaIds
from gensafe_backends.symphony.train.mix import STAGES, Phase, phase_at
from gensafe_backends.symphony.vocab import EOA, EOI, EOV, PAD, ModalityId, vocabulary
from gensafe_backends.symphony.world import captions, clip, edits, questions, sample, scene, sound, stories

# Signs and charts are two thirds of what is read, though a third of what is drawn: they are the hardest to read.
READ_KINDS: tuple[type[scene.Scene], ...] = (scene.Board, scene.Sign, scene.Bars)
READ_WEIGHTS = (0.45, 0.27, 0.28)
ROW = 176  # tokens of a row; a film with its question takes up to 170
LONG_EVERY, LONG_ROW = 16, 384  # every 16th batch has rows long enough for a story; the others are cheaper without
# Text targets of a long answer count less each, or stories would drown captions in the mean over text tokens.
SHORT_TEXT = 16
HELD_OUT_SEED = 900_000_000  # seeds from here on are never used in training


@dataclass(frozen=True, slots=True)
class Task:
    """One drawn task: what was asked, what was answered, and the exact thing both speak of."""

    name: str
    spans: Example
    truth: object


class ExampleSource:
    """Draws examples.

    Args:
        config: Model config.
        tokenizer: The trained tokenizer.
        mix: How often each task is drawn; None = what the phase of a step says.
        phases: The stage's phases.
    """

    def __init__(
        self,
        config: SymphonyConfig,
        tokenizer: UniversalTokenizer,
        mix: Mapping[str, float] | None = None,
        phases: tuple[Phase, ...] = STAGES["words"],
    ) -> None:
        self.config, self.tokenizer, self.mix, self.phases = config, tokenizer, mix, phases
        self.media = MediaIds(config, tokenizer)

    def _text(self, text: str) -> TokenSpan:
        return TokenSpan(ModalityId.TEXT, tuple(self.tokenizer.encode_text(text)) if text else ())

    # --- tasks ------------------------------------------------------------------------------------------------------

    def draw(
        self, name: str, rng: np.random.Generator, *, held_out: bool = False, length: int = ROW, tones: float = 0.0
    ) -> Task:
        """One example of a task. ``held_out`` asks for boards with a triple kept from training, else none has one.

        ``length`` bounds a talk that is to be remembered, the only task whose size is free; ``tones`` is the least
        share of melodies and dialled numbers among sounds to be made.
        """
        if name == "memory":
            return self._memory_task(rng, length)
        if name in ("story", "text->text"):
            asked, answer = stories.story_exchange(rng) if name == "story" else stories.question_exchange(rng)
            return Task(name, self._example([self._text(asked)], [self._text(answer)]), answer)
        if name in ("text->audio", "audio->text", "audio+text->text"):
            heard = _sound(rng, tones if name == "text->audio" else 0.0)
            span, words = TokenSpan(ModalityId.AUDIO, self.media.of_sound(heard)), captions.sound_prompt(heard, rng)
            asked, answer = captions.pick(rng, captions.AUDIO_QUESTIONS), captions.describe_sound(heard)
            if name == "audio+text->text":
                asked, answer = questions.ask_sound(heard, rng)
            return self._about(name, span, words, asked, answer, heard)
        if name in ("text->video", "video->text", "video+text->text"):
            film = clip.sample_clip(rng)
            span, words = TokenSpan(ModalityId.VIDEO, self.media.of_clip(film)), captions.clip_prompt(film, rng)
            asked, answer = captions.pick(rng, captions.VIDEO_QUESTIONS), captions.describe_clip(film)
            if name == "video+text->text":
                asked, answer = questions.ask_clip(film, rng)
            return self._about(name, span, words, asked, answer, film)
        return self._picture_task(name, rng, held_out)

    def _memory_task(self, rng: np.random.Generator, length: int) -> Task:
        """Several exchanges in one sequence, cut before the one that does not fit ``length``; only recalls count."""
        ids: tuple[int, ...] = ()
        loss: tuple[bool, ...] = ()
        talk = stories.memory_exchanges(rng, length // 14)
        for asked, answer in talk:
            turn = next_turn(ids, [self._text(asked)], [self._text(answer)], self.config)
            if ids and len(turn.ids) > length:
                break
            counts = asked.startswith(stories.recall(""))
            ids, loss = turn.ids, (*loss, *(counts and trained for trained in turn.loss))
        return Task("memory", Example(ids, loss), tuple(talk))

    def _about(self, name: str, span: TokenSpan, words: str, asked: str, answer: str, truth: object) -> Task:
        """Making a medium from words, or answering a question about it."""
        if name.startswith("text->"):
            return Task(name, self._example([self._text(words)], [span]), truth)
        return Task(name, self._example([span, self._text(asked)], [self._text(answer)]), truth)

    def _scene(self, name: str, rng: np.random.Generator, held_out: bool) -> scene.Scene:
        boards = name in ("image+text->image", "image+audio->text", "image->svg")
        wanted: type[scene.Scene] | None = None
        if not held_out and not boards and name != "text->image":
            wanted = READ_KINDS[int(rng.choice(len(READ_KINDS), p=READ_WEIGHTS))]
        while True:
            drawn = sample.sample_board(rng) if boards else sample.sample_scene(rng)
            if wanted is not None and not isinstance(drawn, wanted):
                continue
            if not isinstance(drawn, scene.Board):
                if not held_out:
                    return drawn
            elif sample.board_held_out(drawn) is held_out and (name != "image->svg" or drawable(drawn)):
                return drawn

    def _picture_task(self, name: str, rng: np.random.Generator, held_out: bool) -> Task:
        drawn = self._scene(name, rng, held_out)
        span = TokenSpan(ModalityId.IMAGE, self.media.of_scene(drawn))
        if name in ("text->image", "image->text", "image+text->text"):
            asked, answer = captions.pick(rng, captions.IMAGE_QUESTIONS), captions.describe_scene(drawn)
            if name == "image+text->text":
                asked, answer = questions.ask_scene(drawn, rng)
            return self._about(name, span, captions.scene_prompt(drawn, rng), asked, answer, drawn)
        assert isinstance(drawn, scene.Board)
        if name == "image->svg":
            return self._about(name, span, "", captions.pick(rng, questions.SVG_QUESTIONS), questions.svg(drawn), drawn)
        if name == "image+audio->text":
            true = len(drawn.things)
            spoken = true if rng.random() < 0.5 else int(rng.integers(1, 7))
            heard = self.media.of_sound(sound.Sound("words", (captions.NUMBERS[spoken],)))
            asked, answer = questions.ask_count(drawn, spoken)
            prompt = [span, TokenSpan(ModalityId.AUDIO, heard), self._text(asked)]
            return Task(name, self._example(prompt, [self._text(answer)]), (drawn, spoken))
        words, after = edits.sample_edit(drawn, rng)
        while not held_out and sample.board_held_out(after):
            words, after = edits.sample_edit(drawn, rng)
        result = TokenSpan(ModalityId.IMAGE, self.media.of_scene(after))
        return Task(name, self._example([span, self._text(words)], [result]), (drawn, after))

    def _example(self, prompt: list[TokenSpan], answer: list[TokenSpan]) -> Example:
        return example(prompt, answer, self.config)

    # --- rows -------------------------------------------------------------------------------------------------------

    def rows(self, seed: int, step: int, *, count: int, length: int) -> PackedRows:
        """The batch of one step: rows filled with whole exchanges of the mix. A function of its arguments alone.

        Every ``LONG_EVERY``-th batch holds about as many tokens in longer rows, and stories.
        """
        rng = np.random.default_rng((seed, step))
        phase = phase_at(step, self.phases)
        mix, tones = (phase.tasks, phase.tones) if self.mix is None else (self.mix, 0.0)
        if step % LONG_EVERY == LONG_EVERY - 1 and length < LONG_ROW:
            count, length, mix = max(1, count * length // LONG_ROW), LONG_ROW, phase.long
        names, weights = tuple(mix), np.array(tuple(mix.values()))
        packer = _Packer(self.config, count, length)
        while True:
            name = str(rng.choice(names, p=weights / weights.sum()))
            if not packer.add(self.draw(name, rng, length=length, tones=tones).spans):
                return packer.rows()


def _sound(rng: np.random.Generator, tones: float) -> sound.Sound:
    """A sound; with probability ``tones`` it is drawn again until it is a melody or a dialled number."""
    wanted = tones > 0 and rng.random() < tones
    drawn = sound.sample_sound(rng)
    while wanted and drawn.kind not in ("melody", "dial"):
        drawn = sound.sample_sound(rng)
    return drawn


def drawable(board: scene.Board) -> bool:
    """Whether a board fits the small SVG the model writes: one or two shapes of the usual size."""
    return len(board.things) <= 2 and all(t.size == "medium" for t in board.things)


class _Packer:
    """Fills rows first-fit; stops once an example fits nowhere for the second time."""

    def __init__(self, config: SymphonyConfig, count: int, length: int) -> None:
        self._config, self._length, self._misses = config, length, 0
        shape = (count, length)
        self._ids = np.full(shape, PAD, dtype=np.int64)
        self._tyx = np.zeros((*shape, 3), dtype=np.float32)
        self._slots, self._index = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        self._exchange = np.full(shape, -1, dtype=np.int64)
        self._loss = np.zeros(shape, dtype=bool)
        self._live = np.zeros(shape, dtype=np.int64)
        self._weight = np.ones(shape, dtype=np.float32)
        self._used = [0] * count
        vocab = vocabulary(config)
        self._range = np.array([m if i >= vocab.image.start else 0 for i, m in enumerate(vocab.modality_table())])

    def add(self, spans: Example) -> bool:
        """Place an example; False when the rows are full."""
        n = len(spans.ids)
        row = next((r for r, used in enumerate(self._used) if used + n <= self._length), None)
        if row is None:
            self._misses += 1
            return self._misses < 4
        a = self._used[row]
        part = slice(a, a + n)
        ids = np.array(spans.ids)
        self._ids[row, part] = ids
        self._tyx[row, part], self._slots[row, part] = positions(spans.ids, self._config)
        self._index[row, part] = np.arange(n)
        self._exchange[row, part] = a
        self._loss[row, part] = np.array(spans.loss) & ~np.isin(ids, (EOI, EOA, EOV))
        self._live[row, part] = self._range[ids]
        texts = int((self._loss[row, part] & (self._live[row, part] == 0)).sum())
        self._weight[row, part] = min(1.0, SHORT_TEXT / max(texts, 1)) if texts > 1 else 1.0
        self._used[row] = a + n
        return True

    def rows(self) -> PackedRows:
        """What was packed."""
        arrays: tuple[NDArray[np.generic], ...] = (
            self._ids,
            self._tyx,
            self._slots,
            self._index,
            self._exchange,
            self._loss,
            self._live,
            self._weight,
        )
        return PackedRows(*(torch.from_numpy(a) for a in arrays))
