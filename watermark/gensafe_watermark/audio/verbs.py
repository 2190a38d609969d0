"""The public verbs of the audio mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import CannotCarry, InvalidRequest, UnsupportedMedia
from gensafe.core.types import PAYLOAD_BYTES, Detection, MarkLevel
from gensafe_watermark import prf
from gensafe_watermark.audio import detector
from gensafe_watermark.audio.embedder import PHASES, RateMarker
from gensafe_watermark.audio.layout import BLOCK, MEDIUM, RATE
from gensafe_watermark.audio.transform import to_working_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_RATE: Final = 8_000  # Hz: a telephone; lower ones lose most of the band of ``layout``
MAX_RATE: Final = 384_000  # Hz: above the rates in use (192 kHz at most, rarely 384)
MAX_CHANNELS: Final = 32  # more than any loudspeaker layout in use (22.2 has 24); a round number
_PHASED_FROM: Final = 4 * BLOCK  # shorter clips begin with a whole block
_STRENGTHENING: Final = 1.4  # 2.9 dB for each new try; chosen by eye, not measured
_TRIES: Final = 4  # at most 1.4 ** 3, 8.8 dB, stronger than asked for; chosen by eye, not measured
_DOUBT: Final = 0.5  # margin asked of a fresh mark, so that a codec may cost it something
_LOUDEST: Final = 100.0  # float files may overshoot full scale, but not by 40 dB


def _check(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    x = np.asarray(samples)
    if x.ndim != 2 or not 1 <= x.shape[0] <= MAX_CHANNELS:
        raise UnsupportedMedia(f"samples must be (channels, n) with 1 to {MAX_CHANNELS} channels", field="samples")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UnsupportedMedia(f"the rate must be {MIN_RATE} to {MAX_RATE} Hz", field="rate")
    if not np.issubdtype(x.dtype, np.floating):
        raise UnsupportedMedia("samples must be floating point in [-1, 1]", field="samples")
    if not np.isfinite(x).all():
        raise UnsupportedMedia("samples hold a value that is not a number or infinite", field="samples")
    if x.size and float(np.abs(x).max()) > _LOUDEST:
        raise UnsupportedMedia("samples are far outside [-1, 1]", field="samples")
    return x.astype(np.float32, copy=False)


def _check_payload(payload: bytes, strength: float) -> None:
    if len(payload) != PAYLOAD_BYTES:
        raise InvalidRequest(f"a payload has {PAYLOAD_BYTES} bytes", field="payload")
    if not 0.1 <= strength <= 100.0:
        raise InvalidRequest("strength must be 0.1 to 100", field="strength")


def _phase(length_s: float, payload: bytes, key: bytes) -> int:
    """Where in the pattern the clip begins: differs per payload, so that averaging many clips blurs the pattern."""
    if length_s * RATE < _PHASED_FROM:
        return 0
    return int(prf.integers(key, 1, "phase", MEDIUM, payload.hex())[0] % np.uint64(PHASES))


def embed(
    samples: NDArray[np.float32], rate: int, payload: bytes, key: bytes, strength: float = 1.0
) -> NDArray[np.float32]:
    """Mark a clip, and make sure that the mark can be found in what is returned.

    Where the detector does not read the payload back with a margin, the strength is raised up to three times by 1.4
    (short or noise-like clips). A clip of half a second or more that holds too little for the payload may still carry
    presence; ``detect`` says which.

    Args:
        samples: (channels, n) float in [-1, 1].
        rate: Samples per second, 8,000 to 384,000.
        payload: PAYLOAD_BYTES bytes.
        key: 32 secret bytes.
        strength: Amplitude factor, 0.1 to 100 (above 4 it is plainly heard); 1.0 gives about 31 dB SI-SNR.

    Returns:
        float32 of the same shape, limited to [-1, 1].

    Raises:
        CannotCarry: too short or silent, or the mark is not found again.
        UnsupportedMedia: shape, rate or values outside the above.
        InvalidRequest: payload size or strength.
        KeyError_: the key is not 32 bytes.
    """
    x = _check(samples, rate)
    _check_payload(payload, strength)
    prf.check_key(key)
    if x.shape[1] < detector.SHORTEST / RATE * rate:
        raise CannotCarry("the audio is shorter than half a second", field="samples")
    if float(np.mean(x.astype(np.float64) ** 2)) < detector.QUIETEST:
        raise CannotCarry("the audio is silent (below -90 dBFS)", field="samples")
    phase = _phase(x.shape[1] / rate, payload, key)
    second_best: tuple[int, NDArray[np.float32]] | None = None
    for attempt in range(_TRIES):
        marker = RateMarker(len(x), rate, payload, key, strength * _STRENGTHENING**attempt, phase)
        mark = np.concatenate([marker.push(x), marker.flush()], axis=1)[:, : x.shape[1]]
        marked: NDArray[np.float32] = np.clip(x + mark, -1.0, 1.0).astype(np.float32)
        work = to_working_rate(marked, rate)
        found = detector.detect_working_rate(work, key, scales=False, doubt=_DOUBT)
        if found.payload == payload:
            return marked
        if found.level is not MarkLevel.RECORD:
            found = detector.detect_working_rate(work, key, scales=False)
        worth = 2 if found.payload == payload else int(found.level is MarkLevel.PRESENT)
        if worth and (second_best is None or worth >= second_best[0]):
            second_best = worth, marked
    if second_best is None:
        raise CannotCarry("the mark is not found again: the audio is too short or leaves it no room", field="samples")
    return second_best[1]


def detect(samples: NDArray[np.float32], rate: int, key: bytes) -> Detection:
    """Search a clip for a mark under ``key``: any cut, speed and tempo 0.8 to 1.25, pitch three semitones each way.

    Args:
        samples: (channels, n) float.
        rate: Samples per second, 8,000 to 384,000.
        key: 32 secret bytes.

    Returns:
        RECORD with the payload when its MAC holds; PRESENT when only the synchronisation pattern is found
        (p <= 1e-6); NONE when neither, which is not a statement about who made the clip; UNDECIDABLE for less than
        half a second or silence. ``p_value`` bounds the chance that unmarked sound gives such an answer, every
        attempt counted.

    Raises:
        UnsupportedMedia: shape, rate or values outside the above.
        KeyError_: the key is not 32 bytes.
    """
    x = _check(samples, rate)
    prf.check_key(key)
    return detector.detect_working_rate(to_working_rate(x, rate), key)


class StreamEmbedder:
    """Marks a stream of any length in bounded memory (about six seconds of sound).

    The result does not depend on how the stream is cut into pieces. Unlike ``embed`` it cannot check itself and
    begin again stronger: check the finished file with ``detect``.

    Args:
        rate: Samples per second.
        channels: Number of channels.
        payload: PAYLOAD_BYTES bytes.
        key: 32 secret bytes.
        strength: Amplitude factor.

    Raises:
        UnsupportedMedia, InvalidRequest, KeyError_: as ``embed``.
    """

    def __init__(self, rate: int, channels: int, payload: bytes, key: bytes, strength: float = 1.0) -> None:
        _check(np.zeros((channels, 0), np.float32), rate)
        _check_payload(payload, strength)
        prf.check_key(key)
        phase = _phase(float("inf"), payload, key)
        self._marker = RateMarker(channels, rate, payload, key, strength, phase)
        self._rate = rate
        self._waiting = np.zeros((channels, 0), np.float32)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (channels, n) more; return the marked samples that are ready, about four seconds behind."""
        x = _check(samples, self._rate)
        if len(x) != len(self._waiting):
            raise UnsupportedMedia("the number of channels may not change", field="samples")
        return self._add(x, self._marker.push(x))

    def flush(self) -> NDArray[np.float32]:
        """Return the rest of the marked samples; the stream has ended."""
        return self._add(self._waiting[:, :0], self._marker.flush())

    def _add(self, x: NDArray[np.float32], mark: NDArray[np.float32]) -> NDArray[np.float32]:
        self._waiting = np.concatenate([self._waiting, x], axis=1)
        ready = min(mark.shape[1], self._waiting.shape[1])
        out: NDArray[np.float32] = np.clip(self._waiting[:, :ready] + mark[:, :ready], -1.0, 1.0).astype(np.float32)
        self._waiting = self._waiting[:, ready:]
        return out
