"""The end of the process: within ``drain_s`` + 2 s of the signal, whatever hangs."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

log = logging.getLogger("gensafe.server")

FORCE_AFTER_S: Final = 1.0  # after drain_s: what is still open is left behind, the log is closed
CLOSE_S: Final = 0.5  # for closing the log then
LAST_RESORT_S: Final = 1.9  # after drain_s: from C, for a process whose interpreter is stuck in native code
EXIT_FORCED: Final = 70  # a part hung; sysexits.h EX_SOFTWARE, as everywhere in the command line


def end_by(drain_s: float, close: Callable[[], None]) -> None:
    """Arm the end. The process may end by itself before; else ``close`` is called and the process exits with 70.

    Args:
        drain_s: Grace from now, seconds.
        close: Flushes and closes the log; may hang.
    """
    with suppress(OSError, ValueError, RuntimeError):  # a standard error without a file
        faulthandler.dump_traceback_later(drain_s + LAST_RESORT_S, exit=True)

    def force() -> None:
        time.sleep(drain_s + FORCE_AFTER_S)
        log.error(
            "something hangs after the drain: the process is ended; recovery closes what was open at the next start"
        )
        closing = threading.Thread(target=close, daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(EXIT_FORCED)

    threading.Thread(target=force, name="drain", daemon=True).start()


def end_now() -> None:
    """A second signal: do not wait."""
    os._exit(EXIT_FORCED)
