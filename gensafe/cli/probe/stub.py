"""A guard for a gateway to ask, which can be let fail: it answers, is down, or says nothing.

It speaks the shapes that gateways ask guards in: LiteLLM's Generic Guardrail API, Kong's custom guardrail, OpenAI's
moderations, and a guard model behind chat completions. Up, it lets everything pass: what is stopped then is stopped by
the gateway's other checks.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from gensafe.core.errors import ConfigError

UP, DOWN, SILENT = "up", "down", "silent"
# by the last part of the path: the least that each API answers for "let it pass"; 0 is an index of its shape
_PASSES: Final[dict[str, dict[str, Any]]] = {
    "litellm_basic_guardrail_api": {"action": "NONE"},
    "kong": {"block": False, "block_message": ""},
    "moderations": {"id": "modr-1", "model": "stub", "results": [{"flagged": False, "categories": {}}]},
    "completions": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "safe"}}]},
}


class GuardStub:
    """The guard. ``mode``: one of UP, DOWN, SILENT; ``asked``: how often the gateway asked."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.mode = UP
        self.asked = 0
        self._go_on = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Answer as the mode says."""
                self.rfile.read(int(self.headers.get("content-length") or 0))
                stub.asked += 1
                if stub.mode == SILENT:
                    stub._go_on.wait()
                    self.close_connection = True  # nothing is ever said to this request
                    return
                if stub.mode == DOWN:
                    self.send_error(500)
                    return
                name = self.path.rstrip("/").rpartition("/")[2]
                said = json.dumps(_PASSES.get(name, {"action": "NONE"})).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        try:
            self._server = ThreadingHTTPServer(address, Handler)
        except OSError as error:
            raise ConfigError(f"cannot listen: {error.strerror}", field="--guard-listen") from None
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def set(self, mode: str) -> Iterator[None]:
        """Fail in this way for a while."""
        self._go_on.clear()
        self.mode = mode
        try:
            yield
        finally:
            self.mode = UP
            self._go_on.set()

    def __enter__(self) -> GuardStub:
        threading.Thread(target=self._server.serve_forever, name="guard-stub", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        self._server.shutdown()
        self._server.server_close()
