"""What pictures go through: 45 attacks, each a function of (pixels uint8 (H, W, 3), random generator) -> pixels.

The same kinds and parameters as the public benchmarks' lists (W-Bench, WAVES, StirMark 4): compression, value changes,
geometry, overlays and combinations. Written with Pillow and scipy only, so that it runs wherever the package does.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFont
from scipy import ndimage

Pixels = NDArray[np.uint8]
Attack = Callable[[Pixels, np.random.Generator], Pixels]
_BICUBIC = Image.Resampling.BICUBIC


def codec(name: str, quality: int) -> Attack:
    """Encode and decode with a Pillow codec."""

    def attack(pixels: Pixels, _: np.random.Generator) -> Pixels:
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, name, quality=quality)
        return np.asarray(Image.open(data).convert("RGB"))

    return attack


def resize(pixels: Pixels, width: float, height: float) -> Pixels:
    """Resize to whole pixels, at least 8."""
    size = (max(8, round(width)), max(8, round(height)))
    return np.asarray(
        Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS if size[0] < pixels.shape[1] else _BICUBIC)
    )


def scale(factor: float, back: bool = False) -> Attack:
    """Scale by a factor, and perhaps back to the first size."""

    def attack(pixels: Pixels, _: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        small = resize(pixels, width * factor, height * factor)
        return resize(small, width, height) if back else small

    return attack


def stretch(horizontal: float, vertical: float) -> Attack:
    """Change the aspect ratio."""
    return lambda pixels, _: resize(pixels, pixels.shape[1] * horizontal, pixels.shape[0] * vertical)


def crop(area: float, back: bool = False) -> Attack:
    """Keep ``area`` of the picture at a random place, and perhaps enlarge to the first size."""

    def attack(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        h, w = int(height * area**0.5), int(width * area**0.5)
        y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        part = pixels[y : y + h, x : x + w].copy()
        return resize(part, width, height) if back else part

    return attack


def rotate(degrees: float) -> Attack:
    """Turn about the centre on the same canvas, black corners."""
    return lambda pixels, _: np.asarray(Image.fromarray(pixels).rotate(degrees, resample=_BICUBIC))


def perspective(distance: float) -> Attack:
    """Move each corner inwards by up to ``distance`` / 2 of the side."""

    def attack(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        start = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
        inward = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        end = start + rng.random((4, 2)) * np.array([width, height]) * distance / 2 * inward
        rows = []
        for (x, y), (u, v) in zip(end, start, strict=True):  # Pillow wants output -> input
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        solution = np.linalg.solve(np.array(rows), start.ravel())
        moved = Image.fromarray(pixels).transform(
            (width, height), Image.Transform.PERSPECTIVE, tuple(solution), resample=_BICUBIC
        )
        return np.asarray(moved)

    return attack


def blur(sigma: float) -> Attack:
    """Gaussian blur."""
    return lambda pixels, _: np.asarray(
        np.rint(ndimage.gaussian_filter(pixels.astype(float), (sigma, sigma, 0))), np.uint8
    )


def median(size: int) -> Attack:
    """Median filter."""
    return lambda pixels, _: np.asarray(ndimage.median_filter(pixels, (size, size, 1)), np.uint8)


def noise(deviation: float) -> Attack:
    """Gaussian noise; deviation as a share of full scale."""
    return lambda pixels, rng: np.clip(pixels + rng.normal(0, deviation * 255, pixels.shape), 0, 255).astype(np.uint8)


def salt_and_pepper(share: float) -> Attack:
    """Black and white pixels."""

    def attack(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        out, draw = pixels.copy(), rng.random(pixels.shape[:2])
        out[draw < share / 2] = 0
        out[draw > 1 - share / 2] = 255
        return out

    return attack


def denoise(reach: int = 5, patch: int = 5, strength: float = 5.0) -> Attack:
    """Non-local means on luma patches (Buades, Coll and Morel, 2005), 11 x 11 search window."""

    def attack(pixels: Pixels, _: np.random.Generator) -> Pixels:
        source = pixels.astype(np.float32)
        luma = source @ np.array([0.299, 0.587, 0.114], np.float32)
        total, weights = source.copy(), np.ones(luma.shape, np.float32)
        for dy in range(reach + 1):
            for dx in range(-reach if dy else 1, reach + 1):
                distance = ndimage.uniform_filter((np.roll(luma, (dy, dx), (0, 1)) - luma) ** 2, patch)
                weight = np.exp(-distance / strength**2)
                back = np.roll(weight, (-dy, -dx), (0, 1))  # a pair of pixels weighs the same both ways
                total += weight[..., None] * np.roll(source, (dy, dx), (0, 1))
                total += back[..., None] * np.roll(source, (-dy, -dx), (0, 1))
                weights += weight + back
        return np.asarray(np.clip(np.rint(total / weights[..., None]), 0, 255), np.uint8)

    return attack


def enhance(kind: str, factor: float) -> Attack:
    """Pillow's Brightness, Contrast, Color or Sharpness."""
    return lambda pixels, _: np.asarray(getattr(ImageEnhance, kind)(Image.fromarray(pixels)).enhance(factor))


def gamma(power: float) -> Attack:
    """Gamma curve."""
    return lambda pixels, _: np.clip(np.rint(255 * (pixels / 255.0) ** power), 0, 255).astype(np.uint8)


def hue(turn: float) -> Attack:
    """Turn the hue by a share of the circle."""

    def attack(pixels: Pixels, _: np.random.Generator) -> Pixels:
        hsv = np.asarray(Image.fromarray(pixels).convert("HSV")).copy()
        hsv[..., 0] = (hsv[..., 0].astype(int) + round(turn * 256)) % 256
        return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))

    return attack


def grey(pixels: Pixels, _: np.random.Generator) -> Pixels:
    """Drop the colour."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def posterize(bits: int) -> Attack:
    """Keep the upper bits."""
    return lambda pixels, _: np.asarray(pixels >> (8 - bits) << (8 - bits), np.uint8)


def caption(pixels: Pixels, _: np.random.Generator) -> Pixels:
    """Two lines of text over the picture."""
    picture = Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=max(10, width / 16))
    draw.text((width * 0.04, height * 0.06), "BREAKING: overlaid caption", fill="white", font=font, stroke_width=1)
    draw.text((width * 0.04, height * 0.86), "@someone 12:34", fill="white", font=font, stroke_width=1)
    return np.asarray(picture)


def erase(area: float) -> Attack:
    """Grey out one rectangle."""

    def attack(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        out = pixels.copy()
        height, width = out.shape[:2]
        h, w = int(height * area**0.5), int(width * area**0.5)
        y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        out[y : y + h, x : x + w] = 127
        return out

    return attack


def collage(area: float) -> Attack:
    """Paste the picture, scaled down, somewhere on an unrelated canvas of its size."""

    def attack(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        small = resize(pixels, width * area**0.5, height * area**0.5)
        yy, xx = np.mgrid[:height, :width]
        canvas = np.stack([yy * 255 // height, xx * 255 // width, (yy + xx) * 255 // (height + width)], -1).astype(
            np.uint8
        )
        y = int(rng.integers(0, height - small.shape[0] + 1))
        x = int(rng.integers(0, width - small.shape[1] + 1))
        canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
        return canvas

    return attack


def chain(*attacks: Attack) -> Attack:
    """One after the other."""

    def attack(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        for step in attacks:
            pixels = step(pixels, rng)
        return pixels

    return attack


def picture_attacks() -> dict[str, Attack]:
    """The 45 attacks by name."""
    return {
        "none": lambda pixels, _: pixels,
        "jpeg90": codec("JPEG", 90),
        "jpeg70": codec("JPEG", 70),
        "jpeg50": codec("JPEG", 50),
        "jpeg30": codec("JPEG", 30),
        "webp50": codec("WEBP", 50),
        "avif50": codec("AVIF", 50),
        "blur1": blur(1),
        "blur2": blur(2),
        "median3": median(3),
        "median5": median(5),
        "noise.02": noise(0.02),
        "noise.05": noise(0.05),
        "saltpepper1%": salt_and_pepper(0.01),
        "sharpen2": enhance("Sharpness", 2),
        "denoise": denoise(),
        "bright.5": enhance("Brightness", 0.5),
        "bright1.5": enhance("Brightness", 1.5),
        "contrast.5": enhance("Contrast", 0.5),
        "contrast1.5": enhance("Contrast", 1.5),
        "gamma.7": gamma(0.7),
        "saturation.3": enhance("Color", 0.3),
        "hue.1": hue(0.1),
        "grey": grey,
        "posterize4": posterize(4),
        "resize.5": scale(0.5),
        "resize.5back": scale(0.5, True),
        "resize1.5": scale(1.5),
        "aspect.8": stretch(0.8, 1),
        "crop.9": crop(0.9),
        "crop.5": crop(0.5),
        "crop.25": crop(0.25),
        "crop.5back": crop(0.5, True),
        "rotate2": rotate(2),
        "rotate10": rotate(10),
        "rotate45": rotate(45),
        "rotate90": lambda pixels, _: np.ascontiguousarray(np.rot90(pixels)),
        "mirror": lambda pixels, _: np.ascontiguousarray(pixels[:, ::-1]),
        "perspective.2": perspective(0.2),
        "caption": caption,
        "erase.25": erase(0.25),
        "collage.5": collage(0.5),
        "screenshot": chain(scale(0.8), gamma(0.9), codec("JPEG", 75)),
        "social": chain(scale(0.7), codec("JPEG", 70), codec("JPEG", 80)),
        "combo": chain(crop(0.5), enhance("Brightness", 0.5), codec("JPEG", 50)),
    }
