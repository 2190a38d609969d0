"""A concept: a name, the terms that give it away, and the examples it was learned from. One JSON file each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gensafe.core.errors import ConfigError
from gensafe.core.textfile import read_text
from gensafe_backends.symphony.guard.words import LONGEST, Term
from gensafe_backends.symphony.sequence import TokenSpan
from gensafe_backends.symphony.vocab import ModalityId

FORMAT: Final = "gensafe-concept-1"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_TERMS: Final = 200  # bounds the time of a check. A round number, not measured
MAX_EXAMPLES: Final = 500  # bounds a concept's file and the time to learn it. A round number, not measured


@dataclass(frozen=True, slots=True)
class Example:
    """What is kept of an example: its ids (for a text, that is the text; of media a coarse copy) and which it was."""

    span: TokenSpan
    wanted: bool  # False: it shows what is not meant


@dataclass(frozen=True, slots=True)
class Concept:
    """Something to be found.

    Attributes:
        name: For people and for findings.
        given: Terms the operator gave.
        shown: Terms that give it away in descriptions of media.
        said: Terms that give it away in texts.
        examples: Those it was learned from.
        weights: Digest of the bundle that read the examples; "" without examples.
        tokenizer: Digest of the tokenizer that made their ids; "" without examples.
    """

    name: str
    given: tuple[Term, ...]
    shown: tuple[Term, ...]
    said: tuple[Term, ...]
    examples: tuple[Example, ...] = ()
    weights: str = ""
    tokenizer: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be found or not be written."""
        if not NAME.fullmatch(self.name):
            raise ConfigError("a name is 1 to 64 of a-z 0-9 _ -", field="name")
        every = (*self.given, *self.shown, *self.said)
        if not self.shown or not self.said or any(not 0 < len(t) <= LONGEST for t in every):
            raise ConfigError(f"{self.name}: needs terms of one to {LONGEST} words", field="word")
        if max(len(self.given), len(self.shown)) > MAX_TERMS or len(self.examples) > MAX_EXAMPLES:
            raise ConfigError(f"{self.name}: at most {MAX_TERMS} terms and {MAX_EXAMPLES} examples", field="word")

    def check(self, weights: str) -> None:
        """Refuse to be used with other weights than those that read the examples.

        Raises:
            ConfigError: they differ.
        """
        if self.weights and self.weights != weights:
            raise ConfigError(
                f"concept {self.name} was learned by other weights ({self.weights[:19]}) than these ({weights[:19]})",
                field="concepts",
                fix="gensafe concept renew FILE",
            )

    def to_json(self) -> str:
        """Stable JSON text."""
        body = {
            "format": FORMAT,
            "name": self.name,
            "given": [" ".join(t) for t in self.given],
            "shown": [" ".join(t) for t in self.shown],
            "said": [" ".join(t) for t in self.said],
            "weights": self.weights,
            "tokenizer": self.tokenizer,
            "examples": [
                {"wanted": e.wanted, "medium": e.span.modality.name.lower(), "ids": list(e.span.ids)}
                for e in self.examples
            ],
        }
        return json.dumps(body, sort_keys=True) + "\n"


def from_json(text: str, where: str) -> Concept:
    """Read what ``to_json`` wrote.

    Raises:
        ConfigError: it is something else; ``where`` is named.
    """
    try:
        raw: Mapping[str, Any] = json.loads(text)
        if raw["format"] != FORMAT:
            raise ValueError("another format")
        examples = tuple(
            Example(TokenSpan(ModalityId[e["medium"].upper()], tuple(int(i) for i in e["ids"])), bool(e["wanted"]))
            for e in raw["examples"]
        )
        lists = {k: tuple(tuple(str(t).split(" ")) for t in raw[k]) for k in ("given", "shown", "said")}
        return Concept(
            str(raw["name"]), **lists, examples=examples, weights=str(raw["weights"]), tokenizer=str(raw["tokenizer"])
        )
    except ConfigError as error:
        raise replace_field(error, where) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where}: not a concept file", field="concepts", fix="gensafe concept register") from error


def replace_field(error: ConfigError, where: str) -> ConfigError:
    """The same error with the file in front."""
    return ConfigError(f"{where}: {error.message}", field=error.field, fix=error.fix)


def load(path: str | Path) -> Concept:
    """Read a concept file.

    Raises:
        ConfigError: it is missing or not a concept.
    """
    return from_json(read_text(path, "concepts"), str(path))
