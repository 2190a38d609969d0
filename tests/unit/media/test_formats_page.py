"""docs/formats.md lists what is read and written, no more and no less."""

import re
from pathlib import Path

from gensafe.media import ENCODABLE, READABLE

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_code():
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| .+ \| (yes)? ?\|$", PAGE, re.MULTILINE)
    assert {kind: medium for kind, medium, _ in rows} == {k: m.value for k, m in READABLE.items()}
    assert {kind for kind, _, written in rows if written} == {k for kinds in ENCODABLE.values() for k in kinds}
