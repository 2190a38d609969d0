"""Whether this server can do its work: what failed last, what a probe of the disk says, and who is told."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path
from typing import Final

from gensafe.core.errors import GensafeError, LogUnavailable, RegistryUnavailable
from gensafe.pipeline import Chain

log = logging.getLogger("gensafe.server")

PROBE_BYTES: Final = 16 * 1024  # more than the spare end of a block, so that a full disk is noticed
NEEDS_THE_LOG: Final = ("", "gensafe.v1.GenerationService", "gensafe.v1.ProvenanceService")  # they write to it


class Health:
    """What is wrong now, by part; empty = ready."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether generations can be served."""
        return not self.problems and not self.draining

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


def probe(chain: Chain) -> dict[str, str]:
    """Part -> what is wrong with it. Writes and removes a small file where the log lives, and asks the registry."""
    found: dict[str, str] = {}
    try:
        _write(Path(chain.config.data_dir) / "log")
    except OSError as error:
        found["log"] = LogUnavailable(f"its folder cannot be written: {error.strerror}").message
    try:
        chain.registry.holds()
    except GensafeError as error:
        found["registry"] = error.message
    return found


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
