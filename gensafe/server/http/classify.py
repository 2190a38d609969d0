"""``/classify``: what the classifiers would say about a file, as an image and a table. For callers with a key only.

A classifier that answers strangers tells them when they have got past it, so these routes exist only where the
configuration asks for them, and every request needs an API key with the role ``classify``: as the password of HTTP
Basic, which browsers ask for by themselves, or as a bearer token.

The page's image is fetched by a second request. It waits in memory for it: a few images, a few minutes, under
names that cannot be guessed and only for the tenant that they were made for.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gensafe.core.errors import InvalidRequest, MediaError, Unauthenticated
from gensafe.core.types import Stage, Text, Verdict
from gensafe.media import encode, open_parts, overview
from gensafe.media.verdict_picture import draw_verdict
from gensafe.safety import SafetyRunner, judge_parts, verdict_dict
from gensafe.server.api_keys import Keys
from gensafe.server.http import verdict_page
from gensafe.server.http.identity import identity_of, unauthenticated
from gensafe.server.http.upload import read_upload
from gensafe.server.identity import Identity
from gensafe.server.limits import Limits
from gensafe.server.quota import RateLimiter

ROLE: Final = "classify"
PER_MINUTE: Final = 12  # files a minute and tenant: one costs up to some seconds of every core
KEPT: Final = 8  # images that wait. Chosen, not measured
KEPT_S: Final = 300.0  # long enough for a slow browser. Chosen, not measured

Handler = Callable[[Request, Identity], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Classifying:
    """Who may ask, and under which policy a tenant's files are judged.

    Args:
        keys: The callers' keys.
        runner: The policy in force for a tenant.
        clock: Seconds, monotonic.
    """

    keys: Keys
    runner: Callable[[str], SafetyRunner]
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _Pictures:
    """Verdict images that wait for the browser: at most KEPT, each for at most KEPT_S seconds."""

    clock: Callable[[], float]
    _waiting: OrderedDict[str, tuple[float, str, bytes]] = field(default_factory=OrderedDict)

    def put(self, tenant: str, png: bytes) -> str:
        name = secrets.token_urlsafe(16)
        self._forget()
        self._waiting[name] = (self.clock(), tenant, png)
        while len(self._waiting) > KEPT:
            self._waiting.popitem(last=False)
        return name

    def get(self, tenant: str, name: str) -> bytes | None:
        self._forget()
        _, owner, png = self._waiting.get(name, (0.0, "", b""))
        return png if png and owner == tenant else None

    def _forget(self) -> None:
        old = self.clock() - KEPT_S
        for name in [n for n, (made, _, _) in self._waiting.items() if made < old]:
            del self._waiting[name]


def routes(classifying: Classifying, max_bytes: int, limits: Limits) -> list[Route]:
    """``/classify`` (the form, and its answer) and ``/classify/{name}.png``."""
    pictures = _Pictures(classifying.clock)
    limiter = RateLimiter(PER_MINUTE, classifying.clock)

    async def show_form(_: Request, __: Identity) -> Response:
        return HTMLResponse(verdict_page.form())

    async def show_verdict(request: Request, identity: Identity) -> Response:
        wants_json = "application/json" in request.headers.get("accept", "")
        wait = limiter.admit(identity.tenant)
        if wait:
            return JSONResponse({"error": "too many requests"}, 429, {"Retry-After": str(int(wait) + 1)})
        try:
            name, data = await read_upload(request, max_bytes)
        except InvalidRequest as error:
            return _problem(error.message, 400, wants_json=wants_json)
        except ClientDisconnect:
            return Response(status_code=400)
        limits.take("classifications", identity.tenant)
        try:
            runner = classifying.runner(identity.tenant)
            verdict, png = await limits.classify.run(identity.tenant, lambda: _judge(runner, data))
        except MediaError as error:
            return _problem(error.message, 422, wants_json=wants_json)
        if wants_json:
            return JSONResponse(verdict_dict(verdict))
        picture = f"/classify/{pictures.put(identity.tenant, png)}.png" if png else ""
        return HTMLResponse(verdict_page.result(verdict, name, picture))

    async def show_picture(request: Request, identity: Identity) -> Response:
        png = pictures.get(identity.tenant, request.path_params["name"])
        return PlainTextResponse("Not Found", 404) if png is None else Response(png, media_type="image/png")

    def guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                return PlainTextResponse("asked for by another site", 403)  # browsers send the key along by themselves
            try:
                identity = identity_of(request, classifying.keys)
            except Unauthenticated as error:
                return unauthenticated(error.message)
            if identity is None:
                return unauthenticated("an API key is needed")
            if ROLE not in identity.roles:
                return PlainTextResponse(f"this key lacks the role {ROLE!r}", 403)
            return await handler(request, identity)

        return answer

    return [
        Route("/classify", guarded(show_form), methods=["GET"]),
        Route("/classify", guarded(show_verdict), methods=["POST"]),
        Route("/classify/{name}.png", guarded(show_picture), methods=["GET"]),
    ]


def _problem(message: str, status: int, *, wants_json: bool) -> Response:
    if wants_json:
        return JSONResponse({"error": message}, status)
    return HTMLResponse(verdict_page.form(message), status)


def _judge(runner: SafetyRunner, data: bytes) -> tuple[Verdict, bytes]:
    """The verdict over every part of a file, and its image as PNG (empty for a text).

    Raises:
        MediaError: it cannot be read within the limits.
    """
    parts = open_parts(data)  # in a worker process
    verdict = judge_parts(runner, parts, Stage.STANDALONE)
    main = parts[0].media
    if main is None or isinstance(main, Text):
        return verdict, b""
    return verdict, encode(draw_verdict(overview(main), verdict), "image/png")
