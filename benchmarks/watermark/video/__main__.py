"""Film mark: exact-payload recovery over 19 attacks, and over some that keep only the end of a shot.

    python -m benchmarks.watermark.video --videos DIR [--unseen DIR] [--photos DIR] [--frames 48] [--side 640]
                                         [--small 6] [--out FILE]

``--videos``: films on which settings were chosen. ``--unseen``: films on which none was. ``--photos``: films made of
photographs (``photos.py``), of every second one in the folder: settings were chosen on the others. ``--small
N``: N synthetic clips of 20 frames at 8 frames per second, in turn 128, 192 and 256 pixels square, like those of the
bundled generator. Recovery counts a payload only if all 96 bits are right. Prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.common.inputs import find, read_all
from benchmarks.common.places import RESULTS
from benchmarks.watermark.video import photos as clips_photos
from benchmarks.watermark.video.attacks import FilmAttack, film_attacks, mid_shot_attacks
from benchmarks.watermark.video.sets import KEY, Frames, load, synthetic
from gensafe.core.errors import CannotCarry
from gensafe_watermark import video
from gensafe_watermark.image import perception

VERSION = 3
RESULT = RESULTS / "watermark" / "video.json"


def run(
    clips: list[tuple[Frames, float]], attacks: dict[str, FilmAttack], save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Mark, attack, read. ``save`` gets the figures after every clip."""
    beyond = mid_shot_attacks()
    recovered: dict[str, list[bool]] = {name: [] for name in (*attacks, *beyond)}
    quality, worst_frame, refused, accepted, embed_s, frames_done, read_s = [], [], 0, 0, 0.0, 0, []
    figures: dict[str, Any] = {}
    for index, (frames, fps) in enumerate(clips):
        message = np.random.default_rng(1000 + index).bytes(7)
        start = time.process_time()
        try:
            marked = video.embed(frames, message, KEY, fps=fps)
        except CannotCarry:
            refused += 1
            continue
        embed_s += time.process_time() - start
        frames_done += len(frames)
        quality.append(perception.psnr(frames, marked))
        worst_frame.append(min(perception.psnr(a, b) for a, b in zip(frames, marked, strict=True)))
        for name, attack in (attacks | beyond).items():
            copy = attack(marked, fps, np.random.default_rng(7 * index + 3))
            start = time.process_time()
            recovered[name].append(video.detect(copy, KEY).payload == message)
            read_s.append(time.process_time() - start)
        accepted += video.detect(frames, KEY).payload is not None
        print(f"\rclip {index + 1}/{len(clips)}", end="", file=sys.stderr)
        rates = {name: round(float(np.mean(hits)), 4) for name, hits in recovered.items()}
        figures = {
            "clips": len(quality),
            "refused": refused,
            "frame": sorted({f"{frames.shape[2]}x{frames.shape[1]}" for frames, _ in clips[: index + 1]}),
            "psnr_mean": round(float(np.mean(quality)), 2),
            "psnr_worst": round(float(np.min(quality)), 2),
            "psnr_worst_frame": round(float(np.min(worst_frame)), 2),
            "embed_ms_per_frame": round(1e3 * embed_s / frames_done, 1),
            "read_s_median": round(float(np.median(read_s)), 2),
            "unmarked_accepted": accepted,
            "recovery": {name: rates[name] for name in attacks},
            "recovery_mean": round(float(np.mean([rates[name] for name in attacks])), 4),
            "beyond_the_list": {name: rates[name] for name in beyond},
        }
        save(figures)
    print(file=sys.stderr)
    return figures


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", help="folder of films; two stretches of each are used")
    parser.add_argument("--unseen", help="the same, of films on which no setting was chosen")
    parser.add_argument("--photos", help="folder of photographs to make films of")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--small", type=int, default=6)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    sets: dict[str, list[tuple[Frames, float]]] = {}

    def stretch(chosen: tuple[Path, int]) -> tuple[Frames, float]:
        return load(chosen[0], options.frames, options.side, chosen[1] * options.frames)

    for name, folder in (("films", options.videos), ("other films", options.unseen)):
        if folder:
            paths = find(folder, (".mp4", ".mkv", ".webm", ".mov", ".avi"))
            stretches = [(path, skip) for path in paths for skip in (0, 1)]
            sets[name] = read_all(stretches, stretch, lambda chosen: chosen[0].name)
    if options.photos:
        photos = find(options.photos, (".png", ".jpg", ".jpeg"))[1::2]
        made = clips_photos.make(photos, options.frames)
        sets["photographs in motion"] = [(frames, clips_photos.FPS) for frames in made.values()]
    if options.small:
        sets["synthetic"] = [(synthetic(n, (128, 192, 256)[n % 3]), 8.0) for n in range(options.small)]
    av.logging.set_level(av.logging.PANIC)
    attacks = film_attacks()
    results: dict[str, dict[str, Any]] = {}
    for group, clips in sets.items():

        def save(figures: dict[str, Any], group: str = group) -> None:
            results[group] = figures
            write(options.out, results, options.frames, options.side)

        run(clips, attacks, save)
    for group, figures in results.items():
        lists = ("recovery", "beyond_the_list")
        print(f"\n{group}: " + ", ".join(f"{k} {v}" for k, v in figures.items() if k not in lists))
        for name, rate in (figures["recovery"] | figures["beyond_the_list"]).items():
            print(f"  {name:42s}{rate:6.2f}")


def write(path: Path, results: dict[str, dict[str, Any]], frames: int, side: int) -> None:
    """Write the report."""
    report = {
        "benchmark": "watermark_video",
        "version": VERSION,
        "scheme": video.SCHEME,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "av": av.__version__,
        "frames": frames,
        "longest_side": side,
        "sets": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
