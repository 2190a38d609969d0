"""Whether this server can do its work: what failed last, what a probe of its parts says, and who is told."""

from __future__ import annotations

import logging
import os
import secrets
import time
from pathlib import Path
from typing import Final

from gensafe.core.errors import GensafeError, LogUnavailable, RegistryUnavailable
from gensafe.engines import Engine
from gensafe.installation import Installation
from gensafe.pipeline import Chain
from gensafe.pipeline.finish import discard_tests

log = logging.getLogger("gensafe.server")

PROBE_BYTES: Final = 16 * 1024  # more than the spare end of a block, so that a full disk is noticed
NEEDS_THE_LOG: Final = ("gensafe.v1.ProvenanceService",)  # it writes to it
NEEDS_EVERYTHING: Final = ("", "gensafe.v1.GenerationService")
STORES: Final = ("log", "registry")
ENGINE_REST_S: Final = 30.0  # an engine that failed is worth a try again after that: only a job shows that it works
DRAINING: Final = "the server is shutting down"


class Health:
    """What is wrong now, by part; empty = ready."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether generations can be served."""
        return not self.draining and not any(part in NEEDED for part in self.problems)

    @property
    def can_log(self) -> bool:
        """Whether what writes to the log and the registry only can be served."""
        return not self.draining and not any(part in STORES for part in self.problems)

    def parts(self, chain: Chain) -> dict[str, str]:
        """Part -> what is wrong with it; "" = nothing known. Every part that is looked at is in it."""
        known = [*STORES, "signing", "engines", *(f"engine {engine.name}" for engine in chain.engines)]
        if chain.signing.outside:
            known.insert(3, "time-stamps")
        return {part: self.problems.get(part, "") for part in known} | {"admission": DRAINING if self.draining else ""}

    def failed(self, error: GensafeError) -> None:
        """A call could not write: not ready until a probe says otherwise."""
        self._set("registry" if isinstance(error, RegistryUnavailable) else "log", str(error))

    def probed(self, found: dict[str, str]) -> None:
        """Take over what ``probe`` found."""
        for part in set(self.problems) - set(found):
            del self.problems[part]
            log.warning("%s works again", part)
        for part, why in found.items():
            self._set(part, why)

    def _set(self, part: str, why: str) -> None:
        if part not in self.problems:
            log.error("%s does not work: %s", part, why)
        self.problems[part] = why


NEEDED: Final = (*STORES, "signing", "engines")  # without one of these nothing can be generated


def probe(chain: Chain) -> dict[str, str]:
    """Part -> what is wrong with it, of those that do not work.

    Writes and removes a small file where the log lives, or asks its database; asks the registry; and looks what the
    last use of signer, time-stamp authorities and engines said. A signer that failed is tried again here: callers who
    are sent elsewhere would never show that it works again.
    """
    found: dict[str, str] = {}
    place = Installation(chain.config).log_place
    try:
        if isinstance(place, Path):
            _write(place)
        else:
            chain.log.ask()
    except OSError as error:
        found["log"] = LogUnavailable(f"its folder cannot be written: {error.strerror}").message
    except GensafeError as error:
        found["log"] = error.message
    try:
        chain.registry.holds()
    except GensafeError as error:
        found["registry"] = error.message
    found |= _signing(chain)
    down = {engine.name: engine.health.reason for engine in chain.engines if _is_down(engine)}
    found |= {f"engine {name}": why for name, why in down.items()}
    if down and len(down) == len(list(chain.engines)):
        found["engines"] = "none works"
    return found


def _signing(chain: Chain) -> dict[str, str]:
    if chain.signing.down:
        chain.signing.try_again()
        discard_tests(chain)
    problems = "; ".join(chain.signing.problems())
    if chain.signing.down:
        return {"signing": problems or "it failed"}
    return {"time-stamps": problems} if problems and chain.signing.outside else {}


def _is_down(engine: Engine) -> bool:
    return not engine.health.ok and time.monotonic() - engine.health.since < ENGINE_REST_S


def _write(folder: Path) -> None:
    path = folder / f".probe-{secrets.token_hex(4)}"
    with path.open("xb", buffering=0) as file:
        try:
            data = bytes(PROBE_BYTES)
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        finally:
            path.unlink()
