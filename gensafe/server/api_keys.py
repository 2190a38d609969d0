"""API keys: a file of digests, read again whenever it changes, so that a removed key stops working at once."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from gensafe.core.errors import ConfigError, Unauthenticated
from gensafe.core.names import problem_of
from gensafe.core.textfile import MAX_TEXT_BYTES, read_bytes, text_of
from gensafe.server.identity import NAMED, ROLES, Identity

log = logging.getLogger("gensafe.server")

T = TypeVar("T")
_FIELD: Final = "server.api_keys"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SETTLED_NS: Final = 2_000_000_000  # a file changed less than 2 s ago may change again under the same time stamp


class Keys(ABC):
    """Whatever knows callers by a bearer value. Safe between threads."""

    async def prepare(self, key: str) -> None:  # noqa: B027 - most kinds have nothing to prepare
        """Do what ``identify`` must not wait for. What is wrong with ``key``, ``identify`` says."""

    @abstractmethod
    def identify(self, key: str) -> Identity | None:
        """Who presents this; None = it is not one of these. Asked on the event loop.

        Raises:
            Unauthenticated: it is one of these, and does not count (any more).
            IdentityUnavailable: nobody can tell now.
        """


class AllKeys(Keys):
    """Several kinds of keys as one: the first that knows a key says whose it is."""

    def __init__(self, *kinds: Keys) -> None:
        self._kinds = kinds

    async def prepare(self, key: str) -> None:
        """As ``Keys``."""
        for kind in self._kinds:
            await kind.prepare(key)

    def identify(self, key: str) -> Identity | None:
        """As ``Keys``."""
        return next((found for kind in self._kinds if (found := kind.identify(key)) is not None), None)


def parse_api_keys(data: bytes) -> dict[str, Identity]:
    """Read "sha256:<hex> TENANT [ROLE,ROLE...]" lines; # starts a comment. No roles = none of those that must be named.

    Raises:
        ConfigError: a malformed line; names it.
    """
    lines = text_of(data, "the file", "server.api_keys").splitlines()
    keys: dict[str, Identity] = {}
    for number, line in enumerate(lines, 1):
        parts = line.partition("#")[0].split()
        if not parts:
            continue
        digest = parts[0].lower()
        if len(parts) not in (2, 3) or not _DIGEST.fullmatch(digest):
            raise ConfigError(
                f"line {number} is not 'sha256:<64 hex> TENANT [ROLE,ROLE...]'",
                field="server.api_keys",
                fix="make one with: printf %s KEY | sha256sum",
            )
        if problem := problem_of(parts[1]):
            raise ConfigError(f"line {number}: the tenant's name {problem}", field="server.api_keys")
        if digest in keys:
            raise ConfigError(f"line {number} repeats a key", field="server.api_keys", fix="one line per key")
        keys[digest] = Identity(parts[1], roles_of(parts[2], number, _FIELD) if len(parts) == 3 else ROLES)
    return keys


def roles_of(text: str, number: int, field: str) -> frozenset[str]:
    """The roles that a line names, separated by commas.

    Raises:
        ConfigError: one is unknown.
    """
    roles = frozenset(text.split(","))
    if not roles <= ROLES | NAMED:
        fix = ", ".join(sorted(ROLES | NAMED))
        raise ConfigError(f"line {number} names an unknown role", field=field, fix=fix)
    return roles


class KeptFile(Generic[T]):
    """What a file says. Each question looks whether it changed (one ``stat``). Safe between threads.

    A file that is broken or missing leaves what was read before as it was, and the server's log says so.

    Args:
        path: The file.
        field: The configuration key that names it.
        parse: Reads it.
        what: What its lines are, for the server's log.

    Raises:
        ConfigError: it cannot be read now.
    """

    def __init__(self, path: Path, field: str, parse: Callable[[bytes], T], what: str) -> None:
        self._path, self._field, self._parse, self._what = path, field, parse, what
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._data = self._read()
        self._value = parse(self._data)
        self._problem = ""

    def current(self) -> T:
        """What counts now."""
        with self._lock:
            try:
                self._look()
            except ConfigError as error:
                if str(error) != self._problem:
                    log.error("%s: %s; those read before stay in force, also those just removed", self._what, error)
                self._problem = str(error)
            return self._value

    def _look(self) -> None:
        try:
            now = self._path.stat()
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror}", field=self._field) from None
        signature = (now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino, now.st_dev)
        if signature == self._seen:
            return
        data = self._read()
        if data != self._data or self._problem:
            self._data = data
            self._value = self._parse(data)
            self._problem = ""
            log.warning("%s: %s changed and is in force", self._what, self._path)
        settled = time.time_ns() - now.st_ctime_ns > _SETTLED_NS
        self._seen = signature if settled else ()

    def _read(self) -> bytes:
        return read_bytes(self._path, self._field, largest=MAX_TEXT_BYTES)


class ApiKeys(Keys):
    """The keys of a file.

    Args:
        path: The file.

    Raises:
        ConfigError: it cannot be read now.
    """

    def __init__(self, path: Path) -> None:
        self._file = KeptFile(path, _FIELD, parse_api_keys, "API keys")

    def identify(self, key: str) -> Identity | None:
        """Whose key this is; None = nobody's."""
        digest = "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        found = None
        for known, identity in self._file.current().items():
            if hmac.compare_digest(known, digest):
                found = identity
        return found


def key_identity(keys: Keys | None, headers: Sequence[str | bytes]) -> Identity | None:
    """Who the ``authorization`` headers of a call name; None = there is no such header.

    Args:
        keys: None = the server has no keys, so none can be right.
        headers: The values of all such headers.

    Raises:
        Unauthenticated: more than one header, another scheme than Bearer, or a key that is not (or no longer) known.
    """
    if not headers:
        return None
    if keys is None:
        raise Unauthenticated("this server takes no API keys", fix="leave the key out, or set server.managed_keys")
    if len(headers) > 1:
        raise Unauthenticated("more than one authorization header", fix="send one")
    key = bearer_of(headers[0])
    if not key:
        raise Unauthenticated("the authorization header is not 'Bearer KEY'")
    identity = keys.identify(key)
    if identity is None:
        raise Unauthenticated("the API key is not known here", fix="ask the operator; it may have been removed")
    return identity


def bearer_of(header: str | bytes) -> str:
    """What an ``authorization`` header presents as bearer; "" = nothing."""
    text = header if isinstance(header, str) else header.decode("utf-8", "replace")
    scheme, _, key = text.partition(" ")
    return key if scheme.lower() == "bearer" else ""
