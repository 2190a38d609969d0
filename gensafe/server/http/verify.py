"""The verify page: the form, the answer to an upload, and the style sheet and script of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gensafe.core.errors import InvalidRequest, Unauthenticated
from gensafe.core.types.caller import Scope
from gensafe.server.http import page
from gensafe.server.http.identity import unauthenticated
from gensafe.server.http.upload import read_upload
from gensafe.server.work import offload
from gensafe.verify import VerifyContext, verify_bytes
from gensafe.verify.render import report_dict

_ASSETS: Final = {"verify.css": "text/css; charset=utf-8", "verify.js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Verifying:
    """What the page needs.

    Attributes:
        context: What verification may use.
        asker: Who a request comes from, and so what the answer may say.
        max_bytes: Largest request body.
        links: The pages link to ``/classify``.
    """

    context: VerifyContext
    asker: Callable[[Request], Scope]
    max_bytes: int
    links: bool


def routes(verifying: Verifying) -> list[Route]:
    """``/``, ``/verify`` (the form, and its answer) and ``/static/{name}``."""

    async def upload(request: Request) -> Response:
        """Verify one uploaded file; a page for browsers, JSON for those who ask for it."""
        wants_json = "application/json" in request.headers.get("accept", "")
        try:
            scope = verifying.asker(request)
            name, data = await read_upload(request, verifying.max_bytes)
        except Unauthenticated as error:
            return unauthenticated(error.message)
        except InvalidRequest as error:
            if wants_json:
                return JSONResponse({"error": error.message}, 400)
            return HTMLResponse(page.form(error.message, links=verifying.links), 400)
        except ClientDisconnect:
            return Response(status_code=400)
        shown = await offload(verify_bytes, data, name=name, context=verifying.context, scope=scope)
        if wants_json:
            return JSONResponse(report_dict(shown))
        return HTMLResponse(page.result(shown, links=verifying.links))

    async def form(_: Request) -> Response:
        return HTMLResponse(page.form(links=verifying.links))

    return [
        Route("/", _home),
        Route("/verify", form, methods=["GET"]),
        Route("/verify", upload, methods=["POST"]),
        Route("/static/{name}", _asset),
    ]


async def _home(_: Request) -> Response:
    return RedirectResponse("/verify")


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        return PlainTextResponse("not found", 404)
    body = files("gensafe.server.http").joinpath("static", name).read_bytes()
    return Response(body, media_type=_ASSETS[name], headers={"Cache-Control": "max-age=3600"})
