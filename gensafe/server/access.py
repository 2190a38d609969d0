"""Who is calling, and may they. The tenant comes from here and nowhere else.

Identities, strongest first: client certificate (SAN URI, SAN DNS, CN), API key, or "local" on loopback
without credentials (the server refuses to start otherwise, see ``core.config.check_config``).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from gensafe.core.config import ServerConfig
from gensafe.core.errors import ConfigError, PermissionDenied, Unauthenticated
from gensafe.server.handlers import rebuild

ROLES = frozenset({"generate", "verify", "classify", "audit"})
_ROLE_OF_SERVICE = {
    "gensafe.v1.GenerationService": "generate",
    "gensafe.v1.SafetyService": "classify",
    "gensafe.v1.ProvenanceService": "verify",
    "gensafe.v1.AuditService": "audit",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: tenant name and the roles it holds."""

    tenant: str
    roles: frozenset[str]


_current: ContextVar[Identity] = ContextVar("identity")
LOCAL = Identity("local", ROLES)


def caller() -> Identity:
    """The identity of the call being served."""
    return _current.get(LOCAL)


def load_api_keys(path: Path) -> dict[str, Identity]:
    """Read "sha256:<hex> TENANT [ROLE,ROLE...]" lines; # starts a comment. No roles = all.

    Raises:
        ConfigError: unreadable file or malformed line; names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", field="server.api_keys") from None
    keys: dict[str, Identity] = {}
    for number, line in enumerate(lines, 1):
        parts = line.partition("#")[0].split()
        if not parts:
            continue
        if len(parts) not in (2, 3) or not parts[0].startswith("sha256:") or len(parts[0]) != 71:
            raise ConfigError(
                f"line {number} is not 'sha256:<64 hex> TENANT [ROLES]'",
                field="server.api_keys",
                fix="make one with: printf %s KEY | sha256sum",
            )
        roles = frozenset(parts[2].split(",")) if len(parts) == 3 else ROLES
        if not roles <= ROLES:
            raise ConfigError(
                f"line {number} names an unknown role", field="server.api_keys", fix=", ".join(sorted(ROLES))
            )
        keys[parts[0]] = Identity(parts[1], roles)
    return keys


def identity_by_key(keys: Mapping[str, Identity], header: str) -> Identity | None:
    """Whose key an ``authorization: Bearer KEY`` header carries; None = nobody's."""
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not key:
        return None
    digest = "sha256:" + hashlib.sha256(key.encode()).hexdigest()
    found = None
    for known, identity in keys.items():
        if hmac.compare_digest(known, digest):
            found = identity
    return found


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Establishes the identity before a handler runs; health and reflection stay open."""

    def __init__(self, config: ServerConfig) -> None:
        self._mutual_tls = bool(config.tls_client_ca)
        self._keys = load_api_keys(Path(config.api_keys)) if config.api_keys else {}
        self._anonymous = not (self._mutual_tls or config.api_keys)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401
        """Wrap the handler of a GenSafe method with the access check."""
        handler = await continuation(details)
        service = details.method.rpartition("/")[0].lstrip("/")
        role = _ROLE_OF_SERVICE.get(service)
        if handler is None or role is None:
            return handler
        metadata = dict(details.invocation_metadata or ())

        def establish(context: grpc.aio.ServicerContext[Any, Any]) -> None:
            _current.set(self._identify(context, metadata, role))

        return rebuild(handler, establish)

    def _identify(
        self, context: grpc.aio.ServicerContext[Any, Any], metadata: Mapping[str, Any], role: str
    ) -> Identity:
        identity = identity_by_key(self._keys, str(metadata.get("authorization", ""))) or self._by_certificate(context)
        if identity is None:
            if not self._anonymous:
                raise Unauthenticated(
                    "no valid credential", fix="send 'authorization: Bearer KEY' or a client certificate"
                )
            identity = LOCAL
        if role not in identity.roles:
            raise PermissionDenied(f"tenant {identity.tenant} lacks the role {role!r}")
        return identity

    def _by_certificate(self, context: grpc.aio.ServicerContext[Any, Any]) -> Identity | None:
        if not self._mutual_tls:
            return None
        auth = context.auth_context()
        names = auth.get("x509_subject_alternative_name") or auth.get("x509_common_name") or ()
        for name in names:
            return Identity(name.decode("utf-8", "replace"), ROLES)
        return None
