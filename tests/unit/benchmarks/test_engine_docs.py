"""The page on engines shows the committed figures."""

from __future__ import annotations

import json

from benchmarks.engines import docs


def test_the_page_shows_the_committed_figures():
    page = docs.PAGE.read_text("utf-8")
    results = json.loads(docs.RESULT.read_text("utf-8"))
    assert docs.filled(page, results) == page
    for name in docs.tables(results):
        assert page.count(f"<!-- {name} -->\n| figure |") == 1, "each table is there and not empty"
