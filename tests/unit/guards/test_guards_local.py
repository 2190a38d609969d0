"""Guard models from a folder: tiny models of each real architecture, randomly initialised, saved and loaded again."""

from __future__ import annotations

import json
import warnings

import pytest

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.types import Stage, Text
from gensafe.testing.classifier_contract import check_classifier

torch = pytest.importorskip("torch", reason="needs the torch extra")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers", reason="needs the guards extra")

from gensafe_backends.guards import plugin  # noqa: E402
from gensafe_backends.guards.families import LLAMA_GUARD, questions  # noqa: E402
from gensafe_backends.guards.scoring import Judge, softmax  # noqa: E402
from gensafe_backends.guards.stream_head import StreamHead, TokenRisk, debounced  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]  # transformers warns about its own internals

PLAIN = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TEMPLATES = {
    "shieldgemma": "{{ guideline }}" + PLAIN,  # both insist on their argument, as the published templates do
    "granite-guardian": "{{ guardian_config['risk_name'] }}" + PLAIN,
}
SIZES = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 1024, "pad_token_id": 0, "bos_token_id": 0,
    "eos_token_id": 0,
}  # fmt: skip
SENTENCES = (Text("a"), Text("some longer text to look at"), Text(""), Text("\ud800 好 \u202e"))


def tokenizer(family):
    """Byte-level, so that it can spell everything; a few answers are single tokens as in the real vocabularies."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={"<pad>": 0, **{c: i + 1 for i, c in enumerate(alphabet)}}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_tokens([AddedToken(t, normalized=False) for t in ("safe", "Yes", "No")])
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>")
    made.chat_template = TEMPLATES.get(family, PLAIN)
    return made


def model(family):
    torch.manual_seed(3)
    if family == "llama-guard":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))
    if family == "llama-guard-4":
        text = {**SIZES, "intermediate_size_mlp": 48, "num_local_experts": 2, "num_experts_per_tok": 1}
        vision = {
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4,
            "image_size": 28, "patch_size": 14, "vision_output_dim": 32, "projector_input_dim": 32,
            "projector_output_dim": 32,
        }  # fmt: skip
        config = transformers.Llama4Config(text_config=text, vision_config=vision)
        return transformers.Llama4ForConditionalGeneration(config)
    if family == "shieldgemma":
        return transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**SIZES, sliding_window=64))
    if family == "granite-guardian":
        return transformers.GraniteForCausalLM(
            transformers.GraniteConfig(**{k: v for k, v in SIZES.items() if k != "head_dim"})
        )
    return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SIZES))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folders = {}

    def make(family):
        if family not in folders:
            folder = folders[family] = tmp_path_factory.mktemp(family)
            tokenizer(family).save_pretrained(folder)
            model(family).save_pretrained(folder)
        return folders[family]

    return make


def load(folder, family):
    return plugin.create({"path": str(folder), "family": family})


ARCHITECTURES = (
    ("llama-guard", "llama-guard"), ("llama-guard-4", "llama-guard"), ("qwen3-guard", "qwen3-guard"),
    ("shieldgemma", "shieldgemma"), ("granite-guardian", "granite-guardian"),
)  # fmt: skip


@pytest.mark.parametrize(("architecture", "family"), ARCHITECTURES)
def test_each_architecture_keeps_the_contract(saved, architecture, family):
    guard = load(saved(architecture), family)
    check_classifier(guard, SENTENCES)
    found = {f.category: f.score for f in guard.assess(Text("hello"), Stage.OUTPUT).findings}
    assert set(found) == set(guard.card().categories) and all(0 < s < 1 for s in found.values())
    assert guard.identity().weights_digest.startswith("sha256:")


@pytest.mark.parametrize(("architecture", "family"), ARCHITECTURES)
def test_likelihoods_are_those_of_one_pass_over_prompt_and_answer(saved, architecture, family):
    judge = Judge(saved(architecture), "cpu", "float32")
    prompt = judge.tokenizer("a prompt of some length, longer than an answer", add_special_tokens=False)["input_ids"]
    answers = ["safe", "unsafe", "Safety: Controversial", "S14"]
    for answer, found in zip(answers, judge.log_likelihoods(prompt, answers), strict=True):
        ids = judge.tokenizer(answer, add_special_tokens=False)["input_ids"]
        logits = judge._model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0].float().log_softmax(-1)
        assert found == pytest.approx(sum(float(logits[len(prompt) - 1 + i, t]) for i, t in enumerate(ids)), abs=1e-3)


def test_the_likeliest_code_carries_the_probability_of_harm(saved):
    judge = Judge(saved("llama-guard"), "cpu", "float32")
    (question,) = questions("llama-guard")
    turns = [{"role": "user", "content": "words"}]
    found = judge.score(turns, question)
    text = judge.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = judge.tokenizer(text, add_special_tokens=False)["input_ids"]
    unsafe, longer, *_ = softmax(judge.log_likelihoods(ids, ["unsafe", "\n\nunsafe", "safe", "\n\nsafe"]))
    lead = [*ids, *judge.tokenizer("unsafe\n", add_special_tokens=False)["input_ids"]]
    best = max(zip(judge.log_likelihoods(lead, list(LLAMA_GUARD)), LLAMA_GUARD.values(), strict=True))[1]
    assert max(found, key=found.get) == best and found[best] == pytest.approx(unsafe + longer)


def test_a_model_that_answers_yes_is_heard(tmp_path):
    made = tokenizer("shieldgemma")
    made.save_pretrained(tmp_path)
    torch.manual_seed(3)
    biased = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))
    ids = made("x</user><assistant>", return_tensors="pt")["input_ids"]  # how every prompt of this test ends
    yes, no = made("Yes")["input_ids"][0], made("No")["input_ids"][0]
    for answer, expected in ((yes, True), (no, False)):
        with torch.no_grad():
            hidden = biased.model(ids).last_hidden_state[0, -1]
            biased.lm_head.weight.zero_()
            biased.lm_head.weight[answer] = hidden
        biased.save_pretrained(tmp_path)
        found = load(tmp_path, "shieldgemma").assess(Text("x"), Stage.PROMPT).findings
        assert {f.category for f in found} == {"vcr", "tox", "hte", "sxc"}
        assert all((f.score > 0.9) is expected for f in found)


@pytest.fixture(scope="module")
def stream_folder(tmp_path_factory):
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("stream")
    tokenizer("").save_pretrained(folder)
    config = transformers.Qwen3Config(**SIZES)
    torch.manual_seed(5)
    body = transformers.Qwen3Model(config)
    tensors = {f"model.{k}": v.clone() for k, v in body.state_dict().items()}
    for side, categories in (("query_", 4), ("", 3)):
        tensors[f"{side}risk_level_category_pre.weight"] = torch.randn(16, 32)
        tensors[f"{side}risk_level_category_layernorm.weight"] = torch.rand(16)
        tensors[f"{side}risk_level_head.weight"] = torch.randn(3, 16)
        tensors[f"{side}category_head.weight"] = torch.randn(categories, 16)
    save_file(tensors, folder / "model.safetensors")
    levels = {"0": "Safe", "1": "Unsafe", "2": "Controversial"}
    raw = {
        **config.to_dict(), "architectures": ["Qwen3ForGuardModel"], "guard_inner_size": 16,
        "auto_map": {"AutoModel": "modeling_qwen3_guard.Qwen3ForGuardModel"},
        "query_risk_level_map": levels, "response_risk_level_map": levels,
        "query_category_map": {"0": "Violent", "1": "PII", "2": "Jailbreak", "3": "None"},
        "response_category_map": {"0": "Violent", "1": "Unethical Acts", "2": "None"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "modeling_qwen3_guard.py").write_text("raise SystemExit('code from the folder was run')")
    return folder


def test_the_stream_head_judges_each_token_by_what_came_before(stream_folder):
    head = StreamHead(stream_folder, "cpu", "float32")
    ids, _, _ = head.ids([{"role": "user", "content": "one two"}, {"role": "assistant", "content": "three four five"}])
    whole = head.tokens(ids, user=False)
    for cut in (1, 5, len(ids) - 1):
        part = head.tokens(ids[:cut], user=False)
        assert [r.category for r in part] == [r.category for r in whole[:cut]]
        assert [r.harm for r in part] == pytest.approx([r.harm for r in whole[:cut]], abs=1e-4)
    assert head.tokens(ids, user=True) != whole  # the other heads
    # by hand, for the last token
    h = head._body(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
    pre = head._heads["risk_level_category_pre.weight"] @ h
    x = pre / (pre.pow(2).mean() + 1e-6).sqrt() * head._heads["risk_level_category_layernorm.weight"]
    _safe, unsafe, controversial = (head._heads["risk_level_head.weight"] @ x).softmax(-1).tolist()
    assert whole[-1].harm == pytest.approx(unsafe + 0.6 * controversial, abs=1e-4)


def test_the_stream_head_as_a_classifier_gives_spans_and_keeps_the_contract(stream_folder):
    guard = load(stream_folder, "qwen3-guard-stream")
    check_classifier(guard, SENTENCES)
    text = "The river was wide and the boats went by. " * 4
    found = guard.assess(Text(text), Stage.OUTPUT).findings
    assert found and all(f.spans for f in found if f.score >= plugin.SPAN_FROM)


def test_two_tokens_must_agree():
    assert debounced([TokenRisk(0.9, "vcr"), TokenRisk(0.2, "vcr"), TokenRisk(0.8, "vcr"), TokenRisk(0.7, "vcr")]) == [
        0.0, 0.2, 0.2, 0.7,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"family": "other"}, ConfigError),
        ({"path": ""}, ConfigError),
        ({"path": "/nowhere"}, ConfigError),
        ({"dtype": "int3"}, ConfigError),
        ({"family": "qwen3-guard-stream"}, SafetyUnavailable),  # no heads in that folder
    ],
)
def test_wrong_options_and_folders_are_refused(saved, change, error):
    with pytest.raises(error):
        plugin.create({"path": str(saved("qwen3-guard")), "family": "qwen3-guard", **change})


def test_pickled_weights_and_a_missing_chat_template_are_refused(saved, tmp_path):
    made = tokenizer("")
    made.chat_template = None
    made.save_pretrained(tmp_path)
    model("qwen3-guard").save_pretrained(tmp_path)
    with pytest.raises(SafetyUnavailable, match="chat template"):
        load(tmp_path, "qwen3-guard")
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="safetensors"):
        load(tmp_path, "qwen3-guard")


def test_the_digest_is_of_the_weights(saved, tmp_path):
    import shutil

    shutil.copytree(saved("qwen3-guard"), tmp_path / "m")
    before = load(tmp_path / "m", "qwen3-guard").identity().weights_digest
    assert before == load(saved("qwen3-guard"), "qwen3-guard").identity().weights_digest
    data = bytearray((tmp_path / "m" / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "m" / "model.safetensors").write_bytes(data)
    assert load(tmp_path / "m", "qwen3-guard").identity().weights_digest != before
