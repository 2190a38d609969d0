"""Read the fields of a request strictly: right type or refused by name, unknown or unsupported refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from gensafe.core.errors import InvalidRequest

MAX_NUMBER: Final = 2**63 - 1  # integers of JSON that other software reads back exactly or as int64
_TRUE: Final = {"true": True, "false": False}


class Fields:
    """The members of a JSON object, or the text fields of a form.

    Every reader returns its default where the member is absent or null. ``end`` refuses what nobody read.

    Args:
        values: As parsed.
        where: Path of the object within the request, e.g. ``messages[0]``; "" = the request itself.
        form: All values are texts; numbers and booleans are read from them.
    """

    def __init__(self, values: Mapping[str, Any], where: str = "", *, form: bool = False) -> None:
        self._values = values
        self._where = where
        self._form = form
        self._read: set[str] = set()

    def path(self, name: str) -> str:
        """How an error names a member."""
        return f"{self._where}.{name}" if self._where else name

    def raw(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """A member as it is; None = absent or null."""
        self._read.add(name)
        return self._values.get(name)

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, str):
            self.wrong(name, "must be a text")
        return value

    def needed(self, name: str) -> str:
        """A text that must be there and not be empty."""
        value = self.text(name)
        if not value.strip():
            self.wrong(name, "is needed")
        return value

    def number(self, name: str) -> float | None:
        """A finite number."""
        value = self._numeric(name)
        if value is None or (not isinstance(value, bool) and isinstance(value, int | float) and _finite(value)):
            return value
        self.wrong(name, "must be a number")

    def integer(self, name: str, least: int = 0, most: int = MAX_NUMBER) -> int | None:
        """A whole number from ``least`` to ``most``."""
        value = self._numeric(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():  # 5.0: JSON has one kind of number
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(name, f"must be a whole number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.raw(name)
        if self._form and isinstance(value, str):
            value = _TRUE.get(value.lower(), value)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.wrong(name, "must be true or false")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str = "") -> str:
        """One of some texts."""
        value = self.text(name, default)
        if value != default and value not in choices:
            self.wrong(name, "is not supported", fix=f"one of: {', '.join(choices)}")
        return value

    def table(self, name: str) -> Fields | None:
        """An object."""
        value = self.raw(name)
        if value is None:
            return None
        if self._form and isinstance(value, str):
            try:
                return parse_object(value.encode())
            except InvalidRequest:
                self.wrong(name, "must be a JSON object")
        if not isinstance(value, dict):
            self.wrong(name, "must be an object")
        return Fields(value, self.path(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A text, or a list of texts."""
        value = self.raw(name)
        found = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.wrong(name, "must be a text or a list of texts")
        return tuple(found)

    def digestable(self) -> str:
        """Everything as one text: equal for equal requests."""
        return json.dumps(self._values, sort_keys=True)

    def ignore(self, *names: str) -> None:
        """Members that say nothing about the output; their values are not looked at and not kept."""
        self._read.update(names)

    def refuse(self, reason: str, **allowed: Sequence[Any]) -> None:
        """Members that are not supported, except with a value that asks for nothing (``allowed``; null always)."""
        for name, harmless in allowed.items():
            value = self.raw(name)
            if value is not None and not any(value == one and type(value) is type(one) for one in harmless):
                self.wrong(name, reason, fix="leave it out")

    def end(self) -> None:
        """Refuse the first member that nobody read: no wish is dropped in silence."""
        for name in self._values:
            if name not in self._read:
                self.wrong(name[:80], "is not a known parameter", fix="leave it out")

    def wrong(self, name: str, message: str, *, fix: str | None = None) -> NoReturn:
        """Refuse a member.

        Raises:
            InvalidRequest: always.
        """
        raise InvalidRequest(message, field=self.path(name), fix=fix)

    def _numeric(self, name: str) -> Any:  # noqa: ANN401 - JSON
        value = self.raw(name)
        if self._form and isinstance(value, str):
            try:
                return float(value[:40]) if "." in value or "e" in value.lower() else int(value[:40])
            except ValueError:
                self.wrong(name, "must be a number")
        return value


def parse_object(data: bytes) -> Fields:
    """A request's body as fields.

    Raises:
        InvalidRequest: not a JSON object, or text in it that is no Unicode.
    """
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # ValueError: also not UTF-8, and numbers of thousands of digits
        raise InvalidRequest("the body is not JSON", fix="send an object as application/json") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body is not a JSON object", fix="send an object as application/json")
    if b"\\u" in data:
        _check_text(value)
    return Fields(value)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _check_text(value: Any) -> None:  # noqa: ANN401 - JSON
    """Escapes can spell half a character; nothing that follows could write it down."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if not one.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in one):
                raise InvalidRequest("the body has a text with half a character in it", fix="send whole characters")
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one)
            waiting.extend(one.values())
