"""SynthID-Text detection on transformers' own output; the vLLM adapter on that library's documented interface."""

import importlib
import importlib.machinery
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


class Runner2(ABC):
    """The published part of vLLM's V2 ``LogitsProcessor`` (release 0.33)."""

    def __init__(self, vllm_config, req_states):
        self.built_with = vllm_config, req_states

    @classmethod
    def validate_params(cls, sampling_params):
        return None

    def add_request(self, req_idx, sampling_params):
        return True

    @abstractmethod
    def apply(self, logits, ctx): ...


OURS = tuple(f"gensafe_watermark.text.vllm_{n}" for n in ("processor", "v1", "v2"))


@pytest.fixture
def release(monkeypatch, tmp_path):
    """``vllm_processor`` imported over a stand-in of a release: release(with_v2=True)."""
    (tmp_path / "key").write_bytes(KEY)
    monkeypatch.setenv("GENSAFE_TEXT_MARK_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("GENSAFE_TEXT_MARK_KEY_ID", "6")

    def stand_in(path, **names):
        parts = path.split(".")
        for n in range(1, len(parts) + 1):
            name = ".".join(parts[:n])
            if name not in sys.modules:
                module = types.ModuleType(name)
                module.__path__, module.__spec__ = [], importlib.machinery.ModuleSpec(name, None, is_package=True)
                monkeypatch.setitem(sys.modules, name, module)
        vars(sys.modules[path]).update(names)

    def imported(with_v2):
        stand_in("vllm.v1.sample.logits_processor", AdapterLogitsProcessor=Adapter)
        if with_v2:
            stand_in("vllm.v1.worker.gpu.sample.logits_processor", LogitsProcessor=Runner2)
        for name in OURS:
            monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module("gensafe_watermark.text.vllm_processor")

    yield imported
    for name in OURS:
        sys.modules.pop(name, None)


@pytest.fixture
def server(release):
    return release(with_v2=False)


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


def test_the_form_is_that_of_the_release(release, monkeypatch):
    """vLLM 0.32 and later refuse V1 classes when they load them: "not a subclass of ...LogitsProcessor"."""
    assert issubclass(release(with_v2=False).MarkedText, Adapter)
    assert issubclass(release(with_v2=True).MarkedText, Runner2)
    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", "0")
    assert issubclass(release(with_v2=True).MarkedText, Adapter)


class Batch:
    """A V2 runner's shared state and one step's layout: rows in any order, slots used again."""

    def __init__(self, slots=4, length=400):
        self.all_token_ids = types.SimpleNamespace(gpu=np.zeros((slots, length), np.int64))
        self.prompt_len = types.SimpleNamespace(np=np.zeros(slots, np.int64))
        self.ends = np.zeros(slots, np.int64)

    def begin(self, slot, ids, prompt):
        self.all_token_ids.gpu[slot, : len(ids)], self.prompt_len.np[slot], self.ends[slot] = ids, prompt, len(ids)

    def step(self, processor, order, bank, rng, temperature):
        texts = [self.all_token_ids.gpu[s, : self.ends[s]] for s in order]
        logits = np.stack([bank[int(t[-2:].sum()) % 64] for t in texts])
        context = types.SimpleNamespace(expanded_idx_mapping=np.array(order), pos=self.ends[order] - 1)
        for slot, row in zip(order, processor.apply(logits, context), strict=True):
            p = processors.probabilities(row, temperature=temperature)
            self.all_token_ids.gpu[slot, self.ends[slot]] = rng.choice(VOCABULARY, p=p)
            self.ends[slot] += 1

    def text(self, slot):
        return self.all_token_ids.gpu[slot, self.prompt_len.np[slot] : self.ends[slot]].tolist()


def test_the_present_runner_marks_each_slot_and_leaves_the_others_alone(release):
    module, batch, rng = release(with_v2=True), Batch(), np.random.default_rng(0)
    bank = rng.normal(size=(64, VOCABULARY))
    marked = module.MarkedText(types.SimpleNamespace(speculative_config=None), batch)
    assert marked.add_request(0, request(0.8, top_k=60)) and marked.add_request(2, request(0.8))
    assert not marked.add_request(1, request(0.8, gensafe_mark=False)) and not marked.add_request(3, request(0.0))
    for slot in range(4):
        batch.begin(slot, rng.integers(0, VOCABULARY, 5 + slot), 5 + slot)
    for n in range(150):
        batch.step(marked, [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]][n % 3], bank, rng, 0.8)
    found = [text.detect(batch.text(slot), KEY) for slot in range(4)]
    assert [f.level is MarkLevel.PRESENT for f in found] == [True, False, True, False]
    assert found[0].detail["key_id"] == 6
    # the slot is used again by a request that was put aside with a part of its text
    batch.begin(0, batch.all_token_ids.gpu[2, : batch.ends[2]], 7)
    assert marked.add_request(0, request(0.8))
    used = {tuple(batch.text(0)[i : i + 3]) for i in range(len(batch.text(0)) - 3)}
    for _ in range(3):
        batch.step(marked, [0], bank, rng, 0.8)
    assert used <= marked._marks[0]._mark._seen


def test_the_present_runner_refuses_what_it_cannot_mark(release):
    module = release(with_v2=True)
    with pytest.raises(ConfigError, match="speculative"):
        module.MarkedText(types.SimpleNamespace(speculative_config=object()), Batch())
    with pytest.raises(ValueError, match="min_p"):
        module.MarkedText.validate_params(request(min_p=0.1))


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
