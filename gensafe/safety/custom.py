"""Custom categories of an operator: keywords, patterns and examples, checked when the policy is read.

``text_rules`` looks for keywords and patterns; ``text_encoder`` compares with examples (``gensafe.safety.nearest``).

Python's regular expressions backtrack; a careless pattern takes exponential time on a hostile text and holds the
interpreter lock meanwhile, which no time-out can end. So only patterns whose worst case is bounded are accepted: no
look-around, no back-references, no repeat inside a repeat (unless the inner one is a fixed count), at most one
unbounded repeat; and they see the text in windows of ``WINDOW`` characters that overlap by half.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from re import _constants as _c  # type: ignore[attr-defined, unused-ignore]  # no other way to see a pattern
from re import _parser as _p  # type: ignore[attr-defined, unused-ignore]
from typing import Any, Final

from gensafe.core.errors import ConfigError
from gensafe.core.hazards import CATEGORIES
from gensafe.core.types import Finding, Span
from gensafe.safety.normalize import Normalized, normalize

WINDOW: Final = 2000  # characters; bounds what a pattern of quadratic worst case costs. Chosen by eye, not measured
MAX_PATTERN: Final = 500  # characters; far above a pattern that a person can still read. A round number, not measured
# keywords of one category; bounds memory and the time of a reload. A round number, not measured
MAX_TERMS: Final = 20_000
MAX_REPEAT: Final = 64  # the most of a {m,n}; bounds the work at one place in a text. Chosen by eye, not measured
# texts of one category, all of them embedded when the policy is read. A round number, not measured
MAX_EXAMPLES: Final = 500
MAX_EXAMPLE: Final = 480  # characters: what the encoder reads at once
_KEYS: Final = frozenset(("description", "keywords", "patterns", "examples", "but_not", "score"))


@dataclass(frozen=True)
class CustomCategory:
    """A category of the operator's own.

    Keywords match whole words of the normalised text, patterns the raw text: either gives ``score``. What is like one
    of the examples, and not more like one of ``but_not``, gives its similarity as the score.
    """

    name: str
    description: str
    keywords: tuple[str, ...]
    patterns: tuple[str, ...]
    score: float = 1.0
    examples: tuple[str, ...] = ()
    but_not: tuple[str, ...] = ()
    _words: re.Pattern[str] | None = field(default=None, compare=False, repr=False)
    _compiled: tuple[re.Pattern[str], ...] = field(default=(), compare=False, repr=False)

    def canonical(self) -> dict[str, Any]:
        """For the policy digest."""
        return {"name": self.name, **self.source(), "score": round(self.score * 1000)}

    def source(self) -> dict[str, Any]:
        """The table it was read from, for handing on to classifiers."""
        return {
            "description": self.description,
            "keywords": list(self.keywords),
            "patterns": list(self.patterns),
            "examples": list(self.examples),
            "but_not": list(self.but_not),
            "score": self.score,
        }

    def find(self, text: str, normalized: Normalized, classifier: str) -> Iterator[Finding]:
        """Yield at most one finding, with the spans of every hit in ``text``."""
        spans: set[Span] = set()
        if self._words is not None:
            spans.update(normalized.span(*m.span()) for m in self._words.finditer(normalized.text))
        for pattern in self._compiled:
            for start in range(0, max(1, len(text)), WINDOW // 2):
                piece = text[start : start + WINDOW]
                spans.update(Span(start + m.start(), start + m.end()) for m in pattern.finditer(piece) if m.group())
        if spans:
            ordered = tuple(sorted(spans, key=lambda s: (s.start, s.end)))
            yield Finding(self.name, self.score, classifier, f"{len(ordered)} custom match(es)", ordered)


def parse_custom(table: Mapping[str, Any]) -> tuple[CustomCategory, ...]:
    """Read the ``[custom.NAME]`` tables of a policy.

    Raises:
        ConfigError: a bad name, an empty category, or a pattern whose worst case is not bounded.
    """
    found = []
    for name, entry in table.items():
        where = f"custom.{name}"
        if not re.fullmatch(r"[a-z][a-z0-9_]{2,31}", name) or name in CATEGORIES:
            raise ConfigError("a name is 3 to 32 of a-z 0-9 _ and not a built-in category", field=where)
        if not isinstance(entry, Mapping) or set(entry) - _KEYS:
            raise ConfigError(f"only {', '.join(sorted(_KEYS))} are known", field=where)
        keywords, patterns = _strings(entry, "keywords", where), _strings(entry, "patterns", where)
        examples, but_not = _examples(entry, "examples", where), _examples(entry, "but_not", where)
        if not keywords and not patterns and not examples:
            raise ConfigError("needs keywords, patterns or examples", field=where)
        if but_not and not examples:
            raise ConfigError("means nothing without examples", field=f"{where}.but_not")
        score = entry.get("score", 1.0)
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 < score <= 1:
            raise ConfigError("must be above 0 and at most 1", field=f"{where}.score")
        found.append(
            CustomCategory(
                name=name,
                description=str(entry.get("description", "")),
                keywords=keywords,
                patterns=patterns,
                score=float(score),
                examples=examples,
                but_not=but_not,
                _words=_word_pattern(keywords),
                _compiled=tuple(compile_bounded(p, f"{where}.patterns") for p in patterns),
            )
        )
    return tuple(found)


def custom_option(options: Mapping[str, str]) -> tuple[CustomCategory, ...]:
    """The categories in a classifier's option ``custom`` (JSON of the policy's tables).

    Raises:
        ConfigError: not JSON, or see ``parse_custom``.
    """
    try:
        table = json.loads(options.get("custom", "{}"))
    except ValueError as error:
        raise ConfigError("not JSON", field="custom") from error
    return parse_custom(table)


def compile_bounded(pattern: str, where: str) -> re.Pattern[str]:
    """Compile ``pattern`` (case-insensitive) if its worst case is bounded.

    Raises:
        ConfigError: not a regular expression, or one that could take more than about window^2 steps.
    """
    if len(pattern) > MAX_PATTERN:
        raise ConfigError(f"a pattern has at most {MAX_PATTERN} characters", field=where)
    try:
        tree = _p.parse(pattern, re.IGNORECASE)
        unbounded = _repeats(tree, inside=False, where=where)
        if unbounded > 1:
            raise ConfigError("at most one unbounded repeat", field=where, fix="use {0,64} for the others")
        return re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"not a usable pattern: {error}", field=where) from error


def _repeats(tree: Any, *, inside: bool, where: str) -> int:  # noqa: ANN401 - CPython's parse tree has no types
    count = 0
    for op, value in tree:
        if op in (_c.MAX_REPEAT, _c.MIN_REPEAT, _c.POSSESSIVE_REPEAT):
            low, high, body = value
            variable = low != high
            if variable and inside:
                raise ConfigError("a repeat inside a repeat is refused", field=where)
            if high == _c.MAXREPEAT:
                count += 1
            elif high > MAX_REPEAT:
                raise ConfigError(f"a bounded repeat goes up to {MAX_REPEAT}", field=where)
            count += _repeats(body, inside=inside or variable or high > 1, where=where)
        elif op is _c.SUBPATTERN:
            count += _repeats(value[-1], inside=inside, where=where)
        elif op is _c.BRANCH:
            count += sum(_repeats(b, inside=inside, where=where) for b in value[1])
        elif op is _c.ATOMIC_GROUP:
            count += _repeats(value, inside=inside, where=where)
        elif op in (_c.ASSERT, _c.ASSERT_NOT, _c.GROUPREF, _c.GROUPREF_EXISTS):
            raise ConfigError("look-around and back-references are refused", field=where)
    return count


def _strings(entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise ConfigError("must be a list of non-empty strings", field=f"{where}.{key}")
    if len(value) > MAX_TERMS:
        raise ConfigError(f"at most {MAX_TERMS} entries", field=f"{where}.{key}")
    return tuple(dict.fromkeys(value))


def _examples(entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    found = _strings(entry, key, where)
    if len(found) > MAX_EXAMPLES or any(len(e) > MAX_EXAMPLE for e in found):
        raise ConfigError(f"at most {MAX_EXAMPLES} texts of {MAX_EXAMPLE} characters", field=f"{where}.{key}")
    return found


def _word_pattern(keywords: tuple[str, ...]) -> re.Pattern[str] | None:
    if not keywords:
        return None
    # (?<!\w) and (?!\w) are fixed-width: the alternation stays linear per start position
    words = sorted({re.escape(normalize(k.strip()).text) for k in keywords}, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(words) + r")(?!\w)")
