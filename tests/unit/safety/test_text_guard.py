"""The guard adapter against a real local endpoint: every family's answers, and every way to fail is a refusal."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.types import Stage, Text
from gensafe.safety.classifiers import text_guard
from gensafe.testing.classifier_contract import check_classifier


class Endpoint:
    """A chat-completions server whose answer the test sets."""

    def __init__(self):
        endpoint = self
        self.answer, self.status, self.seen, self.raw = "safe", 200, [], None
        self.logprob = None

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                endpoint.seen.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                choice = {"message": {"content": endpoint.answer}}
                if endpoint.logprob is not None:
                    choice["logprobs"] = {"content": [{"logprob": endpoint.logprob}]}
                body = endpoint.raw or json.dumps({"choices": [choice]}).encode()
                self.send_response(endpoint.status)
                if endpoint.status == 302:
                    self.send_header("Location", "http://127.0.0.1:9/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def endpoint():
    served = Endpoint()
    yield served
    served.close()


def guard(endpoint, family="llama-guard", **more):
    return text_guard.create({"endpoint": endpoint.url, "model": "m", "family": family, "timeout_s": "5", **more})


@pytest.mark.parametrize(
    ("family", "answer", "expected"),
    [
        ("llama-guard", "safe", {}),
        ("llama-guard", "\n\nunsafe\nS1,S10", {"vcr": 1.0, "hte": 1.0}),
        ("llama-guard", "unsafe\nS99", {"tox": 1.0}),
        ("llama-guard", "unsafe", {"tox": 1.0}),
        ("qwen3-guard", "Safety: Safe\nCategories: None", {}),
        ("qwen3-guard", "Safety: Unsafe\nCategories: Violent, Suicide & Self-Harm", {"vcr": 1.0, "ssh": 1.0}),
        ("qwen3-guard", "Safety: Controversial\nCategories: PII", {"prv": 0.6}),
        ("yes-no", "Yes", {"sxc": 1.0}),
        ("yes-no", "<score> no </score>", {}),
    ],
)
def test_answers_are_read(endpoint, family, answer, expected):
    endpoint.answer = answer
    found = guard(endpoint, family, category="sxc").assess(Text("hello"), Stage.PROMPT)
    assert {f.category: f.score for f in found.findings} == expected
    path, body = endpoint.seen[0]
    assert path == "/v1/chat/completions" and body["messages"] == [{"role": "user", "content": "hello"}]


def test_an_output_is_sent_as_the_assistants_turn_and_the_first_token_gives_the_score(endpoint):
    endpoint.answer, endpoint.logprob = "unsafe\nS11", -0.2
    (finding,) = guard(endpoint).assess(Text("words"), Stage.OUTPUT).findings
    assert finding.category == "ssh" and abs(finding.score - 0.8187) < 1e-3
    assert endpoint.seen[0][1]["messages"][-1] == {"role": "assistant", "content": "words"}


@pytest.mark.parametrize("family", text_guard.FAMILIES)
@pytest.mark.parametrize("answer", ["", "I am not sure", "Safety: maybe", "SAFE?", "{}", "maybe yes"])
def test_other_answers_are_refused(endpoint, family, answer):
    endpoint.answer = answer
    with pytest.raises(SafetyUnavailable):
        guard(endpoint, family).assess(Text("x"), Stage.PROMPT)


def test_a_failing_endpoint_is_refused(endpoint):
    one = guard(endpoint)
    endpoint.status = 500
    with pytest.raises(SafetyUnavailable):
        one.assess(Text("x"), Stage.PROMPT)
    endpoint.status = 302
    with pytest.raises(SafetyUnavailable):
        one.assess(Text("x"), Stage.PROMPT)
    endpoint.status = 200
    for raw in (b"[]", b"{", b'{"choices": []}', b'{"choices": [{"message": {"content": 3}}]}', b"[" * 100_000):
        endpoint.raw = raw
        with pytest.raises(SafetyUnavailable):
            one.assess(Text("x"), Stage.PROMPT)
    endpoint.close()
    with pytest.raises(SafetyUnavailable):
        one.assess(Text("x"), Stage.PROMPT)


def test_long_texts_go_in_windows_and_the_contract_holds(endpoint):
    one = guard(endpoint)
    one.assess(Text("word " * 4000), Stage.PROMPT)
    sent = [b["messages"][0]["content"] for _, b in endpoint.seen]
    assert len(sent) > 3 and all(len(s) <= text_guard.WINDOW for s in sent)
    endpoint.answer = "unsafe\nS2"
    check_classifier(one, (Text("a"), Text("some longer text to look at")))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpoint": "ftp://x/v1"}, "endpoint"),
        ({"endpoint": "http://guard.example/v1"}, "endpoint"),
        ({"model": ""}, "model"),
        ({"family": "other"}, "family"),
        ({"category": "nope"}, "category"),
        ({"timeout_s": "soon"}, "timeout_s"),
        ({"timeout_s": "0"}, "timeout_s"),
    ],
)
def test_wrong_options_are_refused_by_name(change, field):
    good = {"endpoint": "http://127.0.0.1:1/v1", "model": "m", "family": "llama-guard"}
    with pytest.raises(ConfigError) as caught:
        text_guard.create({**good, **change})
    assert caught.value.field == field
