"""Bearer tokens of an OIDC issuer (JWT, RFC 7519, checked after RFC 8725): who calls, from signed claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gensafe.core.config import OidcConfig
from gensafe.core.errors import ConfigError, InvalidRequest, Unauthenticated
from gensafe.core.ids import check_subject
from gensafe.core.names import problem_of
from gensafe.server.api_keys import Keys
from gensafe.server.identity import Identity
from gensafe.server.jwks import Jwks

MAX_TOKEN: Final = 8192  # characters: the default bound of gRPC and of common proxies for all headers of a call
_MAX_KID: Final = 256  # characters; issuers use thumbprints and UUIDs
_FIX: Final = "ask the issuer for a new token"


def looks_like_token(key: str) -> bool:
    """Whether a bearer value is a JWT: three parts, the first a JSON object in base64url. No API key of ours is."""
    return key.startswith("eyJ") and key.count(".") == 2


class Tokens(Keys):
    """The tokens of one issuer.

    Args:
        config: Who issues them, for whom, and what their claims mean here.

    Raises:
        ConfigError: the library is not installed.
    """

    def __init__(self, config: OidcConfig) -> None:
        try:
            import jwt  # noqa: F401 - the extra is looked for at the start, not at the first call
        except ImportError:
            raise ConfigError("needs PyJWT", field="server.oidc", fix="pip install 'gensafe[oidc]'") from None
        self._config = config
        self.keys = Jwks(config)
        self._roles = {value: frozenset(names.replace(",", " ").split()) for value, names in config.roles.items()}

    async def prepare(self, key: str) -> None:
        """Read the issuer's keys again where this token names one that is not known."""
        if looks_like_token(key):
            try:
                kid = _header(key).get("kid")
            except Unauthenticated:
                return  # ``identify`` says what is wrong
            if isinstance(kid, str) and not self.keys.knows(kid):
                await self.keys.look_for(kid)

    def identify(self, key: str) -> Identity | None:
        """As ``Keys``: None = it is no token."""
        if not looks_like_token(key):
            return None
        claims = self._claims(key)
        tenant = self._config.tenant or _text(claims, self._config.tenant_claim)
        if problem := problem_of(tenant):
            raise Unauthenticated(f"the tenant in the token's claim {self._config.tenant_claim!r} {problem}")
        subject = ""
        if self._config.subject_claim:
            try:
                subject = check_subject(_text(claims, self._config.subject_claim))
            except InvalidRequest as error:
                raise Unauthenticated(f"the token's subject {error.message}") from None
            if not subject:
                raise Unauthenticated(f"the token names no end user in {self._config.subject_claim!r}", fix=_FIX)
        return Identity(tenant, self._roles_of(claims), subject=subject)

    def _claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that is right in every respect.

        Raises:
            Unauthenticated: it is not; says why without repeating it.
            IdentityUnavailable: the issuer's keys cannot be had.
        """
        import jwt

        header = _header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._config.algorithms:
            allowed = ", ".join(self._config.algorithms)
            raise Unauthenticated(
                "the token is signed with an algorithm that is not taken here", fix=f"one of: {allowed}"
            )
        if kid is not None and (not isinstance(kid, str) or len(kid) > _MAX_KID):
            raise Unauthenticated("the token's key id is not usable")
        key = self.keys.find(kid, algorithm)
        if key is None:
            raise Unauthenticated("the token is not signed with a key of the issuer", fix=_FIX)
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=self._config.leeway_s,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(_why(error), fix=_FIX) from None
        return claims

    def _roles_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Roles of the values that the configuration knows; others mean nothing here."""
        value = _claim(claims, self._config.roles_claim)
        held = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        known = (self._roles[one] for one in held if isinstance(one, str) and one in self._roles)
        return frozenset().union(*known)


def _header(token: str) -> Mapping[str, Any]:
    import jwt

    if len(token) > MAX_TOKEN:
        raise Unauthenticated(f"the token has more than {MAX_TOKEN} characters")
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthenticated("the token cannot be read") from None
    if "crit" in header:  # RFC 7515 4.1.11: what we do not understand and must, we refuse
        raise Unauthenticated("the token demands extensions that are not known here")
    return header


def _claim(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """A claim by its name, or by its path with dots ("realm_access.roles"); None = there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = _claim(claims, name)
    return value if isinstance(value, str) else ""


def _why(error: Exception) -> str:
    """One sentence of ours for an error of the library, whose own may repeat parts of the token."""
    import jwt

    reasons: tuple[tuple[type[Exception], str], ...] = (
        (jwt.ExpiredSignatureError, "the token has expired"),
        (jwt.ImmatureSignatureError, "the token is not valid yet"),
        (jwt.InvalidAudienceError, "the token is for another audience"),
        (jwt.InvalidIssuerError, "the token is of another issuer"),
        (jwt.MissingRequiredClaimError, "the token lacks exp, iss or aud"),
        (jwt.InvalidSignatureError, "the token's signature is wrong"),
    )
    return next((said for kind, said in reasons if isinstance(error, kind)), "the token is not valid")
