"""Sections ``ultrasound``, ``loudness``, ``recordings`` and ``speech`` of benchmarks.media_safety: sounds."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common import media_sets as sets
from benchmarks.common.places import SHARED
from benchmarks.media_safety.reference import reference_loudness
from gensafe.core.types import Audio, Media
from gensafe.media import decode, encode
from gensafe.safety.signals.audio_print import PrintEntry, PrintIndex, audio_print
from gensafe.safety.signals.loudness import measure_loudness
from gensafe.safety.signals.spectrum import find_ultrasound

Figures = dict[str, Any]


def ultrasound() -> Figures:
    """Carriers of 1 % amplitude on the corpus at 48 kHz, and on white noise; false finds without them."""
    from scipy.signal import resample_poly

    beds = {}
    for name, sound in sets.corpus_audio().items():
        part = sound.samples[0, : 10 * sound.rate].astype(np.float64)
        beds[name] = resample_poly(part, 48_000, sound.rate)
    beds["white noise"] = np.random.default_rng(0).normal(0, 0.02, 480_000)
    found = total = false = 0
    for bed in beds.values():
        clean = find_ultrasound(bed.astype(np.float32), 48_000)
        false += bool(clean and clean.suspicious)
        t = np.arange(bed.size) / 48_000
        for hertz, depth in itertools.product((18_500, 19_000, 20_000, 21_000, 22_500), (0.0, 0.4, 0.8)):
            carrier = 0.01 * (1 + depth * np.sin(2 * np.pi * 300 * t)) / (1 + depth) * np.sin(2 * np.pi * hertz * t)
            heard = find_ultrasound(np.clip(bed + carrier, -1, 1).astype(np.float32), 48_000)
            total += 1
            found += bool(heard and heard.suspicious)
    return {"carriers of 1 % found": f"{found}/{total}", "false finds": f"{false}/{len(beds)}"}


def loudness() -> Figures:
    """Against FFmpeg's ebur128 filter."""
    worst_level = worst_peak = 0.0
    cases = 0
    sounds = sets.corpus_audio()
    rng = np.random.default_rng(0)
    stereo = (rng.standard_normal((2, 480_000)) * [[0.05], [0.2]]).astype(np.float32)
    sounds["stereo noise"] = Audio(stereo, 48_000)
    for sound in sounds.values():
        part = Audio(np.ascontiguousarray(sound.samples[:, : 30 * sound.rate]), sound.rate)
        level, peak = reference_loudness(part)
        ours = measure_loudness(part.samples, part.rate)
        worst_level = max(worst_level, abs(ours.integrated_lufs - level))
        worst_peak = max(worst_peak, abs(ours.true_peak_dbtp - peak))
        cases += 1
    return {
        "sounds": cases,
        "largest difference, LU": round(worst_level, 3),
        "largest true-peak difference, dB": round(worst_peak, 3),
    }


def recordings() -> Figures:
    """Ten-second pieces of the corpus listed, looked up after each change; finds of another recording are false."""
    pieces = [
        (name, Audio(np.ascontiguousarray(s.samples.mean(axis=0)[None, k : k + 10 * s.rate]), s.rate))
        for name, s in sets.corpus_audio().items()
        for k in range(0, min(s.samples.shape[1], 60 * s.rate) - 10 * s.rate + 1, 10 * s.rate)
    ]
    index = PrintIndex([PrintEntry(audio_print(p.samples[0], p.rate), "lst", name) for name, p in pieces])
    rng = np.random.default_rng(0)
    changes: dict[str, Callable[[Audio], Audio]] = {
        "mp3 64k": lambda a: _audio(decode(encode(a, "audio/mpeg", quality=64))),
        "opus 32k": lambda a: _audio(decode(encode(a, "audio/ogg", quality=32))),
        "4 s of it": lambda a: Audio(a.samples[:, int(3.013 * a.rate) : int(7.013 * a.rate)], a.rate),
        "a tenth as loud, noise at -20 dB": lambda a: Audio(
            0.1 * (a.samples + 0.1 * a.samples.std() * rng.standard_normal(a.samples.shape)).astype(np.float32), a.rate
        ),
    }
    figures: Figures = {"pieces listed": len(pieces)}
    false = 0
    for change, apply in changes.items():
        found = 0
        for name, piece in pieces:
            changed = apply(piece)
            labels = {hit.entry.label for hit in index.search(audio_print(changed.samples[0], changed.rate))}
            found += name in labels
            false += len(labels - {name})
        figures[f"found: {change}"] = f"{found}/{len(pieces)}"
    unlisted = [audio_print(s.samples[0], s.rate) for s in sets.world_sounds(40)]
    false += sum(len(index.search(codes)) for codes in unlisted)
    figures["finds of another recording"] = false
    return figures


def _audio(media: Media) -> Audio:
    assert isinstance(media, Audio)
    return media


def speech() -> Figures:
    """Word error rate of the built-in recogniser on read speech, and what it hears in sounds without speech."""
    from gensafe.safety.signals.transcribers import PocketSphinx

    engine = PocketSphinx()
    folder = SHARED / "speech" / "librivox"
    errors = words = 0
    spent = seconds = 0.0
    for line in (folder / "transcription").read_text().splitlines():
        said, _, name = line.rpartition("(")
        wanted = [w for w in said.lower().split() if not w.startswith("<")]
        sound = decode((folder / f"{name.strip(') ')}.wav").read_bytes())
        assert isinstance(sound, Audio)
        begin = time.process_time()
        heard = " ".join(s.text for s in engine.transcribe(sound.samples[0])).split()
        spent += time.process_time() - begin
        seconds += sound.samples.shape[1] / sound.rate
        errors += _edits(wanted, heard)
        words += len(wanted)
    tones = [s for s in sets.world_sounds(20) if float(np.abs(s.samples).max()) > 0]
    phantom = sum(len(s.text.split()) for t in tones for s in engine.transcribe(t.samples[0]))
    return {
        "word error rate, read speech": round(errors / words, 3),
        "words": words,
        "CPU s a second of speech": round(spent / seconds, 2),
        "words heard in 20 sounds of the generator's world": phantom,
    }


def _edits(wanted: list[str], heard: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]
