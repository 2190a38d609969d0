"""Films made of still photographs: a camera that pans, zooms and shakes over them, cuts, cross-fades, a passing object.

    python -m benchmarks.watermark.video.photos --photos DIR --out DIR    (writes them as MP4, to look at)

They stand in for films where there are none at hand: real texture, motion of fractions of a pixel, turning, motion
against the background, and sensor noise that is new in every frame, so that a coder has something to do. Everything is
drawn from a seed; the same photographs give the same frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.common.inputs import find

Frames = NDArray[np.uint8]
Plane = NDArray[np.float32]
WIDTH, HEIGHT, FPS = 640, 360, 25.0
_SHOT_NOISE = 0.03  # variance per grey level, about a telephone's at ISO 400 after its own smoothing
_READ_NOISE = 0.6  # grey levels


def look(photo: Image.Image, across: float, down: float, zoom: float, turn: float = 0.0) -> Plane:
    """What a camera sees (HEIGHT, WIDTH, 3): its middle in shares of the room there is, zoom >= 1, turn in degrees."""
    fit = min(photo.width / WIDTH, photo.height / HEIGHT) * 0.94 / zoom  # source pixels per pixel; room for the turn
    cosine, sine = fit * np.cos(np.radians(turn)), fit * np.sin(np.radians(turn))
    x = photo.width / 2 + (across - 0.5) * (photo.width - fit * WIDTH)
    y = photo.height / 2 + (down - 0.5) * (photo.height - fit * HEIGHT)
    matrix = (
        *(cosine, -sine, x - cosine * WIDTH / 2 + sine * HEIGHT / 2),
        *(sine, cosine, y - sine * WIDTH / 2 - cosine * HEIGHT / 2),
    )
    seen = photo.transform((WIDTH, HEIGHT), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.asarray(seen, np.float32)


def _hand(rng: np.random.Generator, frames: int, size: float) -> NDArray[np.float64]:
    """A trembling hand: noise (frames, 3) of about ``size``, smooth over some frames."""
    walk = ndimage.gaussian_filter1d(rng.normal(size=(frames + 40, 3)), 3.0, axis=0)[20 : 20 + frames]
    return np.asarray(size * walk / walk.std(), float)


def pan(photos: list[Image.Image], rng: np.random.Generator, frames: int) -> list[Plane]:
    """An even pan on a diagonal."""
    (x0, y0), (x1, y1) = rng.uniform(0.1, 0.4, 2), rng.uniform(0.6, 0.9, 2)
    t = np.linspace(0, 1, frames)
    return [look(photos[0], x0 + (x1 - x0) * s, y0 + (y1 - y0) * s, 1.25) for s in t]


def zoom(photos: list[Image.Image], rng: np.random.Generator, frames: int) -> list[Plane]:
    """In by three tenths, towards a point off the middle."""
    x, y = rng.uniform(0.3, 0.7, 2)
    return [look(photos[0], x, y, 1.3**s) for s in np.linspace(0, 1, frames)]


def shake(photos: list[Image.Image], rng: np.random.Generator, frames: int) -> list[Plane]:
    """Held by hand: some pixels in every direction and half a degree of turn."""
    hand = _hand(rng, frames, 1.0)
    return [look(photos[0], 0.5 + 0.03 * h[0], 0.5 + 0.03 * h[1], 1.15, 0.5 * h[2]) for h in hand]


def cuts(photos: list[Image.Image], rng: np.random.Generator, frames: int) -> list[Plane]:
    """Three shots, each hand-held."""
    hand, ends = _hand(rng, frames, 1.0), (0, frames // 3, 2 * frames // 3, frames)
    return [
        look(photos[n % len(photos)], 0.5 + 0.01 * hand[i, 0], 0.5 + 0.01 * hand[i, 1], 1.1)
        for n in range(3)
        for i in range(ends[n], ends[n + 1])
    ]


def fade(photos: list[Image.Image], rng: np.random.Generator, frames: int) -> list[Plane]:
    """Two panning shots, the second faded in over the middle third."""
    out, step = [], rng.uniform(-0.3, 0.3, 2)
    for s in np.linspace(0, 1, frames):
        share = float(np.clip(3 * s - 1, 0, 1))
        first = look(photos[0], 0.5 + step[0] * s, 0.5, 1.1)
        second = look(photos[1], 0.5, 0.5 + step[1] * s, 1.1)
        out.append((1 - share) * first + share * second)
    return out


def passing(photos: list[Image.Image], rng: np.random.Generator, frames: int) -> list[Plane]:
    """A round piece of a second photograph crosses the first, which stands almost still."""
    hand, radius = _hand(rng, frames, 1.0), HEIGHT * 0.3
    yy, xx = np.mgrid[:HEIGHT, :WIDTH]
    piece, height = look(photos[1], 0.5, 0.5, 1.0), rng.uniform(0.35, 0.65) * HEIGHT
    out = []
    for i, s in enumerate(np.linspace(-0.1, 1.1, frames)):
        ground = look(photos[0], 0.5 + 0.003 * hand[i, 0], 0.5 + 0.003 * hand[i, 1], 1.05)
        x = s * WIDTH
        inside = np.clip(radius - np.hypot(xx - x, yy - height), 0, 1)[..., None].astype(np.float32)
        moved = ndimage.shift(piece, (0, x - WIDTH / 2, 0), order=1, mode="mirror")
        out.append((1 - inside) * ground + inside * moved)
    return out


KINDS: dict[str, Callable[[list[Image.Image], np.random.Generator, int], list[Plane]]] = {
    "pan": pan,
    "zoom": zoom,
    "shake": shake,
    "cuts": cuts,
    "fade": fade,
    "passing": passing,
}


def noisy(scene: Plane, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the sensor makes of it: noise that grows with the light, smoothed a little as demosaicing does."""
    noise = ndimage.gaussian_filter(rng.normal(size=scene.shape).astype(np.float32), (0.6, 0.6, 0))
    noise *= np.sqrt(_SHOT_NOISE * np.maximum(scene, 0) + _READ_NOISE**2) / noise.std()
    return np.asarray(np.clip(np.rint(scene + noise), 0, 255), np.uint8)


def make(photos: list[Path], frames: int, seed: int = 0, kinds: Collection[str] = KINDS) -> dict[str, Frames]:
    """One clip (frames, HEIGHT, WIDTH, 3) of every kind asked for; the photographs are taken in turn."""
    stills = [Image.open(path).convert("RGB") for path in photos]
    clips = {}
    for number, (name, kind) in enumerate(KINDS.items()):
        if name not in kinds:
            continue
        rng = np.random.default_rng([seed, number])
        order = [stills[(number + k) % len(stills)] for k in range(len(stills))]
        clips[name] = np.stack([noisy(scene, rng) for scene in kind(order, rng, frames)])
    return clips


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    from gensafe.core.types import Video
    from gensafe.media import encode

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, frames in make(find(options.photos, (".png", ".jpg", ".jpeg")), options.frames).items():
        (options.out / f"{name}.mp4").write_bytes(encode(Video(frames, FPS), "video/mp4"))


if __name__ == "__main__":
    main()
