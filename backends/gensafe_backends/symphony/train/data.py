"""Training examples of OmniNet-mini: exact media -> ids, mixed over tasks, packed into rows; all from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gensafe.core.types import Audio, Image, Video
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.model.torch_model import PackedRows
from gensafe_backends.symphony.positions import positions
from gensafe_backends.symphony.sequence import Example, TokenSpan, example
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.vocab import EOA, EOI, EOV, PAD, ModalityId, vocabulary
from gensafe_backends.symphony.world import captions, clip, edits, render, sample, scene, sound, stories

# How often each task is drawn. Making media lags behind reading them by about four times, so it gets most examples.
MIX: dict[str, float] = {
    "text->image": 0.24,
    "image->text": 0.24,
    "text->audio": 0.10,
    "audio->text": 0.14,
    "text->video": 0.10,
    "video->text": 0.05,
    "text->text": 0.05,
    "story": 0.02,
    "image+text->image": 0.08,
}
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
    """Draws examples. Holds ids of every picture part, clip and a pool of sounds, all made with the real tokenizer.

    Args:
        config: Model config.
        tokenizer: The trained tokenizer.
        seed: Of the sound pool.
        sounds: Size of the sound pool.
    """

    def __init__(self, config: SymphonyConfig, tokenizer: UniversalTokenizer, *, seed: int, sounds: int) -> None:
        self.config, self.tokenizer = config, tokenizer
        self._parts: dict[object, dict[int, int]] = {}
        self._paper = tokenizer.encode(Image(render.render(scene.Board(()))))
        self._clips: dict[clip.Clip, tuple[int, ...]] = {}
        rng = np.random.default_rng((seed, 7))
        self._sounds: list[tuple[sound.Sound, tuple[int, ...]]] = []
        for _ in range(sounds):
            drawn = sound.sample_sound(rng)
            self._sounds.append((drawn, self.sound_ids(drawn)))

    # --- media -> ids -----------------------------------------------------------------------------------------------

    def scene_ids(self, drawn: scene.Scene) -> tuple[int, ...]:
        """Ids of a picture. Parts never share a patch, so a picture's ids are its parts' ids on paper."""
        ids = list(self._paper)
        for part in _parts(drawn):
            known = self._parts.get(part)
            if known is None:
                alone = self.tokenizer.encode(Image(render.render(part)))
                known = {i: a for i, (a, p) in enumerate(zip(alone, self._paper, strict=True)) if a != p}
                self._parts[part] = known
            for place, value in known.items():
                ids[place] = value
        return tuple(ids)

    def sound_ids(self, drawn: sound.Sound) -> tuple[int, ...]:
        """Ids of a sound."""
        return tuple(self.tokenizer.encode(Audio(sound.render_sound(drawn)[None], 16000)))

    def clip_ids(self, drawn: clip.Clip) -> tuple[int, ...]:
        """Ids of a film with its sound."""
        known = self._clips.get(drawn)
        if known is None:
            track = Audio(clip.render_track(drawn)[None], 16000)
            known = tuple(self.tokenizer.encode(Video(clip.render_frames(drawn), float(clip.FPS), track)))
            self._clips[drawn] = known
        return known

    def _text(self, text: str) -> TokenSpan:
        return TokenSpan(ModalityId.TEXT, tuple(self.tokenizer.encode_text(text)) if text else ())

    # --- tasks ------------------------------------------------------------------------------------------------------

    def draw(self, name: str, rng: np.random.Generator, *, held_out: bool = False) -> Task:
        """One example of a task. ``held_out`` asks for boards with a triple kept from training, else none has one."""
        if name in ("text->image", "image->text", "image+text->image"):
            return self._picture_task(name, rng, held_out)
        if name in ("text->audio", "audio->text"):
            drawn, ids = (
                self._sounds[int(rng.integers(len(self._sounds)))]
                if self._sounds and not held_out
                else self._fresh_sound(rng)
            )
            span = TokenSpan(ModalityId.AUDIO, ids)
            if name == "text->audio":
                return Task(name, self._example([self._text(captions.sound_prompt(drawn, rng))], [span]), drawn)
            asked = self._text(captions.pick(rng, captions.AUDIO_QUESTIONS))
            return Task(name, self._example([span, asked], [self._text(captions.describe_sound(drawn))]), drawn)
        if name in ("text->video", "video->text"):
            film = clip.sample_clip(rng)
            span = TokenSpan(ModalityId.VIDEO, self.clip_ids(film))
            if name == "text->video":
                return Task(name, self._example([self._text(captions.clip_prompt(film, rng))], [span]), film)
            asked = self._text(captions.pick(rng, captions.VIDEO_QUESTIONS))
            return Task(name, self._example([span, asked], [self._text(captions.describe_clip(film))]), film)
        asked_text, answer = stories.story_exchange(rng) if name == "story" else stories.question_exchange(rng)
        return Task(name, self._example([self._text(asked_text)], [self._text(answer)]), answer)

    def _fresh_sound(self, rng: np.random.Generator) -> tuple[sound.Sound, tuple[int, ...]]:
        drawn = sound.sample_sound(rng)
        return drawn, self.sound_ids(drawn)

    def _picture_task(self, name: str, rng: np.random.Generator, held_out: bool) -> Task:
        while True:
            drawn = sample.sample_scene(rng) if name != "image+text->image" else sample.sample_board(rng)
            if not isinstance(drawn, scene.Board):
                if held_out:
                    continue
                break
            if sample.board_held_out(drawn) is held_out:
                break
        span = TokenSpan(ModalityId.IMAGE, self.scene_ids(drawn))
        if name == "text->image":
            return Task(name, self._example([self._text(captions.scene_prompt(drawn, rng))], [span]), drawn)
        if name == "image->text":
            asked = self._text(captions.pick(rng, captions.IMAGE_QUESTIONS))
            return Task(name, self._example([span, asked], [self._text(captions.describe_scene(drawn))]), drawn)
        assert isinstance(drawn, scene.Board)
        words, after = edits.sample_edit(drawn, rng)
        while not held_out and sample.board_held_out(after):
            words, after = edits.sample_edit(drawn, rng)
        result = TokenSpan(ModalityId.IMAGE, self.scene_ids(after))
        return Task(name, self._example([span, self._text(words)], [result]), (drawn, after))

    def _example(self, prompt: list[TokenSpan], answer: list[TokenSpan]) -> Example:
        return example(prompt, answer, self.config)

    # --- rows -------------------------------------------------------------------------------------------------------

    def rows(self, seed: int, step: int, *, count: int, length: int) -> PackedRows:
        """The batch of one step: rows filled with whole exchanges of the mix. A function of its arguments alone."""
        rng = np.random.default_rng((seed, step))
        names, weights = tuple(MIX), np.array(tuple(MIX.values()))
        packer = _Packer(self.config, count, length)
        while packer.add(self.draw(str(rng.choice(names, p=weights / weights.sum())), rng).spans):
            pass
        return packer.rows()


def _parts(drawn: scene.Scene) -> Iterator[scene.Scene]:
    if isinstance(drawn, scene.Board):
        for thing in drawn.things:
            yield scene.Board((thing,))
    else:
        yield drawn


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
