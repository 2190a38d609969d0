"""Technical prose and code from Python's own standard library (PSF-2.0): benign, long, full of signs and imperatives.

Two disjoint parts: one for the calibration and the thresholds, one for ``refine``. Without them every text that looks
like a specification or a help page is taken for a jailbreak, since in the training data only jailbreaks are long and
structured.
"""

from __future__ import annotations

import importlib
import inspect
import random
from collections.abc import Iterator
from typing import Final

MODULES: Final = (
    "argparse", "asyncio.tasks", "calendar", "collections", "concurrent.futures", "configparser", "contextlib", "csv",
    "dataclasses", "datetime", "decimal", "difflib", "doctest", "email.message", "enum", "fractions", "functools",
    "gettext", "gzip", "hashlib", "heapq", "html.parser", "http.client", "http.server", "imaplib", "inspect",
    "ipaddress", "json", "locale", "logging", "mailbox", "mimetypes", "multiprocessing.pool", "optparse", "os",
    "pathlib", "pdb", "pickle", "platform", "plistlib", "pprint", "profile", "random", "re", "sched", "shutil",
    "smtplib", "socket", "sqlite3", "ssl", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap",
    "threading", "timeit", "trace", "turtle", "typing", "unittest.case", "unittest.mock", "urllib.request", "uuid",
    "warnings", "wave", "weakref", "xml.dom.minidom", "zipfile",
)  # fmt: skip
SHORTEST, LONGEST = 100, 1200  # characters
LINES: Final = 18  # of code


def technical_texts(count: int = 800, *, calibration: bool = True) -> list[str]:
    """At most ``count`` docstrings and pieces of code; those for calibration, or the others.

    A random choice that is the same for one version of Python.
    """
    found = [t for t in dict.fromkeys(_all()) if len(t) >= SHORTEST]
    first = random.Random(12).sample(found, min(800, len(found)))
    return (first if calibration else [t for t in found if t not in set(first)])[:count]


def _all() -> Iterator[str]:
    for name in MODULES:
        module = importlib.import_module(name)
        yield (inspect.getdoc(module) or "")[:LONGEST]
        for thing in vars(module).values():
            if getattr(thing, "__module__", "") == name:
                yield (inspect.getdoc(thing) or "")[:LONGEST]
        lines = inspect.getsource(module).splitlines()
        for start in range(0, min(len(lines), 600) - LINES, 5 * LINES):
            yield "\n".join(lines[start : start + LINES])[:LONGEST]
