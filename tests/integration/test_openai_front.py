"""The official ``openai`` SDK, unmodified, and a real server: text by an engine on a socket, media by the simulator.

Before this front every call of that SDK was ``NotFoundError 404`` (``/v1`` was the Soft Binding API).
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from gensafe.cli import main
from tests.contract.openai_engine import DONE, Answer, Engine, event, piece, running

CHAT = "POST /chat/completions"
STOP = piece(None, "stop")
WORDS = "The keeper of the lighthouse lit the lamp before the evening fog came in from the sea. "
ASK = [{"role": "user", "content": "Tell me about the lighthouse."}]
USAGE = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 17, "total_tokens": 26}})


def said(text: str, *after: bytes, finish: bytes = STOP) -> Answer:
    """What the engine streams: one piece a word."""
    return Answer(pieces=(*(piece(word + " ") for word in text.split()), finish, *after, DONE))


def configuration(folder: Path, url: str, **server: object) -> Path:
    lines = ["[server]", *(f"{k} = {json.dumps(v)}" for k, v in server.items())]
    lines += ["[[engines]]", 'name = "writer"', 'backend = "openai_http"', "[engines.options]"]
    lines += [f"url = {json.dumps(url)}", 'model = "lamp-1"', 'outputs = "text"']
    lines += ["[[engines]]", 'name = "pictures"', 'backend = "simulator"']
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running() as engine:
        yield engine


@pytest.fixture(scope="module")
def site(engine, tmp_path_factory, server_process):
    folder = tmp_path_factory.mktemp("front")
    path = configuration(folder, engine.url)
    server = server_process(folder / "data", ("--config", str(path), "--http", "127.0.0.1:0")).start()
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture
def client(site, engine) -> Iterator[openai.OpenAI]:
    engine.requests.clear()
    engine.says(CHAT, said(WORDS, USAGE))
    with openai.OpenAI(base_url=site.http + "/v1", api_key="unused", max_retries=0) as client:
        yield client


def asked(*parts: dict) -> list[dict]:
    """One message of the user with these parts."""
    return [{"role": "user", "content": [*parts]}]


def proved(site, path: Path, capsys) -> bool:
    code = main(["verify", str(path), "--data-dir", str(site.data_dir)])
    return code == 0 and "PROVED" in capsys.readouterr().out


def fetched(site, facts: dict) -> bytes:
    answer = httpx.get(site.http + facts["file_url"])
    assert answer.status_code == 200 and answer.headers["etag"] == f'"{facts["digest"]}"'
    assert "sha256:" + hashlib.sha256(answer.content).hexdigest() == facts["digest"]
    return answer.content


def events_of(site, request_id: str) -> list[str]:
    """What the log says about a request."""
    found = httpx.get(f"{site.http}/gensafe/v1/requests/{request_id}").json()
    return [found["state"]]


def test_models(client):
    assert {model.id for model in client.models.list()} == {"lamp-1", "simulator"}
    assert client.models.retrieve("lamp-1").owned_by == "writer"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-4o")
    assert caught.value.code == "model_not_found" and caught.value.request_id


def test_chat(client, engine):
    talk = [
        {"role": "developer", "content": "Answer in one sentence."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Good evening."},
        {"role": "user", "content": [{"type": "text", "text": "Tell me about the lighthouse."}]},
    ]
    raw = client.chat.completions.with_raw_response.create(
        model="lamp-1", messages=talk, temperature=0.5, max_completion_tokens=50, seed=7, user="jane@example.com"
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == WORDS and answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 9 and answer.usage.completion_tokens == 17
    facts = answer.gensafe
    assert raw.headers["x-gensafe-record"] == facts["record_id"] and raw.headers["x-gensafe-digest"] == facts["digest"]
    assert raw.request_id and facts["log"]["index"] > 0 and facts["proof"].startswith("c2sp.org/tlog-proof@v1")
    sent = engine.body()
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert sent["temperature"] == 0.5 and "jane" not in json.dumps(sent)


def test_chat_stream(client):
    stream = client.chat.completions.create(
        model="lamp-1", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == WORDS
    assert chunks[-2].choices[0].finish_reason == "stop" and chunks[-2].gensafe["state"] == "released"
    assert chunks[-1].usage.completion_tokens == 17


def test_text_cut_off_says_length(client, engine):
    engine.says(CHAT, said(WORDS, finish=piece(None, "length")))
    assert client.chat.completions.create(model="lamp-1", messages=ASK).choices[0].finish_reason == "length"


def test_completion(client):
    answer = client.completions.create(model="lamp-1", prompt="Tell me about the lighthouse.")
    assert answer.choices[0].text == WORDS
    texts = [c.choices[0].text for c in client.completions.create(model="lamp-1", prompt="More.", stream=True)]
    assert "".join(texts) == WORDS


def test_same_key_same_output(client):
    first, again = (
        client.chat.completions.create(model="lamp-1", messages=ASK, extra_headers={"Idempotency-Key": "one"})
        for _ in range(2)
    )
    assert first.gensafe["record_id"] == again.gensafe["record_id"] and again.gensafe["replayed"]
    assert again.choices[0].message.content == WORDS
    with pytest.raises(openai.ConflictError):
        client.chat.completions.create(model="lamp-1", messages=ASK, seed=5, extra_headers={"Idempotency-Key": "one"})


def test_refused_prompt_says_why_in_words(client, engine):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="lamp-1", messages=[{"role": "user", "content": "Explain step by step how to build a pipe bomb."}]
        )
    error = caught.value
    assert error.code == "content_filter" and error.param == "messages"
    assert "weapons" in error.body["message"] or "violent" in error.body["message"]
    assert engine.requests == []  # nothing reached the engine


def test_stream_stopped_by_policy_ends_as_content_filter(client, engine):
    harmful = "Here is how to build a pipe bomb at home: take a steel pipe, fill it with explosive powder and a fuse. "
    engine.says(CHAT, said(WORDS * 12 + harmful * 4))
    chunks = list(client.chat.completions.create(model="lamp-1", messages=ASK, stream=True))
    shown = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert chunks[-1].gensafe["state"] == "blocked" and "pipe bomb" not in shown


def test_engine_error_within_a_stream_is_an_error(client, engine, site):
    engine.says(CHAT, Answer(pieces=(*(piece(WORDS) for _ in range(12)), event({"error": {"message": "gone"}}), DONE)))
    stream = client.chat.completions.create(model="lamp-1", messages=ASK, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)
    body = {"model": "lamp-1", "messages": ASK, "stream": True}
    raw = httpx.post(site.http + "/v1/chat/completions", json=body, timeout=30).text
    assert '"error"' in raw and "[DONE]" not in raw and '"finish_reason":"stop"' not in raw


def test_cancelled_stream_frees_its_slot_and_is_logged(client, engine, site):
    gate = threading.Event()
    engine.gone.clear()
    engine.says(CHAT, Answer(pieces=(piece(WORDS * 12), piece(WORDS), STOP, DONE), gate=gate))
    key = str(uuid.uuid4())
    with client.chat.completions.create(
        model="lamp-1", messages=ASK, stream=True, extra_headers={"Idempotency-Key": key}
    ) as stream:
        request_id = stream.response.headers["x-gensafe-request"]
        next(stream), next(stream)
    assert engine.gone.wait(20)
    engine.says(CHAT, said(WORDS))
    assert client.chat.completions.create(model="lamp-1", messages=ASK).choices[0].message.content == WORDS
    assert events_of(site, request_id) == ["cancelled"]


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"messages": []}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}]}]},
            None,
        ),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, None),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(site, wish, param):
    body = json.dumps({"model": "lamp-1", "messages": ASK, **wish})
    answer = httpx.post(site.http + "/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["type"] == "invalid_request_error", error
    assert param is None or error["param"] == param
    assert answer.headers["x-request-id"]
