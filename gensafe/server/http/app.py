"""Routes. Answers come from a ``VerifyContext``, a ``Classifying`` and a ``Front``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from gensafe.core.config import ServerConfig
from gensafe.core.errors import GensafeError, InvalidRequest, Unauthenticated
from gensafe.core.observer import unobserved
from gensafe.core.types.caller import Everything, Scope
from gensafe.server.api_keys import Keys
from gensafe.server.calls import Calls
from gensafe.server.http import classify, connect, openai, operator, page, sbr
from gensafe.server.http.calls import CountCalls
from gensafe.server.http.guard import Guard
from gensafe.server.http.hosts import KnownHosts
from gensafe.server.http.identity import Prepared, scope_of, unauthenticated
from gensafe.server.http.openai import Front
from gensafe.server.http.openapi import PREFIX
from gensafe.server.http.problems import answer
from gensafe.server.http.upload import read_upload
from gensafe.server.limits import Limits
from gensafe.server.metrics import Metrics
from gensafe.server.quota import RateLimiter
from gensafe.server.work import offload
from gensafe.verify import VerifyContext, verify_bytes
from gensafe.verify.render import report_dict

MAX_BODY: Final = 64 * 1024 * 1024  # as max_request_bytes of gRPC by default
_ASSETS: Final = {"verify.css": "text/css; charset=utf-8", "verify.js": "text/javascript; charset=utf-8"}


def create_app(
    context: VerifyContext,
    *,
    max_bytes: int = MAX_BODY,
    per_minute: int | None = None,
    public: bool = True,
    keys: Keys | None = None,
    hosts: Sequence[str] | None = None,
    classifying: classify.Classifying | None = None,
    front: Front | None = None,
    limits: Limits | None = None,
    metrics: Metrics | None = None,
) -> Starlette:
    """Build the HTTP app.

    Args:
        context: What verification may use.
        max_bytes: Largest request body.
        per_minute: Requests a minute per client address; 0 = no limit, None = as ``limits`` says.
        public: Strangers may reach it: no scores, no personal assertions, nothing of a tenant. False: the asker is the
            owner of the data directory.
        keys: Callers who see their own tenant's records; None = nobody does.
        hosts: Names that this app answers under besides loopback ones; None = any.
        classifying: Who may see what the classifiers say about a file; None = nobody, there is no such page.
        front: Generates for clients of the OpenAI API; None = there is no such front.
        limits: Those of the server that it belongs to; None = the defaults.
        metrics: Told of every request, and shown at /metrics; None = nothing is counted.
    """
    limits = limits or Limits(ServerConfig())
    rate = limits.config.http_per_minute if per_minute is None else per_minute
    links = classifying is not None

    def asker(request: Request) -> Scope:
        return scope_of(request, keys, "verify") if public else Everything()

    async def verify_upload(request: Request) -> Response:
        """Verify one uploaded file; a page for browsers, JSON for those who ask for it."""
        wants_json = "application/json" in request.headers.get("accept", "")
        try:
            scope = asker(request)
            name, data = await read_upload(request, max_bytes)
        except Unauthenticated as error:
            return unauthenticated(error.message)
        except InvalidRequest as error:
            return (
                JSONResponse({"error": error.message}, 400)
                if wants_json
                else HTMLResponse(page.form(error.message, links=links), 400)
            )
        except ClientDisconnect:
            return Response(status_code=400)
        shown = await offload(verify_bytes, data, name=name, context=context, scope=scope)
        if wants_json:
            return JSONResponse(report_dict(shown))
        return HTMLResponse(page.result(shown, links=links))

    async def verify_page(_: Request) -> Response:
        return HTMLResponse(page.form(links=links))

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            return PlainTextResponse("not found", 404)
        body = files("gensafe.server.http").joinpath("static", name).read_bytes()
        return Response(body, media_type=_ASSETS[name], headers={"Cache-Control": "max-age=3600"})

    async def home(_: Request) -> Response:
        return RedirectResponse("/verify")

    routes: list[BaseRoute] = [
        Route("/", home),
        Route("/verify", verify_page, methods=["GET"]),
        Route("/verify", verify_upload, methods=["POST"]),
        *(classify.routes(classifying, max_bytes, limits) if classifying else ()),
        Route("/static/{name}", asset),
        *operator.routes(operator.Operator(limits, keys, front.chain if front else None, metrics)),
        sbr.well_known_route(),
        Mount(PREFIX, routes=sbr.routes(context, asker)),
        *sbr.moved_routes(),
        *((*openai.routes(front), *connect.routes(front)) if front else ()),
    ]
    observe = metrics.observe if metrics else unobserved
    calls = Calls(observe, limits.refusals, tenants=limits.config.metrics_tenants)
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(CountCalls, calls=calls, routes=routes),
            *_pages_of(limits.config.http_origins.split()),
            Middleware(openai.Frame),
            *([] if hosts is None else [Middleware(KnownHosts, hosts=hosts)]),
            Middleware(Guard, max_bytes=max_bytes, limiter=RateLimiter(rate), limits=limits),
            *([] if keys is None else [Middleware(Prepared, keys=keys)]),
        ],
        exception_handlers={GensafeError: _refused, HTTPException: _not_served},
    )


def _pages_of(origins: Sequence[str]) -> list[Middleware]:
    """Lets pages of these sites call, with a key of their own; nothing that the browser keeps is sent along."""
    if not origins:
        return []
    options: dict[str, Any] = {"allow_methods": ["GET", "POST", "DELETE"], "allow_headers": ["*"]}
    return [Middleware(CORSMiddleware, allow_origins=origins, expose_headers=["*"], **options)]


async def _refused(_: Request, error: Exception) -> Response:
    """Our own errors are safe to show; anything else is answered by the guard."""
    assert isinstance(error, GensafeError)
    return answer(error)


async def _not_served(request: Request, error: Exception) -> Response:
    """No such path or method: in the API's own shape below its prefix, as text elsewhere."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith(PREFIX + "/"):
        return JSONResponse({"error": error.detail.lower()}, error.status_code, error.headers)
    return PlainTextResponse(error.detail, error.status_code, error.headers)
