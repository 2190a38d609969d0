"""The written training data is what its sources say: no label twice, no row of the test split that was trained on."""

from __future__ import annotations

import json
import tomllib

import pytest

from benchmarks.text_safety.balanced import DIGITS, RED_TEAM, further
from benchmarks.text_safety.compare import contrastive_sets
from benchmarks.text_safety.contrastive.generate import rows
from benchmarks.text_safety.corpus import HEADS
from benchmarks.text_safety.data import CONTRASTIVE, SAFETY_TEXT, contrastive
from gensafe.core.digest import sha256


def test_the_committed_set_is_what_its_sources_make():
    written = [json.loads(line) for line in CONTRASTIVE.read_text(encoding="utf-8").splitlines()]
    assert written == list(rows())
    families = {split: {r["family"] for r in written if r["split"] == split} for split in ("train", "test")}
    assert not families["train"] & families["test"]
    assert not {r["text"] for r in written if r["split"] == "train"} & {r["text"] for r in contrastive()}


def test_every_row_of_the_test_split_is_in_one_part():
    parts = contrastive_sets()
    assert sum(map(len, parts.values())) == len(contrastive())
    assert all({bool(r.harmful) for r in part} == {True, False} for part in parts.values())


def test_a_turn_has_one_label_and_the_label_is_known():
    tables = tomllib.loads(RED_TEAM.read_text(encoding="utf-8"))
    assert set(tables) <= {*HEADS, "harmless", "other"}
    digests = [d for found in tables.values() for d in found.split()]
    assert len(digests) == len(set(digests)) > 800
    assert all(len(d) == DIGITS and not set(d) - set("0123456789abcdef") for d in digests)


@pytest.mark.shared
@pytest.mark.skipif(not SAFETY_TEXT.is_dir(), reason="needs the shared data folder beside the checkout")
def test_every_labelled_turn_is_found():
    texts = {e.text for e in further(SAFETY_TEXT) if e.source == "hh_red_team"}
    listed = tomllib.loads(RED_TEAM.read_text(encoding="utf-8")).values()
    assert {sha256(t.encode())[7 : 7 + DIGITS] for t in texts} == {d for found in listed for d in found.split()}
