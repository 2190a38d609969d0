"""The processor inside ``transformers``' own generate(), on a tiny random model; skipped where it is not installed."""

import pytest

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import MarkLevel
from gensafe_watermark import text

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=256, n_positions=256, n_embd=32, n_layer=1, n_head=2)
    return transformers.GPT2LMHeadModel(config).eval()


def generate(model, processor, rows=2, length=120, **options):
    prompt = torch.arange(5)[None].repeat(rows, 1) + torch.arange(rows)[:, None]
    out = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=length,
        min_new_tokens=length,
        pad_token_id=0,
        logits_processor=transformers.LogitsProcessorList([processor] if processor else []),
        **options,
    )
    return out[:, prompt.shape[1] :]


def test_generate_with_the_processor_is_found(model):
    torch.manual_seed(1)
    written = generate(model, text.TransformersLogitsProcessor(KEY, key_shift=3, temperature=0.9, top_k=50))
    for row in written.tolist():
        found = text.detect(row, KEY)
        assert found.level is MarkLevel.PRESENT
        assert found.detail["key_id"] == 3
        assert text.detect(row, bytes(32)).level is not MarkLevel.PRESENT


def test_generate_without_it_is_not(model):
    torch.manual_seed(1)
    for row in generate(model, None).tolist():
        assert text.detect(row, KEY).level is not MarkLevel.PRESENT


def test_one_processor_serves_one_call(model):
    processor = text.TransformersLogitsProcessor(KEY)
    generate(model, processor, rows=2, length=4)
    with pytest.raises(InvalidRequest):
        generate(model, processor, rows=3, length=4)
