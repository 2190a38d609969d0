"""A classifier of the operator's as ONNX: labels are mapped, long texts are covered, and wrong folders are refused."""

from __future__ import annotations

import numpy as np
import pytest

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.types import Stage, Text
from gensafe.safety.classifiers import text_onnx
from gensafe.testing.classifier_contract import check_classifier

onnx = pytest.importorskip("onnx", reason="builds its models with onnx, which only the training scripts need")

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "calm", "bad", "worse", "word"]
LABELS = """
activation = "{activation}"
max_tokens = 16
labels = ["neutral", "threat", "insult"]
ignore = ["neutral"]
[categories]
threat = "vcr"
insult = "tox"
"""


def make(folder, activation="sigmoid", labels=LABELS, names=("input_ids", "attention_mask"), columns=3):
    """logits[l] = the sum over the tokens of a table's rows: ``bad`` speaks for threat, ``worse`` for insult."""
    from onnx import TensorProto, helper, numpy_helper

    table = np.full((len(VOCABULARY), columns), 0.0, np.float32)
    table[2] = -4.0  # [CLS]
    table[5, 1] = 6.0
    table[6, 2 % columns] = 8.0
    nodes = [
        helper.make_node("Gather", ["table", names[0]], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["logits"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "n"]) for n in names]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", columns])
    weights = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], np.int64), "axis")]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "labels.toml").write_text(labels.format(activation=activation))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    return {"path": str(folder)}


def scores(options, text):
    found = text_onnx.create(options).assess(Text(text), Stage.PROMPT).findings
    return {f.category: f.score for f in found}


def test_labels_become_categories(tmp_path):
    options = make(tmp_path)
    assert scores(options, "calm word") == {}  # sigmoid(-4) is below what is reported
    assert scores(options, "a bad word") == {"vcr": pytest.approx(1 / (1 + np.exp(-2)))}
    assert scores(options, "BAD worse") == {
        "vcr": pytest.approx(1 / (1 + np.exp(-2))),
        "tox": pytest.approx(1 / (1 + np.exp(-4))),
    }
    check_classifier(text_onnx.create(options), (Text("a"), Text(""), Text("bad word " * 50), Text("\ud800 好")))


def test_softmax_shares_one_between_the_labels(tmp_path):
    found = scores(make(tmp_path, "softmax"), "bad")
    assert found == {"vcr": pytest.approx(np.exp(6) / (np.exp(6) + 2))}


def test_no_part_of_a_long_text_is_cut_off(tmp_path):
    options = make(tmp_path)
    for place in (0, 13, 14, 40, 99):
        words = ["calm"] * 100
        words[place] = "bad"
        assert "vcr" in scores(options, " ".join(words)), place


def test_a_fast_tokenizer_is_used_where_there_is_one(tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason="needs the guards extra")
    options = make(tmp_path)
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    raw.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    before = text_onnx.create(options).identity()
    raw.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "vocab.txt").unlink()
    assert scores(options, "bad") == {"vcr": pytest.approx(1 / (1 + np.exp(-2)))}
    assert "vcr" in scores(options, "calm " * 60 + "bad")
    assert text_onnx.create(options).identity() != before


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ("= 1", "labels.toml"),
        ("labels = 3", "labels"),
        (LABELS.replace('insult = "tox"', ""), "categories"),
        (LABELS.replace('"tox"', '"nope"'), "categories.insult"),
        (LABELS.replace('insult = "tox"', 'insult = "tox"\nother = "tox"'), "categories"),
        (LABELS.replace("sigmoid", "tanh").replace("{activation}", "tanh"), "activation"),
        (LABELS.replace("16", "2"), "max_tokens"),
    ],
)
def test_wrong_label_maps_are_refused_by_name(tmp_path, labels, field):
    options = make(tmp_path, labels=labels)
    with pytest.raises(ConfigError) as caught:
        text_onnx.create(options)
    assert caught.value.field == field


def test_other_models_are_refused(tmp_path):
    with pytest.raises(ConfigError):
        text_onnx.create({})
    for change in ({"columns": 2}, {"names": ("ids", "mask")}):
        with pytest.raises(SafetyUnavailable):
            text_onnx.create(make(tmp_path, **change))
    options = make(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(SafetyUnavailable):
        text_onnx.create(options)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(SafetyUnavailable, match=r"lacks model\.onnx"):
        text_onnx.create(options)
