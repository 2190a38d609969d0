"""Robustness, quality, speed and false accepts of the sound mark.

    python -m benchmarks.watermark.audio --audio DIR [--held-out DATA] [--only SECTION ...] [--peers] [--out FILE]

DIR holds music and speech of ten seconds or more; the settings were chosen on the beginnings of the clips in the data
folder's ``audio``. DATA is the data folder itself, from which ``sets.py`` takes recordings that were never used for
that. Recovery means the exact payload with its MAC. Speeds are
seconds of sound per second of processor time on one core (run with OMP_NUM_THREADS=1). Wrong keys on real media stand
in for unmarked media, with which they are exchangeable. PESQ needs the ``pesq`` package, ``--peers`` resemble-perth.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.places import RESULTS
from benchmarks.watermark.audio import attacks as attacks_audio
from benchmarks.watermark.audio import clips as clips_audio
from benchmarks.watermark.audio import peers as peers_audio
from benchmarks.watermark.audio.limits import against_noise, formats, shortest, streaming
from benchmarks.watermark.audio.quality import KEY, payload_of, quality_of
from benchmarks.watermark.audio.sets import Clips, later, load, pieces, unseen
from gensafe.core.errors import CannotCarry
from gensafe.core.types import MarkLevel
from gensafe_watermark import audio, statistics
from gensafe_watermark.audio import detector, features, layout, marker, sync
from gensafe_watermark.audio.transform import to_working_rate

FIVE_SECONDS = [
    "none",
    "mp3_128k",
    "mp3_64k",
    "aac_64k",
    "opus_32k",
    "opus_16k",
    "resample8k",
    "white30dB",
    "phone",
    "speed1.05",
    "tempo0.9",
]
GENERATED = [
    *FIVE_SECONDS,
    "mp3_32k",
    "vorbis_64k",
    "gain0.3",
    "quant8bit",
    "pink20dB",
    "lowpass2k",
    "eq",
    "compressor",
    "echo100ms",
    "cuts10x20ms",
    "mute10%",
    "pitch+1st",
]


def robustness(clips: Clips, names: list[str]) -> dict[str, object]:
    """Mark every clip, run every attack, decode."""
    table = attacks_audio.attacks()
    by_clip: dict[str, list[int]] = {}
    recovered: dict[str, list[int]] = {name: [] for name in names}
    present: dict[str, list[int]] = {name: [] for name in names}
    quality: list[dict[str, Any]] = []
    refused: list[str] = []
    plain_s: list[float] = []
    deep_s: list[float] = []
    wrong, seconds, embed_s = 0, 0.0, 0.0
    for i, (clip, (x, rate)) in enumerate(clips.items()):
        payload = payload_of(i)
        began = time.process_time()
        try:
            y = audio.embed(x, rate, payload, KEY)
        except CannotCarry:
            refused.append(clip)
            continue
        embed_s += time.process_time() - began
        seconds += x.shape[1] / rate
        quality.append({"clip": clip, **quality_of(x, y, rate)})
        hits: list[int] = []
        for name in names:
            z = np.atleast_2d(table[name](y, rate, np.random.default_rng(7 * i + 3))).astype(np.float32)
            if z.shape[1] < rate // 2:
                continue
            began = time.process_time()
            found = audio.detect(z, rate, KEY)
            (deep_s if found.attempts > 24 else plain_s).append((time.process_time() - began) / (z.shape[1] / rate))
            hits.append(int(found.payload == payload))
            recovered[name].append(hits[-1])
            present[name].append(int(found.level in (MarkLevel.RECORD, MarkLevel.PRESENT)))
            wrong += int(found.payload not in (None, payload))
        by_clip[clip] = [sum(hits), len(hits)]
        print(f"  {clip}: {sum(hits)}/{len(hits)}", flush=True)
    scores = [q["pesq"] for q in quality if q["pesq"]]
    rates = {name: float(np.mean(hits)) for name, hits in recovered.items() if hits}
    return {
        "clips": quality,
        "refused_to_mark": refused,
        "recovered_by_clip": by_clip,
        "si_snr_db_mean": round(float(np.mean([q["si_snr_db"] for q in quality])), 2),
        "si_snr_db_least": round(float(np.min([q["si_snr_db"] for q in quality])), 2),
        "pesq_mean": round(float(np.mean(scores)), 3) if scores else None,
        "pesq_least": round(float(np.min(scores)), 3) if scores else None,
        "embed_times_real_time": round(seconds / embed_s, 1),
        "detect_times_real_time_at_the_right_scale": round(1 / float(np.median(plain_s)), 1) if plain_s else None,
        "detect_times_real_time_with_scale_search": round(1 / float(np.median(deep_s)), 1) if deep_s else None,
        "recovery": {name: round(value, 3) for name, value in rates.items()},
        "presence_or_recovery": {name: round(float(np.mean(hits)), 3) for name, hits in present.items() if hits},
        "recovery_mean": round(float(np.mean(list(rates.values()))), 4),
        "wrong_payloads": wrong,
    }


def nulls(clips: Clips, keys: int, deep_keys: int) -> dict[str, object]:
    """False accepts on unmarked clips and under wrong keys; the null distribution of the exact correlation."""
    accepts = searches = deep_accepts = deep_searches = 0
    z: list[float] = []
    for number, (x, rate) in enumerate(clips.values()):
        work = to_working_rate(x, rate)
        cells = features.ScaledCells(features.log_power(work)).at(1.0, 1.0)
        for k in range(keys):
            key = np.random.default_rng([number, k]).bytes(32)
            deep = k < deep_keys
            found = detector.detect_working_rate(work, key, scales=deep)
            hit = int(found.level in (MarkLevel.RECORD, MarkLevel.PRESENT))
            accepts, searches = accepts + hit, searches + 1
            deep_accepts, deep_searches = deep_accepts + hit * deep, deep_searches + int(deep)
            plan = layout.pattern(key)
            z += [sync.exact_z(cells, plan, lag) for lag in (0, 97, 251)]
    values = np.array(z)
    return {
        "clips": len(clips),
        "searches": searches,
        "of_which_with_scale_search": deep_searches,
        "false_accepts": accepts,
        "false_accept_rate_at_most_95": statistics.proportion_interval(accepts, searches)[1],
        "exact_z": {
            "samples": len(values),
            "mean": round(float(values.mean()), 4),
            "deviation": round(float(values.std()), 4),
            "share_above_2": round(float((values > 2).mean()), 5),
            "share_above_3": round(float((values > 3).mean()), 5),
            "largest": round(float(values.max()), 3),
            "gaussian_share_above_2": 0.02275,
            "gaussian_share_above_3": 0.00135,
        },
    }


def collusion(clips: Clips, count: int) -> dict[str, object]:
    """Average many marks made under one key; subtract the average from other clips (removal), add it (forgery)."""
    parts = list(pieces(clips, 8.0, 99).values())
    parts = [(to_working_rate(x, rate), layout.RATE) for x, rate in parts]
    if len(parts) < count + 4:
        return {"skipped": f"needs {count + 4} pieces of 8 s, found {len(parts)}"}
    n = min(x.shape[1] for x, _ in parts)
    marks = [audio.embed(x[:, :n], rate, payload_of(i), KEY) - x[:, :n] for i, (x, rate) in enumerate(parts)]
    average = np.mean(marks[:count], axis=0)
    average *= np.sqrt(np.mean(marks[0] ** 2) / np.mean(average**2))
    removed = forged = 0
    victims = range(count, min(len(parts), count + 8))
    for i in victims:
        x = parts[i][0][:, :n]
        removed += int(audio.detect((x + marks[i] - average).astype(np.float32), layout.RATE, KEY).payload is None)
        forged += int(audio.detect((x + average).astype(np.float32), layout.RATE, KEY).level is not MarkLevel.NONE)
    return {"averaged": count, "victims": len(victims), "removed": removed, "forged": forged}


def show(title: str, report: dict[str, object]) -> None:
    """Print one robustness report."""
    print(
        f"\n{title}: SI-SNR {report['si_snr_db_mean']} dB (least {report['si_snr_db_least']}), "
        f"PESQ {report['pesq_mean']} (least {report['pesq_least']}), "
        f"embed {report['embed_times_real_time']}x, mean recovery {report['recovery_mean']}"
    )
    recovery, either = report["recovery"], report["presence_or_recovery"]
    assert isinstance(recovery, dict)
    assert isinstance(either, dict)
    for name, value in recovery.items():
        print(f"  {name:<26}{value:6.2f}   {either[name]:6.2f}")


def sections(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Name -> what to run; those on unseen recordings only with ``--held-out``."""
    clips = load(options.audio, options.seconds)
    if not clips:
        raise SystemExit("no sound of ten seconds or more in that folder")
    if options.quick:
        clips = dict(list(clips.items())[:2])
    names = list(attacks_audio.attacks())
    made = {name: (x, clips_audio.RATE) for name, x in clips_audio.clips().items()}
    few, keys, deep = (1, 2, 1) if options.quick else (2, 20, 4)
    table: dict[str, Callable[[], object]] = {
        "whole_clips": lambda: robustness(clips, names),
        "five_seconds": lambda: robustness(pieces(clips, 5.0, few), FIVE_SECONDS),
        "generated_clips": lambda: robustness(made, GENERATED),
        "unmarked": lambda: nulls(pieces(clips, 8.0, 99) | made, keys, deep),
        "averaging": lambda: collusion(clips, 8),
    }
    if options.held_out is None:
        return table
    fresh = unseen(options.held_out)
    return table | {
        "averaging": lambda: collusion(clips | fresh, 8),
        "held_out": lambda: robustness(fresh, names),
        "held_out_later_parts_of_tuned_recordings": lambda: robustness(later(options.held_out), names),
        "held_out_five_seconds": lambda: robustness(pieces(fresh, 5.0, few), FIVE_SECONDS),
        "held_out_unmarked": lambda: nulls(pieces(fresh, 8.0, 99), keys, deep),
        "against_noise": lambda: against_noise(fresh | later(options.held_out), (30, 25, 20, 15, 10, 5, 0)),
        "shortest": lambda: shortest(fresh),
        "formats": lambda: formats(fresh),
        "streaming": lambda: streaming(fresh, 10),
        **({"perth_on_held_out": lambda: peers_audio.perth(fresh, names, quality_of)} if options.peers else {}),
    }


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, help="the data folder, for recordings that were never tuned on")
    parser.add_argument("--seconds", type=float, default=20.0, help="use at most this much of every file in --audio")
    parser.add_argument("--peers", action="store_true", help="measure resemble-perth; print quoted figures of others")
    parser.add_argument("--quick", action="store_true", help="two clips, few keys")
    parser.add_argument("--only", nargs="*", help="sections to run; the others in the results file stay")
    parser.add_argument("--out", type=Path, default=RESULTS / "watermark" / "audio.json")
    options = parser.parse_args()
    table = sections(options)
    for name in options.only or table:
        if name not in table:
            raise SystemExit(f"no section {name!r}; there are {', '.join(table)}")
        result = table[name]()
        store(options.out, name, result)
        if isinstance(result, dict) and "recovery" in result:
            show(name, result)
        else:
            print(f"\n{name}: {json.dumps(result)}", flush=True)
    if options.peers:
        store(options.out, "peers_quoted_not_measured_here", peers_audio.QUOTED)
        print("quoted, not measured here:", json.dumps(peers_audio.QUOTED))


def store(path: Path, section: str, result: object) -> None:
    """Put one section into the results file; sections of another version or other parameters are dropped."""
    header = {
        "benchmark": "watermark_audio",
        "version": metadata.version("gensafe"),
        "python": platform.python_version(),
        "scheme": layout.SCHEME,
        "parameters": {
            "alpha": marker.ALPHA,
            "budget_db": marker.BUDGET_DB,
            "max_db": marker.MAX_DB,
            "fill_db": marker.FILL_DB,
            "fill_sparse_db": marker.FILL_SPARSE_DB,
            "block_s": layout.BLOCK / layout.RATE,
            "bands": layout.BANDS,
            "near_bands": features.NEAR_BANDS,
        },
    }
    report = json.loads(path.read_text()) if path.exists() else {}
    if any(report.get(key) != value for key, value in header.items()):
        report = dict(header)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report | {section: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
