"""The recordings that the sound mark is measured on: the tuned clips, and those that no setting ever saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.watermark.audio import attacks as attacks_audio

Samples = NDArray[np.float32]
Clips = dict[str, tuple[Samples, int]]
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".m4a"}

# file under the data folder, start in s, length in s. The settings were chosen on the first ten seconds of the files
# in audio/; these recordings were never used for that.
UNSEEN = (
    ("c2pa/c2pa-rs/sample1.wav", 5.0, 15.0),  # 8 kHz, almost all of it under 300 Hz
    ("c2pa/c2pa-rs/sample1.mp3", 10.0, 15.0),  # 44.1 kHz music, decoded from MP3
    ("c2pa/c2pa-rs/sample1.mp3", 70.0, 15.0),
    ("c2pa/c2pa-rs/sample1.flac", 0.0, 10.5),
)
JOINED = (  # utterances of one reader at 16 kHz, end to end
    ("read speech A", "speech/librivox", ("*-0870.wav", "*-0920.wav")),
    ("read speech B", "speech/librivox", ("*-0880.wav", "*-0890.wav", "*-0930.wav")),
    # single spoken digits of two speakers at 8 kHz, end to end
    ("digits george, theo", "speech/digits", ("*_george_*.wav", "*_theo_*.wav")),
    ("digits jackson, nicolas", "speech/digits", ("*_jackson_*.wav", "*_nicolas_*.wav")),
    ("digits lucas, yweweler", "speech/digits", ("*_lucas_*.wav", "*_yweweler_*.wav")),
)
LATER = (  # seen recordings, unseen stretches of them: reported apart
    ("audio/music_lets_go_fishin.ogg", 60.0, 15.0),
    ("audio/music_lets_go_fishin.ogg", 105.0, 15.0),
    ("audio/music_vibe_ace.ogg", 40.0, 15.0),
    ("audio/music_hungarian_dance_5.ogg", 28.0, 15.0),
)


def scaled(x: Samples, rate: int) -> tuple[Samples, int]:
    """Mono at a peak of 0.9, as the figures of other systems in the research note were taken."""
    mono = x.mean(axis=0, keepdims=True)
    return (0.9 * mono / max(1e-9, float(np.abs(mono).max()))).astype(np.float32), rate


def load(folder: Path, seconds: float) -> Clips:
    """Name -> (mono clip, rate); files under ten seconds are left out."""
    out = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        x, rate = attacks_audio.decode(path.read_bytes())
        if x.shape[1] >= 10 * rate:
            out[path.name] = scaled(x[:, : int(seconds * rate)], rate)
    return out


def _cuts(data: Path, wanted: tuple[tuple[str, float, float], ...]) -> Iterator[tuple[str, tuple[Samples, int]]]:
    for name, start, seconds in wanted:
        x, rate = attacks_audio.decode((data / name).read_bytes())
        yield (
            f"{Path(name).name} from {start:g} s",
            scaled(x[:, int(start * rate) : int((start + seconds) * rate)], rate),
        )


def unseen(data: Path) -> Clips:
    """Clips of recordings that were never used to choose a setting."""
    out = dict(_cuts(data, UNSEEN))
    for name, folder, patterns in JOINED:
        parts = [
            attacks_audio.decode(path.read_bytes())
            for pattern in patterns
            for path in sorted((data / folder).glob(pattern))
        ]
        if not parts:
            raise SystemExit(f"nothing under {data / folder}")
        out[name] = scaled(np.concatenate([x for x, _ in parts], axis=1), parts[0][1])
    return out


def later(data: Path) -> Clips:
    """Stretches that were never used, of recordings whose beginnings were."""
    return dict(_cuts(data, LATER))


def pieces(clips: Clips, seconds: float, most: int) -> Clips:
    """Non-overlapping pieces of every clip, to be marked one by one."""
    out = {}
    for name, (x, rate) in clips.items():
        n = int(seconds * rate)
        for k in range(min(most, x.shape[1] // n)):
            out[f"{name}#{k}"] = (x[:, k * n : (k + 1) * n], rate)
    return out
