"""How media and words become one token sequence.

Every exchange has the same shape::

    bos user <spans> asst <spans> eos [user <spans> asst <spans> eos ...]

A text span is its ids alone; ``image`` is ``boi I*64 eoi``; ``audio`` is ``boa A*64 eoa``; ``video`` is
``bov (V*16 A*8)*6 eov``: per chunk of 250 ms first the picture, then the sound. Lengths come from the config and are
fixed, so the grammar knows where a span ends. ``asst`` is followed by text, ``boi``, ``boa`` or ``bov``: the model
(or the caller, by forcing that token) chooses the modality of the answer. Loss falls on what follows ``asst``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gensafe.core.errors import InvalidRequest
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.vocab import ASST, BEGIN, BOS, END, EOS, USER, ModalityId, vocabulary


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Ids of one medium, without the control ids that open and close it. Ids are global (already offset)."""

    modality: ModalityId
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A laid-out exchange. ``loss[i]`` says whether predicting ``ids[i]`` from what precedes it is trained."""

    ids: tuple[int, ...]
    loss: tuple[bool, ...]


def span_length(modality: ModalityId, config: SymphonyConfig) -> int:
    """Fixed number of tokens inside a span of a non-text modality."""
    return {
        ModalityId.IMAGE: config.image_tokens,
        ModalityId.AUDIO: config.audio_tokens,
        ModalityId.VIDEO: config.video_tokens,
    }[modality]


def place_range(modality: ModalityId, index: int, config: SymphonyConfig) -> range:
    """Ids allowed at place ``index`` of a span (a video span alternates picture and sound)."""
    vocab = vocabulary(config)
    if modality is ModalityId.VIDEO and index % config.chunk_tokens >= config.video_grid * config.video_grid:
        return vocab.audio
    return vocab.range_of(modality)


def wrap(span: TokenSpan, config: SymphonyConfig) -> list[int]:
    """A span with its control ids.

    Raises:
        InvalidRequest: wrong length, or an id outside the range of its place.
    """
    if span.modality is ModalityId.TEXT:
        allowed = vocabulary(config).text
        if any(i not in allowed for i in span.ids):
            raise InvalidRequest("a text span holds an id that is not text")
        return list(span.ids)
    if len(span.ids) != span_length(span.modality, config):
        raise InvalidRequest(f"a span of {span.modality.name.lower()} has {len(span.ids)} tokens")
    if any(t not in place_range(span.modality, i, config) for i, t in enumerate(span.ids)):
        raise InvalidRequest(f"a span of {span.modality.name.lower()} holds an id of another modality")
    return [BEGIN[span.modality], *span.ids, END[span.modality]]


def prompt_ids(spans: Sequence[TokenSpan], config: SymphonyConfig, history: Sequence[int] = ()) -> list[int]:
    """``[history] bos user <spans> asst``: what a model reads before it answers. ``history`` ends in ``eos``."""
    ids = list(history) if history else [BOS]
    ids.append(USER)
    for span in spans:
        ids += wrap(span, config)
    ids.append(ASST)
    return ids


def example(prompt: Sequence[TokenSpan], answer: Sequence[TokenSpan], config: SymphonyConfig) -> Example:
    """A one-turn training example."""
    return next_turn((), prompt, answer, config)


def next_turn(
    history: Sequence[int], prompt: Sequence[TokenSpan], answer: Sequence[TokenSpan], config: SymphonyConfig
) -> Example:
    """``history`` and one more exchange; ``loss`` speaks of the new tokens alone."""
    head = prompt_ids(prompt, config, history)
    tail = [i for span in answer for i in wrap(span, config)] + [EOS]
    return Example(tuple(head + tail), (False,) * (len(head) - len(history)) + (True,) * len(tail))


def split_video(ids: Sequence[int], config: SymphonyConfig) -> tuple[list[int], list[int]]:
    """The picture ids and the sound ids of a video span, each in time order."""
    frame = config.video_grid * config.video_grid
    picture = [t for i, t in enumerate(ids) if i % config.chunk_tokens < frame]
    sound = [t for i, t in enumerate(ids) if i % config.chunk_tokens >= frame]
    return picture, sound


def join_video(picture: Sequence[int], sound: Sequence[int], config: SymphonyConfig) -> list[int]:
    """Inverse of ``split_video``."""
    frame, audio = config.video_grid * config.video_grid, config.video_audio_tokens
    out: list[int] = []
    for k in range(config.video_chunks):
        out += picture[k * frame : (k + 1) * frame]
        out += sound[k * audio : (k + 1) * audio]
    return out
