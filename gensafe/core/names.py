"""What may name a tenant: it ends up in the log, in reports and on terminals, permanently."""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_NAME: Final = 255  # a DNS name has at most 253 characters; a SPIFFE id of that length is rare already
_UNSEEN: Final = ("C", "Z")  # Unicode categories: control, format (bidi), surrogate, private, unassigned; separators


def problem_of(name: str) -> str:
    """Why ``name`` cannot name a tenant; "" if it can.

    Allowed: 1 to 255 characters in Unicode form NFC, none of them a control, bidi, other format, private or unassigned
    character; the plain space only between others.
    """
    if not name:
        return "is empty"
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters; at most {MAX_NAME}"
    if name != name.strip(" "):
        return "begins or ends with a space"
    bad = next((c for c in name if c != " " and unicodedata.category(c)[0] in _UNSEEN), "")
    if bad:
        return f"contains the character U+{ord(bad):04X}, which cannot be seen"
    if not unicodedata.is_normalized("NFC", name):
        return "is not in Unicode form NFC, so that two names could look the same"
    return ""
