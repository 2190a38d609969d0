"""Server-sent events (WHATWG HTML, 9.2) as this API's clients read them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gensafe.server.http.openai.running import Run, until_gone

DONE: Final = b"data: [DONE]\n\n"


def event(data: Mapping[str, Any], name: str = "") -> bytes:
    """One event; a name for the Responses API."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return ((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode()


class EventStream(Response):
    """The events of a run as they come. Ends the run when the client goes away.

    Args:
        run: Started: its first event is there.
        render: Makes the events' bytes, errors included; it must not raise errors of ours.
        headers: Of the answer.
    """

    media_type = "text/event-stream"

    def __init__(
        self, run: Run, render: Callable[[Run], AsyncGenerator[bytes, None]], headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers})
        del self.headers["content-length"]
        self._run = run
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        try:
            async with until_gone(receive, self._run.control), self._run:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async with aclosing(self._render(self._run)) as chunks:
                    async for chunk in chunks:
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientDisconnect:
            pass
