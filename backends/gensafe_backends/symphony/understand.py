"""From a job to the spans the model reads, or an honest refusal.

The model was taught a small world. A prompt with words it never saw would still give *some* picture; so words are
checked first, and what it does not know is said by name instead of guessed around.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import InvalidRequest, PromptNotUnderstood
from gensafe.core.types import Modality, Text
from gensafe_backends.symphony.sequence import TokenSpan
from gensafe_backends.symphony.vocab import ModalityId
from gensafe_backends.symphony.world import captions, sample, stories
from gensafe_backends.symphony.world.clip import sample_clip
from gensafe_backends.symphony.world.edits import sample_edit
from gensafe_backends.symphony.world.questions import (
    COUNT_QUESTION,
    film_questions,
    picture_questions,
    sound_questions,
)
from gensafe_backends.symphony.world.sound import sample_sound

if TYPE_CHECKING:
    from gensafe.core.types import GenerationJob
    from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer

MAX_PROMPT: Final = 400  # characters; the longest prompts of training have about 120
MAX_INPUTS: Final = 4
_SAMPLES: Final = 1500
_SIGNS: Final = re.compile(r"[^a-z0-9 ]+")
HELP: Final[dict[Modality, str]] = {
    Modality.TEXT: 'ask "what can you do", "tell me a story", "what is two plus three", or hand in a picture',
    Modality.IMAGE: 'ask for shapes ("a red circle at the top left"), numbers ("42 in blue") or bar charts',
    Modality.AUDIO: 'ask for words ("say one two three"), notes ("play do re mi"), dialling ("dial 555") or beeps',
    Modality.VIDEO: 'ask for one moving shape ("a blue square moving left") or a bouncing one ("a red ball bouncing")',
}
EDIT_HELP: Final = 'say "make the circle blue", "turn the star into a square" or "remove the red triangle"'
EXAMPLES: Final[dict[ModalityId, tuple[str, ...]]] = {
    ModalityId.IMAGE: ("what is in this picture", "how many shapes are there", "which bar is the highest", "svg"),
    ModalityId.AUDIO: ("what do you hear", "how many words do you hear", "what is the first of the notes"),
    ModalityId.VIDEO: ("what happens in this video", "which way does it move", "how many knocks do you hear"),
}


@dataclass(frozen=True, slots=True)
class Understood:
    """What the model is to read.

    Attributes:
        spans: The prompt, in order.
        exact: There is a right answer (a caption, a transcript, a sum): no chance is wanted.
        fixed_answer: Text to give instead of asking the model; "" = ask it.
        notes: For the generation record.
    """

    spans: tuple[TokenSpan, ...]
    exact: bool = False
    fixed_answer: str = ""
    notes: tuple[str, ...] = ()


def normalise(prompt: str) -> str:
    """Lower case, no punctuation, single spaces: how the prompts of training are written."""
    return " ".join(_SIGNS.sub(" ", prompt.lower()).split())


@lru_cache(maxsize=1)
def lexicon() -> dict[Modality, frozenset[str]]:
    """Words of the prompts each output modality was trained with, collected from the generators that made them.

    Digits are left out: ``unknown_words`` allows them by their length.
    """
    rng = np.random.default_rng(0)
    made: dict[Modality, Callable[[], str]] = {
        Modality.IMAGE: lambda: captions.scene_prompt(sample.sample_scene(rng), rng),
        Modality.AUDIO: lambda: captions.sound_prompt(sample_sound(rng), rng),
        Modality.VIDEO: lambda: captions.clip_prompt(sample_clip(rng), rng),
    }
    words = {m: {w for _ in range(_SAMPLES) for w in make().split()} for m, make in made.items()}
    talk = [stories.question_exchange(rng)[0] for _ in range(600)] + [
        stories.story_exchange(rng)[0] for _ in range(300)
    ]
    words[Modality.TEXT] = {w for text in talk for w in text.split()}
    return {m: frozenset(w for w in found if not w.isdigit()) for m, found in words.items()}


@lru_cache(maxsize=1)
def edit_words() -> frozenset[str]:
    """Words of the instructions that change a picture."""
    rng = np.random.default_rng(0)
    made = (sample_edit(sample.sample_board(rng), rng)[0] for _ in range(_SAMPLES))
    return frozenset(w for text in made for w in text.split())


@lru_cache(maxsize=4)
def asked_about(medium: ModalityId) -> frozenset[str]:
    """Every question the model was taught to answer about one medium, captions and transcripts included."""
    return {
        ModalityId.IMAGE: picture_questions() | frozenset(captions.IMAGE_QUESTIONS),
        ModalityId.AUDIO: sound_questions() | frozenset(captions.AUDIO_QUESTIONS),
        ModalityId.VIDEO: film_questions() | frozenset(captions.VIDEO_QUESTIONS),
    }[medium]


def unknown_words(prompt: str, modality: Modality) -> tuple[str, ...]:
    """Words of a normalised prompt that no training prompt of this modality held, in order, without repeats."""
    known = lexicon()[modality]
    longest = {Modality.IMAGE: 2, Modality.AUDIO: 7}.get(modality, 0)
    return tuple(dict.fromkeys(w for w in prompt.split() if w not in known and not (w.isdigit() and len(w) <= longest)))


def read_job(job: GenerationJob, tokenizer: UniversalTokenizer) -> Understood:
    """Check a job against the model's world and turn it into spans.

    Raises:
        PromptNotUnderstood: media was asked for with words the model does not know, or without any.
        InvalidRequest: too many inputs, or a prompt that is too long.
    """
    media = [m for m in job.inputs if not isinstance(m, Text)]
    text = " ".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])
    if len(text) > MAX_PROMPT:
        raise InvalidRequest(f"the prompt has {len(text)} characters, at most {MAX_PROMPT} are read", field="prompt")
    if len(media) > MAX_INPUTS:
        raise InvalidRequest(f"at most {MAX_INPUTS} media are read with one prompt", field="inputs")
    prompt = normalise(text)
    if media:
        return _about_media(job, prompt, [tokenizer.span(m) for m in media], tokenizer)
    unknown = unknown_words(prompt, job.modality)
    if unknown or not prompt:
        problem = f"I do not know {_listed(unknown)}" if unknown else "There was nothing to go by"
        if job.modality is Modality.TEXT:
            return Understood(
                (), fixed_answer=f"{problem}. You can {HELP[Modality.TEXT]}.", notes=_unknown_note(unknown)
            )
        raise PromptNotUnderstood(problem, unknown=unknown, fix=HELP[job.modality])
    return Understood(
        (_words(prompt, tokenizer),), exact=job.modality is Modality.TEXT and "story" not in prompt.split()
    )


def _about_media(job: GenerationJob, prompt: str, spans: list[TokenSpan], tokenizer: UniversalTokenizer) -> Understood:
    """The media, then words: a question the model was taught to answer about it, or a change to make to a picture."""
    if job.modality is Modality.IMAGE and [s.modality for s in spans] == [ModalityId.IMAGE]:
        unknown = tuple(dict.fromkeys(w for w in prompt.split() if w not in edit_words()))
        if unknown or not prompt:
            problem = f"I do not know {_listed(unknown)}" if unknown else "There was nothing to change"
            raise PromptNotUnderstood(problem, unknown=unknown, fix=EDIT_HELP)
        return Understood(_layout(spans, prompt, tokenizer))
    if job.modality is Modality.TEXT and prompt == COUNT_QUESTION:
        pair = sorted(spans, key=lambda s: s.modality)
        if [s.modality for s in pair] == [ModalityId.IMAGE, ModalityId.AUDIO]:
            return Understood(_layout(pair, prompt, tokenizer), exact=True)
    if job.modality is not Modality.TEXT or len(spans) > 1:
        raise PromptNotUnderstood(
            "I can answer about one picture, sound or film in words, or change one picture",
            fix=f'hand in one medium, or a picture and a sound and ask "{COUNT_QUESTION}"',
        )
    questions = asked_about(spans[0].modality)
    known = {w for q in questions for w in q.split()}
    unknown = tuple(dict.fromkeys(w for w in prompt.split() if w not in known))
    if unknown:
        ways = ", ".join(f'"{q}"' for q in EXAMPLES[spans[0].modality])
        answer = f"I do not know {_listed(unknown)}. About this I can be asked, for example: {ways}."
        return Understood((), fixed_answer=answer, notes=_unknown_note(unknown))
    notes: tuple[str, ...] = ()
    if prompt not in questions:
        prompt, notes = "", ("the question was not one the model was taught: it describes instead",)
    return Understood(_layout(spans, prompt, tokenizer), exact=True, notes=notes)


def _layout(spans: list[TokenSpan], prompt: str, tokenizer: UniversalTokenizer) -> tuple[TokenSpan, ...]:
    return (*spans, _words(prompt, tokenizer)) if prompt else tuple(spans)


def _words(prompt: str, tokenizer: UniversalTokenizer) -> TokenSpan:
    return TokenSpan(ModalityId.TEXT, tuple(tokenizer.encode_text(prompt)))


def _listed(words: tuple[str, ...]) -> str:
    quoted = [f'"{w}"' for w in words]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]


def _unknown_note(unknown: tuple[str, ...]) -> tuple[str, ...]:
    """For the record: how many words, never which (a record holds nothing of the prompt)."""
    return (f"{len(unknown)} words of the prompt are outside the model's world",)
