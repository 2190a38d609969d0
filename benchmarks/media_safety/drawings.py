"""Drawings for the symbol detector: the three symbols it looks for, and what must not be taken for them.

Geometry only. The symbols are those that many countries' laws name as marks of National Socialist organisations: the
hooked cross, the double sig rune and the twelve-armed sun wheel. The hooked cross is drawn in both hands, because the
detector is to find either and leave the meaning (it is sacred to Hindus, Buddhists and Jains) to a person.
Backgrounds are made up, so that nothing here depends on photographs whose licence forbids it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 48  # pixels of a training window
FINE = 192  # pixels at which a shape is drawn
SYMBOLS = ("hooked cross", "double sig rune", "sun wheel")
Grey = NDArray[np.uint8]


def symbol_mask(kind: int, rng: np.random.Generator) -> Image.Image:
    """A symbol, white on black, FINE x FINE, upright, filling about 70 % of the square."""
    mask = Image.new("L", (FINE, FINE), 0)
    draw = ImageDraw.Draw(mask)
    middle, reach = FINE / 2, FINE * 0.33
    if kind == 0:
        _hooked_cross(draw, middle, reach, rng)
    elif kind == 1:
        _double_rune(draw, middle, reach, rng)
    else:
        _sun_wheel(draw, middle, reach, rng)
    return mask


def _hooked_cross(draw: ImageDraw.ImageDraw, middle: float, reach: float, rng: np.random.Generator) -> None:
    wide = max(6, round(FINE * rng.uniform(0.07, 0.15)))
    hook = reach * rng.uniform(0.75, 1.05)
    hand = 1 if rng.random() < 0.5 else -1
    half = wide / 2
    for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        tip = (middle + dx * reach, middle + dy * reach)
        _bar(draw, (middle, middle), tip, half)
        _bar(draw, tip, (tip[0] - hand * dy * hook, tip[1] + hand * dx * hook), half)


def _bar(draw: ImageDraw.ImageDraw, a: tuple[float, float], b: tuple[float, float], half: float) -> None:
    """A bar along an axis, square at its ends."""
    left, right = sorted((a[0], b[0]))
    top, bottom = sorted((a[1], b[1]))
    draw.rectangle((left - half, top - half, right + half, bottom + half), fill=255)


def _double_rune(draw: ImageDraw.ImageDraw, middle: float, reach: float, rng: np.random.Generator) -> None:
    wide = FINE * rng.uniform(0.06, 0.11)
    apart = FINE * rng.uniform(0.26, 0.36)
    slant, step = FINE * rng.uniform(0.02, 0.08), FINE * rng.uniform(0.12, 0.2)
    tall = reach * rng.uniform(1.0, 1.2)
    for side in (-apart / 2, apart / 2):
        x = middle + side
        points = [
            (x + slant + step / 2, middle - tall),
            (x - step / 2, middle + tall * 0.12),
            (x + step / 2, middle - tall * 0.12),
            (x - slant - step / 2, middle + tall),
        ]
        draw.line(points, fill=255, width=round(wide), joint="curve")


def _sun_wheel(draw: ImageDraw.ImageDraw, middle: float, reach: float, rng: np.random.Generator) -> None:
    wide = max(5, round(FINE * rng.uniform(0.035, 0.06)))
    hand = 1 if rng.random() < 0.5 else -1
    outer, inner = reach * 1.15, reach * rng.uniform(0.3, 0.42)
    draw.ellipse((middle - outer, middle - outer, middle + outer, middle + outer), outline=255, width=wide)
    draw.ellipse((middle - inner, middle - inner, middle + inner, middle + inner), outline=255, width=wide)
    bend = inner + (outer - inner) * rng.uniform(0.5, 0.75)
    step = hand * 2 * np.pi / 12 * rng.uniform(0.45, 0.7)  # each arm jumps aside, short of the next one
    back = (outer - inner) * rng.uniform(0.0, 0.2)  # and somewhat inwards, as the stroke of a sig rune does
    for arm in range(12):
        angle = 2 * np.pi * arm / 12
        turn = angle + step
        points = [
            (middle + inner * np.cos(angle), middle + inner * np.sin(angle)),
            (middle + bend * np.cos(angle), middle + bend * np.sin(angle)),
            (middle + (bend - back) * np.cos(turn), middle + (bend - back) * np.sin(turn)),
            (middle + outer * np.cos(turn), middle + outer * np.sin(turn)),
        ]
        draw.line(points, fill=255, width=wide)


def decoy_mask(rng: np.random.Generator) -> Image.Image:
    """Something with like strokes that is none of them: crosses, letters, keys, pinwheels, wheels, bolts, lattices."""
    mask = Image.new("L", (FINE, FINE), 0)
    draw = ImageDraw.Draw(mask)
    middle, reach = FINE / 2, FINE * rng.uniform(0.25, 0.42)
    wide = max(5, round(FINE * rng.uniform(0.04, 0.15)))
    kind = int(rng.integers(14))
    if kind == 0:  # plain and tailed crosses
        for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            _bar(draw, (middle, middle), (middle + dx * reach, middle + dy * reach), wide / 2)
    elif kind == 1:  # letters and digits, the pairs SS and 55 and ZZ among them
        words = ("SS", "ZZ", "55", "S", "N", "H", "X", "+", "#", "E", "LL", "FF", "Z", "K", "88", "22", "YY", "TT")
        size = int(FINE * rng.uniform(0.35, 0.8))
        draw.text((middle, middle), str(rng.choice(words)), font=ImageFont.load_default(size), fill=255, anchor="mm")
    elif kind == 2:  # a hooked cross with one or two arms lacking, or unhooked
        hand = 1 if rng.random() < 0.5 else -1
        skip = set(rng.choice(4, int(rng.integers(1, 4)), replace=False).tolist())
        for index, (dx, dy) in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1))):
            tip = (middle + dx * reach, middle + dy * reach)
            if index not in skip or rng.random() < 0.5:
                _bar(draw, (middle, middle), tip, wide / 2)
            if index not in skip:
                _bar(draw, tip, (tip[0] - hand * dy * reach, tip[1] + hand * dx * reach), wide / 2)
    elif kind == 3:  # Greek key
        step = FINE / rng.integers(4, 8)
        for x in np.arange(-step, FINE, 2 * step):
            at = middle - step
            line = [
                (x, at + 2 * step),
                (x, at),
                (x + 1.5 * step, at),
                (x + 1.5 * step, at + 1.3 * step),
                (x + 0.7 * step, at + 1.3 * step),
            ]
            draw.line(line, fill=255, width=wide)
    elif kind == 4:  # wheel with straight spokes, with and without a hub
        spokes = int(rng.integers(3, 17))
        for arm in range(spokes):
            angle = 2 * np.pi * arm / spokes
            tip = (middle + reach * np.cos(angle), middle + reach * np.sin(angle))
            draw.line((middle, middle, *tip), fill=255, width=wide // 2 + 2)
        for radius in (reach, *([reach * rng.uniform(0.2, 0.5)] if rng.random() < 0.6 else [])):
            ring = (middle - radius, middle - radius, middle + radius, middle + radius)
            draw.ellipse(ring, outline=255, width=wide // 2 + 2)
    elif kind == 5:  # lattice, window, fence
        for x in np.arange(0, FINE, FINE / rng.integers(2, 6)):
            draw.line((x, 0, x, FINE), fill=255, width=wide // 2 + 2)
            if rng.random() < 0.8:
                draw.line((0, x, FINE, x), fill=255, width=wide // 2 + 2)
    elif kind == 6:  # one bolt
        draw.line(
            [
                (middle + 20, middle - reach),
                (middle - 14, middle + 8),
                (middle + 14, middle - 8),
                (middle - 20, middle + reach),
            ],
            fill=255,
            width=wide,
        )
    elif kind == 7:  # pinwheel, three or five bent arms
        arms = int(rng.choice([3, 5, 6]))
        for arm in range(arms):
            angle = 2 * np.pi * arm / arms
            tip = (middle + reach * np.cos(angle), middle + reach * np.sin(angle))
            end = (tip[0] - reach * 0.8 * np.sin(angle), tip[1] + reach * 0.8 * np.cos(angle))
            draw.line([(middle, middle), tip, end], fill=255, width=wide)
    elif kind == 8:  # star
        points = [
            (middle + r * np.cos(a), middle + r * np.sin(a))
            for a, r in zip(np.arange(10) * np.pi / 5, [reach, reach * 0.4] * 5, strict=True)
        ]
        draw.polygon(points, fill=255)
    elif kind == 9:  # rings and targets
        for share in np.linspace(0.2, 1, int(rng.integers(1, 5))):
            draw.ellipse(
                (middle - reach * share, middle - reach * share, middle + reach * share, middle + reach * share),
                outline=255,
                width=wide // 2 + 2,
            )
        if rng.random() < 0.5:
            draw.line((middle - reach, middle, middle + reach, middle), fill=255, width=wide // 2 + 2)
            draw.line((middle, middle - reach, middle, middle + reach), fill=255, width=wide // 2 + 2)
    elif kind == 10:  # crooked strokes
        corners = rng.uniform(0.1 * FINE, 0.9 * FINE, (int(rng.integers(3, 8)), 2))
        draw.line([(float(x), float(y)) for x, y in corners], fill=255, width=wide)
    elif kind == 11:  # angles and brackets
        for _ in range(int(rng.integers(1, 5))):
            x, y = rng.uniform(0.1 * FINE, 0.9 * FINE, 2)
            a, b = rng.uniform(-reach, reach, 2)
            draw.line([(x + a, y), (x, y), (x, y + b)], fill=255, width=wide)
    elif kind == 12:  # two slanted strokes side by side
        slant, apart = rng.uniform(-60, 60), rng.uniform(30, 70)
        for side in (-apart / 2, apart / 2):
            draw.line(
                (middle + side + slant, middle - reach, middle + side - slant, middle + reach), fill=255, width=wide
            )
    else:  # bricks
        step = FINE / rng.integers(3, 7)
        for row, y in enumerate(np.arange(0, FINE, step)):
            draw.line((0, y, FINE, y), fill=255, width=wide // 3 + 2)
            for x in np.arange((row % 2) * step, FINE, 2 * step):
                draw.line((x, y, x, y + step), fill=255, width=wide // 3 + 2)
    return mask


def texture(side: int, rng: np.random.Generator) -> Grey:
    """A made-up ground: cloud noise of some roughness, ramps, edges, stripes, leaves."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) + 1 / side
    spectrum = rng.standard_normal((side, side // 2 + 1)) + 1j * rng.standard_normal((side, side // 2 + 1))
    field = np.fft.irfft2(spectrum / frequency ** rng.uniform(0.6, 2.2), (side, side))
    field = field / (field.std() + 1e-9) * rng.uniform(5, 55) + rng.uniform(50, 205)
    picture = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(0, 9))):
        points = [tuple(p) for p in rng.uniform(-0.2 * side, 1.2 * side, (int(rng.integers(2, 6)), 2))]
        level = int(rng.integers(0, 256))
        if rng.random() < 0.5 and len(points) > 2:
            draw.polygon(points, fill=level)
        else:
            draw.line(points, fill=level, width=int(rng.integers(1, max(2, side // 8))))
    if rng.random() < 0.2:
        period, angle = rng.uniform(3, side / 3), rng.uniform(0, np.pi)
        y, x = np.mgrid[:side, :side]
        waves = np.sign(np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)) * rng.uniform(10, 60)
        picture = Image.fromarray(np.clip(np.asarray(picture, np.float32) + waves, 0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(float(rng.choice([0, 0.5, 1.0])))))


def pasted(ground: Grey, mask: Image.Image, size: float, rng: np.random.Generator, upright: bool) -> Grey:
    """Lay a mask of ``size`` pixels on the middle of ``ground``: turned, sheared, in a colour that stands out."""
    side = ground.shape[0]
    degrees = float(rng.uniform(-15, 15)) if upright else float(rng.choice([0, 45]) + rng.uniform(-20, 20))
    turned = mask.rotate(degrees, Image.Resampling.BILINEAR)
    shear = rng.uniform(-0.15, 0.15, 2)
    stretch = rng.uniform(0.85, 1.18)
    scale = FINE / size
    matrix = np.array([[scale * stretch, scale * shear[0]], [scale * shear[1], scale / stretch]])
    offset = np.array([FINE / 2, FINE / 2]) - matrix @ (np.array([side / 2, side / 2]) + rng.uniform(-4, 4, 2))
    affine = (matrix[0, 0], matrix[0, 1], offset[0], matrix[1, 0], matrix[1, 1], offset[1])
    soft = turned.filter(ImageFilter.GaussianBlur(scale / 2))
    laid = np.asarray(
        soft.transform((side, side), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR), np.float32
    )
    weight = laid / 255 * rng.uniform(0.75, 1.0)
    ground = ground.astype(np.float32)
    if rng.random() < 0.4:  # on a disc or a field of its own
        y, x = np.mgrid[:side, :side]
        far = (
            np.maximum(abs(x - side / 2), abs(y - side / 2))
            if rng.random() < 0.4
            else np.hypot(x - side / 2, y - side / 2)
        )
        ground = np.where(far < size * rng.uniform(0.45, 0.6), rng.uniform(0, 255), ground)
    under = float(ground[weight > 0.3].mean()) if (weight > 0.3).any() else 128.0
    level = under + rng.uniform(50, 200) * (1 if rng.random() < 0.5 else -1)
    if not 0 <= level <= 255:
        level = 2 * under - level
    out = ground * (1 - weight) + np.clip(level, 0, 255) * weight
    out = out * rng.uniform(0.6, 1.1) + rng.uniform(-10, 30) + rng.normal(0, rng.uniform(0, 8), out.shape)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def window(rng: np.random.Generator) -> tuple[Grey, int]:
    """One training window and its class: 0 = nothing, else 1 + index in SYMBOLS."""
    ground = texture(SIDE, rng)
    chance = rng.random()
    if chance < 0.45:
        kind = int(rng.integers(3))
        return pasted(ground, symbol_mask(kind, rng), SIDE * rng.uniform(0.92, 1.35), rng, kind == 1), kind + 1
    if chance < 0.8:
        return pasted(ground, decoy_mask(rng), SIDE * rng.uniform(0.6, 2.2), rng, False), 0
    return ground, 0


def scene(side: int, rng: np.random.Generator) -> Grey:
    """A larger picture without any of the symbols: textures and decoys at all sizes, for mining hard negatives."""
    picture = texture(side, rng).copy()
    for _ in range(int(rng.integers(2, 10))):
        part = int(rng.integers(24, side // 2))
        top, left = rng.integers(0, side - part, 2)
        patch = np.ascontiguousarray(picture[top : top + part, left : left + part])
        picture[top : top + part, left : left + part] = pasted(
            patch, decoy_mask(rng), part * rng.uniform(0.7, 1.5), rng, False
        )
    return picture
