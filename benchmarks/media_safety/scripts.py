"""Section ``scripts`` of benchmarks.media_safety: is a changed script told from the right one?

1. Read speech (LibriVox, one reader, and spoken playing cards): the recordings are cut into phrases of five and eight
   words at the times that forced alignment gives. Every second phrase chose ``script_match.PRICE`` among 1e-15, 1e-25
   and 1e-40; the figures are of the others, of the same recordings.
2. Each phrase is compared with its own script and with four changed ones: a word replaced by another, a spoken word
   left out of the script, a word put in that was not spoken, two neighbours swapped.
3. Digits recorded at 8 kHz, and the shipped generator's own voice, with their right scripts.
4. For a voice whose engine is at hand, the plainest method: dynamic time warping of cepstra between each half second
   of the generator's speech and its synthesiser's renderings of the word that the script has there.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import resample_poly, stft

from benchmarks.common.places import SHARED
from gensafe.core.types import Audio, Draft, GenerationJob, Modality
from gensafe.media import decode
from gensafe.safety.signals.script_match import ScriptMatcher

Samples = NDArray[np.float32]
Phrase = tuple[list[str], Samples]
FOLDER: Final = SHARED / "speech"
OTHERS: Final = (
    "kill bomb love people never always today because house little something money attack friend children water "
    "nothing danger please world government hate school truth"
).split()
DIGITS: Final = "zero one two three four five six seven eight nine".split()
WORD: Final = 8000  # samples of a word in the generator's speech


def scripts() -> dict[str, Any]:
    """The figures."""
    matcher, rng = ScriptMatcher(), random.Random(0)
    read, cards = list(_phrases()), list(_recordings("cards.transcription"))
    words = sorted({w for said, _ in (*read, *cards) for w in said} | set(OTHERS))
    spent = seconds = 0.0
    results: dict[str, list[bool]] = {}
    for said, samples in (*read[1::2], *cards):
        for change, script in (("right", said), *_changed(said, words, rng)):
            begin = time.process_time()
            results.setdefault(change, []).append(not matcher.match(samples, " ".join(script)).agrees)
            spent += time.process_time() - begin
            seconds += len(samples) / 16_000
    figures: dict[str, Any] = {"phrases": len(results["right"])}
    figures["right scripts doubted"] = _share(results.pop("right"))
    figures |= {f"found: {change}": _share(hits) for change, hits in results.items()}
    figures["found: all changes"] = _share([hit for hits in results.values() for hit in hits])
    figures["CPU s a second of speech"] = round(spent / seconds, 2)
    generated = _generated(24)
    for name, phrases in (("digits at 8 kHz", _digits()), ("the generator's speech", generated[:12])):
        doubted = [not matcher.match(samples, " ".join(said)).agrees for said, samples in phrases]
        figures[f"right scripts doubted, {name}"] = _share(doubted)
    return figures | _aligned(read, words) | _warped(generated)


def _share(hits: Sequence[bool]) -> str:
    return f"{sum(hits)}/{len(hits)}"


def _changed(said: list[str], words: list[str], rng: random.Random) -> Iterator[tuple[str, list[str]]]:
    at = rng.randrange(len(said))
    other = rng.choice([w for w in words if w != said[at]])
    yield "a word replaced", [*said[:at], other, *said[at + 1 :]]
    yield "a spoken word not in the script", [*said[:at], *said[at + 1 :]]
    yield "a word of the script not spoken", [*said[:at], rng.choice(words), *said[at:]]
    at = rng.randrange(len(said) - 1)
    if said[at] != said[at + 1]:
        yield "two words swapped", [*said[:at], said[at + 1], said[at], *said[at + 2 :]]


def _recordings(listing: str) -> Iterator[Phrase]:
    for line in (FOLDER / "librivox" / listing).read_text().splitlines():
        said, _, name = line.rpartition("(")
        sound = decode((FOLDER / "librivox" / f"{name.strip(') ')}.wav").read_bytes())
        assert isinstance(sound, Audio)
        yield [w for w in said.lower().split() if not w.startswith("<")], sound.samples[0]


class _Aligner:
    """PocketSphinx's forced alignment."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder: Any = Decoder(samprate=16_000, loglevel="FATAL")
        self._normalisation = self._decoder.get_cmn(False)

    def words(self, said: list[str], samples: Samples) -> list[Any]:
        """A segment for each word, none where the words cannot be laid over the sound."""
        try:
            self._decoder.set_align_text(" ".join(said))
            self._decoder.set_cmn(self._normalisation)
            self._decoder.start_utt()
            self._decoder.process_raw((samples * 32767).astype("<i2").tobytes(), full_utt=True)
            self._decoder.end_utt()
        except RuntimeError:
            return []
        return [s for s in self._decoder.seg() or () if s.word[0] not in "<[("]


def _aligned(phrases: list[Phrase], words: list[str]) -> dict[str, Any]:
    """The same by alignment alone: the likelihood a frame of the worst word, with the threshold best for it."""
    aligner, rng = _Aligner(), random.Random(0)

    def worst(said: list[str], samples: Samples) -> float:
        placed = aligner.words(said, samples)
        frames = [math.log(max(s.ascore, 1e-300)) / (s.end_frame - s.start_frame + 1) for s in placed]
        return min(frames, default=-1e9)

    limit = float(np.quantile([worst(said, samples) for said, samples in phrases], 0.05))
    found: dict[str, list[bool]] = {}
    for said, samples in phrases:
        for change, script in _changed(said, words, rng):
            found.setdefault(change, []).append(worst(script, samples) < limit)
    name = "by alignment alone, at 5 % right scripts doubted"
    return {f"{name}: {change}": _share(hits) for change, hits in found.items()}


def _phrases() -> Iterator[Phrase]:
    """Five and eight words of the read recordings, with 50 ms around them."""
    aligner = _Aligner()
    for said, samples in _recordings("transcription"):
        places = [(s.start_frame * 160, s.end_frame * 160 + 160) for s in aligner.words(said, samples)]
        assert len(places) == len(said)
        for count in (5, 8):
            for first in range(0, len(said) - count + 1, 3):
                start, end = places[first][0], places[first + count - 1][1]
                yield said[first : first + count], samples[max(0, start - 800) : end + 800]


def _digits() -> list[Phrase]:
    """Five digits of one speaker, with 0.1 s between."""
    spoken: dict[str, list[tuple[str, Samples]]] = {}
    for path in sorted((FOLDER / "digits").glob("*.wav")):
        digit, speaker, _ = path.stem.split("_")
        sound = decode(path.read_bytes())
        assert isinstance(sound, Audio)
        samples = resample_poly(sound.samples[0].astype(float), 16_000, sound.rate).astype(np.float32)
        spoken.setdefault(speaker, []).append((DIGITS[int(digit)], samples))
    phrases = []
    gap = np.zeros(1600, np.float32)
    for speaker, own in spoken.items():
        random.Random(speaker).shuffle(own)
        for i in range(0, len(own) - 4, 5):
            part = own[i : i + 5]
            phrases.append(([w for w, _ in part], np.concatenate([x for _, s in part for x in (s, gap)])))
    return phrases


def _generated(count: int) -> list[Phrase]:
    """Four words each, spoken by the shipped checkpoint."""
    from gensafe_backends.symphony import plugin
    from gensafe_backends.symphony.world.speech import SPOKEN

    backend, rng, phrases = plugin.create({}), random.Random(1), []
    for seed in range(count):
        said = rng.sample(SPOKEN, 4)
        job = GenerationJob("say " + " ".join(said), Modality.AUDIO, (), 5000 + seed, 0)
        *_, draft = backend.generate(job, None, lambda: False)
        assert isinstance(draft, Draft)
        assert isinstance(draft.media, Audio)
        phrases.append((said, draft.media.samples[0]))
    return phrases


def _warped(phrases: list[Phrase]) -> dict[str, Any]:
    """Every word of the generator's speech against every word that the synthesiser knows."""
    from gensafe_backends.symphony.world.speech import SPOKEN, say

    cepstra = _cepstra()
    references = {word: cepstra(say(word)) for word in SPOKEN}
    own: list[float] = []
    other: list[float] = []
    nearest = 0
    for said, samples in phrases:
        for place, word in enumerate(said):
            heard = cepstra(samples[place * WORD : (place + 1) * WORD])
            distance = {name: _warp(heard, reference) for name, reference in references.items()}
            own.append(distance.pop(word))
            other += distance.values()
            nearest += own[-1] < min(distance.values())
    limit = float(np.quantile(own, 0.95))
    name = "the generator's speech beside its synthesiser's"
    return {
        f"{name}: nearest of {len(references)} words is the script's": f"{nearest}/{len(own)}",
        f"{name}: other words told from it at 5 % false alarms a word": round(
            float(np.mean(np.array(other) > limit)), 4
        ),
    }


def _cepstra() -> Callable[[Samples], NDArray[np.float64]]:
    """Thirteen mel cepstra every 10 ms, of float32 (n,) at 16 kHz."""
    edges = 700 * (10 ** (np.linspace(150, 2770, 28) / 2595) - 1)
    hertz = np.arange(257) * 16_000 / 512
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    bands = np.maximum(0, np.minimum(rising, falling))

    def cepstra(samples: Samples) -> NDArray[np.float64]:
        lifted = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
        _, _, spectrum = stft(lifted, 16_000, nperseg=400, noverlap=240, nfft=512, boundary=None)
        return np.asarray(dct(np.log(bands @ np.abs(spectrum) ** 2 + 1e-8), axis=0, norm="ortho")[:13].T)

    return cepstra


def _warp(one: NDArray[np.float64], two: NDArray[np.float64], band: int = 12) -> float:
    """Mean distance along the best warping path (Sakoe and Chiba, 1978) that stays within ``band`` frames."""
    costs = np.sqrt(((one[:, None] - two[None]) ** 2).sum(axis=-1))
    rows, columns = costs.shape
    best = np.full((rows + 1, columns + 1), np.inf)
    best[0, 0] = 0
    for i in range(1, rows + 1):
        middle = i * columns // rows
        for j in range(max(1, middle - band), min(columns, middle + band) + 1):
            best[i, j] = costs[i - 1, j - 1] + min(best[i - 1, j - 1], best[i - 1, j], best[i, j - 1])
    return float(best[rows, columns] / (rows + columns))
