"""Where the tiles lie: polynomial maps from pixels to tile coordinates, folding along them, and refining them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft

from gensafe_watermark.image import carrier as tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS: Final = 128  # per tile side when folding: the finest wave spans almost seven
_REACH: Final = 0.11  # how far, in tiles, a block may lie from where the map puts it
_STEPS: Final = 23  # places tried along each axis: 0.01 tile apart, a fifth of the finest wave
_NEWTON: Final = 6  # steps; the maps are close to linear, so that it converges. Chosen by eye, not measured
_TERMS: Final = {1: 3, 2: 6, 3: 10}  # monomials in two variables up to each order: (n + 1)(n + 2) / 2


@dataclass(frozen=True, eq=False)
class Warp:
    """Tile coordinates u(x) as a polynomial in pixel coordinates centred on the picture and scaled to about -1..1.

    ``coefficients`` (2, terms): terms 1, x, y | x2, xy, y2 | x3, x2y, xy2, y3 for order 1, 2, 3.
    """

    coefficients: NDArray[np.float64]
    shape: tuple[int, int]

    @property
    def scale(self) -> float:
        """Pixels per unit of the polynomial's variables."""
        return max(self.shape) / 2

    @classmethod
    def linear(cls, matrix: NDArray[np.float64], shape: tuple[int, int]) -> Warp:
        """The map u = matrix (x - centre), with matrix in tiles per pixel."""
        scale = max(shape) / 2
        return cls(np.concatenate([np.zeros((2, 1)), np.asarray(matrix) * scale], axis=1), shape)

    def matrix(self) -> NDArray[np.float64]:
        """Tiles per pixel at the centre, (2, 2)."""
        return self.coefficients[:, 1:3] / self.scale

    def levelled(self) -> Warp | None:
        """The map with one scale and no turn beside quarters, if this one is within a hundredth of such a map."""
        matrix = self.matrix()
        scale = float(np.sqrt(abs(np.linalg.det(matrix))))
        level = scale * np.rint(matrix / scale)
        if np.abs(matrix - level).max() > 0.01 * scale:
            return None
        return Warp.linear(level, self.shape)

    def scaled(self, factor: float) -> Warp:
        """The map with ``factor`` times as many tiles to the pixel."""
        return Warp(self.coefficients * factor, self.shape)

    def plus(self, change: NDArray[np.float64]) -> Warp:
        """Add polynomial coefficients, raising the order where needed."""
        width = max(change.shape[1], self.coefficients.shape[1])
        total = np.zeros((2, width))
        total[:, : self.coefficients.shape[1]] += self.coefficients
        total[:, : change.shape[1]] += change
        return Warp(total, self.shape)

    def tile_coordinates(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(u, v), each (H, W) float32, in tiles."""
        height, width = self.shape
        x = (np.arange(width, dtype=np.float64) - (width - 1) / 2) / self.scale
        y = (np.arange(height, dtype=np.float64) - (height - 1) / 2) / self.scale
        u, v = (_polynomial(x, y, row) for row in self.coefficients)
        return u, v

    def cells(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(column, row), each (H, W) int32: which of _CELLS x _CELLS cells of its tile a pixel falls into."""
        found = []
        for tile in self.tile_coordinates():
            tile *= _CELLS
            tile += _CELLS * float(np.ceil(1 - tile.min() / _CELLS))  # positive, so that truncation rounds down
            cell = tile.astype(np.int32)
            cell &= _CELLS - 1
            found.append(cell)
        return found[0], found[1]


def _powers(x: NDArray[np.float64], y: NDArray[np.float64], terms: int) -> NDArray[np.float64]:
    columns = [np.ones_like(x), x, y]
    if terms >= _TERMS[2]:
        columns += [x * x, x * y, y * y]
    if terms >= _TERMS[3]:
        columns += [x**3, x * x * y, x * y * y, y**3]
    return np.stack(columns, axis=-1)


def _polynomial(x: NDArray[np.float64], y: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float32]:
    """Value on the grid of columns ``x`` (W,) and rows ``y`` (H,): powers of x weighted by polynomials in y."""
    c = np.concatenate([row, np.zeros(_TERMS[3] - len(row))])
    constant = c[0] + c[2] * y + c[5] * y**2 + c[9] * y**3
    total = constant.astype(np.float32)[:, None] + (c[1] * x + c[3] * x**2 + c[6] * x**3).astype(np.float32)
    if len(row) > _TERMS[1]:
        total += np.outer(c[4] * y + c[8] * y**2, x).astype(np.float32)
    if len(row) == _TERMS[3]:
        total += np.outer(c[7] * y, x**2).astype(np.float32)
    return np.asarray(total, np.float32)


def fold(residual: NDArray[np.float32], warp: Warp, blocks: int = 1) -> NDArray[np.complex64]:
    """Correlate with every lattice frequency along a map, block by block.

    Args:
        residual: (H, W).
        warp: where the tiles lie.
        blocks: the picture is cut into blocks x blocks parts.

    Returns:
        (blocks * blocks, GRID, GRID) Hermitian grids, row by row; their sum is the grid of the whole picture.
    """
    height, width = residual.shape
    row, column = warp.cells()[::-1]
    row *= _CELLS
    cell = np.add(row, column, out=row)
    if blocks > 1:
        part = (np.arange(height) * blocks // height)[:, None] * blocks + (np.arange(width) * blocks // width)[None, :]
        cell += part.astype(np.int32) * _CELLS**2
    sums = np.bincount(cell.ravel(), residual.ravel(), blocks * blocks * _CELLS**2)
    spectra = fft.rfft2(sums.reshape(-1, _CELLS, _CELLS).astype(np.float32))
    axis = np.arange(-tiles.RADIUS, tiles.RADIUS + 1)
    half_cell = np.exp(-1j * np.pi * axis / _CELLS) / np.sinc(axis / _CELLS)
    right = spectra[:, axis, : tiles.RADIUS + 1] * (half_cell[:, None] * half_cell[tiles.RADIUS :])
    return np.concatenate([np.conj(right[:, ::-1, :0:-1]), right], axis=2).astype(np.complex64)


def register(
    grids: NDArray[np.complex64], carrier: tiles.Carrier, px: float, py: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each block lies from the tile phase (px, py).

    Args:
        grids: (n, GRID, GRID), as ``fold`` gives them, in the carrier's orientation.
        carrier: the layout found.
        px: tile phase of the whole picture.
        py: the same, vertically.

    Returns:
        displacement (n, 2) in tiles and comb score (n,) in standard deviations of noise.
    """
    kx, ky = tiles.FREQUENCIES[carrier.comb, 0], tiles.FREQUENCIES[carrier.comb, 1]
    offsets = np.linspace(-_REACH, _REACH, _STEPS)
    dy, dx = (a.ravel() for a in np.meshgrid(offsets, offsets, indexing="ij"))
    waves = np.exp(-2j * np.pi * (np.outer(dx, kx) + np.outer(dy, ky)))
    spectra = np.stack([tiles.from_grid(grid) for grid in tiles.whiten(grids)])
    lines = spectra[:, carrier.comb] * np.conj(carrier.comb_phasor) * np.exp(-2j * np.pi * (kx * px + ky * py))
    scores = (lines @ waves.T).real / np.sqrt(tiles.COMB_LINES / 2)
    best = np.argmax(scores, axis=1)
    found = np.stack([dx[best], dy[best]], axis=1)
    for axis, stride in ((0, 1), (1, _STEPS)):  # parabola through the neighbours of the peak
        inner = np.abs(found[:, axis]) < _REACH - 1e-9
        low = np.where(inner, best - stride, best)
        high = np.where(inner, best + stride, best)
        every = np.arange(len(best))
        left, mid, right = scores[every, low], scores[every, best], scores[every, high]
        bend = left - 2 * mid + right
        found[:, axis] += np.where(inner & (bend < 0), 0.5 * (left - right) / np.where(bend < 0, bend, -1), 0) * (
            offsets[1] - offsets[0]
        )
    return found, scores[np.arange(len(best)), best]


def refine(
    grids: NDArray[np.complex64],
    carrier: tiles.Carrier,
    phase: tuple[float, float],
    centres: NDArray[np.float64],
    order: int,
) -> NDArray[np.float64]:
    """Polynomial (2, terms) that raises the comb's correlation over all blocks together, by Newton steps.

    Finer than ``fit_displacement`` where single blocks hold too little to be placed on their own, but it starts from
    zero displacement and climbs: the map must already be right to about a fortieth of a tile. Arguments as
    ``register`` and ``fit_displacement``.
    """
    k = tiles.FREQUENCIES[carrier.comb].astype(float)
    spectra = np.stack([tiles.from_grid(grid) for grid in tiles.whiten(grids)])
    lines = spectra[:, carrier.comb] * np.conj(carrier.comb_phasor) * np.exp(-2j * np.pi * (k @ np.array(phase)))
    design = _powers(centres[:, 0], centres[:, 1], _TERMS[order])
    squares = k[:, :, None] * k[:, None, :]
    change = np.zeros((_TERMS[order], 2))
    for _ in range(_NEWTON):
        turned = lines * np.exp(-2j * np.pi * (design @ change @ k.T))
        slope = 2 * np.pi * (turned.imag @ k)
        bend = 4 * np.pi**2 * np.tensordot(np.maximum(turned.real, 0), squares, axes=1)
        normal = np.einsum("ns,nt,nij->sitj", design, design, bend).reshape(change.size, change.size)
        ridge = 0.03 * np.trace(normal) / change.size * np.eye(change.size) + 1e-9 * np.eye(change.size)
        change += np.linalg.solve(normal + ridge, (design.T @ slope).ravel()).reshape(change.shape)
    return change.T


def block_centres(shape: tuple[int, int], blocks: int) -> NDArray[np.float64]:
    """(blocks * blocks, 2) centres (x, y) of ``fold``'s blocks in a warp's scaled coordinates."""
    height, width = shape
    scale = max(shape) / 2
    x = ((np.arange(blocks) + 0.5) * width / blocks - width / 2) / scale
    y = ((np.arange(blocks) + 0.5) * height / blocks - height / 2) / scale
    return np.stack([np.tile(x, blocks), np.repeat(y, blocks)], axis=1)


def fit_displacement(
    centres: NDArray[np.float64], displacement: NDArray[np.float64], score: NDArray[np.float64], order: int
) -> NDArray[np.float64]:
    """Polynomial (2, terms) through block displacements: weighted, then again without outliers."""
    terms = _TERMS[order]
    design = _powers(centres[:, 0], centres[:, 1], terms)
    weight = np.maximum(score - 2.7, 0.05) ** 2
    ridge = 1e-3 * weight.sum() * np.diag([0.0] + [1.0] * 2 + [4.0] * (terms - 3))
    solution = np.zeros((terms, 2))
    for _ in range(3):
        normal = design.T @ (weight[:, None] * design) + ridge + 1e-9 * np.eye(terms)
        solution = np.linalg.solve(normal, design.T @ (weight[:, None] * displacement))
        off = np.hypot(*(displacement - design @ solution).T)
        weight = np.maximum(score - 2.7, 0.05) ** 2 / (1 + (off / 0.02) ** 2)
    return solution.T
