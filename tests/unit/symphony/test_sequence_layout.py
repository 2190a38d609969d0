"""Vocabulary, positions and layouts: the geometry every engine builds on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe_backends.symphony.config import CONFIGS, NANO, PICO, SymphonyConfig
from gensafe_backends.symphony.model.spec import tensor_shapes
from gensafe_backends.symphony.positions import PositionTracker, positions
from gensafe_backends.symphony.sequence import (
    TokenSpan,
    example,
    join_video,
    place_range,
    prompt_ids,
    span_length,
    split_video,
)
from gensafe_backends.symphony.vocab import ASST, BOA, BOI, BOS, BOV, EOI, EOS, USER, ModalityId, vocabulary

MEDIA = (ModalityId.IMAGE, ModalityId.AUDIO, ModalityId.VIDEO)


def span(modality: ModalityId, config: SymphonyConfig = NANO) -> TokenSpan:
    if modality is ModalityId.TEXT:
        return TokenSpan(modality, tuple(vocabulary(config).text[i] for i in (5, 6, 7)))
    length = span_length(modality, config)
    return TokenSpan(modality, tuple(place_range(modality, i, config)[i % 7] for i in range(length)))


def test_ranges_are_contiguous_and_tell_the_modality() -> None:
    v = vocabulary(NANO)
    assert v.text.start == 64 and v.text.stop == v.image.start and v.image.stop == v.audio.start
    assert v.audio.stop == v.video.start and v.video.stop == v.size
    table = v.modality_table()
    for modality in ModalityId:
        own = v.range_of(modality)
        assert set(table[own.start : own.stop]) == {modality}
    assert [table[i] for i in (BOI, BOA, BOV, EOI, BOS)] == [1, 2, 3, 0, 0]


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_config_survives_json(name: str) -> None:
    assert SymphonyConfig.from_json(CONFIGS[name].to_json()) == CONFIGS[name]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": "x", "colour": 1}', '{"name": "x", "heads": 5}', "{}"])
def test_config_refuses_what_it_cannot_mean(text: str) -> None:
    with pytest.raises(ConfigError):
        SymphonyConfig.from_json(text)


def test_tensor_table_names_every_tensor_once() -> None:
    shapes = tensor_shapes(PICO)
    assert shapes["embed.weight"] == (vocabulary(PICO).size, PICO.dim)
    assert shapes["slot.weight"][0] == PICO.slots
    assert sum(name.startswith("layers.0.") for name in shapes) == len([n for n in shapes if n.startswith("layers.1.")])


def test_an_exchange_is_laid_out_as_documented() -> None:
    made = example([span(ModalityId.IMAGE), span(ModalityId.TEXT)], [span(ModalityId.TEXT)], NANO)
    assert made.ids[:3] == (BOS, USER, BOI) and made.ids[67] == EOI and made.ids[-1] == EOS
    assert made.ids.index(ASST) == 71
    assert [i for i, trained in enumerate(made.loss) if trained] == list(range(72, len(made.ids)))


@pytest.mark.parametrize("modality", MEDIA)
def test_spans_of_wrong_length_or_range_are_refused(modality: ModalityId) -> None:
    good = span(modality)
    prompt_ids([good], NANO)
    for ids in (good.ids[:-1], (*good.ids, good.ids[-1]), (good.ids[1] + 5000, *good.ids[1:]), (BOS, *good.ids[1:])):
        with pytest.raises(InvalidRequest):
            prompt_ids([TokenSpan(modality, ids)], NANO)


def test_sound_and_picture_of_a_chunk_share_their_time() -> None:
    tyx, _ = positions([BOS, USER, ASST, BOV, *span(ModalityId.VIDEO).ids], NANO)
    inside = tyx[4:]
    for k in range(NANO.video_chunks):
        chunk = inside[k * NANO.chunk_tokens : (k + 1) * NANO.chunk_tokens]
        start = 4 + NANO.chunk_ticks * k
        assert set(chunk[:16, 0]) == {start}
        assert chunk[16:, 0].tolist() == [start + NANO.audio_ticks * j for j in range(NANO.video_audio_tokens)]
    assert {(y, x) for y, x in inside[:16, 1:].tolist()} == set(itertools.product(range(4), range(4)))


def test_slots_are_distinct_places() -> None:
    ids = [BOS, USER, *(i for m in MEDIA for i in example([span(m)], [], NANO).ids[2:-2]), ASST]
    _, slots = positions(ids, NANO)
    used = slots[slots > 0]
    assert len(set(used.tolist())) == len(used) == NANO.slots - 1
    assert used.max() == NANO.slots - 1


@given(st.lists(st.sampled_from(list(ModalityId)), min_size=1, max_size=4), st.integers(0, 500), st.integers(0, 400))
@settings(max_examples=40, deadline=None)
def test_positions_one_by_one_equal_positions_at_once(kinds: list[ModalityId], start: int, cut: int) -> None:
    ids = prompt_ids([span(m) for m in kinds], NANO)
    tyx, slots = positions(ids, NANO, start)
    tracker = PositionTracker(NANO, start)
    cut %= len(ids)
    rows = [tracker.push(i) for i in ids[:cut]]
    rows += [tracker.copy().push(ids[cut])]
    twin = tracker.copy()
    rows[-1:] = [twin.push(i) for i in ids[cut:]]
    assert [[r.t, r.y, r.x, r.slot] for r in rows] == np.column_stack([tyx, slots]).tolist()
    moved, _ = positions(ids, NANO, start + 11)
    assert np.array_equal(moved[:, 0], tyx[:, 0] + 11) and np.array_equal(moved[:, 1:], tyx[:, 1:])


def test_video_split_and_join_are_inverse() -> None:
    ids = list(span(ModalityId.VIDEO).ids)
    picture, sound = split_video(ids, NANO)
    v = vocabulary(NANO)
    assert all(i in v.video for i in picture) and all(i in v.audio for i in sound)
    assert join_video(picture, sound, NANO) == ids
