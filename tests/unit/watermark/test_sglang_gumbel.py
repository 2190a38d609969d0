"""The mark that an SGLang server makes: its hash by published values, and a sampler written from the description."""

import numpy as np
import pytest
from scipy.stats import kstest

from gensafe.core import plugins
from gensafe.core.errors import ConfigError, InvalidRequest, KeyError_
from gensafe.core.types import MarkLevel
from gensafe_watermark.text import sglang_gumbel

KEY, OTHER = 0x0123456789ABCDEF, 0xFEDCBA9876543210
WORD = 0xFFFFFFFF

# MurmurHash3_x86_32 with seed 0, as its implementations test themselves with: bytes -> hash
VECTORS = [(b"\xff\xff\xff\xff", 0x76293B50), (b"\x21\x43\x65\x87", 0xF55B516B), (b"\0\0\0\0", 0x2362F9DE)]


@pytest.mark.parametrize(("data", "result"), VECTORS)
def test_the_hash_is_the_published_one(data, result):
    word = int.from_bytes(data, "little")
    assert int(sglang_gumbel.murmur3([np.array([word], np.uint64)])[0]) == result == murmur3([word])


# --- a sampler in plain integers, written from the description and not from the module ------------------------------


def murmur3(words):
    state = 0
    for word in words:
        word = word * 0xCC9E2D51 & WORD
        word = (word << 15 | word >> 17) * 0x1B873593 & WORD
        state ^= word
        state = (state << 13 & WORD | state >> 19) * 5 + 0xE6546B64 & WORD
    state ^= 4 * len(words)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state = (state ^ state >> shift) * factor & WORD
    return state ^ state >> 16


def numbers(keys, context, count):
    c = murmur3(context)
    key = keys[0]
    if len(keys) > 1 and murmur3([*(w for k in keys for w in (k & WORD, k >> 32)), c]) >= 1 << 31:
        key = keys[1]
    return [(murmur3([key & WORD, key >> 32, c, t]) + 0.5) / 2**32 for t in range(count)]


def written(seed, keys=(KEY,), width=4, count=220, vocabulary=64):
    """A text as the server samples it after a prompt: each context marked once."""
    rng, seen = np.random.default_rng(seed), set()
    text = rng.integers(0, vocabulary, width).tolist()  # the prompt's end
    for _ in range(count):
        p = rng.dirichlet(np.full(vocabulary, 0.3))
        context = tuple(text[-width:])
        u = np.array(numbers(keys, context, vocabulary)) if context not in seen else rng.random(vocabulary)
        seen.add(context)
        text.append(int(np.argmax(np.log(u) / np.maximum(p, 1e-300))))
    return text[width:]


@pytest.mark.parametrize("keys", [(KEY,), (KEY, OTHER)])
@pytest.mark.parametrize("width", [1, 4, 5])
def test_numbers_agree_with_the_description(keys, width):
    rng = np.random.default_rng(width)
    contexts, tokens = rng.integers(0, 200_000, (20, width)), rng.integers(0, 256, 20)
    found = sglang_gumbel.uniforms(keys, contexts, tokens)
    for context, token, u in zip(contexts.tolist(), tokens.tolist(), found, strict=True):
        assert u == pytest.approx(numbers(keys, context, 256)[token], abs=0)


@pytest.mark.parametrize("keys", [(KEY,), (KEY, OTHER)])
@pytest.mark.parametrize("width", [2, 4])
def test_marked_text_is_found_with_its_keys_and_width_only(keys, width):
    ids = written(1, keys, width)
    found = sglang_gumbel.detect(ids, keys, width)
    assert found.level is MarkLevel.PRESENT and found.p_value < 1e-12 and found.scheme == f"sglang-gumbel-w{width}"
    assert found.detail["scored"] <= len(ids) - width
    assert sglang_gumbel.detect(ids, [KEY + 1], width).level is MarkLevel.NONE
    assert sglang_gumbel.detect(ids, keys, width + 1).level is MarkLevel.NONE
    assert sglang_gumbel.detect(ids[:20], [KEY + 1], width).level is MarkLevel.UNDECIDABLE
    assert sglang_gumbel.detect(ids[:width], keys, width).p_value == 1.0


def test_p_values_of_unmarked_text_are_uniform():
    rng = np.random.default_rng(9)
    p = [sglang_gumbel.detect(rng.integers(0, 5000, 120).tolist(), [key]).p_value for key in range(400)]
    assert kstest(p, "uniform").pvalue > 0.01


def test_only_the_contexts_that_a_server_marks_are_scored():
    ids = np.random.default_rng(3).integers(0, 10_000, 5000).tolist()
    assert sglang_gumbel.detect(ids, [KEY]).detail["scored"] == 4096


def test_it_is_a_plugin_with_one_key_or_two():
    scheme = plugins.load("gensafe.watermarks", "sglang-gumbel", {"context_width": "2"})
    one, two = KEY.to_bytes(8, "little"), KEY.to_bytes(8, "little") + OTHER.to_bytes(8, "little")
    assert scheme.detect(written(2, width=2), one).level is MarkLevel.PRESENT
    assert scheme.detect(written(2, (KEY, OTHER), width=2), two).level is MarkLevel.PRESENT
    with pytest.raises(KeyError_):
        scheme.detect((), bytes(32))
    with pytest.raises(ConfigError):
        scheme.sampler(one)
    with pytest.raises(InvalidRequest):
        scheme.test_keys([()], one)
