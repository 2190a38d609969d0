"""What a picture of the world holds: exact, hashable descriptions that captions, renderers and checkers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

# sRGB, 0..255; picked by eye to look well together and to be told apart.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (206, 52, 48),
    "orange": (236, 140, 40),
    "yellow": (240, 206, 62),
    "green": (56, 152, 84),
    "blue": (48, 98, 190),
    "purple": (134, 70, 160),
}
SHAPES = ("circle", "square", "triangle", "star")
SIZES: dict[str, int] = {"small": 15, "medium": 27, "huge": 58}  # radius in pixels; huge only alone in the middle
PLACES = (
    "top left", "top", "top right",
    "left", "middle", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip
PAPER = (245, 242, 234)  # sRGB, 0..255; a warm white, by eye
INK = (58, 60, 66)  # sRGB, 0..255; a soft black, by eye
SIDE = 256  # pixels of a picture
CELL = 32  # pixels of a picture patch; every block of numbers, words and charts fills whole patches

GLYPHS: dict[str, str] = {
    "0": "111101101101111", "1": "010110010010111", "2": "111001111100111", "3": "111001111001111",
    "4": "101101111001001", "5": "111100111001111", "6": "111100111101111", "7": "111001001001001",
    "8": "111101111101111", "9": "111101111001111", "H": "101101111101101", "I": "111010010010111",
    "O": "010101101101010", "K": "101101110101101", "N": "111101101101101", "G": "111100101101111",
    "U": "101101101101111", "P": "110101110100100", "Y": "101101010010010", "E": "111100110100111",
    "S": "011100010001110", "M": "101111111101101", "A": "010101111101101", "D": "110101101101110",
}  # fmt: skip
WORDS = ("HI", "OK", "NO", "GO", "UP", "ON", "ME", "HA", "DO", "AS")
# the canonical layout of n equal things without places, as on dice
LAYOUTS: dict[int, tuple[int, ...]] = {
    2: (3, 5),
    3: (3, 4, 5),
    4: (0, 2, 6, 8),
    5: (0, 2, 4, 6, 8),
    6: (0, 2, 3, 5, 6, 8),
}


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """One shape on the 3x3 board. ``place`` indexes ``PLACES``."""

    place: int
    colour: str
    shape: str
    size: str = "medium"


@dataclass(frozen=True, slots=True)
class Board:
    """Shapes on paper, sorted by place, at most one per place."""

    things: tuple[Thing, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """One or two block characters in one colour: a number 0..99 or a word of ``WORDS``."""

    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar chart: 2 to 4 bars from left to right, each a colour and a height of 1..6."""

    bars: tuple[tuple[str, int], ...]


Scene: TypeAlias = Board | Sign | Bars
# columns of patches, 0..7, in which so many bars stand evenly
BAR_COLUMNS: dict[int, tuple[int, ...]] = {2: (2, 5), 3: (1, 3, 5), 4: (0, 2, 4, 6)}
BAR_BASE_ROW = 7  # the row of patches below the bars


def sign_cells(text: str) -> list[tuple[int, int]]:
    """Patches (row, column) a sign fills."""
    left = 2 if len(text) == 1 else 0
    cells = []
    for n, character in enumerate(text):
        for i, bit in enumerate(GLYPHS[character]):
            if bit == "1":
                cells.append((1 + i // 3, left + 4 * n + i % 3))
    return cells


def place_centre(place: int) -> tuple[int, int]:
    """Centre (y, x) in pixels of a place: patches meet there, so a shape fills a block of two by two."""
    row, column = divmod(place, 3)
    return CELL * (1 + 3 * row), CELL * (1 + 3 * column)
