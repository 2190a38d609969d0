"""The verify page: the form, the answer to an upload, the style sheet and script of both, and the widget's script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gensafe.core.errors import InvalidRequest, Unauthenticated
from gensafe.core.languages import chosen
from gensafe.core.types.caller import Scope
from gensafe.server.http import page, widget
from gensafe.server.http.identity import unauthenticated
from gensafe.server.http.upload import read_upload
from gensafe.server.work import offload
from gensafe.verify import VerifyContext, verify_bytes
from gensafe.verify.render import report_dict

_ASSETS: Final = {"verify.css": "text/css; charset=utf-8", "verify.js": "text/javascript; charset=utf-8"}
_VARIES: Final = {"Vary": "Accept-Language"}  # caches keep one page for each language


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

    def reader(request: Request) -> page.Reader:
        wanted = request.query_params.get("lang", "")
        words = chosen(request.headers.get("accept-language", ""), wanted)
        return page.Reader(words, named=bool(wanted), links=verifying.links)

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
            return HTMLResponse(page.form(error.message, reader(request)), 400, _VARIES)
        except ClientDisconnect:
            return Response(status_code=400)
        shown = await offload(verify_bytes, data, name=name, context=verifying.context, scope=scope)
        if wants_json:
            return JSONResponse(
                report_dict(shown) | {"shown": widget.answer(shown, reader(request).words)}, headers=_VARIES
            )
        return HTMLResponse(page.result(shown, reader(request), data), headers=_VARIES)

    async def form(request: Request) -> Response:
        return HTMLResponse(page.form("", reader(request)), headers=_VARIES)

    return [
        Route("/", _home),
        Route("/verify", form, methods=["GET"]),
        Route("/verify", upload, methods=["POST"]),
        Route(f"/static/{widget.NAME}", _widget),
        Route("/static/{name}", _asset),
    ]


async def _home(_: Request) -> Response:
    return RedirectResponse("/verify")


async def _widget(request: Request) -> Response:
    """The script of ``<gensafe-verify>``; pages of any site may load it, which ones may ask is ``http_origins``."""
    words = chosen(request.headers.get("accept-language", ""), request.query_params.get("lang", ""))
    headers = {"Cache-Control": "max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"} | _VARIES
    return Response(widget.script(words), media_type=_ASSETS["verify.js"], headers=headers)


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        return PlainTextResponse("not found", 404)
    body = files("gensafe.server.http").joinpath("static", name).read_bytes()
    return Response(body, media_type=_ASSETS[name], headers={"Cache-Control": "max-age=3600"})
