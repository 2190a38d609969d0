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
from gensafe_backends.symphony.world import captions, remarks, sample, stories, tales
from gensafe_backends.symphony.world.clip import Clip, sample_clip
from gensafe_backends.symphony.world.edits import sample_edit
from gensafe_backends.symphony.world.questions import (
    COUNT_QUESTION,
    film_questions,
    picture_questions,
    sound_questions,
)
from gensafe_backends.symphony.world.scene import Board
from gensafe_backends.symphony.world.sound import Sound, sample_sound
from gensafe_backends.symphony.world.speech import SPOKEN

if TYPE_CHECKING:
    from gensafe.core.types import GenerationJob
    from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer

MAX_PROMPT: Final = 400  # characters; the longest prompts of training have about 120
MAX_INPUTS: Final = 4  # media; bounds the length of what is read. A round number, not measured
_SAMPLES: Final = 1500  # prompts drawn to collect the words the model knows; as ``guard.words.WORLD_ITEMS``
_SIGNS: Final = re.compile(r"[^a-z0-9 ]+")
HELP: Final[dict[Modality, str]] = {
    Modality.TEXT: 'ask "what can you do", "tell me a story", "what is two plus three", or hand in a picture',
    Modality.IMAGE: 'ask for shapes ("a red circle at the top left"), numbers ("42 in blue") or bar charts',
    Modality.AUDIO: 'ask for words ("say one two three"), notes ("play do re mi"), dialling ("dial 555") or beeps',
    Modality.VIDEO: 'ask for one moving shape ("a blue square moving left") or a bouncing one ("a red ball bouncing")',
}
MEDIA_HELP: Final = (
    f'hand in one medium and ask about it in words; a picture and "make the circle blue"; a picture and a sound and '
    f'"{COUNT_QUESTION}"; a film and a spoken remark ("green", "star", "up"); or two or three different media and '
    f'"{tales.request("Mira")}"'
)
TALE_HELP: Final = 'say "Mira drew a red circle at the top. Then she heard the melody do re mi. Draw it"'
EDIT_HELP: Final = 'say "make the circle blue", "turn the star into a square" or "remove the red triangle"'
EXAMPLES: Final[dict[ModalityId, tuple[str, ...]]] = {
    ModalityId.IMAGE: ("what is in this picture", "how many shapes are there", "which bar is the highest", "svg"),
    ModalityId.AUDIO: ("what do you hear", "how many words do you hear", "what is the first of the notes"),
    ModalityId.VIDEO: ("what happens in this video", "which way does it move", "how many knocks do you hear"),
}


TALE_EVENTS: Final[dict[Modality, type[tales.Event]]] = {
    Modality.IMAGE: Board,
    Modality.AUDIO: Sound,
    Modality.VIDEO: Clip,
}
REMARK_REQUESTS: Final[dict[Modality, tuple[str, ...]]] = {
    Modality.TEXT: remarks.SCRIPT_REQUESTS,
    Modality.IMAGE: remarks.FRAME_REQUESTS,
    Modality.VIDEO: remarks.FILM_REQUESTS,
}
_TALE_REQUESTS: Final = frozenset(tales.request(name) for name in stories.NAMES)


@dataclass(frozen=True, slots=True)
class Understood:
    """What the model is to read.

    Attributes:
        spans: The prompt, in order.
        exact: There is a right answer (a caption, a sum, a picture with one change): no chance is wanted.
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
def known_words() -> frozenset[str]:
    """Every word of the world: of prompts, edits, answers, stories, and those it can say."""
    rng = np.random.default_rng(1)
    told = [stories.story(rng) for _ in range(200)] + [stories.question_exchange(rng)[1] for _ in range(600)]
    told += [captions.describe_scene(sample.sample_scene(rng)) for _ in range(_SAMPLES)]
    told += [captions.describe_sound(sample_sound(rng)) for _ in range(_SAMPLES)]
    told += [captions.describe_clip(sample_clip(rng)) for _ in range(_SAMPLES // 3)]
    asked = {
        w for m in (ModalityId.IMAGE, ModalityId.AUDIO, ModalityId.VIDEO) for q in asked_about(m) for w in q.split()
    }
    said = {w for text in told for w in normalise(text).split()}
    return frozenset(said | asked | set(SPOKEN) | edit_words() | {w for words in lexicon().values() for w in words})


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
    if job.modality in TALE_EVENTS and prompt.endswith(tuple(tales.REQUESTS.values())):
        return _from_tale(job.modality, prompt, tokenizer)
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


def _from_tale(modality: Modality, prompt: str, tokenizer: UniversalTokenizer) -> Understood:
    """A tale in words and "draw it", "play it" or "film it"."""
    event = TALE_EVENTS[modality]
    tale = tales.parse(prompt.removesuffix(tales.REQUESTS[event]).strip())
    if not prompt.endswith(tales.REQUESTS[event]):
        raise PromptNotUnderstood(f"{modality} was asked for", fix=f'end the tale with "{tales.REQUESTS[event]}"')
    if tale is None:
        raise PromptNotUnderstood("I could not follow the tale", fix=TALE_HELP)
    if not any(isinstance(e, event) for e in tale.events):
        verb = {Board: "draws", Sound: "hears", Clip: "sees"}[event]
        raise PromptNotUnderstood(f"There is no {modality} in the tale: nobody {verb} anything", fix=TALE_HELP)
    return Understood((_words(prompt, tokenizer),), exact=True)


def _about_media(job: GenerationJob, prompt: str, spans: list[TokenSpan], tokenizer: UniversalTokenizer) -> Understood:
    """The media, then words: a question the model was taught to answer about it, or a change to make to a picture."""
    if len(spans) > 1:
        return _about_several(job.modality, prompt, sorted(spans, key=lambda s: s.modality), tokenizer)
    if job.modality is Modality.IMAGE and spans[0].modality is ModalityId.IMAGE:
        unknown = tuple(dict.fromkeys(w for w in prompt.split() if w not in edit_words()))
        if unknown or not prompt:
            problem = f"I do not know {_listed(unknown)}" if unknown else "There was nothing to change"
            raise PromptNotUnderstood(problem, unknown=unknown, fix=EDIT_HELP)
        return Understood(_layout(spans, prompt, tokenizer), exact=True)
    if job.modality is not Modality.TEXT:
        raise PromptNotUnderstood(f"I cannot make {job.modality} of this", fix=MEDIA_HELP)
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


def _about_several(
    modality: Modality, prompt: str, spans: list[TokenSpan], tokenizer: UniversalTokenizer
) -> Understood:
    """Two or three different media, in the order picture, sound, film whatever order they were handed in."""
    kinds = tuple(s.modality for s in spans)
    told = modality is Modality.TEXT and len(set(kinds)) == len(kinds) and prompt.startswith(tales.request(""))
    if told and prompt in _TALE_REQUESTS:
        return Understood(_layout(spans, prompt, tokenizer), exact=True)
    if kinds == (ModalityId.IMAGE, ModalityId.AUDIO) and modality is Modality.TEXT and prompt == COUNT_QUESTION:
        return Understood(_layout(spans, prompt, tokenizer), exact=True)
    if kinds == (ModalityId.AUDIO, ModalityId.VIDEO) and prompt in REMARK_REQUESTS.get(modality, ()):
        return Understood(_layout(spans[::-1], prompt, tokenizer), exact=True)  # first the film, then the remark
    if told:
        names = ", ".join(stories.NAMES)
        raise PromptNotUnderstood("I do not know whom the tale is to be about", fix=f"one of {names}")
    raise PromptNotUnderstood("I was not taught to do this with these media together", fix=MEDIA_HELP)


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
