"""Nothing is claimed without a producer (docs/architecture.md, promise 10): events, plugin groups, config keys...

The tests read the product's source, not its behaviour: what nobody calls cannot be tested by running it. The
review found on ed72f70: the groups signers and stores had no loader, three events no writer.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import get_type_hints

import pytest

from gensafe.audit import entries
from gensafe.compliance.duty import Status
from gensafe.compliance.evidence import LABEL_FIELDS, Evidence, Share
from gensafe.compliance.law import regimes
from gensafe.core import config, plugins
from gensafe.keys.index import State
from gensafe.registry import IntentState, OrderKind, ReviewDecision

ROOT = Path(__file__).resolve().parents[3]
NO_PRODUCT = ("gensafe/testing/", "gensafe/v1/", "gensafe/extproc/")  # shipped for tests, or generated


@cache
def product() -> dict[str, ast.Module]:
    """Every source file of the product by its path."""
    found = {}
    for top in ("gensafe", "backends", "watermark"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(NO_PRODUCT):
                found[name] = ast.parse(path.read_text("utf-8"))
    return found


def used(trees: dict[str, ast.Module], owner: str, but: str) -> set[str]:
    """Names X of every ``owner.X`` outside ``but`` that is not only compared with."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.Compare | ast.match_case):
            inner = node.body if isinstance(node, ast.match_case) else []
            for part in inner:
                walk(part)
            return
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == owner:
            found.add(node.attr)
        for part in ast.iter_child_nodes(node):
            walk(part)

    for name, tree in trees.items():
        if name != but:
            walk(tree)
    return found


def calls(trees: dict[str, ast.Module], owner: str) -> list[tuple[str, set[str]]]:
    """Every call ``owner.f(...)``: f and the keywords it is given ("**" for a mapping)."""
    return [
        (node.func.attr, {k.arg or "**" for k in node.keywords})
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == owner
    ]


def unwritten(trees: dict[str, ast.Module], events: tuple[str, ...]) -> set[str]:
    """Events that no line of the product writes."""
    constants = {n: v for n, v in vars(entries).items() if n.isupper() and v in events}
    called = {f for f, _ in calls(trees, "entries")}
    written = {constants[name] for name in used(trees, "entries", "gensafe/audit/entries.py") if name in constants}
    for node in trees["gensafe/audit/entries.py"].body:
        if isinstance(node, ast.FunctionDef) and node.name in called and "event" not in [a.arg for a in node.args.args]:
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            written |= {constants[name] for name in names if name in constants}
    return set(events) - written


def test_every_event_is_written_by_the_product():
    assert unwritten(product(), entries.EVENTS) == set()


def test_an_event_that_nobody_writes_is_found(monkeypatch):
    monkeypatch.setattr(entries, "DEAD", "model.retired", raising=False)
    assert unwritten(product(), (*entries.EVENTS, "model.retired")) == {"model.retired"}
    fewer = {name: tree for name, tree in product().items() if name != "gensafe/pipeline/starting.py"}
    assert unwritten(fewer, entries.EVENTS) == {"config.changed"}


def test_every_event_is_listed_and_documented():
    constants = {v for n, v in vars(entries).items() if n.isupper() and isinstance(v, str) and n != "SCHEMA"}
    assert constants == set(entries.EVENTS)
    page = (ROOT / "docs" / "audit-format.md").read_text("utf-8")
    said = page.replace("`generation.cancelled` `.failed` `.aborted`", "`generation.failed` `generation.aborted`")
    missing = {e for e in entries.EVENTS if f"`{e}`" not in said} - {"generation.cancelled"}
    assert missing == set()


def test_every_plugin_group_is_loaded_by_the_product():
    declared = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"])
    assert declared == set(plugins.GROUPS)
    loaded: set[str] = set()
    for tree in product().values():
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            name = getattr(node, "func", None)
            called = getattr(name, "attr", "") or getattr(name, "id", "")
            if isinstance(node, ast.Call) and called == "load" and node.args:
                first = node.args[0]
                loaded.add(
                    str(first.value) if isinstance(first, ast.Constant) else str(constants.get(ast.unparse(first)))
                )
    assert declared - loaded == set()


@cache
def reads_of() -> dict[str, set[str]]:
    """Attribute -> the last names it is read from, outside the configuration's own module."""
    found: dict[str, set[str]] = {}
    for path, tree in product().items():
        for node in ast.walk(tree) if path != "gensafe/core/config.py" else ():
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                found.setdefault(node.attr, set()).add(owner)
    return found


def keys(kind: type, prefix: str = "") -> list[str]:
    hints = get_type_hints(kind)
    found = []
    for field in fields(kind):
        inner = hints[field.name]
        found += keys(inner, f"{prefix}{field.name}.") if is_dataclass(inner) else [f"{prefix}{field.name}"]
    return found


@pytest.mark.parametrize("key", keys(config.Config))
def test_every_config_key_is_read(key):
    assert key.rpartition(".")[2] in reads_of()


def test_every_duty_rests_on_events_that_are_written():
    nothing = Evidence(label_fields={name: Share() for name in LABEL_FIELDS})
    everything = replace(nothing, events=Counter(dict.fromkeys(entries.EVENTS, 1)))
    for regime in regimes().values():
        for duty in regime.duties:
            if not duty.events:  # software cannot show it, or GenSafe does not do it: and then the report says so
                assert duty.judge(nothing).status in (Status.OUTSIDE, Status.NO_EVIDENCE), duty.key
                assert not duty.judge(everything).share, duty.key
            assert set(duty.events) <= set(entries.EVENTS)


@pytest.mark.parametrize("kind", [IntentState, ReviewDecision, OrderKind, State])
def test_every_state_is_reached(kind):
    names = used(product(), kind.__name__, "")
    assert {member.name for member in kind} - names == set()
