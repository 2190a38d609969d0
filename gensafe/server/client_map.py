"""Which tenant and roles a client certificate has: a file that says so, read again whenever it changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError, Unauthenticated
from gensafe.core.names import problem_of
from gensafe.core.textfile import text_of
from gensafe.server.api_keys import KeptFile, roles_of
from gensafe.server.identity import Identity
from gensafe.server.tenant_names import tenant_of

_FIELD: Final = "server.tls_client_map"
ANY: Final = "*"  # as NAME: every certificate not named; as TENANT: the certificate's own name


def parse_client_map(data: bytes) -> dict[str, tuple[str, frozenset[str]]]:
    """Read "NAME TENANT ROLE[,ROLE...]" lines; # starts a comment. NAME may contain spaces.

    Raises:
        ConfigError: a malformed line; names it.
    """
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for number, line in enumerate(text_of(data, "the file", _FIELD).splitlines(), 1):
        parts = line.partition("#")[0].strip().rsplit(None, 2)
        if not parts:
            continue
        if len(parts) != 3:
            raise ConfigError(f"line {number} is not 'NAME TENANT ROLE[,ROLE...]'", field=_FIELD)
        name, tenant, roles = parts
        if tenant != ANY and (problem := problem_of(tenant)):
            raise ConfigError(f"line {number}: the tenant's name {problem}", field=_FIELD)
        if name in found:
            raise ConfigError(f"line {number} repeats a name", field=_FIELD, fix="one line per certificate")
        found[name] = tenant, roles_of(roles, number, _FIELD)
    return found


class ClientMap:
    """The map in force. Safe between threads.

    Args:
        path: The file.

    Raises:
        ConfigError: it cannot be read now.
    """

    def __init__(self, path: Path) -> None:
        self._file: KeptFile[Mapping[str, tuple[str, frozenset[str]]]] = KeptFile(
            path, _FIELD, parse_client_map, "client certificates"
        )

    def identify(self, pem: bytes) -> Identity:
        """Whose certificate this is.

        Raises:
            Unauthenticated: it names nobody, or nobody that the map has.
        """
        name, lines = tenant_of(pem), self._file.current()
        line = lines.get(name) or lines.get(ANY)
        if line is None:
            raise Unauthenticated("the client certificate is of nobody that is known here", fix="ask the operator")
        tenant, roles = line
        return Identity(name if tenant == ANY else tenant, roles)
