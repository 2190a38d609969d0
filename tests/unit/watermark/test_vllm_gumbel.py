"""The mark that a vLLM server makes: its generator by published vectors, and a sampler written from the description."""

import math

import numpy as np
import pytest
from scipy.stats import kstest

from gensafe.core import plugins
from gensafe.core.errors import ConfigError, InvalidRequest, KeyError_
from gensafe.core.types import MarkLevel
from gensafe_watermark.text import vllm_gumbel

KEY = 0x0123456789ABCDEF
WORD = 0xFFFFFFFF

# Random123's kat_vectors for philox4x32-10: counter, key, result
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), VECTORS)
def test_the_generator_is_the_published_one(counter, key, result):
    found = vllm_gumbel.philox([np.array([c], np.uint64) for c in counter], [np.array([k], np.uint64) for k in key])
    assert tuple(int(w[0]) for w in found) == result == tuple(philox(list(counter), list(key)))


# --- a sampler in plain integers, written from the description and not from the module ------------------------------


def philox(c, k):
    for n in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(high >> 32) ^ c[1] ^ k[0], high & WORD, (low >> 32) ^ c[3] ^ k[1], low & WORD]
        if n < 9:
            k = [(k[0] + 0x9E3779B9) & WORD, (k[1] + 0xBB67AE85) & WORD]
    return c


def numbers(key, context, count):
    low, high = key & WORD, key >> 32
    state = [0x574D4358, len(context), 0, 0]
    for at in range(0, len(context), 4):
        words = [c & WORD for c in context[at : at + 4]]
        words += [WORD - i for i in range(len(words), 4)]
        state = philox([s ^ w for s, w in zip(state, words, strict=True)], [low ^ at, high])
    found = []
    for block in range((count + 3) // 4):
        found += philox([block, *state[:3]], [low ^ state[3], high ^ 0x574D544B])
    return [((word >> 8) + 1) / (2**24 + 1) for word in found[:count]]


def written(seed, key=KEY, width=4, count=220, vocabulary=64, bits=3.0):
    """A text as the server samples it: context of -1 before the start, each context marked once."""
    rng, text, seen = np.random.default_rng(seed), [], set()
    for _ in range(count):
        logits = rng.normal(size=vocabulary) * 4 / bits
        context = tuple(([-1] * width + text)[-width:])
        u = np.array(numbers(key, context, vocabulary)) if context not in seen else rng.random(vocabulary)
        seen.add(context)
        text.append(int(np.argmax(logits - np.log(-np.log(u)))))
    return text


@pytest.mark.parametrize("width", [1, 3, 4, 5, 9])
def test_numbers_agree_with_the_description(width):
    rng = np.random.default_rng(width)
    contexts, tokens = rng.integers(-1, 200_000, (20, width)), rng.integers(0, 256, 20)
    found = vllm_gumbel.uniforms(KEY, contexts, tokens)
    for context, token, u in zip(contexts.tolist(), tokens.tolist(), found, strict=True):
        assert u == pytest.approx(numbers(KEY, context, 256)[token], abs=0)


@pytest.mark.parametrize("width", [2, 4, 5])
def test_marked_text_is_found_with_its_key_and_width_only(width):
    ids = written(1, width=width)
    found = vllm_gumbel.detect(ids, KEY, width)
    assert found.level is MarkLevel.PRESENT and found.p_value < 1e-12 and found.scheme == f"vllm-gumbel-w{width}"
    assert vllm_gumbel.detect(ids, KEY + 1, width).level is MarkLevel.NONE
    assert vllm_gumbel.detect(ids, KEY, width + 1).level is MarkLevel.NONE
    assert vllm_gumbel.detect(ids[:20], KEY + 1, width).level is MarkLevel.UNDECIDABLE
    assert vllm_gumbel.detect([], KEY, width).p_value == 1.0
    pasted = np.random.default_rng(5).integers(0, 64, 60).tolist() + ids
    assert vllm_gumbel.detect(pasted, KEY, width).level is MarkLevel.PRESENT


def test_p_values_of_unmarked_text_are_uniform():
    rng = np.random.default_rng(9)
    p = [vllm_gumbel.detect(rng.integers(0, 5000, 120).tolist(), key).p_value for key in range(400)]
    assert kstest(p, "uniform").pvalue > 0.01
    repeated = [vllm_gumbel.detect([1, 2, 3, 4, 5] * 60, key).p_value for key in range(200)]  # a loop is no evidence
    assert min(repeated) > 1e-5 and math.isclose(np.mean(repeated), 0.5, abs_tol=0.1)


def test_it_is_a_plugin_with_one_key():
    scheme = plugins.load("gensafe.watermarks", "vllm-gumbel", {"context_width": "2"})
    ids = written(2, width=2)
    assert scheme.detect(ids, KEY.to_bytes(8, "little")).level is MarkLevel.PRESENT
    assert scheme.scheme == "vllm-gumbel-w2"
    with pytest.raises(KeyError_):
        scheme.detect(ids, bytes(32))
    with pytest.raises(ConfigError):
        scheme.sampler(bytes(8))
    with pytest.raises(InvalidRequest):
        scheme.test_keys([ids], bytes(8))
    for wrong in ({"context_width": "0"}, {"context_width": "x"}, {"colour": "red"}):
        with pytest.raises(ConfigError):
            plugins.load("gensafe.watermarks", "vllm-gumbel", wrong)
