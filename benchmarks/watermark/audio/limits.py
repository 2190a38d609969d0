"""The edges of what the sound mark promises: noise, formats, short clips, long streams."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np

from benchmarks.watermark.audio import attacks as attacks_audio
from benchmarks.watermark.audio.quality import KEY, payload_of
from benchmarks.watermark.audio.sets import Clips, Samples, pieces
from gensafe.core.errors import CannotCarry
from gensafe_watermark import audio
from gensafe_watermark.audio import detector
from gensafe_watermark.audio.transform import to_working_rate


def against_noise(clips: Clips, levels: tuple[int, ...]) -> dict[str, object]:
    """Recovery against the signal-to-noise ratio of white and pink noise: of whole clips and of their first 5 s."""
    out: dict[str, object] = {}
    for length in ("whole", "5 s"):
        some = clips if length == "whole" else pieces(clips, 5.0, 1)
        for pink in (False, True):
            hits: dict[int, list[int]] = {level: [] for level in levels}
            for i, (x, rate) in enumerate(some.values()):
                y = audio.embed(x, rate, payload_of(i), KEY)
                for level in levels:
                    z = attacks_audio.noise(level, pink=pink)(y, rate, np.random.default_rng(i))
                    hits[level].append(int(detector_plain(z, rate) == payload_of(i)))
            name = f"{'pink' if pink else 'white'}, {length}"
            out[name] = {str(level): round(float(np.mean(h)), 3) for level, h in hits.items()}
    return out


def detector_plain(x: Samples, rate: int) -> bytes | None:
    """The payload at the right scale (noise changes no scale, so the scale search would only cost time)."""
    return detector.detect_working_rate(to_working_rate(x, rate), KEY, scales=False).payload


def formats(clips: Clips) -> dict[str, object]:
    """Every rate and channel count that the page promises, through MP3 128 or AAC 128; what short clips carry."""
    x, rate = next(iter(pieces({k: v for k, v in clips.items() if v[1] >= 44_100}, 8.0, 1).values()))
    rng = np.random.default_rng(0)
    out: dict[str, object] = {}
    for target in (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000):
        host = attacks_audio.resample(x, rate, target)
        y = audio.embed(host, target, payload_of(1), KEY)
        z = attacks_audio.attacks()["mp3_128k"](y, target, rng)
        out[f"{target} Hz, mono, MP3 128"] = audio.detect(z, target, KEY).level.value
    for channels, name in ((2, "stereo"), (6, "5.1"), (8, "7.1")):
        spread = x * rng.uniform(0.1, 0.5, (channels, 1)).astype(np.float32)
        host = np.stack([np.roll(c, 37 * i) for i, c in enumerate(spread)]).astype(np.float32)
        host[3:4] = 0  # the low-frequency channel
        y = audio.embed(host, rate, payload_of(2), KEY)
        if channels < 8:  # PyAV hands planar sound of eight channels to no encoder
            z = attacks_audio.codec("aac", "adts", 128_000)(y, rate, rng)
        else:
            z = (np.round(y * 32767) / 32767).astype(np.float32)
        out[f"{name}, {'AAC 128' if channels < 8 else '16 bits'}"] = audio.detect(z, rate, KEY).level.value
        out[f"{name}, mixed to mono"] = audio.detect(y.mean(axis=0, keepdims=True), rate, KEY).level.value
    return out


def shortest(clips: Clips) -> dict[str, object]:
    """What clips of half a second to three seconds carry: the record, presence, or nothing (refused)."""
    out: dict[str, object] = {}
    for seconds in (0.5, 0.75, 1.0, 1.5, 2.0, 3.0):
        seen = {"record": 0, "present": 0, "refused": 0, "lost": 0}
        for i, (x, rate) in enumerate(pieces(clips, seconds, 3).values()):
            try:
                y = audio.embed(x, rate, payload_of(i), KEY)
            except CannotCarry:
                seen["refused"] += 1
                continue
            z = attacks_audio.attacks()["mp3_128k"](y, rate, np.random.default_rng(i))
            found = audio.detect(z, rate, KEY)
            seen[found.level.value if found.level.value in seen else "lost"] += 1
        out[f"{seconds} s, MP3 128"] = seen
    return out


def streaming(clips: Clips, minutes: int) -> dict[str, object]:
    """A long stream: speed, how much is held back, memory, and whether any ten seconds of it read back."""
    x, rate = next(iter(pieces({k: v for k, v in clips.items() if v[1] >= 44_100}, 10.0, 1).values()))
    tracemalloc.start()
    embed = audio.StreamEmbedder(rate, 2, payload_of(3), KEY)
    both = np.concatenate([x, 0.7 * x])
    kept: list[int] = []
    behind, began = 0, time.process_time()
    for i in range(minutes * 6):
        got = embed.push(both)
        behind = max(behind, (i + 1) * x.shape[1] - sum(kept) - got.shape[1])
        kept.append(got.shape[1])
        last = got
    spent = time.process_time() - began
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "minutes": minutes,
        "channels": 2,
        "rate": rate,
        "pushed_s_at_a_time": 10,
        "times_real_time": round(minutes * 60 / spent, 1),
        "most_seconds_held_back": round(behind / rate, 2),
        "most_memory_mib": round(most / 2**20, 1),
        "last_piece": audio.detect(last, rate, KEY).level.value,
    }
