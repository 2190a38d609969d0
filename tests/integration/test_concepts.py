"""A concept registered on the command line, watched by a real server in everything that Symphony makes."""

from __future__ import annotations

from importlib.resources import files

import pytest

from gensafe.cli import main
from gensafe.client import Client
from gensafe.client.statuses import Blocked, HeldForReview
from gensafe.registry import Registry

HOLDING = {
    "text": "which shapes do you know",
    "image": "a red star in the middle",
    "audio": "say one star",
    "video": "a green star moving left",
}
OTHERS = {
    "text": "what is two plus three",
    "image": "a red square in the middle",
    "audio": "say one two",
    "video": "a green square moving left",
}


@pytest.fixture(scope="module")
def watching(tmp_path_factory, write_config, server_process):
    """Start a server whose policy watches for stars, in prompts too where ``stages`` says so."""
    running = []

    def start(stages: str = ""):
        folder = tmp_path_factory.mktemp("concepts")
        concept = folder / "stars.json"
        assert main(["concept", "register", str(concept), "--word", "star"]) == 0
        text = files("gensafe.safety").joinpath("policies/default.toml").read_text("utf-8")
        for medium in HOLDING:
            text = text.replace(f"\n{medium} = [", f'\n{medium} = ["{medium}_concepts", ', 1)
            text += f'\n[options.{medium}_concepts]\nconcepts = "{concept}"\n'
            text += f'stages = "{stages}"\n' if stages else ""
        policy = folder / "policy.toml"
        policy.write_text(text)
        config = write_config(folder, backend="symphony")
        config.write_text(config.read_text() + f'[safety]\npolicy = "{policy}"\n')
        running.append(server_process(folder / "data", ("--config", str(config))))
        return running[-1].start()

    yield start
    for server in running:
        assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def server(watching):
    """The server of all media tests: it does not look at prompts."""
    return watching()


@pytest.mark.parametrize("medium", HOLDING)
def test_an_output_that_holds_the_concept_is_held(medium, server):
    seen = []
    with Client(server.address) as client, pytest.raises(HeldForReview) as caught:
        client.generate(HOLDING[medium], medium, seed=1, on_event=seen.append)
    assert list(caught.value.held.categories) == ["lst"]
    assert not any(e.HasField("media_chunk") or e.HasField("completed") for e in seen)
    with Registry.open(server.data_dir / "registry", readonly=True) as registry:
        verdict = registry.reviews.waiting()[-1].verdict
    found = {(d["category"], d["classifier"], d["detail"]) for d in verdict["decisions"] if d["action"] == "review"}
    assert found == {("lst", f"{medium}_concepts", "concept stars")}


@pytest.mark.parametrize("medium", OTHERS)
def test_an_output_without_it_passes(medium, server):
    with Client(server.address) as client:
        assert client.generate(OTHERS[medium], medium, seed=1).data


def test_prompts_are_judged_where_the_policy_says_so(watching):
    with Client(watching("prompt,input,output,standalone").address) as client:
        with pytest.raises((Blocked, HeldForReview)):
            client.generate(HOLDING["image"], "image", seed=1)
        assert client.generate(OTHERS["image"], "image", seed=1).data
