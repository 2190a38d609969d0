"""``/desk``: the page of those who decide.

It holds nothing by itself: its script asks AdminService with the key that the person types, through the same access
check as every other caller (``http.connect``).
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_FILES: Final = {"": "text/html", "desk.js": "text/javascript", "desk.css": "text/css"}


def routes() -> list[Route]:
    """``/desk`` and its two files."""
    return [Route("/desk", _file), Route("/desk/{name}", _file)]


async def _file(request: Request) -> Response:
    name = request.path_params.get("name", "")
    if name not in _FILES:
        return PlainTextResponse("Not Found", 404)
    body = files("gensafe.server.http").joinpath("static", name or "desk.html").read_bytes()
    return Response(body, media_type=_FILES[name])
