"""``diffusers_pipe`` with a tiny random Stable Diffusion pipeline, saved and loaded by the library itself."""

from __future__ import annotations

import json
import os
import shutil
import threading
import warnings
from importlib.util import find_spec
from typing import ClassVar

import numpy as np
import pytest

from gensafe.core.errors import BackendUnavailable, Cancelled, ConfigError, InvalidRequest
from gensafe.core.types import GenerationJob, Modality, Parameters, Progress
from gensafe.testing.backend_contract import BackendContract
from tests.contract import folders

torch = pytest.importorskip("torch", reason="needs the torch extra")
if find_spec("diffusers") is None:
    pytest.skip("needs the diffusers extra", allow_module_level=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from gensafe_backends import diffusers_pipe

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]  # the library warns about its own internals


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return folders.pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def backend(saved):
    return opened(saved)


def opened(folder, **more):
    return diffusers_pipe.create({"path": str(folder), "steps": "3", **more})


def job(seed=7, **parameters):
    return GenerationJob("a red circle", Modality.IMAGE, (), seed, 0, parameters=Parameters(**parameters))


def run(backend, one=None):
    return list(backend.generate(one or job(), None, lambda: False))


class TestTiny(BackendContract):
    prompts: ClassVar = {Modality.IMAGE: "a red circle"}

    @pytest.fixture(autouse=True)
    def _backend(self, backend):
        self.backend = backend

    def make_backend(self):
        return self.backend


def test_parameters_reach_the_pipeline_and_the_record(backend):
    draft = run(backend, job(width=48, height=80, steps=4, guidance=3.0, negative_prompt="blue"))[-1]
    assert draft.media.pixels.shape == (80, 48, 3)
    assert draft.record.parameters["num_inference_steps"] == 4 and draft.record.parameters["guidance_scale"] == "3"
    assert "blue" not in str(draft.record.parameters)  # words of a caller are no part of the record
    same = run(backend, job(width=48, height=80, steps=4, guidance=3.0, negative_prompt="blue"))[-1]
    np.testing.assert_array_equal(draft.media.pixels, same.media.pixels)
    for other in ({"negative_prompt": "x"}, {"guidance": 9.0}, {"seed": 8}):
        one = job(**{"width": 48, "height": 80, "steps": 4, "guidance": 3.0, "negative_prompt": "blue", **other})
        assert not np.array_equal(run(backend, one)[-1].media.pixels, draft.media.pixels)
    assert {"width", "height", "steps", "guidance", "negative_prompt"} == backend.capabilities().parameters


def test_progress_comes_step_by_step_and_cancelling_is_heard_between_steps(backend):
    assert [(e.done, e.total) for e in run(backend) if isinstance(e, Progress)] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    gone = threading.Event()
    events = backend.generate(job(steps=900), None, gone.is_set)
    while next(events).done < 2:
        pass
    gone.set()
    with pytest.raises(Cancelled):
        list(events)
    run(backend)  # the next job works


def test_a_closed_iterator_stops_the_pipeline(backend):
    events = backend.generate(job(steps=900), None, lambda: False)
    while next(events).done < 1:
        pass
    events.close()
    assert not backend._working.locked()


@pytest.mark.parametrize(
    ("wish", "field"),
    [({"width": 47}, "width"), ({"height": 4096}, "height"), ({"steps": 2000}, "steps")],
)
def test_wishes_that_cannot_be_made_are_refused_by_name(backend, wish, field):
    with pytest.raises(InvalidRequest) as error:
        run(backend, job(**wish))
    assert error.value.field == f"parameters.{field}"


def test_every_file_counts_and_no_code_is_run(saved, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(saved, folder)
    before = opened(folder).models()["m"]
    (folder / "unet" / "own.py").write_text("raise SystemExit('code from the folder was run')")
    changed = opened(folder)
    assert changed.models()["m"] != before
    run(changed)
    index = json.loads((folder / "model_index.json").read_text())
    for broken in (
        {"_class_name": "OwnPipeline"},
        {"_class_name": ["own", "OwnPipeline"]},
        {"_class_name": "UNet2DConditionModel"},
        {"unet": ["own", "UNet"]},
    ):
        (folder / "model_index.json").write_text(json.dumps({**index, **broken}))
        with pytest.raises(ConfigError, match="own"):
            opened(folder)


def test_weights_that_changed_or_are_pickles_are_not_loaded(saved, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(saved, folder)
    backend = opened(folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    os.utime(weights, ns=(1, 1))
    with pytest.raises(BackendUnavailable, match="changed"):
        run(backend)
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(BackendUnavailable, match="cannot be loaded"):
        run(opened(folder))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"path": ""}, "path"),
        ({"output": "text"}, "output"),
        ({"guidance": "x"}, "guidance"),
        ({"steps": "x"}, "steps"),
        ({"dtype": "int3"}, "dtype"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_options_are_checked(saved, change, field):
    with pytest.raises(ConfigError) as error:
        opened(saved, **change)
    assert error.value.field == field
