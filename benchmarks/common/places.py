"""Where benchmarks read and write: one place for every path."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
RESULTS: Final = ROOT / "benchmarks" / "results"  # RESULTS/WING/NAME.json, as the wings are
SHARED: Final = ROOT.parent / "shared" / "data"  # public data beside the checkout, not part of it
