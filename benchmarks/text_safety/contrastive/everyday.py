"""Fill the templates of everyday.toml: benign texts that need no data from outside the repository."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parent / "everyday.toml"


def everyday_texts() -> list[str]:
    """Every template with every value of its first slot; the further slots take turns. No text occurs twice."""
    found: dict[str, None] = {}
    turn = 0
    for family in tomllib.loads(SOURCE.read_text(encoding="utf-8"))["text"]:
        for template in family["templates"]:
            slots = list(dict.fromkeys(re.findall(r"{(\w+)}", template)))
            for value in family[slots[0]]:
                turn += 1
                others = {s: family[s][turn % len(family[s])] for s in slots[1:]}
                found[template.format(**{slots[0]: value}, **others)] = None
    return list(found)
