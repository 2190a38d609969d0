"""``gensafe probe`` against toy gateways, each with one known defect, and against our own server."""

from __future__ import annotations

import json
import re
import socket
import threading
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from xml.etree import ElementTree

import pytest

from gensafe.cli import main
from gensafe.cli.probe.probes import PROBES

WORDS = "pipe bomb"
IMAGE = b"\x89PNG an image that must be stopped"
KEY = "toy-key"
ANSWER = "The lamp is lit."
PATIENCE_S = 0.3  # of the toys with their guard

DEFECTS = {
    "nothing is judged": "plain",
    "streams are not judged": "stream",
    "only the first part is judged": "split",
    "bytes are compared": "unicode",
    "only the last message is judged": "history",
    "only content is judged": "tool_arguments",
    "images are not judged": "image",
    "a refusal is 200": "status",
    "a refusal is 500": "status",
    "broken bodies are 500": "status",
    "keys are not asked for": "status",
    "an error of the guard passes": "guard_down",
    "silence of the guard passes": "guard_slow",
}

ALSO = {"streams are not judged": ("guard_down", "guard_slow"), "only the first part is judged": ("image",)}


class Toy(BaseHTTPRequestHandler):
    """A gateway with a guard of its own words and one that it asks; right unless ``defect`` names what is wrong."""

    defect = ""
    guard = ""

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("authorization") != f"Bearer {KEY}" and self.defect != "keys are not asked for":
            self.say(401, {"error": {"message": "no key"}})
            return
        try:
            body = json.loads(data)
        except ValueError:
            self.say(500 if self.defect == "broken bodies are 500" else 400, {"error": {"message": "no JSON"}})
            return
        if self.stops(body):
            status = {"a refusal is 200": 200, "a refusal is 500": 500}.get(self.defect, 400)
            self.say(status, {"error": {"message": "policy", "code": "content_filter"}})
        elif body.get("stream"):
            pieces = [{"choices": [{"index": 0, "delta": {"content": word + " "}}]} for word in ANSWER.split()]
            said = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
            self.send(200, "text/event-stream", said.encode())
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
            self.say(200, {"choices": [choice]})

    def stops(self, body: dict) -> bool:
        if self.defect == "nothing is judged" or (self.defect == "streams are not judged" and body.get("stream")):
            return False
        messages = body["messages"]
        if self.defect == "only the last message is judged" and messages[-1]["role"] == "user":
            messages = messages[-1:]
        text = "".join(map(self.text_of, messages))
        if self.defect != "bytes are compared":
            text = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
        return WORDS in text or not self.guard_passes(text)

    def text_of(self, message: dict) -> str:
        parts = message["content"] or ""
        parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
        if self.defect == "only the first part is judged":
            parts = parts[:1]
        texts = []
        for part in parts:
            if part["type"] == "text":
                texts.append(part["text"])
            elif self.defect != "images are not judged":
                texts.append(WORDS)
        if self.defect != "only content is judged":
            texts += [call["function"]["arguments"] for call in message.get("tool_calls", ())]
        return "".join(texts) + " "

    def guard_passes(self, text: str) -> bool:
        body = json.dumps({"input_type": "request", "texts": [text]}).encode()
        request = urllib.request.Request(f"{self.guard}/beta/litellm_basic_guardrail_api", body)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.load(answer)["action"] == "NONE"
        except urllib.error.HTTPError as error:
            error.close()
            return self.defect == "an error of the guard passes"
        except OSError:
            return self.defect == "silence of the guard passes"

    def say(self, status: int, body: dict) -> None:
        self.send(status, "application/json", json.dumps(body).encode())

    def send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def toy(defect: str, guard: str) -> Iterator[str]:
    handler = type("Defective", (Toy,), {"defect": defect, "guard": guard})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def arguments(tmp_path, monkeypatch, unused_port):
    monkeypatch.setenv("TOY_KEY", KEY)
    (tmp_path / "bad.png").write_bytes(IMAGE)
    listen = f"127.0.0.1:{unused_port}"
    more = ["--key-env", "TOY_KEY", "--blocked-image", str(tmp_path / "bad.png"), "--guard-listen", listen, "--json"]
    return more, f"http://{listen}"


@pytest.fixture
def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def results(capsys) -> dict[str, str]:
    return {one["name"]: one["result"] for one in json.loads(capsys.readouterr().out)["probes"]}


def test_a_gateway_without_a_defect_holds(arguments, capsys, tmp_path):
    more, guard = arguments
    with toy("", guard) as url:
        assert main(["probe", url, *more, "--junit", str(tmp_path / "report.xml")]) == 0
    found = results(capsys)
    assert len(found) == len(PROBES) and set(found.values()) == {"holds"}
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert suite.get("tests") == str(len(PROBES)) and suite.get("failures") == "0"


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_probe_finds_its_defect(arguments, capsys, tmp_path, defect):
    more, guard = arguments
    with toy(defect, guard) as url:
        assert main(["probe", url, *more, "--junit", str(tmp_path / "report.xml")]) == 1
    failed = {name for name, result in results(capsys).items() if result == "fails"}
    assert DEFECTS[defect] in failed
    if defect != "nothing is judged":
        assert failed == {DEFECTS[defect], *ALSO.get(defect, ())}
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert suite.get("failures") == str(len(failed)) == str(len(suite.findall("testcase/failure")))


def test_every_probe_has_a_defect_that_it_finds():
    assert {probe.__name__ for probe in PROBES} == set(DEFECTS.values())


def test_what_was_not_asked_for_is_skipped_and_said(capsys, monkeypatch, arguments):
    more, guard = arguments
    with toy("nothing is judged", guard) as url:
        assert main(["probe", url, *more[:2]]) == 1
        shown = capsys.readouterr().out
        assert re.search(r"skipped +image +give --blocked-image", shown) and "--guard-listen" in shown
    with toy("", "http://127.0.0.1:1") as url:  # its guard is never there: it refuses everything
        assert main(["probe", url, *more[:2]]) == 3
        assert "refusals show nothing" in capsys.readouterr().err


def test_usage_and_a_gateway_that_is_not_there(capsys, unused_port, tmp_path):
    assert main(["probe", f"http://127.0.0.1:{unused_port}/v1"]) == 69
    assert main(["probe", "127.0.0.1:1"]) == 64
    assert main(["probe", "http://127.0.0.1:1", "--key-env", "NOT_SET"]) == 64
    assert main(["probe", "http://127.0.0.1:1", "--blocked-image", str(tmp_path / "absent.png")]) == 64
    assert main(["probe", "http://127.0.0.1:1", "--guard-listen", "here"]) == 64


def test_our_own_server_holds(tmp_path, write_config, start_server, unused_port, capsys):
    """With a guard model behind an endpoint, which the kit lets fail; images are refused by the engine's name."""
    policy = files("gensafe.safety").joinpath("policies", "default.toml").read_text()
    policy = policy.replace('text = ["', 'text = ["text_guard", "', 1)
    options = {
        "endpoint": f"http://127.0.0.1:{unused_port}/v1",
        "model": "g",
        "family": "llama-guard",
        "timeout_s": "2",
    }
    lines = ["[options.text_guard]", *(f"{name} = {json.dumps(value)}" for name, value in options.items())]
    (tmp_path / "policy.toml").write_text("\n".join([policy, *lines, ""]))
    path = write_config(tmp_path / "c", options={"text": "The lamp is lit, and the keeper goes home over the hill."})
    path.write_text(path.read_text() + f'[safety]\npolicy = "{tmp_path / "policy.toml"}"\n')
    (tmp_path / "bad.png").write_bytes(IMAGE)
    server = start_server("--config", str(path), "--http", "127.0.0.1:0")
    more = ["--guard-listen", f"127.0.0.1:{unused_port}", "--blocked-image", str(tmp_path / "bad.png"), "--json"]
    assert main(["probe", server.http + "/v1", *more]) == 0
    found = results(capsys)
    assert set(found.values()) == {"holds"} and len(found) == len(PROBES)
