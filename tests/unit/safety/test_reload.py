"""Changing the policy file: a good one takes effect, a broken one does not, and both are reported."""

from __future__ import annotations

import os

from gensafe.core.types import Stage, Text
from gensafe.safety.reload import PolicyFile

GOOD = '[classifiers]\ntext = ["text_rules"]\n[categories.pii]\nreview = 0.5\nblock = 0.5\nblock_action = "allow"\n'


def write(path, text, tick):
    path.write_text(text)
    os.utime(path, ns=(tick, tick))


def test_changes_take_effect_and_broken_files_do_not(tmp_path):
    path = tmp_path / "policy.toml"
    write(path, GOOD, 1_000)
    held = PolicyFile(path)
    first = held.runner
    assert held.refresh() is None
    write(path, GOOD + "# a comment", 2_000)
    assert held.refresh() is None and held.runner is first
    write(path, GOOD.replace('"allow"', '"block"'), 3_000)
    change = held.refresh()
    assert (
        change.old_digest == first.policy.digest and change.new_digest == held.runner.policy.digest != change.old_digest
    )
    assert not held.runner.judge(Text("ann@example.org"), Stage.OUTPUT).releasable
    second = held.runner
    for broken in ("nonsense", '[classifiers]\ntext = ["no_such"]'):
        write(path, broken, 4_000 + len(broken))
        change = held.refresh()
        assert change.error and change.new_digest == "" and held.runner is second
    path.unlink()
    assert held.refresh().error and held.runner is second
