"""What operators and their tools ask: /livez, /readyz, /metrics.

Anyone may learn whether the process answers and whether it is ready. Why not, and the numbers, are for this machine and
for API keys that name the role ``metrics``: they cover all tenants. A request that a proxy passed on is not from this
machine, whatever address it comes from.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gensafe.core.config_check import is_loopback_ip
from gensafe.core.errors import Unauthenticated
from gensafe.pipeline import Chain
from gensafe.server.api_keys import Keys
from gensafe.server.http.identity import identity_of, unauthenticated
from gensafe.server.identity import METRICS
from gensafe.server.limits import Limits
from gensafe.server.metrics import CONTENT_TYPE, Metrics

_PASSED_ON: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Operator:
    """What the routes answer from. ``metrics`` None = nothing is counted."""

    limits: Limits
    keys: Keys | None = None
    chain: Chain | None = None
    metrics: Metrics | None = None


def routes(operator: Operator) -> list[Route]:
    """The routes. /healthz is the older name of /livez."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        state = operator.limits.health
        answer: dict[str, object] = {"status": "ready" if state.ready else "not ready"}
        if operator.chain is not None and _is_operator(request, operator.keys):
            parts = state.parts(operator.chain)
            answer["parts"] = {
                part: {"ok": not why, "problem": why} if why else {"ok": True} for part, why in parts.items()
            }
        return JSONResponse(answer, 200 if state.ready else 503)

    async def metrics(request: Request) -> Response:
        if not _is_operator(request, operator.keys):
            return unauthenticated("metrics are for this machine and for API keys with the role metrics")
        if operator.metrics is None:
            return JSONResponse({"error": "nothing is counted here"}, 404)
        return Response(await asyncio.to_thread(operator.metrics.exposition), headers={"Content-Type": CONTENT_TYPE})

    return [Route("/livez", live), Route("/healthz", live), Route("/readyz", ready), Route("/metrics", metrics)]


def _is_operator(request: Request, keys: Keys | None) -> bool:
    client = request.client.host if request.client else ""
    if is_loopback_ip(client) and not any(name in request.headers for name in _PASSED_ON):
        return True
    try:
        identity = identity_of(request, keys) if keys is not None else None
    except Unauthenticated:
        return False
    return identity is not None and METRICS in identity.roles
