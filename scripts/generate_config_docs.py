"""Write docs/configuration.md from the configuration classes: names, types, defaults, ranges and their comments."""

from __future__ import annotations

import sys
from pathlib import Path

from gensafe.core.config import Config
from gensafe.core.config_about import Section, kind_of, sections

TARGET = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
HEAD = """# Configuration

One TOML file, named by `--config`, and environment variables over it: `GENSAFE_SERVER_LISTEN` sets `[server] listen`,
`GENSAFE_SERVER_OIDC_ISSUER` sets `[server.oidc] issuer`, `GENSAFE_GENERATION_OPTIONS_URL` the option `url`; lists of
tables are for the file. `gensafe config init` writes a file that names every key, `gensafe config check --config FILE`
reads one as the server would, `gensafe config print` shows what is in force without secrets, `gensafe config schema` is
a JSON schema for editors. An unknown key or `GENSAFE_*` variable, a value of the wrong type or a number out of range is
refused by its name before anything is loaded.
This page is made from the code by `scripts/generate_config_docs.py`; a test holds it to it.
"""


def table(section: Section) -> list[str]:
    """The rows of one section."""
    rows = ["| key | kind | default | range | meaning |", "|---|---|---|---|---|"]
    for item in section.settings:
        bounds = f"{item.bounds[0]} to {item.bounds[1]}" if item.bounds else ""
        default = "empty" if item.default in ("[]", "{}") else item.default
        meaning = item.meaning.replace("|", "\\|")
        rows.append(f"| `{item.name}` | {kind_of(item.hint)} | `{default}` | {bounds} | {meaning} |")
    return rows


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for section in sections(Config):
        title = f"[[{section.title}]]" if section.listed else f"[{section.title}]"
        parts += [f"\n## `{title}`\n", section.about, ""] if section.title else ["\n## Top level\n"]
        parts += table(section)
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text("utf-8") == text else "docs/configuration.md is stale: run this script")
    TARGET.write_text(text, "utf-8")
