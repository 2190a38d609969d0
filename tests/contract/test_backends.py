"""The shipped backends under the shipped contract."""

from __future__ import annotations

import base64
import functools
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as pil

from gensafe.core.errors import BackendError, BackendUnavailable, ConfigError, InvalidRequest
from gensafe.core.types import GenerationJob, Image, Modality, Text
from gensafe.media.codecs import encode
from gensafe.testing.backend_contract import BackendContract
from gensafe_backends import openai_http
from gensafe_backends.symphony import plugin as symphony

PIXELS = np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3)


def _animation() -> bytes:
    """Two frames; only the first would be seen by who takes it for a still."""
    frames = [pil.fromarray(PIXELS), pil.fromarray(255 - PIXELS)]
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:], duration=100)
    return out.getvalue()


class _Engine(BaseHTTPRequestHandler):
    """A small OpenAI-compatible engine. ``server.mode`` makes it misbehave."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        mode = self.server.mode
        if mode.isdigit():
            self.send_response(int(mode))
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        if self.path.endswith("/images/generations"):
            picture = base64.b64encode(encode(Image(PIXELS), "image/png")).decode()
            answers = {
                "": {"data": [{"b64_json": picture}]},
                "no picture": {"data": []},
                "not base64": {"data": [{"b64_json": "%"}]},
                "cut picture": {"data": [{"b64_json": picture[: len(picture) // 8 * 4]}]},
                "animation": {"data": [{"b64_json": base64.b64encode(_animation()).decode()}]},
            }
            self.wfile.write(b"<html>" if mode == "html" else json.dumps(answers.get(mode, answers[""])).encode())
            return
        words = [f"word{body['seed'] % 97} ", "two ", "", "three ", "four"] if mode != "silent" else []
        events = [{"choices": [{"delta": {"role": "assistant"}}]}, {"usage": {}, "choices": []}]
        events += [{"choices": [{"delta": {"content": w}}]} for w in words]
        for event in events:
            self.wfile.write(b": keep-alive\n\ndata: " + json.dumps(event).encode() + b"\n\n")
        if mode == "html":
            self.wfile.write(b"data: <html>\n\n")
        if mode != "cut":
            self.wfile.write(b"data: [DONE]\n\n")


@pytest.fixture
def engine():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Engine)
    server.mode, server.requests = "", []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def options(server, **more):
    return {"url": f"http://127.0.0.1:{server.server_port}/v1", "model": "m", "outputs": "text,image", **more}


class TestOpenAiHttp(BackendContract):
    prompts: ClassVar = {Modality.TEXT: "say hello", Modality.IMAGE: "a red circle"}

    @pytest.fixture(autouse=True)
    def _server(self, engine):
        self.server = engine

    def make_backend(self):
        return openai_http.create(options(self.server))


@functools.lru_cache(maxsize=1)
def shipped():
    try:
        return symphony.create({})
    except ConfigError as error:
        pytest.skip(f"no checkpoint ships with this build: {error}")


class TestShippedSymphony(BackendContract):
    prompts: ClassVar = {
        Modality.TEXT: "tell me a story about a fox",
        Modality.IMAGE: "a red circle left of a blue square",
        Modality.AUDIO: "say one two three",
        Modality.VIDEO: "a blue square moving left",
    }
    outside: ClassVar = (Modality.IMAGE, "a photo of my dog", "dog")

    def make_backend(self):
        return shipped()


def job(modality=Modality.TEXT, inputs=()):
    return GenerationJob("hello", modality, inputs, 3, 5)


def run(server, one=None, **more):
    return list(openai_http.create(options(server, **more)).generate(one or job(), None, lambda: False))


def test_the_request_carries_prompt_seed_pictures_and_key(engine, tmp_path):
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    run(engine, job(inputs=(Text("before"), Image(PIXELS))), api_key_file=str(key))
    path, headers, body = engine.requests[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer s3cret"
    assert body["seed"] == 3 and body["max_tokens"] == 5 and body["stream"] is True
    text, picture = body["messages"][0]["content"]
    assert text["text"] == "before\n\nhello" and picture["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_picture_comes_back_as_it_was_sent(engine):
    np.testing.assert_array_equal(run(engine, job(Modality.IMAGE))[-1].media.pixels, PIXELS)


@pytest.mark.parametrize(
    ("mode", "modality", "error"),
    [
        ("503", Modality.TEXT, BackendUnavailable),
        ("400", Modality.TEXT, BackendError),
        ("302", Modality.TEXT, BackendError),
        ("silent", Modality.TEXT, BackendError),
        ("cut", Modality.TEXT, BackendError),
        ("html", Modality.TEXT, BackendError),
        ("html", Modality.IMAGE, BackendError),
        ("no picture", Modality.IMAGE, BackendError),
        ("not base64", Modality.IMAGE, BackendError),
        ("cut picture", Modality.IMAGE, BackendError),
        ("animation", Modality.IMAGE, BackendError),
    ],
)
def test_a_misbehaving_engine_is_an_error_of_ours(engine, mode, modality, error):
    engine.mode = mode
    with pytest.raises(error):
        run(engine, job(modality))
    assert len(engine.requests) == 1  # a redirect is not followed


def test_an_answer_without_bound_is_cut_off(engine, monkeypatch):
    monkeypatch.setattr(openai_http, "MAX_RESPONSE", 100)
    for modality in (Modality.TEXT, Modality.IMAGE):
        with pytest.raises(BackendError, match="too large"):
            run(engine, job(modality))


def test_nobody_there():
    backend = openai_http.create({"url": "http://127.0.0.1:9", "model": "m", "timeout_s": "2"})
    with pytest.raises(BackendUnavailable):
        list(backend.generate(job(), None, lambda: False))


def test_sound_cannot_be_read_and_pictures_need_words_only(engine):
    with pytest.raises(InvalidRequest):
        run(engine, job(Modality.IMAGE, (Image(PIXELS),)))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"url": "https://h/v1"},
        {"url": "http://example.com/v1", "model": "m"},
        {"url": "ftp://127.0.0.1", "model": "m"},
        {"url": "https://u:p@h/v1", "model": "m"},
        {"url": "https://h:x/v1", "model": "m"},
        {"url": "https://h/v1", "model": "m", "outputs": "video"},
        {"url": "https://h/v1", "model": "m", "outputs": "smell"},
        {"url": "https://h/v1", "model": "m", "timeout_s": "0"},
        {"url": "https://h/v1", "model": "m", "api_key_file": "/nonexistent"},
        {"url": "https://h/v1", "model": "m", "colour": "red"},
    ],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ConfigError):
        openai_http.create(wrong)
