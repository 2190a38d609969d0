"""docs/configuration.md is what the configuration classes say."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_current():
    made = runpy.run_path(str(ROOT / "scripts" / "generate_config_docs.py"))
    assert made["page"]() == (ROOT / "docs" / "configuration.md").read_text("utf-8")
