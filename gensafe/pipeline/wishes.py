"""Messages and parameters of a request: checked by range, refused by name where the engine does not honour them."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import GenerationRequest, Role
from gensafe.core.types.parameters import (
    MAX_MESSAGES,
    MAX_SCHEMA_CHARS,
    MAX_STOP_CHARS,
    MAX_STOPS,
    MAX_WORD_CHARS,
    RANGES,
)
from gensafe.engines import Engine

_WORD: Final = re.compile(r"[\w.\- ]+\Z")


def check_wishes(request: GenerationRequest) -> None:
    """Check the form of messages and parameters, whatever engine will serve.

    Raises:
        InvalidRequest: names the field and the fix.
    """
    wishes = request.parameters
    for name, value in wishes.given().items():
        field = f"parameters.{name}"
        if name in RANGES:
            low, high = RANGES[name]
            if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
                raise InvalidRequest(f"{value} is out of range", field=field, fix=f"{low:g} to {high:g}")
        elif name in ("voice", "language"):
            text = str(value)
            if len(text) > MAX_WORD_CHARS or not _WORD.match(text):
                raise InvalidRequest("is not a name", field=field, fix=f"at most {MAX_WORD_CHARS} letters or digits")
    if len(wishes.stop) > MAX_STOPS or any(not s or len(s) > MAX_STOP_CHARS for s in wishes.stop):
        fix = f"at most {MAX_STOPS}, each of 1 to {MAX_STOP_CHARS} characters"
        raise InvalidRequest("has too many or unusable strings", field="parameters.stop", fix=fix)
    if wishes.json_schema:
        _check_schema(wishes.json_schema)
    _check_messages(request)


def _check_schema(text: str) -> None:
    try:
        schema = json.loads(text) if len(text) <= MAX_SCHEMA_CHARS else None
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        fix = f"a JSON object of at most {MAX_SCHEMA_CHARS} characters"
        raise InvalidRequest("is not a JSON schema", field="parameters.json_schema", fix=fix)


def _check_messages(request: GenerationRequest) -> None:
    if len(request.messages) > MAX_MESSAGES:
        raise InvalidRequest(f"has {len(request.messages)} entries", field="messages", fix=f"at most {MAX_MESSAGES}")
    for number, message in enumerate(request.messages):
        if not message.text.strip():
            raise InvalidRequest("is empty", field=f"messages[{number}].text")
        if message.role is Role.SYSTEM and number:
            raise InvalidRequest("a system message comes first", field=f"messages[{number}].role")


def refuse_unhonoured(request: GenerationRequest, engine: Engine) -> None:
    """Refuse, by its name, the first wish that the engine does not honour: nothing is dropped in silence.

    Raises:
        InvalidRequest: names the wish and what the engine takes.
    """
    wished = {f"parameters.{name}": name for name in request.parameters.given()}
    if request.messages:
        wished["messages"] = "messages"
    for field, name in wished.items():
        if name not in engine.can.parameters:
            known = ", ".join(sorted(engine.can.parameters)) or "none"
            raise InvalidRequest(f"engine {engine.name} does not take it", field=field, fix=f"it takes: {known}")


def whole_prompt(request: GenerationRequest) -> str:
    """Everything a person wrote, as one text: what is judged, and what the commitment commits to."""
    wishes = request.parameters
    said = [message.text for message in request.messages]
    return "\n\n".join(
        [*said, request.prompt, *filter(None, [wishes.negative_prompt, *wishes.stop, *wishes.extra.values()])]
    )


_CUT: Final = re.compile(r"(?<=[^\W\d_])[ \t]*\r?\n[ \t]*(?=[^\W\d_])")  # one line break between letters


def cuts_joined(prompt: str) -> str:
    """``prompt`` with the words put together that a line break may have cut; itself where none did.

    A caller can send one word in two parts of a message or on two lines: no screen and no list knows it then, and an
    engine reads it all the same.
    """
    return _CUT.sub("", prompt)


def wishes_of(request: GenerationRequest) -> dict[str, Any]:
    """Messages and parameters as canonical values, for the digest that makes two requests the same; {} = none."""
    found: dict[str, Any] = {}
    given = request.parameters.given()
    if given:
        found["parameters"] = {
            name: list(value) if isinstance(value, tuple) else str(value) for name, value in given.items()
        }
    if request.messages:
        found["messages"] = [[message.role.value, message.text] for message in request.messages]
    return found
