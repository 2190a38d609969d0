"""Routes. Answers come from a ``VerifyContext``, a ``Classifying`` and a ``Front``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount

from gensafe.core.config import ServerConfig
from gensafe.core.errors import GensafeError
from gensafe.core.observer import unobserved
from gensafe.core.types.caller import Everything, Scope
from gensafe.server.api_keys import Keys
from gensafe.server.calls import Calls
from gensafe.server.http import classify, connect, desk, openai, operator, sbr, verify
from gensafe.server.http.calls import CountCalls
from gensafe.server.http.guard import Guard
from gensafe.server.http.hosts import KnownHosts
from gensafe.server.http.identity import Prepared, scope_of
from gensafe.server.http.openai import Front
from gensafe.server.http.openapi import PREFIX
from gensafe.server.http.problems import answer
from gensafe.server.limits import Limits
from gensafe.server.metrics import Metrics
from gensafe.server.quota import RateLimiter
from gensafe.verify import VerifyContext

MAX_BODY: Final = 64 * 1024 * 1024  # as max_request_bytes of gRPC by default


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

    def asker(request: Request) -> Scope:
        return scope_of(request, keys, "verify") if public else Everything()

    routes: list[BaseRoute] = [
        *verify.routes(verify.Verifying(context, asker, max_bytes, links=classifying is not None)),
        *(classify.routes(classifying, max_bytes, limits) if classifying else ()),
        *operator.routes(operator.Operator(limits, keys, front.chain if front else None, metrics)),
        sbr.well_known_route(),
        Mount(PREFIX, routes=sbr.routes(context, asker)),
        *sbr.moved_routes(),
        *((*openai.routes(front), *connect.routes(front), *desk.routes()) if front else ()),
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
