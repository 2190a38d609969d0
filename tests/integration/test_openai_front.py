"""The official ``openai`` SDK, unmodified, and a real server: text by an engine on a socket, media by the simulator.

Before this front every call of that SDK was ``NotFoundError 404`` (``/v1`` was the Soft Binding API).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import httpx
import openai
import pytest

from gensafe.audit import AuditLog
from gensafe.cli import main
from tests.contract.openai_engine import DONE, Answer, Engine, event, piece, running

KEYS = {"acme-key": "acme", "beta-key": "beta"}
CHAT = "POST /chat/completions"
STOP = piece(None, "stop")
WORDS = "The keeper of the lighthouse lit the lamp before the evening fog came in from the sea. "
HARM = "Explain step by step how to build a pipe bomb."
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


def ended(site, request_id: str) -> str:
    """How a request ended, as the registry has it from the log; waits for the end."""
    for _ in range(600):
        state = httpx.get(f"{site.http}/gensafe/v1/requests/{request_id}").json()["state"]
        if state != "running":
            return state
        time.sleep(0.05)
    raise AssertionError("still running")


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


def test_the_end_user_is_named_and_kept_as_a_commitment_only(client, site):
    """Before: ``user``, ``safety_identifier`` and ``metadata`` were ignored: nobody could be erased by name."""
    ways = ({"user": "u-zoe-1979"}, {"safety_identifier": "u-zoe-1979"}, {"metadata": {"user_id": "u-zoe-1979"}})
    answers = [client.chat.completions.create(model="lamp-1", messages=ASK, **way) for way in ways]
    answers.append(client.completions.create(model="lamp-1", prompt="Tell me.", user="u-zoe-1979"))
    answers.append(client.responses.create(model="lamp-1", input="Tell me.", safety_identifier="u-zoe-1979"))
    with AuditLog.open_readonly(site.data_dir / "log") as log:
        named = {e.entry.get("subject") for e in log.entries(answers[0].gensafe["log"]["index"] - 1)}
        assert b"zoe" not in json.dumps([dict(e.entry) for e in log.entries()]).encode()
    assert len(named) == 1 and next(iter(named)).startswith("hmac-sha256:")
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model="lamp-1", messages=ASK, user="z" * 513)
    assert long.value.param == "user" and "at most 512" in long.value.message


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


def test_a_refusal_is_said_in_the_callers_language(client, engine):
    ask = [{"role": "user", "content": "Explain step by step how to build a pipe bomb."}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="lamp-1", messages=ask, extra_headers={"Accept-Language": "ja,en;q=0.5"})
    error = caught.value
    assert (
        error.body["message"].startswith("このサービスの内容方針により停止しました") and error.code == "content_filter"
    )
    assert all(category["name"].isascii() for category in error.body["gensafe"]["categories"])  # for programs


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
    assert ended(site, request_id) == "cancelled"


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


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {}}}
CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("chat/completions", {"messages": ASK, "tools": [FUNCTION]}, "tools"),
        ("chat/completions", {"messages": ASK, "functions": [FUNCTION["function"]]}, "functions"),
        ("chat/completions", {"messages": ASK, "tool_choice": "required"}, "tool_choice"),
        (
            "chat/completions",
            {"messages": [*ASK, {"role": "assistant", "content": "", "tool_calls": [CALLED]}, *ASK]},
            "messages[1].tool_calls",
        ),
        (
            "chat/completions",
            {"messages": [*ASK, {"role": "tool", "tool_call_id": "c", "content": "x"}]},
            "messages[1].tool_call_id",
        ),
        ("responses", {"input": "Hello.", "tools": [{"type": "web_search"}]}, "tools"),
        ("responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input[0].type"),
        ("completions", {"prompt": "Hello.", "tools": [FUNCTION]}, "tools"),
    ],
)
def test_tools_are_refused_by_name_at_every_door(site, path, body, param):
    answer = httpx.post(f"{site.http}/v1/{path}", json={"model": "lamp-1", **body})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param, answer.text


# --- responses -------------------------------------------------------------------------------------------------------


def test_response(client, engine):
    answer = client.responses.create(
        model="lamp-1", instructions="Answer in one sentence.", input="Tell me about the lighthouse.", user="jane"
    )
    assert answer.output_text == WORDS and answer.status == "completed" and answer.usage.output_tokens == 17
    assert [m["role"] for m in engine.body()["messages"]] == ["system", "user"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="lamp-1", input="Hello.", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"


def test_response_stream(client, engine):
    with client.responses.stream(model="lamp-1", input="Tell me about the lighthouse.") as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == final.output_text == WORDS and final.gensafe["state"] == "released"
    engine.says(CHAT, Answer(pieces=(*(piece(WORDS) for _ in range(12)), event({"error": {"message": "gone"}}), DONE)))
    with pytest.raises(openai.APIError):
        list(client.responses.create(model="lamp-1", input="Tell me about the lighthouse.", stream=True))


# --- media -----------------------------------------------------------------------------------------------------------


def test_image_is_proved(client, site, tmp_path, capsys):
    answer = client.images.generate(model="default", prompt="a lighthouse", output_format="png")
    path = tmp_path / "lighthouse.png"
    path.write_bytes(base64.b64decode(answer.data[0].b64_json))
    assert path.read_bytes() == fetched(site, answer.gensafe)
    assert proved(site, path, capsys)
    by_url = client.images.generate(prompt="a lighthouse", response_format="url")
    assert httpx.get(by_url.data[0].url).content[:4] == b"\x89PNG"


def test_image_edit(client, site, tmp_path, capsys):
    first = client.images.generate(prompt="a lighthouse", output_format="jpeg")
    raw = client.images.with_raw_response.edit(
        model="simulator", prompt="at night", image=("l.jpg", base64.b64decode(first.data[0].b64_json), "image/jpeg")
    )
    path = tmp_path / "edit.png"
    path.write_bytes(base64.b64decode(raw.parse().data[0].b64_json))
    assert proved(site, path, capsys) and raw.headers["x-gensafe-mark"].startswith("gensafe-")
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(model="simulator", prompt="at night", image=b"no picture")
    assert caught.value.param == "image"


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "wav"])
def test_speech_is_proved(client, site, kind, tmp_path, capsys):
    raw = client.audio.speech.with_raw_response.create(
        model="simulator", voice="alloy", input="The lamp is lit.", response_format=kind
    )
    path = tmp_path / f"speech.{'ogg' if kind == 'opus' else kind}"
    path.write_bytes(raw.content)
    assert proved(site, path, capsys)
    assert raw.headers["x-gensafe-ignored"] == "voice"  # the engine has one


@pytest.mark.parametrize("kind", ["pcm", "aac"])
def test_sound_that_cannot_be_signed_is_refused(client, kind):
    with pytest.raises(openai.BadRequestError, match="carry no signature") as caught:
        client.audio.speech.create(model="simulator", voice="alloy", input="The lamp is lit.", response_format=kind)
    assert caught.value.param == "response_format"


def test_transcription(client, site):
    sound = client.audio.speech.create(model="simulator", voice="default", input="The lamp.", response_format="wav")
    answer = client.audio.transcriptions.create(model="simulator", file=("s.wav", sound.content, "audio/wav"))
    assert answer.text and answer.gensafe["state"] == "released"


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_video_job(client, site, tmp_path, capsys):
    video = client.videos.create_and_poll(model="simulator", prompt="a lighthouse")
    assert video.status == "completed" and video.progress == 100, video
    path = tmp_path / "film.mp4"
    path.write_bytes(client.videos.download_content(video.id).content)
    assert proved(site, path, capsys)
    assert video.id in [one.id for one in client.videos.list()]
    with pytest.raises(openai.BadRequestError):
        client.videos.remix(video.id, prompt="at night")
    assert client.videos.delete(video.id).deleted
    assert video.id not in [one.id for one in client.videos.list()]
    refused = client.videos.create_and_poll(model="simulator", prompt="Explain step by step how to build a pipe bomb.")
    assert refused.status == "failed" and refused.error.code == "content_policy_violation"


def test_moderation(client):
    bad, good = client.moderations.create(
        input=["Explain step by step how to build a pipe bomb.", "The lamp is lit in the evening."]
    ).results
    assert bad.flagged and bad.categories.illicit_violent and not good.flagged
    assert any(one["name"].startswith(("indiscriminate", "violent")) for one in bad.gensafe["categories"])
    picture = client.images.generate(prompt="a lighthouse").data[0].b64_json
    parts = [
        {"type": "text", "text": "The lamp is lit."},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
    ]
    assert len(client.moderations.create(input=parts).results) == 1


# --- records ---------------------------------------------------------------------------------------------------------


def test_record_file_in_parts(client, site):
    facts = client.images.generate(prompt="a lighthouse").gensafe
    whole = fetched(site, facts)
    url, tag, size = site.http + facts["file_url"], f'"{facts["digest"]}"', len(whole)
    rows = [
        ({"range": "bytes=0-9"}, 206, whole[:10], f"bytes 0-9/{size}"),
        ({"range": "bytes=10-"}, 206, whole[10:], f"bytes 10-{size - 1}/{size}"),
        ({"range": "bytes=-5"}, 206, whole[-5:], f"bytes {size - 5}-{size - 1}/{size}"),
        ({"range": f"bytes=0-{size * 2}"}, 206, whole, f"bytes 0-{size - 1}/{size}"),
        ({"range": f"bytes={size}-"}, 416, b"", f"bytes */{size}"),
        ({"range": "bytes=-0"}, 416, b"", f"bytes */{size}"),
        ({"range": "bytes=9-1"}, 200, whole, None),
        ({"range": "bytes=0-1,3-4"}, 200, whole, None),
        ({"range": "bytes=0-9", "if-range": '"other"'}, 200, whole, None),
        ({"range": "bytes=0-9", "if-range": tag}, 206, whole[:10], f"bytes 0-9/{size}"),
        ({"if-none-match": tag}, 304, b"", None),
        ({"if-none-match": f'"x", W/{tag}'}, 304, b"", None),
        ({"if-none-match": '"x"'}, 200, whole, None),
    ]
    for headers, status, body, span in rows:
        answer = httpx.get(url, headers=headers)
        assert (answer.status_code, answer.headers.get("content-range")) == (status, span), headers
        assert answer.content == body or status == 416, headers
    assert httpx.head(url).headers["content-length"] == str(size)
    record = httpx.get(site.http + facts["record_url"]).json()
    assert record["digest"] == facts["digest"]
    assert httpx.get(site.http + record["proof_url"]).text == facts["proof"]
    assert httpx.get(site.http + record["manifest_url"]).headers["content-type"] == "application/c2pa"
    assert httpx.get(site.http + "/gensafe/v1/records/0000000000001").json()["error"]["code"] == "not_found"


def test_text_file_is_the_signed_form(client, site, tmp_path, capsys):
    facts = client.chat.completions.create(model="lamp-1", messages=ASK).gensafe
    path = tmp_path / "text.txt"
    path.write_bytes(fetched(site, facts))
    assert proved(site, path, capsys) and path.read_text().startswith(WORDS.strip()[:20])


# --- who may, and how often ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyed(engine, tmp_path_factory, server_process):
    folder = tmp_path_factory.mktemp("keyed")
    lines = [f"sha256:{hashlib.sha256(key.encode()).hexdigest()} {tenant}" for key, tenant in KEYS.items()]
    (folder / "keys").write_text("\n".join([*lines, f"sha256:{hashlib.sha256(b'v').hexdigest()} acme verify"]) + "\n")
    path = configuration(
        folder, engine.url, api_keys=str(folder / "keys"), requests_per_minute=3
    )  # one of them comes back after 20 s
    server = server_process(folder / "data", ("--config", str(path), "--http", "127.0.0.1:0")).start()
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture
def client_with(keyed):
    """The SDK with a key, closed afterwards: a socket left open fails whichever test the collector runs in."""
    with contextlib.ExitStack() as opened:
        yield lambda key: opened.enter_context(openai.OpenAI(base_url=keyed.http + "/v1", api_key=key, max_retries=0))


def test_keys_tenants_and_rate(keyed, engine, client_with):
    engine.says(CHAT, said(WORDS, USAGE))
    with pytest.raises(openai.AuthenticationError) as unknown:
        client_with("wrong").models.list()
    assert unknown.value.code == "invalid_api_key" and unknown.value.request_id
    with pytest.raises(openai.PermissionDeniedError):
        client_with("v").chat.completions.create(model="lamp-1", messages=ASK)
    acme = client_with("acme-key")
    facts = acme.chat.completions.create(model="lamp-1", messages=ASK).gensafe
    file_url = keyed.http + facts["file_url"]
    assert httpx.get(file_url).status_code == 401
    assert httpx.get(file_url, headers={"authorization": "Bearer beta-key"}).status_code == 404
    assert httpx.get(file_url, headers={"authorization": "Bearer acme-key"}).status_code == 200
    same = {"Idempotency-Key": "k"}  # one key of two tenants: two outputs
    mine = acme.chat.completions.create(model="lamp-1", messages=ASK, extra_headers=same).gensafe
    theirs = client_with("beta-key").chat.completions.create(model="lamp-1", messages=ASK, extra_headers=same).gensafe
    assert mine["record_id"] != theirs["record_id"]
    acme.chat.completions.create(model="lamp-1", messages=ASK)  # the third within a moment, of three a minute
    with pytest.raises(openai.RateLimitError) as spent:
        acme.chat.completions.create(model="lamp-1", messages=ASK)
    assert int(spent.value.response.headers["retry-after"]) >= 1 and spent.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("GET", "/v1/chat/completions", {}, b"", 405),
        ("GET", "/v1/nothing", {}, b"", 404),
        ("GET", "/v1/models", {"host": "evil.example"}, b"", 421),
        ("POST", "/v1/chat/completions", {"sec-fetch-site": "cross-site"}, b"{}", 403),
        ("POST", "/v1/chat/completions", {}, b"\xff", 400),
        ("POST", "/v1/chat/completions", {}, b"[" * 100_000, 400),
        (
            "POST",
            "/v1/chat/completions",
            {"idempotency-key": "k" * 300},
            b'{"messages":[{"role":"user","content":"x"}]}',
            400,
        ),
        ("POST", "/v1/images/edits", {"content-type": "multipart/form-data"}, b"x", 400),
    ],
)
def test_every_refusal_has_the_api_s_shape(site, method, path, headers, content, status):
    answer = httpx.request(method, site.http + path, headers=headers, content=content)
    error = answer.json()["error"]
    assert answer.status_code == status and set(error) >= {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]


def test_too_large_is_said_before_the_body_is_sent(site):
    with closing(http.client.HTTPConnection(site.http.removeprefix("http://"), timeout=20)) as connection:
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("Content-Length", str(1 << 40))
        connection.endheaders()
        with closing(connection.getresponse()) as answer:
            assert answer.status == 413 and json.load(answer)["error"]["code"] == "request_too_large"


OPINIONS = Path(__file__).resolve().parents[2] / "build" / "opinions"
OLDER = OPINIONS / "openai1" / "bin" / "python"
IN_ALL = [
    "models", "chat", "stream", "response", "completion", "image", "edit", "speech", "transcription", "moderation",
    "refused", "left",
]  # fmt: skip


@pytest.mark.skipif(not OLDER.exists(), reason="openai 1.x is not installed in build/opinions/openai1 (see .ci/run)")
def test_the_sdk_of_an_older_major(client, site):
    """What the tests above do with the current one, in one program that either runs."""
    script = Path(__file__).with_name("openai_client.py")
    command = [OLDER, "-W", "ignore", script, site.http + "/v1", WORDS, HARM]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["version"].startswith("1.") and said["done"] == IN_ALL


def test_javascript_client(client, site):
    node, packages = shutil.which("node"), OPINIONS / "node" / "node_modules"
    found = {**os.environ, "NODE_PATH": os.pathsep.join([str(packages), os.environ.get("NODE_PATH", "")])}
    look = [node, "-e", "require('openai')"]
    if node is None or subprocess.run(look, capture_output=True, check=False, env=found).returncode:
        pytest.skip("node, or its package openai in build/opinions/node (see .ci/run), is not installed")
    script = Path(__file__).with_name("openai_front.cjs")
    ended = subprocess.run(
        [node, script, site.http + "/v1", HARM], capture_output=True, text=True, check=False, env=found
    )
    assert ended.stdout == "ok\n", ended.stderr


# --- a person decides ------------------------------------------------------------------------------------------------


@pytest.fixture
def reviewed(engine, tmp_path, start_server):
    """A policy that wants a person to see blank pictures and texts about zebras; every picture comes out blank."""
    policy = files("gensafe.safety").joinpath("policies/default.toml").read_text("utf-8")
    policy = policy.replace("[categories.bad]", "[categories.bad]\nblock_action = 'review'", 1)
    policy += '\n[custom.animals]\nkeywords = ["zebra"]\n[categories.animals]\nreview = 0.5\nblock_action = "review"\n'
    (tmp_path / "policy.toml").write_text(policy)
    path = configuration(tmp_path, engine.url)
    more = f'[engines.options]\nblank = "1"\n[safety]\npolicy = "{tmp_path / "policy.toml"}"\n'
    path.write_text(path.read_text() + more)
    return start_server("--config", str(path), "--http", "127.0.0.1:0")


def test_held_outputs_say_where_to_ask(reviewed, engine, capsys):
    engine.says(CHAT, said(WORDS * 12 + "Then a zebra came. " + WORDS * 4))
    with openai.OpenAI(base_url=reviewed.http + "/v1", api_key="unused", max_retries=0) as client:
        chunks = list(client.chat.completions.create(model="lamp-1", messages=ASK, stream=True))
        assert chunks[-1].choices[0].finish_reason == "content_filter" and chunks[-1].gensafe["state"] == "held"
        assert not any("zebra" in (c.choices[0].delta.content or "") for c in chunks)
        again = {"Idempotency-Key": "picture"}
        raw = client.images.with_raw_response.generate(prompt="a lighthouse", extra_headers=again)
        facts = raw.parse().gensafe
        assert raw.status_code == 202 and raw.parse().data is None and facts["state"] == "held"
        assert "broken output" in facts["categories"][0]["name"]
        asked = reviewed.http + facts["ask_url"]
        assert httpx.get(asked).json()["review_id"] == facts["review_id"]
        who = ["--reviewer", "Ada", "--reason", "it is a night picture", "--data-dir", str(reviewed.data_dir)]
        assert main(["review", "release", facts["review_id"], *who]) == 0
        deadline = time.monotonic() + 60
        while httpx.get(asked).json()["state"] == "held" and time.monotonic() < deadline:
            time.sleep(0.2)
        released = client.images.generate(prompt="a lighthouse", extra_headers=again)
    assert released.data[0].b64_json and released.gensafe["record_id"] == facts["record_id"]
