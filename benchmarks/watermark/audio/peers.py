"""Other systems on the same clips and attacks: resemble-perth where it is installed, quoted figures where not.

Perth has no key and no payload, so only presence can be compared. It needs librosa and torchaudio; install it into an
environment of its own (``pip install --no-deps resemble-perth``). audiowmark is GPLv3, is not in the stable release of
Debian, and is quoted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.watermark.audio import attacks as attacks_audio
from benchmarks.watermark.audio.sets import Clips, Samples

# from the project's research note, measured there on seven other clips (ten seconds and more); not measured here
QUOTED = {
    "audiowmark 0.6.5 (128 bits, quoted)": {
        "si_snr_db": 32.9,
        "pesq": 4.60,
        "mean_recovery": 0.71,
        "false_accepts": "3/7",
    },
    "resemble-perth 1.0.1 (0 bits, presence, quoted)": {
        "si_snr_db": 15.2,
        "pesq": 4.43,
        "mean_recovery": 0.90,
        "false_accepts": "0/7",
    },
}
PRESENT = 0.5  # mean of the detector's output above which Perth's mark counts as present


def perth(clips: Clips, names: list[str], measure: Callable[[Samples, Samples, int], dict[str, object]]) -> object:
    """Presence of Perth's mark after every attack, or why it was not measured.

    Args:
        clips: Name -> (mono clip, rate).
        names: Attacks.
        measure: Quality figures of (host, marked, rate).
    """
    try:
        from perth import PerthImplicitWatermarker

        system = PerthImplicitWatermarker()
    except (ImportError, OSError, TypeError) as error:  # its package names a missing part None
        return f"not measured: resemble-perth is not usable here ({error})"
    table = attacks_audio.attacks()
    present: dict[str, list[int]] = {name: [] for name in names}
    quality, accepts, seconds, embed_s, detect_s, detected = [], 0, 0.0, 0.0, 0.0, 0.0

    def level(x: Samples, rate: int) -> float:
        return float(np.mean(system.get_watermark(x[0], sample_rate=rate, round=False)))

    level(next(iter(clips.values()))[0], 16_000)  # its resampler is loaded on first use
    for i, (name, (x, rate)) in enumerate(clips.items()):
        began = time.process_time()
        y = np.atleast_2d(system.apply_watermark(x[0], sample_rate=rate)).astype(np.float32)
        embed_s += time.process_time() - began
        y = np.pad(y, ((0, 0), (0, max(0, x.shape[1] - y.shape[1]))))[:, : x.shape[1]]
        seconds += x.shape[1] / rate
        quality.append({"clip": name, **measure(x, y, rate)})
        accepts += int(level(x, rate) > PRESENT)
        for attack in names:
            z = np.atleast_2d(table[attack](y, rate, np.random.default_rng(7 * i + 3))).astype(np.float32)
            began = time.process_time()
            present[attack].append(int(level(z, rate) > PRESENT))
            detect_s += time.process_time() - began
            detected += z.shape[1] / rate
        print(f"  perth, {name}: {sum(present[a][-1] for a in names)}/{len(names)}", flush=True)
    rates = {name: round(float(np.mean(hits)), 3) for name, hits in present.items()}
    return {
        "clips": quality,
        "si_snr_db_mean": round(float(np.mean([q["si_snr_db"] for q in quality])), 2),
        "pesq_mean": round(float(np.mean([q["pesq"] for q in quality if q["pesq"]] or [0])), 3),
        "presence": rates,
        "presence_mean": round(float(np.mean(list(rates.values()))), 4),
        "false_accepts": f"{accepts}/{len(clips)}",
        "embed_times_real_time": round(seconds / embed_s, 1),
        "detect_times_real_time": round(detected / detect_s, 1),
    }
