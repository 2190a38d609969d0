"""The server's log on standard error: text or JSON, one line each, with the request where one is known.

A line never has a prompt or an output: of an exception that is not ours only the type and the places in the code are
written, since its message may quote what it was working on.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final

from gensafe.core.clock import iso
from gensafe.core.config import ServerConfig
from gensafe.core.errors import GensafeError
from gensafe.core.observer import current_request

_CONTROL: Final = {n: f"\\x{n:02x}" for n in (*range(32), 127)}  # a message must not end its line


def configure(config: ServerConfig) -> None:
    """Send everything that is logged in this process, also by libraries, to standard error as configured."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if config.log_format == "json" else TextLines())
    logging.captureWarnings(True)
    logging.basicConfig(level=config.log_level.upper(), handlers=[handler], force=True)


class TextLines(logging.Formatter):
    """``TIME LEVEL LOGGER [REQUEST] MESSAGE``, and what was raised below it, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """One entry."""
        request = current_request()
        message = record.getMessage().translate(_CONTROL)
        where = f"[{request}] " if request else ""
        line = f"{_time(record)} {record.levelname} {record.name} {where}{message}"
        raised = _raised(record)
        return "\n".join([line, *("  " + part for part in raised.split("\n"))]) if raised else line


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and request_id, error and facts where there are such."""

    def format(self, record: logging.LogRecord) -> str:
        """One entry."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := current_request():
            line["request_id"] = request
        facts = getattr(record, "facts", None)
        if isinstance(facts, Mapping):
            line |= {k: v for k, v in facts.items() if k not in line}
        if raised := _raised(record):
            line["error"] = raised
        return json.dumps(line, default=str)


def _time(record: logging.LogRecord) -> str:
    return iso(int(record.created * 1000))


def _raised(record: logging.LogRecord) -> str:
    """What was raised and where in the code: types of all, messages of ours and of the system's only."""
    error = record.exc_info[1] if record.exc_info else None
    parts: list[str] = []
    while error is not None and len(parts) < 10:
        said = str(error).translate(_CONTROL) if isinstance(error, GensafeError | OSError) else ""
        frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        parts.append("\n".join([f"{type(error).__name__}{': ' + said if said else ''}", *frames]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nafter ".join(parts)
