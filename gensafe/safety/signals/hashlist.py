"""Block lists of PDQ hashes: reading them. ``pdq_index`` searches them.

No list is shipped: lists of known abuse material need agreements with those who keep them.
"""

from __future__ import annotations

from dataclasses import dataclass

from gensafe.core.errors import ConfigError
from gensafe.safety.signals.list_rows import PDQ, ListRow, list_files, list_rows


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One listed hash: 32 bytes, what category it stands for, and the list's own name for it."""

    digest: bytes
    category: str
    label: str


def parse_list(text: str, category: str, name: str) -> list[ListEntry]:
    """The PDQ hashes of a list, written as ``list_rows.list_rows`` describes.

    Args:
        text: The list.
        category: Hazard category its entries stand for.
        name: For labels and error messages.

    Raises:
        ConfigError: not one hash in it, or a row that is not understood.
    """
    found = [_listed(row, category, name) for row in list_rows(text, name) if row.kind == PDQ]
    if not found:
        raise ConfigError(f"the hash list {name} has no PDQ hash of 64 hex digits", field="lists")
    return found


def read_lists(spec: str) -> list[ListEntry]:
    """Read the lists named by an option: ``[category=]path`` separated by commas; the category is ``lst`` by default.

    Raises:
        ConfigError: a file cannot be read, a row of it is not understood, or it has no hash.
    """
    return [_listed(row, part.category, part.name) for part in list_files(spec, PDQ) for row in part.rows]


def _listed(row: ListRow, category: str, name: str) -> ListEntry:
    return ListEntry(bytes.fromhex(row.value), category, f"{name}:{row.label}")
