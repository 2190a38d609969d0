"""Tenants for whom nothing is generated or signed now: the kill switch (``gensafe keys stop``).

A file beside the keys, read anew at each step that would make or sign something: a stop is in force the moment that the
file is written, whatever else the server is doing. A file that cannot be read stops everybody.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gensafe.core.errors import InvalidRequest, KeyError_, TenantStopped
from gensafe.keys.disk import locked
from gensafe.keys.vault import write_file

FILE: Final = "stopped.json"


@dataclass(frozen=True, slots=True)
class Stop:
    """A stopped tenant. ``reason``: the operator's words, which stay in this file."""

    tenant: str
    since_ms: int
    reason: str


class Stops:
    """The stopped tenants of one key ring's directory. Safe between threads and processes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / FILE

    def all(self) -> tuple[Stop, ...]:
        """Every stop in force, oldest first.

        Raises:
            KeyError_: the file cannot be read.
        """
        try:
            return tuple(Stop(**each) for each in json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError):
            raise KeyError_(
                f"{self._path} cannot be read, so every tenant is stopped", fix="restore it from a backup"
            ) from None

    def refuse(self, tenant: str) -> None:
        """Let nothing pass for a stopped tenant.

        Raises:
            TenantStopped: it is one.
            KeyError_: nobody can tell.
        """
        if any(each.tenant == tenant for each in self.all()):
            raise TenantStopped(f"generation is stopped for the tenant {tenant}", fix="ask the operator")

    def add(self, stop: Stop) -> None:
        """Stop a tenant, at once.

        Raises:
            InvalidRequest: it is stopped already.
        """
        with locked(self._directory):
            stops = self.all()
            if any(each.tenant == stop.tenant for each in stops):
                raise InvalidRequest(f"{stop.tenant} is stopped already", field="tenant")
            self._write((*stops, stop))

    def remove(self, tenant: str) -> Stop:
        """Let a tenant go on; the stop that ends.

        Raises:
            InvalidRequest: it is not stopped.
        """
        with locked(self._directory):
            stops = self.all()
            found = next((each for each in stops if each.tenant == tenant), None)
            if found is None:
                raise InvalidRequest(f"{tenant} is not stopped", field="tenant", fix="gensafe keys stops")
            self._write(tuple(each for each in stops if each is not found))
            return found

    def _write(self, stops: tuple[Stop, ...]) -> None:
        write_file(self._path, json.dumps([asdict(each) for each in stops], indent=1).encode() + b"\n")
