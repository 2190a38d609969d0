"""The benchmark reads folders it has never seen, by mapping file or by name, and refuses what it cannot read."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from benchmarks.common.metrics import auroc, average_precision, bootstrap, share
from benchmarks.text_safety.sets import read_folder
from gensafe.core.errors import ConfigError


def test_names_are_guessed(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "x", "S": 1, "H": 0}\n{"prompt": "y", "V": 0}\n\n')
    (tmp_path / "b.csv").write_text('id,comment,toxic\n1,"hello, you",True\n2,bye,0\n')
    with gzip.open(tmp_path / "c.json.gz", "wt") as file:
        json.dump({"rows": [{"text": "t", "label": "unsafe"}, {"text": "u", "label": "safe"}]}, file)
    sets = read_folder(tmp_path)
    assert [(r.text, r.harmful, dict(r.categories)) for r in sets["a"]] == [
        ("x", True, {"sxc": True, "hte": False}),
        ("y", False, {"vcr": False}),
    ]
    assert [(r.text, r.harmful) for r in sets["b"]] == [("hello, you", True), ("bye", False)]
    assert [r.harmful for r in sets["c.json"]] == [True, False]


def test_a_mapping_file_says_it_explicitly(tmp_path):
    (tmp_path / "odd.csv").write_text("body;verdict;kind;insult\na;very bad;race;0\nb;fine;;1\n")
    (tmp_path / "mapping.toml").write_text(
        '[[set]]\nfile = "odd.csv"\nname = "odd"\ntext = "body"\nlabel = "verdict"\npositive = ["Very bad"]\n'
        'delimiter = ";"\ncategories = { insult = "tox" }\n'
        'category_column = "kind"\ncategory_values = { race = "hte" }\n'
    )
    (rows,) = read_folder(tmp_path).values()
    assert [(r.harmful, dict(r.categories)) for r in rows] == [
        (True, {"tox": False, "hte": True}),
        (False, {"tox": True}),
    ]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.jsonl": "{"},
        {"a.csv": "x,y\n1,2\n"},
        {"mapping.toml": "= 1"},
        {"mapping.toml": '[[set]]\nfile = "no.csv"'},
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError):
        read_folder(tmp_path)


def test_metrics_against_known_values():
    y = np.array([1, 0, 1, 0], bool)
    s = np.array([0.9, 0.8, 0.7, 0.1])
    assert average_precision(y, s) == pytest.approx((1 + 2 / 3) / 2)
    assert auroc(y, s) == pytest.approx(0.75)
    ties = np.array([0.5, 0.5, 0.5, 0.5])
    assert average_precision(y, ties) == pytest.approx(0.5) and auroc(y, ties) == pytest.approx(0.5)
    interval = bootstrap(auroc, np.tile(y, 50), np.tile(s, 50))
    assert interval.low < 0.75 < interval.high
    assert share(5, 100).low == pytest.approx(0.0215, abs=1e-3) and share(0, 0).value != share(0, 0).value
