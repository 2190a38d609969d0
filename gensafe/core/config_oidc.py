"""Which ``[server.oidc]`` sections are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gensafe.core.errors import ConfigError
from gensafe.core.names import problem_of

if TYPE_CHECKING:
    from gensafe.core.config import OidcConfig

ROLES: Final = ("admin", "audit", "classify", "generate", "metrics", "review", "verify")  # as gensafe.server.identity
# signatures that a public key checks; with HS256 whoever can read that key could make tokens (RFC 8725 section 2.1)
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def check_oidc(oidc: OidcConfig) -> None:
    """Refuse an issuer whose tokens could not be checked, or would mean nothing.

    Raises:
        ConfigError: names the key and the fix.
    """
    if not oidc.issuer:
        if oidc.audience or oidc.jwks or oidc.roles:
            raise ConfigError(
                "is not set", field="server.oidc.issuer", fix="as the tokens name it, for example https://…"
            )
        return
    for key in ("audience", "jwks"):
        if not getattr(oidc, key):
            raise ConfigError("is not set", field=f"server.oidc.{key}", fix="an issuer needs audience and jwks")
    if "://" in oidc.jwks:
        parts = urlsplit(oidc.jwks)
        if parts.scheme != "https" or not parts.hostname:
            raise ConfigError(
                f"{oidc.jwks!r} is no https:// address", field="server.oidc.jwks", fix="https://… or a file"
            )
    for name in oidc.algorithms:
        if name not in ALGORITHMS:
            raise ConfigError(f"{name!r} is not taken", field="server.oidc.algorithms", fix=", ".join(ALGORITHMS))
    if not oidc.algorithms:
        raise ConfigError("is empty", field="server.oidc.algorithms", fix=", ".join(ALGORITHMS))
    if oidc.tenant and (problem := problem_of(oidc.tenant)):
        raise ConfigError(f"the name {problem}", field="server.oidc.tenant")
    if not (oidc.tenant or oidc.tenant_claim):
        raise ConfigError("is empty", field="server.oidc.tenant_claim", fix="or set server.oidc.tenant")
    if not oidc.roles:
        raise ConfigError(
            "is empty: tokens could do nothing", field="server.oidc.roles", fix='editors = "generate verify"'
        )
    for value, names in oidc.roles.items():
        for name in names.replace(",", " ").split():
            if name not in ROLES:
                raise ConfigError(f"{name!r} is no role", field=f"server.oidc.roles.{value}", fix=", ".join(ROLES))
