"""The text benchmark on a model of one's own: a tiny one of the real architecture, from a folder."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from benchmarks.watermark.text.local_model import LocalModel, on_model  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("model")
    words = ["<unk>", *(f"w{i}" for i in range(255))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(3)
    config = transformers.GPT2Config(vocab_size=256, n_embd=32, n_layer=2, n_head=2, n_positions=256)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_the_mark_is_found_in_the_models_own_texts_and_not_in_unmarked_ones(folder):
    found = on_model(folder, texts=4, length=80)
    assert found["true_positive_rate"]["none"] == 1.0
    assert found["unmarked_present"] == 0
    assert 0 < found["choice_share_of_decoding"] < 1


def test_the_cache_changes_nothing(folder):
    model = LocalModel(folder)
    ids = model.begin("w1 w2 w3")
    step = [model.probabilities([i]) for i in ids][-1]
    model.begin("")
    assert abs(model.probabilities(ids) - step).max() < 1e-6


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"config\.json"):
        LocalModel(tmp_path)
