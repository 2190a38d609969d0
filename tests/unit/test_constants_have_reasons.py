"""Every number at the top of a module says where it comes from: a measurement, a source, or "chosen by eye".

A number is a module-level constant (upper-case name) whose value holds an int, float or complex literal: a plain
number, an expression of numbers, or a tuple, list, set, dict or call that contains some. Its reason is a comment on
one of the statement's lines, a comment block directly above it, or a string directly below it. Comments for tools
(``noqa``, ``type: ignore``) and ruled lines are no reason.

The test cannot judge whether a reason is true; it can only refuse a number without one.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gensafe", "watermark/gensafe_watermark", "backends/gensafe_backends")
GENERATED = "gensafe/v1/"
CONSTANT_NAME = re.compile(r"_{0,2}[A-Z][A-Z0-9_]*\Z")
NO_REASON = re.compile(r"#[\s\-=#*]*(?:(?:noqa|type:\s*ignore|pragma|fmt|mypy|ruff)\b.*)?\Z")


def numbers_without_reason(source: str) -> list[tuple[int, str]]:
    """(line, name) of each numeric module-level constant in ``source`` that has no reason beside it."""
    module = ast.parse(source)
    comments, own_line = comment_lines(source)
    bare = []
    for at, statement in enumerate(module.body):
        name = constant_name(statement)
        if name is None or statement.end_lineno is None:
            continue
        lines = range(statement.lineno, statement.end_lineno + 1)
        following = module.body[at + 1] if at + 1 < len(module.body) else None
        if comments.isdisjoint(lines) and statement.lineno - 1 not in own_line and not is_string(following):
            bare.append((statement.lineno, name))
    return bare


def comment_lines(source: str) -> tuple[set[int], set[int]]:
    """The lines that carry a comment which can be a reason, and those of them with nothing but the comment."""
    every: set[int] = set()
    alone: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not NO_REASON.match(token.string):
            every.add(token.start[0])
            if not token.line[: token.start[1]].strip():
                alone.add(token.start[0])
    return every, alone


def constant_name(statement: ast.stmt) -> str | None:
    """The name that ``statement`` gives to numbers, or None when it is not such an assignment."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    else:
        return None
    names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    named = [name for name in names if CONSTANT_NAME.match(name)]
    assert statement.value is not None
    return ", ".join(named) if named and holds_a_number(statement.value) else None


def holds_a_number(value: ast.expr) -> bool:
    """Whether a number is written in ``value``; the index in ``parents[2]`` picks an item and is not one."""
    if isinstance(value, ast.Constant):
        return isinstance(value.value, (int, float, complex)) and not isinstance(value.value, bool)
    if isinstance(value, ast.Subscript):
        return holds_a_number(value.value)
    return any(holds_a_number(child) for child in expressions_in(value))


def expressions_in(node: ast.AST) -> list[ast.expr]:
    """The expressions directly below ``node``, through keyword arguments and comprehensions."""
    found: list[ast.expr] = []
    for child in ast.iter_child_nodes(node):
        found.extend([child] if isinstance(child, ast.expr) else expressions_in(child))
    return found


def is_string(statement: ast.stmt | None) -> bool:
    """Whether ``statement`` is a string on its own: the documentation of the assignment above it."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_number_has_a_reason(package: str) -> None:
    """Seen failing before the reasons were written: 296 bare numbers in safety, marks and engines, 217 elsewhere."""
    files = [path for path in sorted((ROOT / package).rglob("*.py")) if GENERATED not in str(path)]
    assert files, f"no sources under {package}"
    bare = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in files
        for line, name in numbers_without_reason(path.read_text("utf-8"))
    ]
    assert not bare, "numbers without a reason beside them:\n" + "\n".join(bare)


@pytest.mark.parametrize(
    "statement",
    [
        "LIMIT: Final = 0.5",
        "LIMIT = -3",
        "_LIMIT = 1 << 20",
        "LIMIT = 0.5  # noqa: X1",
        "LIMIT = 0.5  # type: ignore[assignment]",
        "# -----\nLIMIT = 0.5",
        "# a reason, but of something else\n\nLIMIT = 0.5",
        "OTHER = 'x'  # a reason of the line above\nLIMIT = 0.5",
        "LOW, HIGH = 1, 2",
        "LEVELS = (\n    ('a', 0.1),\n)",
        "LEVELS: Final[dict[str, int]] = {'a': 1}",
        "LIMITS = Limits(most=3)",
        "STEPS = [2 * x for x in range(3)]",
    ],
)
def test_a_planted_bare_number_is_found(statement: str) -> None:
    """The finder can fail: each of these, written into a module, is named."""
    assert len(numbers_without_reason("import x\n" + statement + "\n")) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "LIMIT: Final = 0.5  # by eye on ten pictures; not measured",
        "# RFC 1\nLIMIT = 0.5",
        'LIMIT = 0.5\n"""RFC 1."""',
        "LEVELS = (\n    0.1,  # RFC 1\n)",
        "NAME = 'x'",
        "ON: Final = True",
        "ROOT = Path(__file__).parents[2]",
        "DOUBLE = LIMIT + LIMIT",
        "variable = 3",
        "class Limits:\n    MOST = 3",
    ],
)
def test_a_reason_or_no_number_is_accepted(statement: str) -> None:
    """What is explained, and what is no number at the top of a module, is left alone."""
    assert numbers_without_reason("import x\n" + statement + "\n") == []
