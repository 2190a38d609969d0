"""A web page that checks an audit export, in one file that needs no network and no server.

The page's script is written apart from ``gensafe.audit.standalone`` and judges as it does (docs/audit-format.md,
section "Checking"); ``tests/integration/test_audit_viewer.py`` compares the two on every test vector.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import Final

# Order matters: each uses names of those before it. They run in a worker, so that the page stays usable meanwhile.
CHECKER: Final = ("sha256.js", "format.js", "files.js", "views.js", "signatures.js", "walk.js", "check.js", "worker.js")


def viewer_page() -> bytes:
    """The page as UTF-8 HTML. Its policy lets it run its own script only and ask no address for anything."""
    style, page = _source("viewer.css"), _source("page.js")
    parts = {"style": style, "page": page, "checker": "\n".join(_source(name) for name in CHECKER)}
    parts["policy"] = (
        f"default-src 'none'; script-src '{_hash(page)}'; worker-src blob:; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return re.sub(r"\{(style|page|checker|policy)\}", lambda found: parts[found[1]], _source("viewer.html")).encode()


def _source(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """A source of a Content Security Policy (level 3, section 2.3.1): the SHA-256 of an inline element's text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
