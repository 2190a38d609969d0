"""``mlx_lm`` on the CPU with a tiny random Llama, built and saved by the library itself."""

from __future__ import annotations

import json
import shutil
import threading
from importlib.util import find_spec
from typing import ClassVar

import pytest

from gensafe.core.errors import BackendUnavailable, ConfigError
from gensafe.core.types import GenerationJob, MarkLevel, Modality, Parameters
from gensafe.testing.backend_contract import BackendContract
from tests.contract import folders

if find_spec("mlx_lm") is None:
    pytest.skip("needs the mlx-lm extra", allow_module_level=True)

from gensafe_backends import mlx_lm

pytestmark = [pytest.mark.mlx, pytest.mark.filterwarnings("ignore")]  # the libraries warn about their own internals


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.models import llama

    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = folders.tokenizer(folder)
    config = {
        **folders.SIZES, "model_type": "llama", "vocab_size": vocabulary, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "eos_token_id": vocabulary - 1,
    }  # fmt: skip
    mx.random.seed(3)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    mx.save_safetensors(
        str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())), metadata={"format": "mlx"}
    )
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def backend(saved):
    return mlx_lm.create({"path": str(saved), "max_tokens": "40"})


def job(seed=7, max_tokens=0, **parameters):
    return GenerationJob("hello", Modality.TEXT, (), seed, max_tokens, parameters=Parameters(**parameters))


def run(backend, one=None, mark=None):
    return list(backend.generate(one or job(), mark, lambda: False))


class TestLlama(BackendContract):
    prompts: ClassVar = {Modality.TEXT: "say hello"}

    @pytest.fixture(autouse=True)
    def _backend(self, backend):
        self.backend = backend

    def make_backend(self):
        return self.backend


def test_greedy_text_is_the_librarys_own(saved, backend):
    from mlx_lm import generate, load

    model, tokens = load(str(saved))
    turns = [{"role": "user", "content": "hello"}]
    prompt = tokens.apply_chat_template(turns, add_generation_prompt=True)
    wanted = generate(model, tokens, prompt, max_tokens=24, verbose=False)
    assert run(backend, job(max_tokens=24, temperature=0.0))[-1].media.text == wanted


def test_the_mark_is_found_and_a_job_may_run_in_any_thread(backend):
    from gensafe_watermark.text import SamplingScheme

    key, scheme, texts = bytes(range(32)), SamplingScheme(), []

    def one(seed):
        texts.append(run(backend, job(seed=seed, max_tokens=200), scheme.sampler(key))[-1].media.text)

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = max((backend.tokenizer().encode(t) for t in texts), key=len)
    assert len(texts) == 4 and len(ids) >= 60
    assert scheme.detect(ids, key).level is MarkLevel.PRESENT
    assert scheme.detect(ids, bytes(32)).level is not MarkLevel.PRESENT


def test_code_that_the_folder_names_is_refused(saved, tmp_path):
    """``mlx-lm`` would import the file that ``model_file`` names."""
    folder = tmp_path / "m"
    shutil.copytree(saved, folder)
    (folder / "own.py").write_text("raise SystemExit('code from the folder was run')")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_file": "own.py"}))
    with pytest.raises(ConfigError, match="model_file"):
        mlx_lm.create({"path": str(folder)})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(BackendUnavailable, match="cannot be loaded"):
        run(mlx_lm.create({"path": str(folder)}))
    with pytest.raises(ConfigError):
        mlx_lm.create({"path": str(saved), "device": "cpu"})
