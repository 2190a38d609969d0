"""Around everything below ``PREFIXES``: an id for each request, and one shape for each refusal.

Limits, unknown hosts and unknown paths are refused before a route is reached, each in its own words; here they become
what clients of this API can read.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gensafe.core import ids
from gensafe.core.observer import name_request
from gensafe.server.http.openai.answers import error_body

log = logging.getLogger("gensafe.server")

PREFIXES: Final = ("/v1/", "/gensafe/v1/", "/beta/")
_KINDS: Final = {401: "invalid_request_error", 429: "rate_limit_error"}  # OpenAI's error types by status
# our words for statuses that no error of ours carries
_CODES: Final = {
    404: "not_found",
    405: "method_not_allowed",
    408: "request_too_slow",
    413: "request_too_large",
    421: "unknown_host",
    429: "rate_limit_exceeded",
    503: "unavailable",
}


class Frame:
    """The middleware; only the counting of calls is outside of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not str(scope["path"]).startswith(PREFIXES):
            await self._app(scope, receive, send)
            return
        request_id = scope["gensafe.request_id"] = ids.new_request_id()
        name_request(request_id)
        started = False
        refusal: Message | None = None  # the start of an answer that is no JSON of ours
        said = b""

        async def framed(message: Message) -> None:
            nonlocal started, refusal, said
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                if message["status"] >= 400:
                    refusal = message
                    return
                started = True
            elif refusal is not None:
                said += message.get("body", b"")
                if message.get("more_body"):
                    return
                started = True
                await _shaped(refusal, said, scope, receive, send)
                return
            await send(message)

        try:
            await self._app(scope, receive, framed)
        except Exception:
            log.exception("unexpected error in request %s", request_id)
            if not started:
                body = error_body("internal error; the server's log says more", "server_error", code="internal_error")
                answer = JSONResponse(body, 500, {"x-request-id": request_id})
                await answer(scope, receive, send)


async def _shaped(start: Message, said: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a refusal: as it is where it has the shape, else put into it."""
    status = int(start["status"])
    body = _error_of(said)
    if body is None:
        text = said.decode("utf-8", "replace")[:500].strip() or "refused"
        body = error_body(_message(text), _KINDS.get(status) or _kind(status), code=_CODES.get(status))
    answer = JSONResponse(body, status)
    kept = MutableHeaders(scope=start)
    for name in ("content-length", "content-type"):
        del kept[name]
    answer.raw_headers.extend(kept.raw)
    if scope["method"] == "HEAD":
        answer.body = b""
    await answer(scope, receive, send)


def _error_of(said: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(said)
    except ValueError:
        return None
    return body if isinstance(body, dict) and isinstance(body.get("error"), dict) else None


def _message(text: str) -> str:
    """What a plain or one-line JSON refusal says."""
    try:
        body = json.loads(text)
    except ValueError:
        return text
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, str) else text


def _kind(status: int) -> str:
    return "server_error" if status >= 500 else "invalid_request_error"
