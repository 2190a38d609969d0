"""A film cut in the middle of a shot and coded hard: would repeating the strong frame help?

    python -m benchmarks.watermark.video.cut --photos DIR [--out FILE]

A pan and a zoom over photographs (``photos.py``) are marked with a second strong frame at several places
about the middle, at equal mean quality, cut there, coded with H.264 at CRF 40, and what the detector's front end sees
of the payload is measured where the mark is known to lie: mean over deviation of the soft bits, of which decoding needs
about 0.55. Prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.common.inputs import find
from benchmarks.common.places import RESULTS
from benchmarks.watermark.video import photos as clips_photos
from benchmarks.watermark.video.attacks import encode
from gensafe_watermark import video
from gensafe_watermark.image import embedder, perception

VERSION = 1
RESULT = RESULTS / "watermark" / "video_cut.json"
KEY = bytes(range(32))
FRAMES, CUT = 48, 24
STRONG_AT = {
    "none": (),
    "exactly at the cut": (CUT,),
    "one frame before": (CUT - 1,),
    "one frame after": (CUT + 1,),
    "half a second after": (CUT + 12,),
    "every half second, at the cut": tuple(range(12, FRAMES, 12)),
    "every half second, a quarter off": tuple(range(6, FRAMES, 12)),
}


def margin(frames: NDArray[np.uint8], strong: tuple[int, ...], message: bytes) -> tuple[float, float]:
    """(best soft-bit margin of the first frame, the first four and all, PSNR of the marked film)."""
    layout = embedder.plan((frames.shape[1], frames.shape[2]), message, KEY, video.MEDIUM)
    marked = video.mark_segment(frames, layout, 1.0, video.onset(len(frames), (0, *strong)))
    left = encode("libx264", 40)(marked[CUT:], clips_photos.FPS, np.random.default_rng(0))
    planes = [perception.luma(frame) for frame in left]
    found = [embedder.margin(layout.soft(chosen)) for chosen in (planes[:1], planes[:4], planes)]
    return max(found), perception.psnr(frames, marked)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    av.logging.set_level(av.logging.PANIC)
    made = clips_photos.make(find(options.photos, (".png", ".jpg", ".jpeg"))[::2], FRAMES, kinds=("pan", "zoom"))
    rows: list[dict[str, Any]] = []
    for name, strong in STRONG_AT.items():
        found = [margin(frames, strong, bytes([n] * 7)) for n, frames in enumerate(made.values())]
        margins, quality = zip(*found, strict=True)
        rows.append(
            {
                "strong frame": name,
                "margins": [round(m, 2) for m in margins],
                "psnr_mean": round(float(np.mean(quality)), 2),
            }
        )
        print(rows[-1])
    report = {"benchmark": "watermark_video_cut", "version": VERSION, "scheme": video.SCHEME, "clips": list(made)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
