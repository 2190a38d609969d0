"""Who is calling, and may they. The tenant comes from here and nowhere else; see docs/access.md.

Credentials: an API key (``authorization: Bearer KEY``) and a client certificate. Each one that a caller presents must
be valid, and all must name one tenant: nothing that is wrong is passed over because something else is right. With both,
the key's roles count. A server that asks for neither listens on loopback only (``core.config.check_config``); there,
and only there, a caller without credentials is the owner of the data directory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc

from gensafe.core.config import ServerConfig
from gensafe.core.errors import AccessError, PermissionDenied, Unauthenticated
from gensafe.server.api_keys import Keys, bearer_of, key_identity
from gensafe.server.client_map import ClientMap
from gensafe.server.handlers import rebuild, refusing
from gensafe.server.identity import ADMIN, LOCAL, REVIEW, Identity, establish_caller

ROLE_OF_SERVICE: Final = {
    "gensafe.v1.GenerationService": "generate",
    "gensafe.v1.SafetyService": "classify",
    "gensafe.v1.ProvenanceService": "verify",
    "gensafe.v1.AuditService": "audit",
    "envoy.service.ext_proc.v3.ExternalProcessor": "classify",
}
"""The role that a caller needs, by service; over gRPC and over Connect. See ``roles_for``."""

_ADMIN_SERVICE: Final = "gensafe.v1.AdminService"
_FOR_REVIEWERS: Final = (
    "ListReviews",
    "GetReview",
    "CopyReview",
    "DecideReview",
    "ReportMisuse",
    "ListCases",
    "GetCase",
    "DecideCase",
)
SERVICES: Final = (*(name for name in ROLE_OF_SERVICE if name.startswith("gensafe.v1.")), _ADMIN_SERVICE)
"""Our own services."""


def roles_for(path: str) -> tuple[str, ...]:
    """The roles of which a caller of "/SERVICE/METHOD" needs one; none = anybody may call it."""
    service, _, method = path.lstrip("/").rpartition("/")
    if service == _ADMIN_SERVICE:
        return (REVIEW, ADMIN) if method in _FOR_REVIEWERS else (ADMIN,)
    return (ROLE_OF_SERVICE[service],) if service in ROLE_OF_SERVICE else ()


_NO_CREDENTIAL: Final = "send 'authorization: Bearer KEY' or a client certificate"


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Establishes the identity before a handler runs; health and reflection stay open.

    Args:
        config: Which identities the server asks for.
        keys: The API keys of ``config.api_keys``, shared with the HTTP app; None = the server has none.
    """

    def __init__(self, config: ServerConfig, keys: Keys | None) -> None:
        self._keys = keys
        self._mutual_tls = bool(config.tls_client_ca)
        self._clients = ClientMap(Path(config.tls_client_map)) if config.tls_client_map else None
        self._anonymous = not self._mutual_tls and keys is None

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401
        """Wrap the handler of a GenSafe method with the access check."""
        handler = await continuation(details)
        roles = roles_for(details.method)
        if handler is None or not roles:
            return handler
        headers = [value for name, value in details.invocation_metadata or () if name == "authorization"]

        try:
            await self._prepare(headers)
            self._turn_away(headers, roles)
        except AccessError as error:
            return refusing(handler, error)

        def establish(context: grpc.aio.ServicerContext[Any, Any]) -> None:
            identity = self._identify(context, headers)
            establish_caller(identity)  # also of a call that is refused: the log says whose it was
            _check_role(identity, roles)

        return rebuild(handler, establish)

    async def _prepare(self, headers: Sequence[str | bytes]) -> None:
        if self._keys is not None and len(headers) == 1:
            await self._keys.prepare(bearer_of(headers[0]))

    def _turn_away(self, headers: Sequence[str | bytes], roles: Sequence[str]) -> None:
        """Refuse by the headers alone, before a body is read. A certificate is known only with the call's context.

        Raises:
            Unauthenticated, PermissionDenied: nothing in the body or the connection could make this call right.
        """
        identity = key_identity(self._keys, headers)
        if self._mutual_tls:
            return
        if identity is None and not self._anonymous:
            raise Unauthenticated("no credential", fix=_NO_CREDENTIAL)
        if identity is not None:
            establish_caller(identity)
            _check_role(identity, roles)

    def _identify(self, context: grpc.aio.ServicerContext[Any, Any], headers: Sequence[str | bytes]) -> Identity:
        """The one identity that every presented credential names.

        Raises:
            Unauthenticated: none was presented where one is needed, one is wrong, or two name different tenants.
        """
        by_key = key_identity(self._keys, headers)
        by_certificate = self._by_certificate(context)
        if by_key is not None and by_certificate is not None and by_key.tenant != by_certificate.tenant:
            raise Unauthenticated(
                "the client certificate and the API key belong to different tenants", fix="present one of them"
            )
        identity = by_key or by_certificate
        if identity is None and self._anonymous:
            return LOCAL
        if identity is None:
            raise Unauthenticated("no credential", fix=_NO_CREDENTIAL)
        return identity

    def _by_certificate(self, context: grpc.aio.ServicerContext[Any, Any]) -> Identity | None:
        if self._clients is None:
            return None
        presented = list(context.auth_context().get("x509_pem_cert") or ())
        return self._clients.identify(bytes(presented[0])) if presented else None


def _check_role(identity: Identity, roles: Sequence[str]) -> None:
    if not identity.roles.intersection(roles):
        raise PermissionDenied(f"tenant {identity.tenant} lacks the role {' or '.join(map(repr, roles))}")
