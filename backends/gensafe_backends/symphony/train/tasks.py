"""Tasks of OmniNet-mini: what is asked, what is the answer, in exact ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.sequence import Example, TokenSpan, example, next_turn
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.train.heard import Heard
from gensafe_backends.symphony.train.media import MediaIds
from gensafe_backends.symphony.train.mix import Leaning
from gensafe_backends.symphony.vocab import ModalityId
from gensafe_backends.symphony.world import (
    captions,
    clip,
    edits,
    questions,
    remarks,
    sample,
    scene,
    sound,
    stories,
    tales,
)

# Signs and charts are more than half of what is read, though a third of what is drawn: they are the hardest to read.
READ_KINDS: tuple[type[scene.Scene], ...] = (scene.Board, scene.Sign, scene.Bars)
READ_WEIGHTS = (0.45, 0.27, 0.28)  # see above; set by hand, other shares were not measured
ROW = 176  # tokens of a row; a film with its question takes up to 170
TALE_EVENTS = {"image": scene.Board, "audio": sound.Sound, "video": clip.Clip}
AS_IT_IS = Leaning()


@dataclass(frozen=True, slots=True)
class Task:
    """One drawn task: what was asked, what was answered, and the exact thing both speak of."""

    name: str
    spans: Example
    truth: object


class TaskSource:
    """Draws tasks.

    Args:
        config: Model config.
        tokenizer: The trained tokenizer.
        heard: What becomes of ids on the way through decoder, mark and file; None = nothing.
    """

    def __init__(self, config: SymphonyConfig, tokenizer: UniversalTokenizer, heard: Heard | None = None) -> None:
        self.config, self.tokenizer, self.heard = config, tokenizer, heard
        self.media = MediaIds(config, tokenizer)

    def draw(
        self,
        name: str,
        rng: np.random.Generator,
        *,
        held_out: bool = False,
        length: int = ROW,
        lean: Leaning = AS_IT_IS,
    ) -> Task:
        """One example of a task. ``held_out`` asks for boards with a triple kept from training, else none has one.

        ``length`` bounds a talk that is to be remembered, the only task whose size is free.
        """
        if name == "memory":
            return self._memory(rng, length)
        if name in ("story", "text->text"):
            asked, answer = stories.story_exchange(rng) if name == "story" else stories.question_exchange(rng)
            return Task(name, example([self._text(asked)], [self._text(answer)], self.config), answer)
        if name.startswith("tale->"):
            return self._tale(name, rng, held_out)
        if name == "media->tale":
            return self._told(rng, held_out, lean)
        if name.startswith("video+audio->"):
            return self._remark(name, rng, held_out, lean)
        if name in ("text->audio", "audio->text", "audio+text->text"):
            heard = _sound(rng, lean.tones if name == "text->audio" else 0.0)
            span, words = TokenSpan(ModalityId.AUDIO, self.media.of_sound(heard)), captions.sound_prompt(heard, rng)
            asked, answer = captions.pick(rng, captions.AUDIO_QUESTIONS), captions.describe_sound(heard)
            if name == "audio+text->text":
                asked, answer = questions.ask_sound(heard, rng)
            return self._about(name, span, words, asked, answer, heard, rng, lean)
        if name in ("text->video", "video->text", "video+text->text"):
            film = clip.sample_clip(rng)
            span, words = TokenSpan(ModalityId.VIDEO, self.media.of_clip(film)), captions.clip_prompt(film, rng)
            asked, answer = captions.pick(rng, captions.VIDEO_QUESTIONS), captions.describe_clip(film)
            if name == "video+text->text":
                asked, answer = questions.ask_clip(film, rng)
            return self._about(name, span, words, asked, answer, film, rng, lean)
        return self._picture(name, rng, held_out, lean)

    # --- spans ------------------------------------------------------------------------------------------------------

    def _text(self, text: str) -> TokenSpan:
        return TokenSpan(ModalityId.TEXT, tuple(self.tokenizer.encode_text(text)) if text else ())

    def _span(self, thing: scene.Scene | sound.Sound | clip.Clip) -> TokenSpan:
        if isinstance(thing, sound.Sound):
            return TokenSpan(ModalityId.AUDIO, self.media.of_sound(thing))
        if isinstance(thing, clip.Clip):
            return TokenSpan(ModalityId.VIDEO, self.media.of_clip(thing))
        return TokenSpan(ModalityId.IMAGE, self.media.of_scene(thing))

    def _asked(self, spans: Sequence[TokenSpan], answer: TokenSpan, rng: np.random.Generator, lean: Leaning) -> Example:
        """An exchange whose media are read, some of them as they come back from a file."""
        read = list(spans)
        if self.heard is not None and lean.heard > 0 and rng.random() < lean.heard:
            read = [
                s if s.modality is ModalityId.TEXT else TokenSpan(s.modality, self.heard.read(s.ids, rng)) for s in read
            ]
        return example(read, [answer], self.config)

    # --- tasks ------------------------------------------------------------------------------------------------------

    def _memory(self, rng: np.random.Generator, length: int) -> Task:
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

    def _about(
        self,
        name: str,
        span: TokenSpan,
        words: str,
        asked: str,
        answer: str,
        truth: object,
        rng: np.random.Generator,
        lean: Leaning,
    ) -> Task:
        """Making a medium from words, or answering a question about it."""
        if name.startswith("text->"):
            return Task(name, example([self._text(words)], [span], self.config), truth)
        return Task(name, self._asked([span, self._text(asked)], self._text(answer), rng, lean), truth)

    def _tale(self, name: str, rng: np.random.Generator, held_out: bool) -> Task:
        """A tale in words, and one of the media it speaks of."""
        wanted = TALE_EVENTS[name.removeprefix("tale->")]
        while True:
            tale = tales.sample_tale(rng)
            event = next((e for e in tale.events if isinstance(e, wanted)), None)
            if event is not None and _tale_held_out(tale) is held_out:
                asked = self._text(f"{tales.plain(tale)} {tales.REQUESTS[wanted]}")
                return Task(name, example([asked], [self._span(event)], self.config), (tale, event))

    def _told(self, rng: np.random.Generator, held_out: bool, lean: Leaning) -> Task:
        """Media, and the tale they tell."""
        while True:
            tale = tales.sample_tale(rng, in_order=True)
            if _tale_held_out(tale) is held_out:
                spans = [*(self._span(e) for e in tale.events), self._text(tales.request(tale.name))]
                return Task("media->tale", self._asked(spans, self._text(tales.tell(tale)), rng, lean), tale)

    def _remark(self, name: str, rng: np.random.Generator, held_out: bool, lean: Leaning) -> Task:
        """A film and a spoken remark, and the new script, frame or film."""
        while True:
            before = clip.sample_clip(rng)
            said, after = remarks.sample_remark(before, rng)
            if sample.board_held_out(remarks.frame(after)) is held_out:
                break
        kind = name.removeprefix("video+audio->")
        asked, answer = {
            "text": (remarks.SCRIPT_REQUESTS, self._text(captions.describe_clip(after))),
            "image": (remarks.FRAME_REQUESTS, self._span(remarks.frame(after))),
            "video": (remarks.FILM_REQUESTS, self._span(after)),
        }[kind]
        spans = [self._span(before), self._span(said), self._text(captions.pick(rng, asked))]
        return Task(name, self._asked(spans, answer, rng, lean), (before, said, after))

    def _scene(self, name: str, rng: np.random.Generator, held_out: bool, lean: Leaning) -> scene.Scene:
        boards = name in ("image+text->image", "image+text->image, twice", "image+audio->text", "image->svg")
        wanted: type[scene.Scene] | None = None
        if not held_out and not boards and name != "text->image":
            charts = name == "image+text->text" and lean.charts > 0 and rng.random() < lean.charts
            wanted = scene.Bars if charts else READ_KINDS[int(rng.choice(len(READ_KINDS), p=READ_WEIGHTS))]
        while True:
            drawn = sample.sample_board(rng) if boards else sample.sample_scene(rng)
            if wanted is not None and not isinstance(drawn, wanted):
                continue
            if not isinstance(drawn, scene.Board):
                if not held_out:
                    return drawn
                continue
            if name != "image->svg" and lean.crowds > 0 and rng.random() < lean.crowds:
                drawn = sample.sample_crowd(rng)
            if sample.board_held_out(drawn) is held_out and (name != "image->svg" or drawable(drawn)):
                return drawn

    def _picture(self, name: str, rng: np.random.Generator, held_out: bool, lean: Leaning) -> Task:
        if name.startswith("image+text->image"):
            return self._change(name, rng, held_out, lean)
        drawn = self._scene(name, rng, held_out, lean)
        span = TokenSpan(ModalityId.IMAGE, self.media.of_scene(drawn))
        if name in ("text->image", "image->text", "image+text->text"):
            asked, answer = captions.pick(rng, captions.IMAGE_QUESTIONS), captions.describe_scene(drawn)
            if name == "image+text->text":
                pair = lean.charts > 0 and isinstance(drawn, scene.Bars) and rng.random() < 0.2
                ask = questions.ask_bars if pair else questions.ask_scene
                asked, answer = ask(drawn, rng)  # type: ignore[arg-type]  # ask_bars is for charts only
            words = captions.scene_prompt(drawn, rng)
            return self._about(name, span, words, asked, answer, drawn, rng, lean)
        assert isinstance(drawn, scene.Board)
        if name == "image->svg":
            asked = captions.pick(rng, questions.SVG_QUESTIONS)
            return self._about(name, span, "", asked, questions.svg(drawn), drawn, rng, lean)
        true = len(drawn.things)  # the spoken count and the picture
        spoken = true if rng.random() < 0.5 else int(rng.integers(1, 7))
        said = self._span(sound.Sound("words", (captions.NUMBERS[spoken],)))
        asked, answer = questions.ask_count(drawn, spoken)
        exchange = self._asked([span, said, self._text(asked)], self._text(answer), rng, lean)
        return Task(name, exchange, (drawn, spoken))

    def _change(self, name: str, rng: np.random.Generator, held_out: bool, lean: Leaning) -> Task:
        """A picture and one change, or two in one talk."""
        wanted = lean.hard > 0 and rng.random() < lean.hard
        while True:
            drawn = self._scene(name, rng, held_out, lean)
            assert isinstance(drawn, scene.Board)
            words, after = self._edit(drawn, rng, held_out)
            if (hard(words, drawn, after) or not wanted) and (after.things or name == "image+text->image"):
                break
        first = self._asked([self._span(drawn), self._text(words)], self._span(after), rng, lean)
        if name == "image+text->image":
            return Task(name, first, (drawn, after))
        more, last = self._edit(after, rng, held_out)
        second = next_turn(first.ids, [self._text(more)], [self._span(last)], self.config)
        return Task(name, Example(second.ids, first.loss + second.loss), (drawn, after, last))

    def _edit(self, board: scene.Board, rng: np.random.Generator, held_out: bool) -> tuple[str, scene.Board]:
        words, after = edits.sample_edit(board, rng)
        while not held_out and sample.board_held_out(after):
            words, after = edits.sample_edit(board, rng)
        return words, after


def _sound(rng: np.random.Generator, tones: float) -> sound.Sound:
    """A sound; with probability ``tones`` it is drawn again until it is a melody or a dialled number."""
    wanted = tones > 0 and rng.random() < tones
    drawn = sound.sample_sound(rng)
    while wanted and drawn.kind not in ("melody", "dial"):
        drawn = sound.sample_sound(rng)
    return drawn


def _tale_held_out(tale: tales.Tale) -> bool:
    return any(isinstance(e, scene.Board) and sample.board_held_out(e) for e in tale.events)


def hard(words: str, before: scene.Board, after: scene.Board) -> bool:
    """Whether an edit is of a kind learned last: another shape, a target named by its colour, or a small one."""
    named_by_colour = any(w in scene.COLOURS for w in words.split()[:-1])
    small = any(t.size == "small" for t in set(before.things) - set(after.things))
    return " into " in words or named_by_colour or small


def drawable(board: scene.Board) -> bool:
    """Whether a board fits the small SVG the model writes: one or two shapes of the usual size."""
    return len(board.things) <= 2 and all(t.size == "medium" for t in board.things)
