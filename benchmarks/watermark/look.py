"""Draw the picture by which people can judge how visible the mark is: original, marked, difference times 16.

    python -m benchmarks.watermark.look --film FILE [--frame N] [--out FILE]

One row each for a synthetic picture like the bundled generator's, a smooth gradient (the hardest case for the eye) and
a textured part of a film's frame. The quality of each is written into the picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.common.places import DOCS
from benchmarks.watermark.image.attacks import resize
from benchmarks.watermark.image.sets import KEY, Pixels, ssim, synthetic
from benchmarks.watermark.video.sets import load
from gensafe_watermark import image
from gensafe_watermark.image import perception

OUT = DOCS / "watermark-image-difference.png"
SIDE = 256
_GAIN = 16
_LINE = 22  # pixels of a row's caption


def gradient() -> Pixels:
    """A sky: two colours, blended from top to bottom, with a slant."""
    yy, xx = np.mgrid[:SIDE, :SIDE]
    share = ((yy + 0.3 * xx) / (1.3 * SIDE))[..., None]
    blend = (1 - share) * np.array([86, 138, 205]) + share * np.array([214, 226, 238])
    return np.asarray(np.rint(blend), np.uint8)


def row(name: str, picture: Pixels) -> Pixels:
    """Caption, then original, marked and difference side by side."""
    marked = image.embed(picture, bytes(range(7)), KEY)
    change = np.clip(128 + _GAIN * (marked.astype(int) - picture.astype(int)), 0, 255).astype(np.uint8)
    caption = Image.new("RGB", (3 * SIDE, _LINE), "white")
    text = f"{name}: {perception.psnr(picture, marked):.1f} dB, SSIM {ssim(picture, marked):.3f}"
    ImageDraw.Draw(caption).text((6, 3), text, fill="black", font=ImageFont.load_default(size=13))
    return np.vstack([np.asarray(caption), np.hstack([picture, marked, change])])


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", type=Path, required=True)
    parser.add_argument("--frame", type=int, default=40)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    frame = load(options.film, 1, 640, options.frame)[0][0]
    height, width = frame.shape[:2]
    small = resize(frame, width * SIDE / height, SIDE)
    left = (small.shape[1] - SIDE) // 2
    rows = [
        row("synthetic", synthetic(1)),
        row("smooth gradient", gradient()),
        row("Big Buck Bunny (Blender Foundation, CC BY 3.0)", np.ascontiguousarray(small[:, left : left + SIDE])),
    ]
    Image.fromarray(np.vstack(rows)).save(options.out, optimize=True)
    print(options.out)


if __name__ == "__main__":
    main()
