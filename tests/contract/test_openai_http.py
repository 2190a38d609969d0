"""``openai_http`` under the shipped contract, and against an engine that answers wrongly in every way that was seen.

Rows marked S or G were seen released as a complete text, signed and proved, by version 1 of the backend.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import queue
import ssl
import subprocess
import threading
import time
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as pil

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, ConfigError, InvalidRequest
from gensafe.core.types import (
    Audio,
    Draft,
    GenerationJob,
    Image,
    Message,
    Modality,
    Parameters,
    Role,
    Text,
    TextDelta,
    Video,
)
from gensafe.media.codecs import encode
from gensafe.testing.backend_contract import BackendContract
from gensafe_backends import openai_http
from gensafe_backends.openai_http import wire
from gensafe_backends.openai_http.wire import POLL_S
from tests.contract.openai_engine import DONE, Answer, Engine, event, piece, running

PIXELS = np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3)
TONE = Audio(np.sin(np.arange(8000, dtype=np.float32) / 10)[None] * 0.3, 16000)
CHAT, DRAW, EDIT = "POST /chat/completions", "POST /images/generations", "POST /images/edits"
STOP = piece(None, "stop")
GOOD = (piece("", role="assistant"), piece("one "), piece("two"), STOP, DONE)
JSON = "application/json"


def picture(media_type="image/png"):
    return base64.b64encode(encode(Image(PIXELS), media_type)).decode()


def animation():
    frames = [pil.fromarray(PIXELS), pil.fromarray(255 - PIXELS)]
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:], duration=100)
    return base64.b64encode(out.getvalue()).decode()


def drawn(b64=None, **more):
    return Answer(json.dumps({"data": [{"b64_json": picture() if b64 is None else b64, **more}]}).encode(), kind=JSON)


@pytest.fixture
def engine():
    with running() as engine:
        engine.says(CHAT, Answer(pieces=GOOD))
        engine.says(DRAW, drawn())
        engine.says(EDIT, drawn())
        engine.says("POST /audio/speech", Answer(encode(TONE, "audio/wav"), kind="audio/wav"))
        yield engine


def options(engine: Engine, **more: str) -> dict[str, str]:
    return {"url": engine.url, "model": "m", "outputs": "text,image,audio,video", **more}


def job(modality=Modality.TEXT, inputs=(), max_tokens=5, seed=3, **parameters):
    return GenerationJob("hello", modality, inputs, seed, max_tokens, parameters=Parameters(**parameters))


def run(engine, one=None, **more):
    return list(openai_http.create(options(engine, **more)).generate(one or job(), None, lambda: False))


class TestOpenAiHttp(BackendContract):
    prompts: ClassVar = {Modality.TEXT: "say hello", Modality.IMAGE: "a red circle", Modality.AUDIO: "hello"}

    @pytest.fixture(autouse=True)
    def _server(self, engine):
        self.engine = engine

    def make_backend(self):
        return openai_http.create(options(self.engine, outputs="text,image,audio"))


# --- a broken answer is never a whole one ---------------------------------------------------------------------------

HALF = (piece("", role="assistant"), piece("The safe way is to "))
BROKEN = {
    "error object": (*HALF, event({"error": {"message": "engine dead", "type": "internal", "code": 500}}), DONE),  # S
    "error string": (*HALF, event({"error": "CUDA out of memory"}), DONE),  # S
    "error event": (*HALF, event({"message": "overloaded"}, "error"), DONE),  # S
    "error event that is no JSON": (*HALF, b"event: error\ndata: boom\n\n", DONE),
    "error first": (event({"error": {"message": "queue full", "code": 429}}), DONE),
    "error beside choices": (*HALF, event({"choices": [], "error": {"type": "x"}}), STOP, DONE),
    "finish error": (*HALF, piece("", "error"), DONE),  # S
    "finish content_filter": (*HALF, piece(None, "content_filter"), DONE),  # S
    "finish tool_calls": (*HALF, piece(None, "tool_calls"), DONE),
    "finish that is no word": (*HALF, event({"choices": [{"index": 0, "delta": {}, "finish_reason": 7}]}), DONE),
    "no finish reason": (*HALF, DONE),  # S
    "finish of another choice only": (*HALF, piece(None, "stop", index=1), DONE),
    "cut": HALF,
    "nothing": (piece("", role="assistant"), STOP, DONE),
    "refusal": (piece(None, refusal="I cannot help"), STOP, DONE),
    "refusal after text": (*HALF, piece(None, refusal="I cannot go on"), STOP, DONE),
    "tool call": (*HALF, piece(None, tool_calls=[{"index": 0}]), STOP, DONE),
    "picture part": (*HALF, piece([{"type": "image_url", "image_url": {"url": "x"}}]), STOP, DONE),
    "content number": (*HALF, piece(7), STOP, DONE),
    "content object": (*HALF, piece({"text": "x"}), STOP, DONE),
    "text after the end": (*HALF, STOP, piece("more"), DONE),
    "half a character at the end": (*HALF, piece("ok \ud83d"), STOP, DONE),
    "half a character inside": (piece("ok \ud83d"), piece("and on"), STOP, DONE),
    "second half alone": (piece("\ude00 ok"), STOP, DONE),
    "choice that is no object": (*HALF, event({"choices": ["x"]}), STOP, DONE),
    "not JSON": (*HALF, b"data: <html>\n\n", DONE),
    "not UTF-8": (*HALF, b"data: \xff\xfe\n\n", DONE),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_a_failure(engine, name):
    engine.says(CHAT, Answer(pieces=BROKEN[name]))
    seen = []
    with pytest.raises(BackendError) as failure:
        seen.extend(openai_http.create(options(engine)).generate(job(), None, lambda: False))
    assert not any(isinstance(e, Draft) for e in seen)
    assert "engine dead" not in str(failure.value) and "CUDA" not in str(failure.value)  # its words may repeat a prompt


def test_the_engines_reason_is_named(engine):
    engine.says(CHAT, Answer(pieces=BROKEN["error object"]))
    with pytest.raises(BackendError, match=r"type internal, code 500"):
        run(engine)
    body = json.dumps({"error": {"message": "secret words", "type": "invalid_request_error", "code": "too_long"}})
    engine.says(CHAT, Answer(body.encode(), 400, JSON))
    with pytest.raises(BackendError, match=r"status 400 \(type invalid_request_error, code too_long\)"):
        run(engine)


def test_a_connection_that_breaks_is_a_failure(engine):
    engine.says(CHAT, Answer(pieces=HALF, cut=True))
    with pytest.raises(BackendUnavailable, match="broke off"):
        run(engine)


# --- what differs between servers and is right ----------------------------------------------------------------------

RIGHT = {
    "as it should be": (GOOD, "one two"),
    "an emoji in two halves": ((piece("ok \ud83d"), piece("\ude00 done"), STOP, DONE), "ok \U0001f600 done"),
    "text parts": ((piece([{"type": "text", "text": "one "}]), piece("two"), STOP, DONE), "one two"),
    "another choice": ((piece("WRONG ", index=1), *GOOD), "one two"),
    "CRLF": (tuple(p.replace(b"\n", b"\r\n") for p in GOOD), "one two"),
    "CR": (tuple(p.replace(b"\n", b"\r") for p in GOOD), "one two"),
    "no space": (tuple(p.replace(b"data: ", b"data:") for p in GOOD), "one two"),
    "comments": ((b": PROCESSING\n\n", *GOOD), "one two"),
    "byte order mark": ((b"\xef\xbb\xbf", *GOOD), "one two"),
    "no DONE": (GOOD[:-1], "one two"),
    "several lines of data": (
        (b'data: {"choices":\ndata: [{"delta":{"content":"one two"}}]}\n\n', STOP, DONE),
        "one two",
    ),
    "reasoning": ((piece(None, reasoning_content="thinking"), *GOOD), "one two"),
    "empty choices": ((event({"choices": [], "prompt_filter_results": [{}]}), *GOOD), "one two"),
    "one byte at a time": (tuple(bytes([b]) for b in b"".join(GOOD)), "one two"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_other_servers_ways_are_read(engine, name):
    pieces, text = RIGHT[name]
    engine.says(CHAT, Answer(pieces=pieces))
    events = run(engine)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == events[-1].media.text == text


def test_a_server_that_does_not_stream(engine):
    answer = {"choices": [{"message": {"role": "assistant", "content": "one two"}, "finish_reason": "stop"}]}
    engine.says(CHAT, Answer(json.dumps(answer).encode(), kind=JSON))
    assert run(engine)[-1].media == Text("one two")
    for broken in ({"finish_reason": "content_filter"}, {"finish_reason": None}):
        answer["choices"][0] |= broken
        engine.says(CHAT, Answer(json.dumps(answer).encode(), kind=JSON))
        with pytest.raises(BackendError):
            run(engine)


def test_a_text_that_was_cut_off_says_so(engine):
    usage = event({"choices": [], "usage": {"completion_tokens": 5, "prompt_tokens": 9}})
    engine.says(CHAT, Answer(pieces=(piece("one"), piece(None, "length"), usage, DONE)))
    record = run(engine)[-1].record
    assert record.finish == "length" and any("cut off" in note for note in record.notes)
    assert (record.tokens, record.tokens_in) == (5, 9)


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_the_request_carries_everything(engine, tmp_path):
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    one = GenerationJob(
        "hello",
        Modality.TEXT,
        (Text("before"), Image(PIXELS)),
        1099511627781,
        5,
        messages=(Message(Role.SYSTEM, "be short"), Message(Role.USER, "hi"), Message(Role.ASSISTANT, "yes?")),
        parameters=Parameters(temperature=0.5, stop=("END",), json_schema='{"type": "object"}', extra={"lora": "a"}),
    )
    record = run(engine, one, api_key_file=str(key), extra="lora")[-1].record
    _, path, headers, _ = engine.requests[0]
    body = engine.body()
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer s3cret"
    assert body["seed"] == record.seed == 5  # the seed that was sent, not the one that was asked for
    assert body["max_tokens"] == 5 and body["stream"] is True and body["stop"] == ["END"] and body["lora"] == "a"
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "user"]
    text, image = body["messages"][-1]["content"]
    assert text["text"] == "before\n\nhello" and image["image_url"]["url"].startswith("data:image/png;base64,")


def test_dialects_differ_where_servers_do(engine):
    run(engine, dialect="openai")
    assert engine.body()["max_completion_tokens"] == 5 and "max_tokens" not in engine.body()
    assert engine.body()["stream_options"] == {"include_usage": True}
    run(engine, job(repetition_penalty=1.1), dialect="llama.cpp")
    assert engine.body()["repeat_penalty"] == 1.1
    run(engine, job(Modality.IMAGE), dialect="openai")
    assert "response_format" not in engine.body() and "seed" not in engine.body()
    run(engine, job(Modality.IMAGE), model="gpt-image-1")
    assert "response_format" not in engine.body()
    record = run(engine, job(Modality.IMAGE, width=64, height=48, steps=9), dialect="vllm-omni")[-1].record
    assert (engine.body()["num_inference_steps"], engine.body()["size"], engine.body()["seed"]) == (9, "64x48", 3)
    assert not any("seed" in note for note in record.notes)


def test_what_it_does_not_honour_is_not_in_its_capabilities(engine):
    def names(**more):
        return openai_http.create(options(engine, **more)).capabilities().parameters

    assert {"temperature", "messages", "width"} <= names() and "top_k" not in names()
    assert "top_k" in names(dialect="vllm-omni") and "extra.lora" in names(extra="lora")


# --- pictures, sound, film ------------------------------------------------------------------------------------------


def test_a_picture_comes_back_as_it_was_sent(engine):
    wrapped = "\n".join(picture()[i : i + 76] for i in range(0, len(picture()), 76))
    for sent in (picture(), f"data:image/png;base64,{picture()}", wrapped):
        engine.says(DRAW, drawn(sent))
        np.testing.assert_array_equal(run(engine, job(Modality.IMAGE))[-1].media.pixels, PIXELS)


def test_pictures_as_inputs_are_edited(engine):
    run(engine, job(Modality.IMAGE, (Image(PIXELS),)))
    _, path, headers, body = engine.requests[-1]
    assert path == "/v1/images/edits" and headers["Content-Type"].startswith("multipart/form-data")
    assert b'name="image"' in body and encode(Image(PIXELS), "image/png") in body


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b'{"data": []}', kind=JSON),
        Answer(b'{"data": [{"url": "http://127.0.0.1:1/x.png"}]}', kind=JSON),
        drawn("%"),
        drawn(7),
        drawn(picture()[: len(picture()) // 8 * 4]),
        drawn(animation()),
        drawn(base64.b64encode(encode(TONE, "audio/wav")).decode()),
        Answer(b"<html>", kind=JSON),
        Answer(b"[]", kind=JSON),
        Answer(b'{"error": {"type": "moderation_blocked"}}', kind=JSON),
    ],
)
def test_what_is_no_picture_is_a_failure(engine, answer):
    engine.says(DRAW, answer)
    with pytest.raises(BackendError):
        run(engine, job(Modality.IMAGE))


def test_speech(engine):
    draft = run(engine, job(Modality.AUDIO, voice="ash", speed=1.5))[-1]
    assert draft.media.rate == 16000 and draft.media.samples.shape == (1, 8000)
    body = engine.body()
    assert (body["input"], body["voice"], body["speed"], body["response_format"]) == ("hello", "ash", 1.5, "wav")


def test_sound_that_is_not_speech(engine):
    engine.says("POST /audio/generate", Answer(encode(TONE, "audio/wav"), kind="audio/wav"))
    run(engine, job(Modality.AUDIO, seconds=2.0), dialect="vllm-omni", sound="sound")
    assert engine.body()["audio_length"] == 2.0 and engine.body()["seed"] == 3


def test_a_transcript(engine):
    engine.says("POST /audio/transcriptions", Answer(b'{"text": "seven ships"}', kind=JSON))
    events = run(engine, job(inputs=(TONE,)), transcription_model="whisper-1")
    assert events[-1].media == Text("seven ships")
    assert b"whisper-1" in engine.requests[-1][3]


def film():
    return encode(Video(np.zeros((8, 64, 64, 3), np.uint8), 8.0), "video/mp4")


def state(status, **more):
    return Answer(json.dumps({"id": "video_1", "status": status, **more}).encode(), kind=JSON)


def test_a_film_is_submitted_polled_and_fetched(engine, monkeypatch):
    monkeypatch.setattr("gensafe_backends.openai_http.videos.FIRST_POLL_S", 0.01)
    engine.says("POST /videos", state("queued", progress=0))
    engine.says("GET /videos/video_1", state("in_progress", progress=50), state("completed", progress=100))
    engine.says("GET /videos/video_1/content", Answer(film(), kind="video/mp4"))
    events = run(engine, job(Modality.VIDEO, seconds=1.0))
    assert [e.done for e in events[:-1]] == [0, 0, 50, 100, 1] and events[-1].media.frames.shape == (8, 64, 64, 3)
    assert [f"{r[0]} {r[1]}" for r in engine.requests].count("POST /v1/videos") == 1


def test_a_film_that_failed_is_deleted_and_not_made_twice(engine):
    engine.says("POST /videos", state("failed", error={"code": "oom", "message": "secret"}))
    engine.says("DELETE /videos/video_1", state("deleted"))
    with pytest.raises(BackendError, match="code oom"):
        run(engine, job(Modality.VIDEO))
    assert [r[0] for r in engine.requests] == ["POST", "DELETE"]


def test_a_cancelled_film_is_deleted(engine):
    engine.says("POST /videos", state("queued"))
    engine.says("GET /videos/video_1", state("in_progress"))
    engine.says("DELETE /videos/video_1", state("deleted"))
    gone = threading.Event()
    backend = openai_http.create(options(engine))
    events = backend.generate(job(Modality.VIDEO), None, gone.is_set)
    next(events)
    gone.set()
    with pytest.raises(Cancelled):
        list(events)
    assert _eventually(lambda: not engine.requests or engine.requests[-1][0] == "DELETE")


def _eventually(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


# --- time, load, limits ---------------------------------------------------------------------------------------------


def test_a_cancelled_call_closes_the_socket_of_a_silent_engine(engine):
    """Version 1 noticed only when a line arrived: 8 s were measured with a silent engine."""
    gate = threading.Event()
    engine.says(CHAT, Answer(pieces=(piece("one "), *GOOD), gate=gate))
    gone = threading.Event()
    events = openai_http.create(options(engine)).generate(job(), None, gone.is_set)
    next(events)
    gone.set()
    with pytest.raises(Cancelled):
        list(events)
    assert engine.gone.wait(10)  # without the gate ever opening
    assert POLL_S <= 0.25


def test_a_closed_iterator_closes_the_socket(engine):
    gate = threading.Event()
    engine.says(CHAT, Answer(pieces=(piece("one "), *GOOD), gate=gate))
    events = openai_http.create(options(engine)).generate(job(), None, lambda: False)
    next(events)
    events.close()
    assert engine.gone.wait(10)


@pytest.mark.parametrize("limit", ["idle_timeout_s", "timeout_s"])
def test_an_engine_that_goes_silent_is_given_up(engine, limit):
    engine.says(CHAT, Answer(pieces=(piece("one "), *GOOD), gate=threading.Event()))
    with pytest.raises(BackendError):
        run(engine, **{limit: "0.2"})


def test_an_engine_that_drips_is_given_up_at_the_whole_calls_end(engine):
    """Version 1 bounded each read only: with a limit of 2 s, an answer that dripped took 6.5 s."""
    engine.says(CHAT, Answer(pieces=(*(piece("word ") for _ in range(100)), *GOOD), drip=0.1))
    with pytest.raises(BackendError):
        run(engine, idle_timeout_s="5", timeout_s="0.4")
    assert engine.gone.wait(10)  # long before its hundred pieces were out


def test_nothing_is_lost_when_the_work_ends_as_the_wait_for_it_does(engine, monkeypatch):
    """Seen on a busy machine: the last wait found nothing, then all pieces came and the work was over."""

    class Late(queue.SimpleQueue):
        waited = False

        def get(self, timeout):
            if not self.waited:
                self.waited = True
                assert _eventually(lambda: self.qsize() >= 3)  # "one ", "two", and the mark of the end
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), backend._wire._loop).result()
                raise queue.Empty
            return super().get(timeout=timeout)

    backend = openai_http.create(options(engine))
    monkeypatch.setattr(wire.queue, "SimpleQueue", Late)
    events = list(backend.generate(job(), None, lambda: False))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "one two"


def test_a_cancelled_picture_closes_the_socket(engine):
    """Version 1 never noticed: pictures come in one piece."""
    first, rest = b'{"data": ', b"[]}"
    engine.says(DRAW, Answer(pieces=(first, rest), kind=JSON, gate=threading.Event()))
    gone = threading.Event()
    threading.Thread(target=lambda: _eventually(lambda: engine.requests) and gone.set()).start()
    with pytest.raises(Cancelled):
        list(openai_http.create(options(engine)).generate(job(Modality.IMAGE), None, gone.is_set))
    assert engine.gone.wait(10)


def test_a_private_ca_and_a_client_certificate(tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("engine", "client"):  # each its own authority
        subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
        openssl("req", "-x509", *new, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", *subject)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "engine.pem", tmp_path / "engine.key")
    tls.load_verify_locations(tmp_path / "client.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    own = {"client_certificate_file": str(tmp_path / "client.pem"), "client_key_file": str(tmp_path / "client.key")}
    with running(tls) as engine:
        engine.says(CHAT, Answer(pieces=GOOD))
        for missing in ({"ca_file": str(tmp_path / "engine.pem")}, own):
            with pytest.raises(BackendUnavailable):
                run(engine, retries="0", **missing)
        assert run(engine, ca_file=str(tmp_path / "engine.pem"), **own)[-1].media == Text("one two")
    assert len(engine.requests) == 1


def test_an_overloaded_engine_is_asked_again_after_its_own_time(engine):
    engine.says(
        CHAT,
        Answer(b"{}", 429, JSON, {"Retry-After": "0"}),
        Answer(b"{}", 503, JSON, {"Retry-After": "0"}),
        Answer(pieces=GOOD),
    )
    assert run(engine)[-1].media == Text("one two") and len(engine.requests) == 3
    engine.says(CHAT, Answer(b"{}", 429, JSON, {"Retry-After": "7000"}))
    with pytest.raises(BackendUnavailable, match="retry after 7000 s"):
        run(engine)
    assert len(engine.requests) == 4


@pytest.mark.parametrize(("status", "error"), [(400, BackendError), (302, BackendError), (500, BackendError)])
def test_other_statuses_are_failures_at_once(engine, status, error):
    engine.says(CHAT, Answer(b"", status, JSON, {"Location": "http://127.0.0.1:1/elsewhere"}))
    with pytest.raises(error):
        run(engine)
    assert len(engine.requests) == 1  # a redirect is not followed


def test_a_connection_is_kept(engine):
    backend = openai_http.create(options(engine))
    for _ in range(2):
        list(backend.generate(job(), None, lambda: False))
    assert len(engine.requests) == 2 and len(backend._wire._clients[0]._transport._pool.connections) == 1


def test_an_answer_without_bound_is_cut_off(engine, monkeypatch):
    for module in (wire, openai_http.chat):
        monkeypatch.setattr(module, "MAX_RESPONSE", 100)
    for modality in (Modality.TEXT, Modality.IMAGE):
        with pytest.raises(BackendError, match="too large"):
            run(engine, job(modality))


def test_nobody_there():
    backend = openai_http.create({"url": "http://127.0.0.1:9", "model": "m", "retries": "0"})
    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        list(backend.generate(job(), None, lambda: False))


def test_proxy_variables_are_ignored(engine, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert run(engine)[-1].media == Text("one two")


def test_what_it_cannot_read_is_refused(engine):
    with pytest.raises(InvalidRequest):
        run(engine, job(Modality.IMAGE, (TONE,)))
    with pytest.raises(InvalidRequest):
        run(engine, job(Modality.AUDIO, (Image(PIXELS),)))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"url": "https://h/v1"},
        {"url": "http://example.com/v1", "model": "m"},
        {"url": "ftp://127.0.0.1", "model": "m"},
        {"url": "https://u:p@h/v1", "model": "m"},
        {"url": "https://h:x/v1", "model": "m"},
        {"url": "https://h/v1", "model": "m", "outputs": "smell"},
        {"url": "https://h/v1", "model": "m", "timeout_s": "0"},
        {"url": "https://h/v1", "model": "m", "idle_timeout_s": "nan"},
        {"url": "https://h/v1", "model": "m", "retries": "-1"},
        {"url": "https://h/v1", "model": "m", "dialect": "klingon"},
        {"url": "https://h/v1", "model": "m", "sound": "sound"},
        {"url": "https://h/v1", "model": "m", "image_size": "big"},
        {"url": "https://h/v1", "model": "m", "extra": "a b"},
        {"url": "https://h/v1", "model": "m", "api_key_file": "/nonexistent"},
        {"url": "https://h/v1", "model": "m", "ca_file": "/nonexistent"},
        {"url": "https://h/v1", "model": "m", "client_key_file": "/dev/null"},
        {"url": "https://h/v1", "model": "m", "colour": "red"},
    ],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ConfigError):
        openai_http.create(wrong)
