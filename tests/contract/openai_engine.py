"""A small OpenAI-compatible engine on a real socket, which a test tells how to answer, rightly or wrongly."""

from __future__ import annotations

import json
import select
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DONE = b"data: [DONE]\n\n"


def event(document: Any, kind: str = "") -> bytes:
    """One server-sent event."""
    return (f"event: {kind}\n" if kind else "").encode() + b"data: " + json.dumps(document).encode() + b"\n\n"


def piece(text: Any = None, finish: str | None = None, index: int = 0, **delta: Any) -> bytes:
    """One chunk of a chat stream."""
    if text is not None:
        delta["content"] = text
    return event({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


@dataclass
class Answer:
    """What the engine says to one request. ``gate``: waits for it before the body; ``drip``: seconds between pieces."""

    body: bytes = b""
    status: int = 200
    kind: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    gate: threading.Event | None = None
    drip: float = 0.0
    cut: bool = False  # states a longer body than it sends
    hang_up: bool = False  # reads the request and closes the connection


class Engine(ThreadingHTTPServer):
    """Answers by path; a list of answers is used up in order, its last one stays."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.gone = threading.Event()  # a client closed its connection before its answer ended

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/v1"

    def says(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    def body(self, number: int = -1) -> dict[str, Any]:
        return json.loads(self.requests[number][3])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def log_message(self, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        known = self.server.answers.get(f"{self.command} {self.path.removeprefix('/v1')}")
        answer = (known.pop(0) if len(known) > 1 else known[0]) if known else Answer(b"{}", 404, "application/json")
        if answer.hang_up:
            self.close_connection = True
            return
        pieces = answer.pieces or (answer.body,)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(sum(map(len, pieces)) + (10 if answer.cut else 0)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for one in pieces:
                self.wfile.write(one)
                self.wfile.flush()
                if answer.gate is not None or answer.drip:
                    self._wait(answer.gate or threading.Event(), answer.drip)
        except OSError:
            self.server.gone.set()
        if answer.cut:
            self.close_connection = True

    def _wait(self, gate: threading.Event, longest: float) -> None:
        """Until the test opens the gate or the client hangs up; ``longest``: seconds, 0 = for ever."""
        end = time.monotonic() + longest
        while not gate.wait(0.01) and (not longest or time.monotonic() < end):
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, 2):  # MSG_PEEK
                raise ConnectionResetError

    do_POST = do_GET = do_DELETE = _serve


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Engine]:
    """An engine on a free port of loopback."""
    engine = Engine(tls)
    thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield engine
    finally:
        engine.shutdown()
        engine.server_close()
        thread.join()
