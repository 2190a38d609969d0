"""Animated pictures: is the mark read from what their containers, palettes and platforms leave of it?

    python -m benchmarks.watermark.video.animations --photos DIR [--animations DIR] [--out FILE]

Films made of photographs (``photos.py``), 12 frames at 320 x 180, and animated pictures found in a folder
(their first 12 frames), marked as pictures are. Recovery counts a payload only if all 96 bits are right, from all
frames and from the first alone. Prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common.inputs import find
from benchmarks.common.places import RESULTS
from benchmarks.watermark.image import attacks as pictures
from benchmarks.watermark.video import photos as clips_photos
from benchmarks.watermark.video.attacks import encode
from gensafe.core.errors import CannotCarry
from gensafe.media.animations import Animation, decode_animation, encode_animation
from gensafe_watermark import animation, image
from gensafe_watermark.image import perception

VERSION = 1
RESULT = RESULTS / "watermark" / "video_animations.json"
KEY = bytes(range(32))
FRAMES, WIDTH, HEIGHT = 12, 320, 180
Frames = NDArray[np.uint8]


def written(kind: str) -> Callable[[Frames], Frames]:
    """As ``gensafe watermark embed`` writes it."""

    def through(frames: Frames) -> Frames:
        opaque = np.full((*frames.shape[:3], 1), 255, np.uint8)
        made = Animation(np.concatenate([frames, opaque], axis=3), (80,) * len(frames))
        read = decode_animation(encode_animation(made, kind))
        return frames[:1] if read is None else read.shown().frames

    return through


def colours(count: int, dither: Image.Dither) -> Callable[[Frames], Frames]:
    """One palette for all frames, as GIF programs choose it."""

    def through(frames: Frames) -> Frames:
        palette = Image.fromarray(frames.reshape(-1, *frames.shape[2:])).quantize(count, Image.Quantize.MEDIANCUT)
        return np.stack(
            [np.asarray(Image.fromarray(f).quantize(palette=palette, dither=dither).convert("RGB")) for f in frames]
        )

    return through


def webp(quality: int) -> Callable[[Frames], Frames]:
    """Written again by someone else."""

    def through(frames: Frames) -> Frames:
        data, stills = io.BytesIO(), [Image.fromarray(f) for f in frames]
        stills[0].save(data, "WEBP", save_all=True, append_images=stills[1:], quality=quality, duration=80)
        read = decode_animation(data.getvalue())
        return frames[:1] if read is None else read.shown().frames

    return through


WAYS: dict[str, Callable[[Frames], Frames]] = {
    "APNG": written("image/png"),
    "WebP, quality 92": written("image/webp"),
    "GIF, 255 colours a frame, dithered": written("image/gif"),
    "GIF, 128 colours for all frames, dithered": colours(128, Image.Dither.FLOYDSTEINBERG),
    "GIF, 32 colours for all frames, dithered": colours(32, Image.Dither.FLOYDSTEINBERG),
    "GIF, 32 colours for all frames, not dithered": colours(32, Image.Dither.NONE),
    "WebP, quality 50": webp(50),
    "half size, then GIF": lambda frames: written("image/gif")(
        np.stack([pictures.resize(f, f.shape[1] / 2, f.shape[0] / 2) for f in frames])
    ),
    "made a film: H.264 CRF 28": lambda frames: encode("libx264", 28)(frames, 12.0, np.random.default_rng(0)),
}


def run(clips: list[Frames]) -> dict[str, Any]:
    """Mark, write, read."""
    all_frames: dict[str, list[bool]] = {name: [] for name in WAYS}
    first: dict[str, list[bool]] = {name: [] for name in WAYS}
    quality, refused, accepted = [], 0, 0
    for index, frames in enumerate(clips):
        message = np.random.default_rng(500 + index).bytes(7)
        try:
            marked = animation.embed(frames, message, KEY)
        except CannotCarry:
            refused += 1
            continue
        quality.append(perception.psnr(frames, marked))
        accepted += animation.detect(frames, KEY).payload is not None
        for name, way in WAYS.items():
            left = way(marked)
            all_frames[name].append(animation.detect(left, KEY).payload == message)
            first[name].append(image.detect(left[0], KEY).payload == message)
    return {
        "clips": len(quality),
        "refused": refused,
        "psnr_mean": round(float(np.mean(quality)), 2) if quality else None,
        "psnr_worst": round(float(np.min(quality)), 2) if quality else None,
        "unmarked_accepted": accepted,
        "all_frames": {name: round(float(np.mean(hits)), 4) for name, hits in all_frames.items() if hits},
        "first_frame": {name: round(float(np.mean(hits)), 4) for name, hits in first.items() if hits},
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--animations", help="folder of animated pictures")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    av.logging.set_level(av.logging.PANIC)
    made = clips_photos.make(find(options.photos, (".png", ".jpg", ".jpeg")), FRAMES)
    sets = {
        f"photographs in motion: {WIDTH}x{HEIGHT}": [
            np.stack([pictures.resize(f, WIDTH, HEIGHT) for f in clip]) for clip in made.values()
        ]
    }
    if options.animations:
        found = [decode_animation(p.read_bytes()) for p in find(options.animations, (".gif", ".webp", ".png"))]
        kept = [a.shown().frames[:FRAMES] for a in found if a is not None]
        sets["animated pictures: " + ", ".join(sorted({f"{f.shape[2]}x{f.shape[1]}" for f in kept}))] = kept
    report = {
        "benchmark": "watermark_animations",
        "version": VERSION,
        "scheme": image.SCHEME,
        "pillow": PIL.__version__,
        "frames": FRAMES,
        "sets": {name: run(clips) for name, clips in sets.items()},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["sets"], indent=1))


if __name__ == "__main__":
    main()
