"""Parameters of this API as ``Parameters``, under the names that OpenAI, vLLM and vLLM-Omni give them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core.errors import InvalidRequest
from gensafe.core.ids import check_subject
from gensafe.core.types import Parameters
from gensafe.server.http.openai.fields import Fields

MAX_TOKENS: Final = 2**31 - 1  # int32 of gensafe.v1
_SIZE: Final = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})\Z")


@dataclass(frozen=True, slots=True)
class Labels:
    """Of the ``gensafe`` object in a request: what of GenSafe this API has no word for."""

    visible_label: bool = False
    label_profile: str = ""


def read_labels(fields: Fields) -> Labels:
    """``{"gensafe": {"visible_label": true, "label_profile": "eu"}}``."""
    table = fields.table("gensafe")
    if table is None:
        return Labels()
    found = Labels(table.flag("visible_label"), table.text("label_profile"))
    table.end()
    return found


def read_subject(fields: Fields) -> str:
    """The end user, as this API lets callers name one; kept as a keyed commitment only.

    ``safety_identifier`` comes before ``user``, which it replaces, and both before ``metadata.user_id``.
    """
    metadata = fields.raw("metadata")
    named = metadata.get("user_id") if isinstance(metadata, dict) else None
    given = [(name, fields.text(name)) for name in ("safety_identifier", "user")]
    given.append(("metadata.user_id", named if isinstance(named, str) else ""))
    for name, value in given:
        try:
            if subject := check_subject(value):
                return subject
        except InvalidRequest as error:
            fields.wrong(name, error.message, fix=error.fix)
    return ""


def read_sampling(fields: Fields, json_schema: str = "") -> Parameters:
    """How a text is sampled."""
    return Parameters(
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.integer("top_k"),
        min_p=fields.number("min_p"),
        presence_penalty=_unless(fields.number("presence_penalty"), 0),
        frequency_penalty=_unless(fields.number("frequency_penalty"), 0),
        repetition_penalty=_unless(fields.number("repetition_penalty"), 1),
        stop=fields.texts("stop"),
        json_schema=json_schema,
    )


def read_format(table: Fields | None, *, nested: bool) -> str:
    """A response format as a JSON schema; "" = plain text.

    Args:
        table: ``response_format`` of a chat, ``text.format`` of a response; None = not given.
        nested: Whether a schema is in ``json_schema`` (chat) or beside ``type`` (response).
    """
    if table is None:
        return ""
    kind = table.choice("type", ("text", "json_object", "json_schema"))
    if kind == "json_schema":
        place = table.table("json_schema") if nested else table
        if place is None:
            table.wrong("json_schema", "is needed")
        schema = place.raw("schema")
        if not isinstance(schema, dict):
            place.wrong("schema", "must be an object")
        place.ignore("name", "description", "strict")
        place.end()
        return json.dumps(schema, ensure_ascii=False)
    if not kind:
        table.wrong("type", "is needed")
    table.end()
    return '{"type": "object"}' if kind == "json_object" else ""


def read_size(fields: Fields, name: str = "size") -> tuple[int | None, int | None]:
    """``WIDTHxHEIGHT`` in pixels; None twice = the engine's own."""
    text = fields.text(name, "auto")
    if text == "auto":
        return None, None
    found = _SIZE.match(text)
    if not found:
        fields.wrong(name, "must be WIDTHxHEIGHT or auto", fix="for example 1024x1024")
    return int(found[1]), int(found[2])


def refuse_more_than_one(fields: Fields) -> None:
    """One request makes one output: each has a record, a signature and a log entry of its own."""
    fields.refuse("one request makes one output; send several requests", n=(1,))


def read_budget(fields: Fields, *names: str) -> int:
    """The first of ``names`` that is there, in tokens; 0 = the engine's own bound."""
    return next((v for v in [fields.integer(n, 1, MAX_TOKENS) for n in names] if v is not None), 0)


def _unless(value: Any, harmless: float) -> float | None:  # noqa: ANN401
    """A penalty that asks for nothing is not handed to an engine that has none."""
    return None if value == harmless else value
