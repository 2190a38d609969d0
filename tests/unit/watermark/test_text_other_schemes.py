"""SynthID-Text detection on transformers' own output; the vLLM adapter on that library's documented interface."""

import sys
import types
from abc import ABC, abstractmethod

import numpy as np
import pytest

from gensafe.core.errors import ConfigError, InvalidRequest, KeyError_
from gensafe.core.types import MarkLevel
from gensafe_watermark import text
from gensafe_watermark.text import processors
from gensafe_watermark.text.synthid import detect_synthid

KEY = bytes(range(32))
KEYS = [654, 400, 836, 123, 340, 443, 597, 160, 57, 29, 590, 639, 13, 715, 468, 990, 966, 226, 324, 585]
VOCABULARY = 200


class Adapter(ABC):
    """The documented part of vLLM's V1 ``AdapterLogitsProcessor``; the library itself is not installed here."""

    def __init__(self, vllm_config, device, is_pin_memory):
        self.built_with = vllm_config, device, is_pin_memory

    @classmethod
    def validate_params(cls, sampling_params):
        return None

    @abstractmethod
    def is_argmax_invariant(self): ...

    @abstractmethod
    def new_req_logits_processor(self, params): ...


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The adapter's module, imported over a stand-in of the library."""
    module = types.ModuleType("vllm.v1.sample.logits_processor")
    module.AdapterLogitsProcessor = Adapter
    for name in ("vllm", "vllm.v1", "vllm.v1.sample"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, "gensafe_watermark.text.vllm_processor", raising=False)
    (tmp_path / "key").write_bytes(KEY)
    monkeypatch.setenv("GENSAFE_TEXT_MARK_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("GENSAFE_TEXT_MARK_KEY_ID", "6")
    from gensafe_watermark.text import vllm_processor

    yield vllm_processor
    sys.modules.pop("gensafe_watermark.text.vllm_processor", None)


def request(temperature=1.0, top_k=-1, top_p=1.0, min_p=0.0, **extra):
    return types.SimpleNamespace(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, extra_args=extra)


def test_a_server_marks_each_request_with_its_own_processor(server):
    adapter = server.MarkedText({}, "cpu", False)
    assert not adapter.is_argmax_invariant()
    rng = np.random.default_rng(0)
    texts, requests = [[], []], [adapter.new_req_logits_processor(request(0.8, top_k=60)) for _ in range(2)]
    bank = rng.normal(size=(64, VOCABULARY))
    for _ in range(150):
        for ids, processor in zip(texts, requests, strict=True):
            logits = bank[sum(ids[-2:]) % 64]
            ids.append(int(rng.choice(VOCABULARY, p=processors.probabilities(processor(ids, logits.copy())))))
    for ids in texts:
        assert text.detect(ids, KEY).detail["key_id"] == 6


def test_what_a_server_does_not_mark_and_what_it_refuses(server, monkeypatch, tmp_path):
    adapter = server.MarkedText({}, "cpu", False)
    assert adapter.new_req_logits_processor(request(0.0)) is None
    assert adapter.new_req_logits_processor(request(gensafe_mark=False)) is None
    server.MarkedText.validate_params(request(gensafe_mark=False, min_p=0.1))
    server.MarkedText.validate_params(types.SimpleNamespace(temperature=1.0, top_k=0, top_p=1.0, extra_args=None))
    with pytest.raises(ValueError, match="min_p"):
        server.MarkedText.validate_params(request(min_p=0.1))
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(KeyError_):
        server.MarkedText({}, "cpu", False)
    monkeypatch.setenv("GENSAFE_TEXT_MARK_KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigError):
        server.MarkedText({}, "cpu", False)
    monkeypatch.delenv("GENSAFE_TEXT_MARK_KEY_FILE")
    with pytest.raises(ConfigError, match="no key"):
        server.MarkedText({}, "cpu", False)


def test_synthid_needs_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match="transformers"):
        detect_synthid([1] * 9, KEYS)
    with pytest.raises(InvalidRequest):
        detect_synthid([1] * 9, [])


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_synthid_marks_of_transformers_are_found():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=VOCABULARY, n_positions=400, n_embd=32, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config).eval()
    prompt = torch.arange(5)[None].repeat(2, 1) + torch.arange(2)[:, None]
    marks = transformers.SynthIDTextWatermarkingConfig(keys=KEYS, ngram_len=5)
    options = {"do_sample": True, "top_k": 0, "max_new_tokens": 250, "min_new_tokens": 250, "pad_token_id": 0}
    for config in (marks, None):
        written = model.generate(prompt, attention_mask=torch.ones_like(prompt), watermarking_config=config, **options)[
            :, 5:
        ].tolist()
        for row in written:
            found = detect_synthid(row, KEYS)
            assert found.level is (MarkLevel.PRESENT if config else MarkLevel.NONE)
            assert detect_synthid(row, [k + 1 for k in KEYS]).level is MarkLevel.NONE
            assert detect_synthid(row[:3], KEYS).level is MarkLevel.UNDECIDABLE
            assert found.scheme == "synthid-text-m20-n5"


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_synthid_bound_holds_on_unmarked_tokens():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    rng = np.random.default_rng(3)
    p = np.array([detect_synthid(rng.integers(0, VOCABULARY, 60).tolist(), KEYS).p_value for _ in range(200)])
    for level in (0.5, 0.1, 0.01):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / len(p))
