"""Several engines in one server: which serves what, what is refused by name, who takes over, how many wait."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from gensafe.core.config import Config, EngineConfig, GenerationConfig, load_config
from gensafe.core.errors import BackendError, BackendUnavailable, ConfigError, InvalidRequest, Overloaded
from gensafe.core.types import GenerationJob, GenerationRequest, Message, Modality, Parameters, Role, TextDelta
from gensafe.engines import open_engines
from gensafe.pipeline import CallControl, Released, open_chain, run
from tests.contract.openai_engine import DONE, Answer, piece, running

SIMULATOR = EngineConfig(name="local", backend="simulator")


def remote(url: str, **more) -> EngineConfig:
    return EngineConfig(
        name="remote", backend="openai_http", options={"url": url, "model": "m", "retries": "0"}, **more
    )


@pytest.fixture
def engine() -> Iterator:
    with running() as engine:
        engine.says("POST /chat/completions", Answer(pieces=(piece("A quiet harbor."), piece(None, "stop"), DONE)))
        yield engine


def chain_of(tmp_path, *engines):
    return open_chain(Config(data_dir=str(tmp_path / "data"), engines=engines))


def request(modality=Modality.TEXT, **more) -> GenerationRequest:
    from gensafe.core import ids

    return GenerationRequest(ids.new_request_id(), "Describe a harbor.", modality, **more)


def released(chain, one) -> Released:
    return next(e for e in run(chain, one, CallControl()) if isinstance(e, Released))


def opened(chain) -> dict:
    entries = (logged.entry for logged in chain.log.entries())
    return [dict(e) for e in entries if e["event"] == "generation.opened"][-1]


def test_a_model_or_what_is_asked_for_chooses_the_engine(tmp_path, engine):
    with chain_of(tmp_path, remote(engine.url), SIMULATOR) as chain:
        made = released(chain, request()).recorded.signed.marked.judged
        assert made.draft.record.model == "m" and opened(chain)["model"] == "m"
        local = released(chain, request(model="simulator")).recorded.signed.marked.judged
        assert local.draft.record.backend == "simulator"
        picture = released(chain, request(Modality.IMAGE)).recorded.signed.marked.judged
        assert picture.draft.record.backend == "simulator" and opened(chain)["model"] == "simulator"
        for wrong in ({"model": "gpt-9"}, {"model": "m", "modality": Modality.IMAGE}):
            with pytest.raises(InvalidRequest):
                list(run(chain, request(**wrong), CallControl()))


def test_messages_and_parameters_reach_the_engine_and_the_log_has_a_commitment_only(tmp_path, engine):
    with chain_of(tmp_path, remote(engine.url)) as chain:
        wishes = Parameters(temperature=0.25, stop=("Zebulon",))
        talk = (
            Message(Role.SYSTEM, "Answer like Zebulon."),
            Message(Role.USER, "Hello."),
            Message(Role.ASSISTANT, "Hi."),
        )
        released(chain, request(messages=talk, parameters=wishes))
        body = engine.body()
        assert body["temperature"] == 0.25 and body["stop"] == ["Zebulon"]
        assert [m["content"] for m in body["messages"]][:3] == ["Answer like Zebulon.", "Hello.", "Hi."]
        assert not any(b"Zebulon" in logged.data for logged in chain.log.entries())


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"parameters": Parameters(top_k=5)}, "parameters.top_k"),  # not in the dialect
        ({"parameters": Parameters(voice="ash")}, "parameters.voice"),
        ({"parameters": Parameters(extra={"lora": "x"})}, "parameters.extra.lora"),
        ({"parameters": Parameters(temperature=3.0)}, "parameters.temperature"),
        ({"parameters": Parameters(temperature=float("nan"))}, "parameters.temperature"),
        ({"parameters": Parameters(stop=("",))}, "parameters.stop"),
        ({"parameters": Parameters(stop=("x",) * 17)}, "parameters.stop"),
        ({"parameters": Parameters(json_schema="[1]")}, "parameters.json_schema"),
        ({"parameters": Parameters(voice="a\nb")}, "parameters.voice"),
        ({"messages": (Message(Role.USER, " "),)}, "messages[0].text"),
        ({"messages": (Message(Role.USER, "a"), Message(Role.SYSTEM, "b"))}, "messages[1].role"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(tmp_path, engine, more, field):
    with chain_of(tmp_path, remote(engine.url)) as chain:
        with pytest.raises(InvalidRequest) as refusal:
            list(run(chain, request(**more), CallControl()))
        assert refusal.value.field == field and not engine.requests


def test_a_repeat_with_other_parameters_is_another_request(tmp_path, engine):
    from gensafe.core.errors import Conflict

    with chain_of(tmp_path, remote(engine.url)) as chain:
        first = request(parameters=Parameters(temperature=0.25))
        released(chain, first)
        released(chain, first)  # replayed
        assert len(engine.requests) == 1
        from dataclasses import replace

        with pytest.raises(Conflict):
            list(run(chain, replace(first, parameters=Parameters(temperature=0.5)), CallControl()))


def test_the_fallback_takes_over_before_the_first_piece_and_the_entry_says_so(tmp_path):
    dead = remote("http://127.0.0.1:9", fallback="local")
    with chain_of(tmp_path, dead, SIMULATOR) as chain:
        made = released(chain, request()).recorded.signed.marked.judged
        assert made.draft.record.backend == "simulator"
        assert any("remote was unavailable" in note for note in made.draft.record.notes)
        entry = [dict(x.entry) for x in chain.log.entries() if x.entry["event"] == "generation.released"][-1]
        assert entry["generation"]["model"] == "simulator"
        assert not next(iter(chain.engines)).health.ok


def test_without_a_named_fallback_and_after_the_first_piece_nobody_takes_over(tmp_path, engine):
    with chain_of(tmp_path / "a", remote("http://127.0.0.1:9"), SIMULATOR) as chain:
        with pytest.raises(BackendUnavailable):
            released(chain, request())
    engine.says("POST /chat/completions", Answer(pieces=(piece("A quiet harbor. "),), cut=True))
    with chain_of(tmp_path / "b", remote(engine.url, fallback="local"), SIMULATOR) as chain:
        with pytest.raises(BackendUnavailable):
            released(chain, request())


def test_one_engines_queue_is_bounded(engine):
    gate = threading.Event()
    engine.says("POST /chat/completions", Answer(pieces=(piece("a"), piece(None, "stop"), DONE), gate=gate))
    engines = open_engines(Config(engines=(remote(engine.url, max_concurrent=1, max_queued=0),)))
    (one,) = engines
    job = GenerationJob("hello", Modality.TEXT, (), 1, 0, model="m")
    first = one.generate(job, None, lambda: False)
    next(first)
    with pytest.raises(Overloaded):
        next(one.generate(job, None, lambda: False))
    first.close()  # a place is given back however a job ends
    gate.set()
    assert isinstance(next(one.generate(job, None, lambda: False)), TextDelta)


def test_half_a_character_from_any_backend_is_a_failure():
    engines = open_engines(Config(engines=(EngineConfig(backend="simulator", options={"text": "ok \ud83d"}),)))
    (one,) = engines
    with pytest.raises(BackendError, match="half a character"):
        list(one.generate(GenerationJob("hello", Modality.TEXT, (), 1, 0), None, lambda: False))


@pytest.mark.parametrize(
    ("engines", "field"),
    [
        ((SIMULATOR, SIMULATOR), "engines"),
        ((SIMULATOR, EngineConfig(name="other", backend="simulator")), "engines"),
        ((EngineConfig(backend="simulator", models=("gpt",)),), "engines[0].models"),
        ((EngineConfig(name="a", backend="simulator", fallback="b"),), "engines.a.fallback"),
        ((EngineConfig(backend="openai_http"),), "engines[0].options.url"),
    ],
)
def test_wrong_engines_are_refused_by_their_place(engines, field):
    with pytest.raises(ConfigError) as refusal:
        open_engines(Config(engines=engines))
    assert refusal.value.field == field


def test_engines_are_read_from_toml_and_the_old_form_still_is(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('[[engines]]\nname = "a"\nbackend = "simulator"\nmodels = ["simulator"]\nmax_concurrent = 2\n')
    assert load_config(path).engines == (
        EngineConfig(name="a", backend="simulator", models=("simulator",), max_concurrent=2),
    )
    old = Config(generation=GenerationConfig(backend="simulator"))
    assert [e.name for e in open_engines(old)] == ["simulator"]
    with pytest.raises(ConfigError, match="beside"):
        open_engines(Config(generation=GenerationConfig(backend="simulator"), engines=(SIMULATOR,)))
    for text, field in (
        ("[[engines]]\nname = 'a'\n", "engines[0].backend"),
        ("[[engines]]\nbackend = 'simulator'\nmax_queued = -1\n", "engines[0].max_queued"),
        ("[[engines]]\nbackend = 'simulator'\ncolour = 'red'\n", "engines[0].colour"),
        ("engines = 'simulator'\n", "engines"),
        ("environment = 'production'\n[[engines]]\nbackend = 'simulator'\n", "engines[0].backend"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError) as refusal:
            load_config(path)
        assert refusal.value.field == field, json.dumps(text)
