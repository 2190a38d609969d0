"""How something is to be generated: the parameters that engines share, with one name and one range each.

``None`` or empty means "the engine's own default". An engine lists the names that it honours in its capabilities;
a request with any other is refused by that name before the engine sees it, so that no wish is dropped in silence.
Ranges are those of the OpenAI, vLLM and diffusers interfaces, whichever is widest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

from gensafe.core.errors import InvalidRequest


class Role(StrEnum):
    """Who says a message of a conversation."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One earlier message of a conversation; the prompt itself is the last message of the user."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything that can be asked for beside prompt, inputs, seed and length."""

    # text
    temperature: float | None = None  # 0 = always the likeliest token
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    stop: tuple[str, ...] = ()  # the text ends before the first of these
    json_schema: str = ""  # a JSON schema, as JSON text, that the answer must fit
    # image and video
    width: int | None = None  # pixels
    height: int | None = None
    steps: int | None = None  # of denoising
    guidance: float | None = None  # scale of classifier-free guidance
    negative_prompt: str = ""
    # audio
    voice: str = ""
    speed: float | None = None  # 1 = as the voice speaks by itself
    language: str = ""  # BCP 47
    # audio and video
    seconds: float | None = None
    fps: float | None = None
    # what an operator allows through to one engine, by its own names
    extra: Mapping[str, str] = field(default_factory=dict)

    def given(self) -> dict[str, object]:
        """The parameters that were set, by name; ``extra`` as ``extra.NAME``."""
        found: dict[str, object] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "extra":
                found |= {f"extra.{name}": text for name, text in sorted(value.items())}
            elif value is not None and value != "" and value != ():
                found[one.name] = value
        return found


RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (0, 1_000_000),
    "min_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repetition_penalty": (0.01, 10),
    "width": (16, 16_384),
    "height": (16, 16_384),
    "steps": (1, 1_000),
    "guidance": (0, 100),
    "speed": (0.25, 4),
    "seconds": (0.05, 86_400),
    "fps": (1, 240),
}
"""Least and greatest value of each number, both allowed."""

MAX_STOPS: Final = 16  # vLLM and OpenAI take 4 and more; 16 is room for both
MAX_STOP_CHARS: Final = 256  # of one sequence; a sentence or two. A round number, not measured
MAX_WORD_CHARS: Final = 64  # of a voice or a language
# 64 KiB of JSON schema; bounds what an engine has to compile. A round number, not measured
MAX_SCHEMA_CHARS: Final = 65_536
MAX_MESSAGES: Final = 256  # of one conversation; a round number, not measured
TEXT_PARAMETERS: Final = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "stop",
        "json_schema",
    }
)


def read_parameters(given: Mapping[str, object]) -> Parameters:
    """Parameters from names and values, as a command line or a caller's keywords give them.

    Args:
        given: Name -> number, text, list of texts (``stop``) or mapping of texts (``extra``); numbers may be texts.

    Raises:
        InvalidRequest: an unknown name, or a value of the wrong kind.
    """
    known = {one.name: str(one.type) for one in fields(Parameters)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        field_name = f"parameters.{name}"
        if name.startswith("extra."):
            values.setdefault("extra", {})[name.removeprefix("extra.")] = str(value)
        elif name not in known:
            raise InvalidRequest("is not known", field=field_name, fix=f"known: {', '.join(sorted(known))}")
        else:
            values[name] = _value(known[name], value, field_name)
    return Parameters(**values)


def _value(kind: str, value: object, field_name: str) -> object:
    try:
        if kind.startswith("float"):
            return float(str(value))
        if kind.startswith("int"):
            return int(str(value))
    except ValueError:
        raise InvalidRequest(f"{value!r} is not a number", field=field_name) from None
    if kind.startswith("tuple"):
        texts = tuple([value] if isinstance(value, str) else value if isinstance(value, Iterable) else [None])
        if all(isinstance(text, str) for text in texts):
            return texts
    elif kind.startswith("Mapping"):
        if isinstance(value, Mapping):
            return {str(key): str(text) for key, text in value.items()}
    elif isinstance(value, str):
        return value
    raise InvalidRequest(f"{value!r} is of the wrong kind", field=field_name)
