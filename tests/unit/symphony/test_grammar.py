from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gensafe.core.errors import BackendError
from gensafe_backends.symphony.config import PICO
from gensafe_backends.symphony.grammar import AnswerGrammar, live_range
from gensafe_backends.symphony.sequence import TokenSpan, span_length, split_video, wrap
from gensafe_backends.symphony.vocab import ASST, BOI, EOS, ModalityId, vocabulary

V = vocabulary(PICO)


def random_answer(modality, seed, max_text=20):
    """What a model that knows nothing writes under the grammar."""
    rng, grammar, out = np.random.default_rng(seed), AnswerGrammar(PICO, modality, max_text), []
    while not grammar.finished:
        step = grammar.step()
        if step.forced is not None:
            token = step.forced
        else:
            ids = np.arange(step.live.start, step.live.stop)
            token = int(rng.choice(ids if step.allowed is None else ids[step.allowed]))
        grammar.accept(token)
        out.append(token)
    return out, grammar


@given(st.sampled_from(list(ModalityId)), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_any_sampled_answer_is_well_formed(modality, seed):
    ids, grammar = random_answer(modality, seed)
    assert ids[-1] == EOS and ids.count(EOS) == 1 and len(ids) <= grammar.total
    body = ids[:-1]
    if modality is ModalityId.TEXT:
        assert 1 <= len(body) <= 20
        assert wrap(TokenSpan(modality, tuple(body)), PICO) == body
    else:
        assert wrap(TokenSpan(modality, tuple(body[1:-1])), PICO) == body
        assert len(ids) == grammar.total


def test_video_interleaves_picture_and_sound():
    ids, _ = random_answer(ModalityId.VIDEO, 1)
    picture, sound = split_video(ids[1:-2], PICO)
    assert all(i in V.video for i in picture) and all(i in V.audio for i in sound)
    assert len(sound) == PICO.video_chunks * PICO.video_audio_tokens


@given(st.sampled_from(list(ModalityId)), st.integers(0, 2**32), st.integers(0, V.size - 1), st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_a_wrong_token_is_refused_wherever_it_stands(modality, seed, token, place):
    ids, _ = random_answer(modality, seed)
    grammar = AnswerGrammar(PICO, modality, 20)
    for i in ids[: place % len(ids)]:
        grammar.accept(i)
    step = grammar.step()
    legal = token == step.forced if step.forced is not None else token in step.live
    if legal and step.allowed is not None:
        legal = bool(step.allowed[token - step.live.start])
    if legal:
        grammar.accept(token)
    else:
        with pytest.raises(BackendError):
            grammar.accept(token)


def test_nothing_follows_the_end_and_text_is_never_empty():
    grammar = AnswerGrammar(PICO, ModalityId.TEXT)
    with pytest.raises(BackendError):
        grammar.accept(EOS)
    grammar.accept(V.text.start)
    with pytest.raises(BackendError):
        grammar.accept(ASST)
    grammar.accept(EOS)
    with pytest.raises(BackendError):
        grammar.step()
    with pytest.raises(BackendError):
        AnswerGrammar(PICO, ModalityId.TEXT, 0)


def test_live_ranges():
    assert live_range(PICO, None) == range(0, V.text.stop)
    assert live_range(PICO, ModalityId.IMAGE, 3) == V.image
    assert live_range(PICO, ModalityId.IMAGE, span_length(ModalityId.IMAGE, PICO)) == range(0, V.text.stop)
    assert live_range(PICO, ModalityId.VIDEO, PICO.video_grid**2) == V.audio
    assert AnswerGrammar(PICO, ModalityId.IMAGE).step().forced == BOI
