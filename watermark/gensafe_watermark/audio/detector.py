"""From samples to a payload: search the grid, follow it through cuts, add up soft bits, let the MAC decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.types import Detection, MarkLevel
from gensafe_watermark import payload as payload_code
from gensafe_watermark import statistics
from gensafe_watermark.audio import features, sync
from gensafe_watermark.audio.features import STEPS_PER_CHIP, ScaledCells
from gensafe_watermark.audio.layout import BLOCK_CHIPS, MEDIUM, RATE, SCHEME, Pattern, pattern
from gensafe_watermark.audio.sync import BLOCK_ROWS, Correlator, Hypothesis

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRACK_ROWS: Final = 12  # how far a block may have moved against its predecessor: 96 ms
WINDOW: Final = 30 * RATE  # samples searched at a time
WINDOW_STEP: Final = 24 * RATE  # samples; windows overlap by 6 s, three blocks
SEARCH: Final = 12 * RATE  # samples the scale search looks at
SHORTEST: Final = RATE // 2  # under half a second nothing is decided
QUIETEST: Final = 1e-9  # mean square under which a clip counts as silent: -90 dBFS
# of each bin over time: its steady noise; by trial on the tuned clips (docs/watermark-audio.md)
_NOISE_PERCENTILE: Final = 20
_RADEMACHER: Final = 3.18  # constant of Pinelis' bound, see sync.exact_z
_TOP: Final = 8  # scale hypotheses that are refined and decoded
# four times LIST_SIZE, tried only where synchronisation is found; chosen for speed, not measured alone
_LONG_LIST: Final = 32
_PROMISING_Z: Final = 4.0  # synchronisation at which the longer list is worth its time


@dataclass(slots=True)
class _Tally:
    """What has been tried, for the bound that is reported."""

    decodings: int = 0
    candidates: int = 0  # words whose MAC was checked
    correlations: int = 0
    best_z: float = 0.0
    best: Hypothesis | None = None
    doubt: float = 0.0  # noise added to soft bits, relative to their size: asks for a margin
    tried: set[tuple[float, float, int, int, bool]] = field(default_factory=set)


def soft_bits(
    cells: NDArray[np.float32], plan: Pattern, correlator: Correlator, found: Hypothesis, track: int
) -> NDArray[np.float32]:
    """(CODED_BITS,) soft sums over all blocks of a grid, positive = coded bit 0.

    Args:
        cells: (rows, BANDS) whitened at the hypothesis' scale.
        plan: the key's block.
        correlator: of the same key.
        found: the grid.
        track: rows by which each block may deviate from its predecessor (cuts, splices); 0 keeps the grid.
    """
    scores = correlator(cells)
    padded = np.pad(cells, ((BLOCK_ROWS, BLOCK_ROWS), (0, 0)))
    held = plan.bit >= 0
    total = np.zeros(payload_code.CODED_BITS)
    begin, sign = -found.lag, 1.0
    while begin < len(cells):
        if begin > -BLOCK_ROWS:
            at, weight = begin + BLOCK_ROWS, 1.0
            if track:
                low = max(0, at - track)
                at = low + int(np.argmax(sign * scores[low : at + track + 1]))
                begin = at - BLOCK_ROWS
                weight = max(sign * float(scores[at]), 0.0)
            chips = padded[at : at + BLOCK_ROWS : STEPS_PER_CHIP][:BLOCK_CHIPS]
            values = chips * plan.sign[: len(chips)] * (sign * weight)
            use = held[: len(chips)]
            total += np.bincount(plan.bit[: len(chips)][use], values[use], minlength=len(total))
        begin, sign = begin + BLOCK_ROWS, -sign
    return total.astype(np.float32)


def _against_noise(log: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raise the silence floor of every bin to its own steady noise, so that noise-only cells lose their say."""
    quiet = np.percentile(log, _NOISE_PERCENTILE, axis=0).astype(np.float32)
    kernel = np.ones(9, np.float32) / 9
    smooth = np.convolve(np.pad(quiet, 4, mode="edge"), kernel, "valid")
    return np.logaddexp(log, smooth + np.float32(np.log(2.0)))


def _attempt(
    views: list[ScaledCells], plan: Pattern, correlator: Correlator, hypotheses: list[Hypothesis], tally: _Tally
) -> tuple[bytes, Hypothesis] | None:
    """Decode every hypothesis in every view, with and without tracking, as one batch."""
    words, owners = [], []
    for found in hypotheses:
        for number, view in enumerate(views):
            cells = view.at(found.tempo, found.pitch)
            for track in (0, TRACK_ROWS):
                trial = (found.tempo, found.pitch, found.lag, number, bool(track))
                if len(cells) and trial not in tally.tried:
                    tally.tried.add(trial)
                    words.append(soft_bits(cells, plan, correlator, found, track))
                    owners.append(found)
    return _decode(words, owners, plan, tally, tally.best_z > _PROMISING_Z)


def _decode(
    words: list[NDArray[np.float32]], owners: list[Hypothesis], plan: Pattern, tally: _Tally, promising: bool
) -> tuple[bytes, Hypothesis] | None:
    if not words:
        return None
    batch = np.stack(words)
    if tally.doubt:
        size = np.sqrt(np.mean(batch**2, axis=1, keepdims=True))
        batch = batch + np.float32(tally.doubt) * size * np.random.default_rng(0).standard_normal(
            batch.shape, np.float32
        )
    for size in (payload_code.LIST_SIZE, _LONG_LIST) if promising else (payload_code.LIST_SIZE,):
        tally.decodings += len(words)
        tally.candidates += len(words) * size
        for decoded, owner in zip(payload_code.decode_many(batch, plan.key, MEDIUM, size), owners, strict=True):
            if decoded is not None:
                return decoded.payload, owner
    return None


def _search(
    x: NDArray[np.float32], plan: Pattern, correlator: Correlator, tally: _Tally, scales: bool
) -> tuple[bytes, Hypothesis] | None:
    """Search one window; ``scales`` looks at other speeds, tempi and pitches only (the rest has been tried)."""
    log = features.log_power(x)
    views = [ScaledCells(log), ScaledCells(_against_noise(log))]
    if not scales:
        return _plain(views, plan, correlator, tally)
    # 1. other speeds, tempi and pitches, coarsely on the middle of the clip
    rows = SEARCH // features.STEP
    start = max(0, (len(log) - rows) // 2)
    part = ScaledCells(log[start : start + rows]) if len(log) > rows else views[0]
    coarse: list[Hypothesis] = []
    for tempo, pitch in sync.scales():
        coarse += sync.best(part.at(tempo, pitch), correlator, tempo, pitch)
        tally.correlations += sync.PERIOD
    coarse.sort(key=lambda h: -h.z)
    # 2. the strongest, refined on the whole clip
    for first in range(0, _TOP, 4):
        fine = []
        for found in coarse[first : first + 4]:
            whole = max(
                sync.best(views[0].at(found.tempo, found.pitch), correlator, found.tempo, found.pitch),
                key=lambda h: h.z,
                default=found,
            )
            top = sync.refine(views[0], correlator, whole)
            tally.correlations += 9 * sync.PERIOD
            _note(tally, views[0].at(top.tempo, top.pitch), plan, top)
            fine.append(top)
        hit = _attempt(views, plan, correlator, fine, tally)
        if hit:
            return hit
    return None


def _plain(
    views: list[ScaledCells], plan: Pattern, correlator: Correlator, tally: _Tally
) -> tuple[bytes, Hypothesis] | None:
    """Nothing but cuts and codecs: the scale is right, only the lag is unknown."""
    found: list[Hypothesis] = []
    for view in views:
        cells = view.at(1.0, 1.0)
        for hypothesis in sync.best(cells, correlator, 1.0, 1.0, count=2):
            found.append(hypothesis)
            _note(tally, cells, plan, hypothesis)
        tally.correlations += sync.PERIOD
    return _attempt(views, plan, correlator, found, tally)


def _note(tally: _Tally, cells: NDArray[np.float32], plan: Pattern, found: Hypothesis) -> None:
    z = sync.exact_z(cells, plan, found.lag)
    if z > tally.best_z:
        tally.best_z, tally.best = z, found


def detect_working_rate(x: NDArray[np.float32], key: bytes, *, scales: bool = True, doubt: float = 0.0) -> Detection:
    """Search (channels, n) at the working rate; see ``gensafe_watermark.audio.detect``.

    Args:
        x: (channels, n) at the working rate.
        key: 32 bytes.
        scales: Also search other speeds, tempi and pitches.
        doubt: Noise added to the soft bits relative to their size: a record found in spite of it has a margin.
    """
    plan = pattern(key)
    correlator = Correlator(plan)
    tally = _Tally(doubt=doubt)
    if x.shape[1] < SHORTEST or float(np.mean(x.astype(np.float64) ** 2)) < QUIETEST:
        reason = "shorter than half a second" if x.shape[1] < SHORTEST else "silent"
        return Detection(MarkLevel.UNDECIDABLE, None, 1.0, SCHEME, attempts=0, detail={"reason": reason})
    starts = range(0, max(1, x.shape[1] - WINDOW + WINDOW_STEP), WINDOW_STEP)
    # the cheap search over the whole file first, the scale search only when that finds nothing
    for deep in (False, True) if scales else (False,):
        for start in starts:
            piece = x[:, start : start + WINDOW]
            if piece.shape[1] < SHORTEST:
                continue
            tally.tried.clear()
            hit = _search(piece, plan, correlator, tally, deep)
            if hit:
                return _record(*hit, tally, start)
    z = tally.best_z
    p = min(1.0, _RADEMACHER * statistics.presence_p(z, tally.correlations))
    level = MarkLevel.PRESENT if p <= statistics.PRESENCE_P else MarkLevel.NONE
    detail: dict[str, str | float | int] = {"hypotheses": tally.correlations}
    if level is MarkLevel.PRESENT and tally.best is not None:
        detail |= {"tempo": round(tally.best.tempo, 4), "pitch": round(tally.best.pitch, 4)}
    return Detection(level, None, p, SCHEME, attempts=tally.decodings, detail=detail)


def _record(payload: bytes, found: Hypothesis, tally: _Tally, start: int) -> Detection:
    detail: dict[str, str | float | int] = {
        "tempo": round(found.tempo, 4),
        "pitch": round(found.pitch, 4),
        "window_start_s": start / RATE,
        "key_epoch": payload_code.epoch_of(payload),
    }
    p = statistics.p_value(tally.candidates, 1)
    return Detection(MarkLevel.RECORD, payload, p, SCHEME, attempts=tally.decodings, detail=detail)
