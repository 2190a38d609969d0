"""GIF at block level: is it whole? Source: GIF89a §14..§27."""

from __future__ import annotations

from gensafe.core.errors import UnreadableMedia

_CUT = "the GIF file is cut short"


def completed(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """(the file with its trailer, notes). A missing trailer is noted where every block before it is whole.

    Raises:
        UnreadableMedia: a block is cut, or there is no picture.
    """
    if len(data) < 13:
        raise UnreadableMedia(_CUT)
    at, pictures = 13 + _table(data[10]), 0
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            return data, ()
        if kind == 0x2C and at + 10 <= len(data):
            at = _after_blocks(data, at + 11 + _table(data[at + 9]))
            pictures += 1
        elif kind == 0x21:
            at = _after_blocks(data, at + 2)
        elif kind == 0:  # stray zeros between blocks: readers skip them
            at += 1
        else:
            break
    if not pictures:
        raise UnreadableMedia(_CUT)
    return data[:at] + b";", ("the end marker (trailer) is missing",)


def _table(flags: int) -> int:
    """Bytes of the colour table that ``flags`` announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Offset behind a chain of sub-blocks and its terminator."""
    while at < len(data):
        if not data[at]:
            return at + 1
        at += 1 + data[at]
    raise UnreadableMedia(_CUT)
