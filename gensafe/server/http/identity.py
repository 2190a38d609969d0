"""Who an HTTP request comes from: nobody in particular, or the holder of an API key."""

from __future__ import annotations

import base64
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from gensafe.core.errors import Unauthenticated
from gensafe.core.types import Public, Scope
from gensafe.server.api_keys import Keys, bearer_of, key_identity
from gensafe.server.identity import Identity, establish_caller

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="GenSafe: the password is an API key", charset="UTF-8"'}


def identity_of(request: Request, keys: Keys) -> Identity | None:
    """Who presents a key: as a bearer token, or as the password of HTTP Basic. None = no key was presented.

    Raises:
        Unauthenticated: what was presented is not a known key, whatever it looks like.
    """
    headers = request.headers.getlist("authorization")
    identity = key_identity(keys, [as_bearer(value) for value in headers])
    if identity is not None:
        establish_caller(identity)
    return identity


class Prepared:
    """A middleware: what a credential needs beforehand is done before a route looks at it (``Keys.prepare``)."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name in (b"authorization", b"x-api-key"):
                    text = value.decode("latin-1")
                    await self._keys.prepare(bearer_of(text) if name == b"authorization" else text)
        await self._app(scope, receive, send)


def scope_of(request: Request, keys: Keys | None, role: str) -> Scope:
    """What the asker may see: its tenant's with a key that has ``role``, else what is public.

    Browsers send the key of one page along to the others, so a key without the role is not an error. On a server
    without keys there is nobody but the public, whatever a proxy before it left in the header.

    Raises:
        Unauthenticated: as ``identity_of``.
    """
    identity = identity_of(request, keys) if keys is not None else None
    return identity.scope if identity is not None and role in identity.roles else Public()


def unauthenticated(message: str) -> Response:
    """401, with which browsers ask for a key."""
    return PlainTextResponse(message, 401, _CHALLENGE)


def as_bearer(header: str) -> str:
    """An ``authorization`` header with the key as a bearer token, also where it was the password of HTTP Basic.

    Raises:
        Unauthenticated: Basic that cannot be read.
    """
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return header
    try:
        _, _, key = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except ValueError:  # not ASCII, not base64, not UTF-8
        raise Unauthenticated("the authorization header is not HTTP Basic") from None
    return f"Bearer {key}"
