"""The detector: cheapest step first, stopping at the first payload whose MAC holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark.image import carrier as tiles
from gensafe_watermark.image import geometry, search
from gensafe_watermark.image.layout import MIN_SIDE, reduction, tile_count, tile_counts
from gensafe_watermark.image.perception import reduce_by
from gensafe_watermark.image.reading import WORTH_DECODING, Alignment, Reader
from gensafe_watermark.image.residual import residual
from gensafe_watermark.image.spectrum import Power, polish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_SEARCH_TILES: Final = 8  # the search works best on a tighter high-pass than reading does
_SMALLEST_TILE: Final = 31.0  # pixels: the comb's finest line then spans 2.2
# maps kept from one search; more cost time. Chosen by trial on the tuning pictures (docs/watermark-image.md)
_CANDIDATES: Final = 6
_CROPS: Final = 16  # scales kept where only the scale is unknown, which is cheap to try; chosen likewise
_FOLLOWED: Final = 2  # leads of one search; chosen likewise, for speed
_CLEAR: Final = 6.0  # comb score that is followed at once; lower ones wait, because most lead nowhere
_LEFT: Final = 3  # leads that are followed at the end; chosen likewise, for speed
_BLOCKS: Final = 5  # a side: 25 places, more than the 10 terms of a cubic map need; chosen likewise
_ORDERS: Final = (1, 1, 1, 2, 2, 2, 3)  # of the map, pass by pass: affine first (``geometry._TERMS``); chosen likewise
_REFINED: Final = (1, 2, 2, 3)  # likewise, for all blocks together
_AS_GOOD: Final = 0.93  # a map of one parameter follows less of the noise: it may score a little less
# 0.4 % up and down, more than the 0.25 % of ``search._SCALE_STEP``; chosen likewise
_SCALES: Final = 1 + 0.0008 * np.arange(-5, 6)
_PROMISING: Final = 5.5  # comb score, between WORTH_DECODING (3.5) and _CLEAR; chosen likewise, for speed
_WHOLE: Final = (0.5, 0.5, 1.0)  # see Window
# the middle and the corners, 60 % of the sides; as many as the time allows
_WINDOWS: Final = tuple((x, y, 0.6) for x, y in ((0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)))
Window = tuple[float, float, float]
"""Position across and down (0..1) and share of the sides."""


def nominal_grids(planes: Sequence[NDArray[np.float32]], counts: tuple[int, ...]) -> list[NDArray[np.complex64]]:
    """Spectra (frames, GRID, GRID) of the unchanged grid (scaled as a whole, perhaps), one for each tile count."""
    short = min(planes[0].shape)
    measured: list[NDArray[np.complex64]] = []
    cache: dict[tuple[int, int], list[NDArray[np.float32]]] = {}
    for count in counts:
        factor = reduction(short, count)
        filtered_as = max(2, count)  # residuals of 1 and 2 tiles differ little: share them
        if (factor, filtered_as) not in cache:
            tile = short / filtered_as / factor
            cache[factor, filtered_as] = [residual(reduce_by(plane, factor), tile) for plane in planes]
        side = short / count / factor
        measured.append(np.stack([tiles.analyse(flat, (side, side)) for flat in cache[factor, filtered_as]]))
    return measured


def _mean_residual(planes: Sequence[NDArray[np.float32]], tile: float) -> NDArray[np.float32]:
    total = residual(planes[0], tile)
    for plane in planes[1:]:
        total = total + residual(plane, tile)
    return total


def detect_planes(planes: Sequence[NDArray[np.float32]], key: bytes, medium: str, scheme: str) -> Detection:
    """Search luma planes of one geometry (one picture, or frames of one shot) for a mark."""
    return Front(planes, medium, scheme).whole(key)


class Front:
    """What a search under any key begins with, measured once: under the next key only the keyed steps remain.

    Args:
        planes: Luma planes of one geometry.
        medium: image | video.
        scheme: Named in answers.
    """

    def __init__(self, planes: Sequence[NDArray[np.float32]], medium: str, scheme: str) -> None:
        self._planes, self._medium, self._scheme = planes, medium, scheme
        self._readers: dict[bytes, Reader] = {}  # nominal grid read, in vain
        self._powers: dict[Window, Power] = {}

    def quick(self, key: bytes) -> Detection | None:
        """Only where the grid would be if nothing moved it; None = not there, which says little."""
        return None if self._too_small else self._nominal(key)[1]

    def whole(self, key: bytes) -> Detection:
        """Everything, cheapest first."""
        if self._too_small:
            return Detection(MarkLevel.UNDECIDABLE, None, 1.0, self._scheme, 1, {"reason": "too small to tell"})
        # 1. the nominal grid: unchanged, re-encoded, scaled, turned by quarters, mirrored
        reader, found = self._nominal(key)
        if found is not None:
            return found
        # 2. crops, turns, stretches: the lattice from the power spectrum, then block-wise registration
        planes, flat = self._reduced
        if not np.any(flat):  # one even colour: nothing to search
            return reader.give_up()
        chase = _Chase(reader, planes, flat, self._power)
        side = min(flat.shape)
        sides = (max(_SMALLEST_TILE, side / 9), side * 2.2)
        found = chase.crops(sides) or chase.follow(search.similarities, sides, _WHOLE)
        found = found or chase.follow(search.stretches, sides, _WHOLE)
        # 3. perspective: general linear maps in windows, from where the registration grows outwards
        usual = max(2, tile_count(min(self._planes[0].shape), self._medium))
        for number, window in enumerate(_WINDOWS):  # in the middle, also as if it had been scaled
            counts = tile_counts(self._medium) if number == 0 else (usual,)
            nominal = tuple(side / count for count in counts if side / count >= _SMALLEST_TILE and count > 1)
            if nominal:
                found = found or chase.follow(search.distortions, nominal, window)
        # 4. what no step thought clear enough to follow at once
        return found or chase.rest() or reader.give_up()

    @property
    def _too_small(self) -> bool:
        return bool(min(self._planes[0].shape) < MIN_SIDE // 2)

    def _nominal(self, key: bytes) -> tuple[Reader, Detection | None]:
        if key in self._readers:
            return self._readers[key], None
        reader = Reader(key, self._medium, self._scheme)
        found = reader.read(self._grids, "nominal")
        if found is None:
            self._readers[key] = reader
        return reader, found

    @cached_property
    def _grids(self) -> list[NDArray[np.complex64]]:
        return nominal_grids(self._planes, tile_counts(self._medium))

    @cached_property
    def _reduced(self) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        factor = reduction(min(self._planes[0].shape))
        planes = [reduce_by(plane, factor) for plane in self._planes]
        return planes, _mean_residual(planes, min(planes[0].shape) / _SEARCH_TILES)

    def _power(self, window: Window) -> Power:
        if window not in self._powers:
            flat = self._reduced[1]
            self._powers[window] = Power.of(flat[_cut(flat.shape, window)])
        return self._powers[window]


def _cut(shape: tuple[int, ...], window: Window) -> tuple[slice, slice]:
    across, down, share = window
    height, width = round(shape[0] * share), round(shape[1] * share)
    top, left = round((shape[0] - height) * down), round((shape[1] - width) * across)
    return slice(top, top + height), slice(left, left + width)


class _Lead(NamedTuple):
    """A map worth registering: comb score in the window it was found in, and how it lies on the whole picture."""

    z: float
    how: str
    warp: geometry.Warp
    start: Alignment


@dataclass(frozen=True, eq=False)
class _Chase:
    """The costly part: follow lattice candidates on the picture itself."""

    reader: Reader
    planes: Sequence[NDArray[np.float32]]
    flat: NDArray[np.float32]
    power: Callable[[Window], Power]  # power spectrum of a window of ``flat``
    leads: list[_Lead] = field(default_factory=list)

    def _carriers(self) -> list[tiles.Carrier]:
        return [tiles.carrier(self.reader.key, self.reader.medium, v) for v in range(tiles.VARIANTS)]

    def crops(self, sides: tuple[float, float]) -> Detection | None:
        """One scale, no turn: so few maps that each is measured whole, and read without growing it."""
        candidates, examined = search.scales(self.power(_WHOLE), self._carriers(), sides, _CROPS)
        self.reader.count("crops", examined)

        def look(
            side: NDArray[np.float64], variant: int, turns: Sequence[int]
        ) -> tuple[Alignment, NDArray[np.float64]]:
            grid = tiles.analyse(self.flat, (side[0], side[1]))
            return self.reader.align(grid, turns, (variant,))[0], side

        looks = [look(1 / np.diag(c.matrix), c.variant, range(tiles.ORIENTATIONS)) for c in candidates]
        looks.sort(key=lambda seen: -seen[0].z)
        self.reader.count("crops", 0, looks[0][0].z)
        words: list[NDArray[np.float32]] = []
        scores: list[float] = []
        for best, side in looks[:_FOLLOWED]:
            if best.z < _PROMISING:
                break
            for axis in ([1, 1], [1, 0], [0, 1]):  # whole pixels: an enlarged crop is not quite as wide as high
                tried = [look(side * f ** np.array(axis), best.variant, (best.orientation,)) for f in _SCALES]
                best, side = max(tried, key=lambda seen: seen[0].z)
            tile = float(np.sqrt(side[0] * side[1]))
            grids = np.stack([tiles.analyse(residual(p, tile), (side[0], side[1])) for p in self.planes])
            self._read(grids, best, words, scores)
        return self.reader.decode(words, scores, "crops")

    def follow(self, method: search.Method, sides: tuple[float, ...], window: Window) -> Detection | None:
        """Search one window of the picture and rank what is found by phase agreement; follow what stands clear."""
        carriers = self._carriers()
        cut = _cut(self.flat.shape, window)
        power = self.power(window)
        part = np.ascontiguousarray(self.flat[cut])
        candidates, examined = method(power, carriers, sides, _CANDIDATES)
        how = method.__name__
        self.reader.count(how, examined)
        middle = np.array([(c.start + c.stop) / 2 for c in cut[::-1]]) - np.array(self.flat.shape[::-1]) / 2
        leads = []
        for candidate in candidates:
            layout = carriers[candidate.variant]
            _, matrix = polish(power, layout, candidate.matrix)
            warp = geometry.Warp.linear(matrix, (part.shape[0], part.shape[1]))
            best = self.reader.align(geometry.fold(part, warp)[0], (0, 2), (candidate.variant,))[0]
            self.reader.count(how, 0, best.z)
            sign = -1.0 if best.orientation == 2 else 1.0
            px, py = np.array([best.px, best.py]) - sign * matrix @ middle  # phase at the middle of the whole picture
            warp = geometry.Warp.linear(sign * matrix, (self.flat.shape[0], self.flat.shape[1]))
            leads.append(_Lead(best.z, how, warp, replace(best, orientation=0, px=px, py=py)))
        leads.sort(key=lambda lead: -lead.z)
        clear = [lead for lead in leads[:_FOLLOWED] if lead.z >= _CLEAR]
        self.leads.extend(lead for lead in leads[:_FOLLOWED] if WORTH_DECODING <= lead.z < _CLEAR)
        return self._chase(clear)

    def rest(self) -> Detection | None:
        """Follow the best of what was put off."""
        return self._chase(sorted(self.leads, key=lambda lead: -lead.z)[:_LEFT])

    def _chase(self, leads: list[_Lead]) -> Detection | None:
        for lead in leads:
            words: list[NDArray[np.float32]] = []
            scores: list[float] = []
            self._register(lead.warp, lead.start, lead.how, words, scores)
            found = self.reader.decode(words, scores, lead.how)
            if found is not None:
                return found
        return None

    def _read(
        self,
        grids: NDArray[np.complex64],
        here: Alignment,
        words: list[NDArray[np.float32]],
        scores: list[float],
    ) -> None:
        for grid in self.reader.combined(grids, here):
            words += [self.reader.soft(grid, here), self.reader.soft(grid, here, blurred=True)]
            scores += [here.z] * 2

    def _score(self, warp: geometry.Warp, variant: int) -> float:
        return self.reader.align(geometry.fold(self.flat, warp)[0], (0,), (variant,))[0].z

    def _register(
        self, warp: geometry.Warp, best: Alignment, how: str, words: list[NDArray[np.float32]], scores: list[float]
    ) -> None:
        """Let the map grow outwards from where it fits, raising its order, and keep the soft bits of every stage."""
        layout = tiles.carrier(self.reader.key, self.reader.medium, best.variant)
        centres = geometry.block_centres(warp.shape, _BLOCKS)

        def look(warp: geometry.Warp) -> tuple[NDArray[np.complex64], Alignment]:
            grids = geometry.fold(self.flat, warp, _BLOCKS)
            total = np.asarray(grids.sum(axis=0), np.complex64)
            here = self.reader.align(total, (0,), (best.variant,))[0]
            words.append(self.reader.soft(total, here))
            scores.append(here.z)
            return grids, here

        # 1. block by block: wide reach, but every block must show the comb by itself
        fit, peak = warp, 0.0
        phase = (best.px, best.py)
        grids = geometry.fold(self.flat, warp, _BLOCKS)
        for number, order in enumerate(_ORDERS):
            displacement, score = geometry.register(grids, layout, *phase)
            warp = warp.plus(geometry.fit_displacement(centres, displacement, score, order))
            grids, here = look(warp)
            phase = (here.px, here.py)
            if here.z > peak:
                fit, peak = warp, here.z
            if here.z < 0.75 * peak or (number >= 2 and peak < _PROMISING):
                break
        if peak < _PROMISING:
            return
        # 2. all blocks together, from the best map so far; of few parameters where few will do
        grids, here = look(fit)
        for order in _REFINED:
            refined = fit.plus(geometry.refine(grids, layout, (here.px, here.py), centres, order))
            seen, there = look(refined)
            if there.z >= here.z:
                fit, grids, here = refined, seen, there
        level = fit.levelled()
        if level is not None:  # a crop, perhaps scaled: one parameter
            level = max((level.scaled(factor) for factor in _SCALES), key=lambda warp: self._score(warp, best.variant))
            if look(level)[1].z > _AS_GOOD * here.z:
                fit = level
        # 3. the front end tuned to the tile that was found
        tile = 1 / float(np.sqrt(abs(np.linalg.det(fit.matrix()))))
        grids = np.concatenate([geometry.fold(residual(plane, tile), fit) for plane in self.planes])
        here = self.reader.align(np.asarray(grids.sum(axis=0), np.complex64), (0,), (best.variant,))[0]
        self._read(grids, here, words, scores)
