"""Changing the policy file: a good one takes effect, a broken one does not, and both are reported."""

from __future__ import annotations

import os

import pytest

from gensafe.core.errors import ConfigError
from gensafe.core.types import Stage, Text
from gensafe.safety.reload import PolicyFile

GOOD = '[classifiers]\ntext = ["text_rules"]\n[categories.pii]\nreview = 0.5\nblock = 0.5\nblock_action = "allow"\n'


def write(path, text, tick):
    path.write_text(text)
    os.utime(path, ns=(tick, tick))


def take_over(held: PolicyFile):
    change = held.read()
    if change is not None:
        held.settle(change)
    return change


def test_changes_take_effect_and_broken_files_do_not(tmp_path):
    path = tmp_path / "policy.toml"
    write(path, GOOD, 1_000)
    held = PolicyFile(path)
    first = held.runner
    assert held.read() is None
    write(path, GOOD + "# a comment", 2_000)
    assert held.read() is None and held.runner is first
    write(path, GOOD.replace('"allow"', '"block"'), 3_000)
    change = take_over(held)
    assert (
        change.old_digest == first.policy.digest and change.new_digest == held.runner.policy.digest != change.old_digest
    )
    assert not held.runner.judge(Text("ann@example.org"), Stage.OUTPUT).releasable
    second = held.runner
    for broken in ("nonsense", '[classifiers]\ntext = ["no_such"]'):
        write(path, broken, 4_000 + len(broken))
        change = take_over(held)
        assert change.error and change.refused and held.runner is second
    path.unlink()
    assert take_over(held).error and held.runner is second


def test_a_change_that_was_not_settled_is_not_in_force_and_is_read_again(tmp_path):
    """The review saw: ``refresh`` switched first, so a log that failed meanwhile left a policy in force unlogged."""
    path = tmp_path / "policy.toml"
    write(path, GOOD, 1_000)
    held = PolicyFile(path)
    first = held.runner
    write(path, GOOD.replace('"allow"', '"block"'), 2_000)
    change = held.read()
    assert held.runner is first
    assert held.read() is change
    write(path, GOOD.replace('"allow"', '"review"'), 3_000)  # overtaken by a newer file before it was settled
    newer = held.read()
    held.settle(change)
    assert held.runner is first
    held.settle(newer)
    assert held.runner.policy.digest == newer.new_digest
    assert held.read() is None


@pytest.mark.parametrize(
    "lines",
    [
        'mode = "monitor"\n',
        'mode = "monitor"\non_error = "open"\n',
        '[tenants.acme]\nmode = "monitor"\n',
    ],
)
def test_production_refuses_a_policy_that_only_watches(lines, tmp_path):
    """Before: nothing forbade it, against "no switch" and "fail closed" (docs/architecture.md, promises 1 and 2)."""
    path = tmp_path / "policy.toml"
    watching = lines + GOOD if not lines.startswith("[") else GOOD + lines
    write(path, watching, 1_000)
    assert PolicyFile(path, environment="development").runner
    with pytest.raises(ConfigError, match=r"mode|on_error"):
        PolicyFile(path, environment="production")
    write(path, GOOD, 2_000)
    held = PolicyFile(path, environment="production")
    first = held.runner
    write(path, watching, 3_000)
    assert take_over(held).refused and held.runner is first
