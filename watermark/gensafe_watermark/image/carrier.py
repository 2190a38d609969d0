"""The carrier of the picture and film marks: a keyed, band-limited tile that repeats over the picture.

The tile is a sum of sinusoids at integer frequencies (cycles per tile) inside an annulus. Most of them carry payload:
the real and imaginary part of each is one chip, a keyed sign times a coded bit, and every coded bit owns about two
chips. A keyed handful, the *comb*, has fixed phases and more power: its magnitudes survive any shift, so a search
over the power spectrum finds scale, turn and aspect (after Pereira and Pun, "Robust template matching", IEEE Trans.
IP 9(6), 2000), and its phases then give the shift. The side of a tile is the picture's short side divided by a small
integer, so scaling the picture scales the mark with it.

Which of ``VARIANTS`` layouts, and the tile's phase, turn and mirror, follow from the payload by a keyed hash:
pictures of one key do not share a pattern that averaging would bring out, and the detector finds all of these for
free.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from gensafe_watermark import payload as coding
from gensafe_watermark import prf

if TYPE_CHECKING:
    from numpy.typing import NDArray

RADIUS: Final = 20  # highest frequency, cycles per tile
_INNER: Final = 6.0  # below this the picture itself drowns the mark, and the eye sees mottling
_OUTER: Final = 20.2  # cycles per tile: RADIUS and a little, so that the four points of that radius are in
# cycles per tile, the middle of the band; chosen like COMB_LINES, marked files depend on it
COMB_BAND: Final = (7.0, 15.0)
COMB_LINES: Final = 24  # chosen by trial on the tuning pictures (docs/watermark-image.md); marked files depend on it
COMB_POWER: Final = 0.33  # share of the mark's power; chosen like COMB_LINES, not measured alone
VARIANTS: Final = 2  # more take longer to search; with two an average shows no single comb. Marked files depend on it
ORIENTATIONS: Final = 8  # quarter turns, and those mirrored: the symmetries of a square
GRID: Final = 2 * RADIUS + 1  # both signs of every frequency, and 0
_SHIFTS: Final = 128  # resolution of the search over tile phases
_PHASES: Final = np.arange(_SHIFTS) / _SHIFTS
_MOST_PER_LINE: Final = 4.0  # noise deviations: no single line of the picture's own may make a comb


def _half_plane() -> NDArray[np.intp]:
    axis = np.arange(-RADIUS, RADIUS + 1)
    ky, kx = np.meshgrid(axis, axis, indexing="ij")
    radius = np.hypot(kx, ky)
    keep = (radius >= _INNER) & (radius <= _OUTER) & ((ky > 0) | ((ky == 0) & (kx > 0)))
    return np.stack([kx[keep], ky[keep]], axis=1).astype(np.intp)


FREQUENCIES: Final = _half_plane()
"""(F, 2) integer (kx, ky) of one half plane; the other half is the conjugate."""
MAGNITUDE: Final = np.hypot(FREQUENCIES[:, 0], FREQUENCIES[:, 1])

# A soft low-pass at 11 cycles per tile; chosen by trial on the tuning pictures, not measured alone.
_WHAT_BLUR_LEAVES: Final = (1 / (1 + (MAGNITUDE / 11) ** 4)).astype(np.float32)

ROUGHNESS: Final = 1.25 * 4 * np.pi**2 * (COMB_BAND[0] ** 2 + COMB_BAND[1] ** 2) / 4
"""Of the comb's correlation over all phases (see statistics.presence_p): 4 pi^2 times the mean square frequency along
one axis, and a quarter more because a key's lines need not spread evenly."""


@dataclass(frozen=True, eq=False)
class Carrier:
    """One keyed layout. Index arrays refer to ``FREQUENCIES``."""

    variant: int
    comb: NDArray[np.intp]  # (COMB_LINES,)
    comb_phasor: NDArray[np.complex64]  # (COMB_LINES,), unit modulus
    carried: NDArray[np.intp]  # (chips,) frequency of each chip
    imaginary: NDArray[np.bool_]  # (chips,) whether the chip is the imaginary part
    slot: NDArray[np.intp]  # (chips,) coded bit of each chip
    chip: NDArray[np.float32]  # (chips,) keyed sign

    def coefficients(self, coded: NDArray[np.uint8], gain: NDArray[np.float32] | None = None) -> NDArray[np.complex64]:
        """Spectrum (F,) of the tile for ``coded`` bits; ``gain`` (CODED_BITS,) scales bits. Unit variance in space."""
        value = (1.0 - 2.0 * coded.astype(np.float32))[self.slot] * self.chip
        if gain is not None:
            value = value * gain[self.slot]
        spectrum = np.zeros(len(FREQUENCIES), np.complex64)
        np.add.at(spectrum, self.carried, np.where(self.imaginary, 1j * value, value).astype(np.complex64))
        spectrum *= np.sqrt(2 * (1 - COMB_POWER) / np.sum(np.abs(spectrum) ** 2))
        spectrum[self.comb] = self.comb_phasor * np.float32(np.sqrt(2 * COMB_POWER / COMB_LINES))
        return spectrum

    def chips(self, spectrum: NDArray[np.complex64], blurred: bool = False) -> NDArray[np.float32]:
        """(CODED_BITS,) soft values of a measured, aligned spectrum (F,); ``blurred`` trusts fine waves less."""
        taken = (spectrum * _WHAT_BLUR_LEAVES if blurred else spectrum)[self.carried]
        value = np.where(self.imaginary, taken.imag, taken.real) * self.chip
        return np.bincount(self.slot, value, coding.CODED_BITS).astype(np.float32)

    def agreement(self, spectra: NDArray[np.complex64]) -> NDArray[np.float64]:
        """Comb score (n,) in standard deviations of noise of aligned spectra (n, F) whose noise has unit power."""
        lines = (spectra[:, self.comb] * np.conj(self.comb_phasor)).real
        return np.asarray(lines.sum(axis=1) / np.sqrt(COMB_LINES / 2), float)

    def align(self, spectra: NDArray[np.complex64]) -> NDArray[np.float64]:
        """Find the tile phase of measured spectra (n, F) whose noise has unit power.

        Returns:
            (n, 3): correlation z of the comb in standard deviations of noise, and the phase (px, py) in tiles.
        """
        lines = spectra[:, self.comb] * np.conj(self.comb_phasor)
        lines = lines * np.minimum(1, _MOST_PER_LINE / np.maximum(np.abs(lines), 1e-9))
        kx, ky = FREQUENCIES[self.comb, 0], FREQUENCIES[self.comb, 1]
        # 1. every phase on a grid: the real part of one matrix product per spectrum
        across = lines[:, :, None] * np.exp(-2j * np.pi * np.outer(kx, _PHASES)).astype(np.complex64)
        down = np.exp(-2j * np.pi * np.outer(_PHASES, ky)).astype(np.complex64)
        correlation = down.real @ across.real - down.imag @ across.imag
        iy, ix = np.divmod(np.argmax(correlation.reshape(len(spectra), -1), axis=1), _SHIFTS)
        phase = np.stack([ix, iy], axis=1) / _SHIFTS
        # 2. Newton steps on the correlation
        k = np.stack([kx, ky], axis=1).astype(float)
        squares = k[:, :, None] * k[:, None, :]
        for _ in range(3):
            turned = lines * np.exp(-2j * np.pi * (phase @ k.T))
            gradient = 2 * np.pi * (turned.imag @ k)
            hessian = 4 * np.pi**2 * np.tensordot(np.maximum(turned.real, 0), squares, axes=1)
            ridge = 1e-3 * np.trace(hessian, axis1=1, axis2=2) + 1e-12
            step = np.linalg.solve(hessian + ridge[:, None, None] * np.eye(2), gradient[:, :, None])[..., 0]
            phase = phase + np.clip(step, -0.01, 0.01)
        peak = (lines * np.exp(-2j * np.pi * (phase @ k.T))).real.sum(axis=1)
        return np.column_stack([peak / np.sqrt(COMB_LINES / 2), phase % 1.0])


def shift(spectrum: NDArray[np.complex64], px: float, py: float) -> NDArray[np.complex64]:
    """Multiply (F,) coefficients by the phase ramp of a displacement of (px, py) tiles."""
    ramp = np.exp(2j * np.pi * (FREQUENCIES[:, 0] * px + FREQUENCIES[:, 1] * py))
    return np.asarray(spectrum * ramp, np.complex64)


@lru_cache(maxsize=64)
def carrier(key: bytes, medium: str, variant: int) -> Carrier:
    """The keyed layout number ``variant`` (0 .. VARIANTS - 1) of a medium."""
    label = ("carrier", medium, str(variant))
    band = np.flatnonzero((MAGNITUDE >= COMB_BAND[0]) & (MAGNITUDE <= COMB_BAND[1]))
    comb = np.sort(band[prf.permutation(key, len(band), *label, "comb")[:COMB_LINES]])
    angle = prf.integers(key, COMB_LINES, *label, "phase").astype(np.float64) * (2 * np.pi / 2.0**64)
    free = np.setdiff1d(np.arange(len(FREQUENCIES)), comb)
    order = prf.permutation(key, 2 * len(free), *label, "chips")
    return Carrier(
        variant=variant,
        comb=comb,
        comb_phasor=np.exp(1j * angle).astype(np.complex64),
        carried=np.repeat(free, 2)[order],
        imaginary=(np.arange(2 * len(free)) % 2 == 1)[order],
        slot=np.arange(2 * len(free)) % coding.CODED_BITS,
        chip=prf.signs(key, (2 * len(free),), *label, "signs"),
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """How one asset's tile lies: layout, orientation (0..7) and phase in tiles."""

    variant: int
    orientation: int
    px: float
    py: float


def placement(key: bytes, medium: str, payload: bytes, segment: int = 0) -> Placement:
    """The placement that belongs to a payload (and, in a film, to a segment) under a key."""
    draw = [int(v) for v in prf.integers(key, 4, "placement", medium, payload.hex(), str(segment))]
    return Placement(draw[0] % VARIANTS, draw[1] % ORIENTATIONS, draw[2] / 2.0**64, draw[3] / 2.0**64)


def to_grid(spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Half-plane coefficients (F,) as a full Hermitian grid (GRID, GRID) indexed [ky + RADIUS, kx + RADIUS]."""
    grid = np.zeros((GRID, GRID), np.complex64)
    kx, ky = FREQUENCIES[:, 0], FREQUENCIES[:, 1]
    grid[ky + RADIUS, kx + RADIUS] = spectrum
    grid[RADIUS - ky, RADIUS - kx] = np.conj(spectrum)
    return grid


def from_grid(grid: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Inverse of ``to_grid``."""
    return grid[FREQUENCIES[:, 1] + RADIUS, FREQUENCIES[:, 0] + RADIUS]


def orient(grid: NDArray[np.complex64], orientation: int) -> NDArray[np.complex64]:
    """Apply one of the eight turns and mirrors to a grid."""
    turned = grid[:, ::-1] if orientation >= 4 else grid
    return np.rot90(turned, orientation % 4)


def unorient(grid: NDArray[np.complex64], orientation: int) -> NDArray[np.complex64]:
    """Inverse of ``orient``."""
    turned = np.rot90(grid, -(orientation % 4))
    return turned[:, ::-1] if orientation >= 4 else turned


def _waves(length: int, tile: float, sign: float) -> NDArray[np.complex64]:
    turns = np.outer(np.arange(RADIUS + 1), np.arange(length)) / tile  # whole turns go first: float32 sines are quick
    angle = np.asarray(2 * np.pi * sign * (turns - np.rint(turns)), np.float32)
    half: NDArray[np.complex64] = np.empty((2 * RADIUS + 1, length), np.complex64)
    half[RADIUS:].real, half[RADIUS:].imag = np.cos(angle), np.sin(angle)
    half[:RADIUS] = np.conj(half[:RADIUS:-1])
    return np.asarray(half, np.complex64)


def render(grid: NDArray[np.complex64], shape: tuple[int, int], tile: float) -> NDArray[np.float32]:
    """Draw a Hermitian grid as a periodic pattern (H, W) with square tiles of ``tile`` pixels."""
    height, width = shape
    rows, cols = _waves(height, tile, 1.0)[RADIUS:], _waves(width, tile, 1.0)
    half = grid[RADIUS:].copy()
    half[0, :RADIUS] = 0  # ky = 0: keep one of each conjugate pair
    wave = half @ cols
    drawn = np.concatenate([rows.real, -rows.imag]).T @ np.concatenate([wave.real, wave.imag])
    return np.asarray(drawn, np.float32)


def analyse(residual: NDArray[np.float32], tile: tuple[float, float]) -> NDArray[np.complex64]:
    """Correlate (H, W) with every lattice frequency of an axis-aligned tile (width, height): a Hermitian grid."""
    whole: NDArray[np.complex64] = analyse_blocks(residual, tile, 1)[0]
    return whole


def analyse_blocks(residual: NDArray[np.float32], tile: tuple[float, float], blocks: int) -> NDArray[np.complex64]:
    """``analyse`` of blocks x blocks parts, row by row, (blocks * blocks, GRID, GRID), all from one tile origin."""
    height, width = residual.shape
    across, down = _waves(width, tile[0], -1.0), _waves(height, tile[1], -1.0)[RADIUS:]
    both = np.concatenate([across.real, across.imag])
    xs, ys = (np.arange(blocks + 1) * length // blocks for length in (width, height))
    out = np.empty((blocks, blocks, GRID, GRID), np.complex64)
    for j in range(blocks):
        sums = residual[:, xs[j] : xs[j + 1]] @ both[:, xs[j] : xs[j + 1]].T
        inner = np.empty((height, GRID), np.complex64)
        inner.real, inner.imag = sums[:, :GRID], sums[:, GRID:]
        for i in range(blocks):
            half = down[:, ys[i] : ys[i + 1]] @ inner[ys[i] : ys[i + 1]]
            out[i, j, RADIUS:], out[i, j, :RADIUS] = half, np.conj(half[:0:-1, ::-1])
    return np.asarray(out.reshape(blocks * blocks, GRID, GRID), np.complex64)


def whiten(grids: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Scale measured grids (..., GRID, GRID) so that noise has about unit power everywhere.

    The level is the mean power of the 7 x 7 neighbourhood inside the annulus: a picture's own spectrum varies with
    direction as well as with frequency, and both must be taken out before scores mean standard deviations.
    """
    size = (1,) * (grids.ndim - 2) + (7, 7)
    power = ndimage.uniform_filter(np.abs(grids) ** 2 * _INSIDE, size, mode="constant")
    share = ndimage.uniform_filter(_INSIDE, 7, mode="constant")
    level = power / np.maximum(share, 1e-6)
    return np.asarray(grids * (_INSIDE / np.sqrt(np.maximum(level, 1e-12))), np.complex64)


def _annulus() -> NDArray[np.float32]:
    axis = np.arange(-RADIUS, RADIUS + 1)
    radius = np.hypot(axis[:, None], axis[None, :])
    return ((radius >= _INNER) & (radius <= _OUTER)).astype(np.float32)


_INSIDE: Final = _annulus()
