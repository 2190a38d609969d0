"""docs/client-api.md is what the client's docstrings and signatures say."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_current_and_names_everything_public():
    made = runpy.run_path(str(ROOT / "scripts" / "generate_client_docs.py"))
    text = made["page"]()
    assert text == (ROOT / "docs" / "client-api.md").read_text("utf-8")
    for name in made["client"].__all__:
        assert f"## `{name}`" in text
    assert "### `Client.generate`" in text and "### `Blocked`" in text
