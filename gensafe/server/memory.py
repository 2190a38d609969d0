"""Give freed memory back to the system, so that a burst of large requests does not stay in the process's size.

glibc keeps an arena for every thread and what was freed in it: after a burst of 288 MiB in twelve threads all of it
stayed, and one call gave it back (tests/unit/server/test_memory.py). Other C libraries do so by themselves; there this
does nothing.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any


def give_back() -> bool:
    """Return what is free to the system; False where there was nothing, or it cannot be asked for."""
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


def _glibc() -> Any:  # noqa: ANN401 - a C library
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None
