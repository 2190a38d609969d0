"""What the symbol detector finds and takes for a symbol: the section ``symbols`` of benchmarks.media_safety.

1. Every second photograph sets the threshold; the others, and the pictures of other kinds, count false alarms.
2. Symbols are laid in colour on those other photographs, in sizes, turns and places drawn anew. A symbol is found where
   a find of its kind has its middle inside it. None of these pictures was trained on.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from PIL import Image as PilImage

from benchmarks.common import media_sets as sets
from benchmarks.common.places import SHARED
from benchmarks.media_safety import drawings
from gensafe.core.types import Image, Modality
from gensafe.safety.symbols import SymbolEngine, shared_engine
from gensafe.safety.symbols.engine import MIN_SCORES

LOW: Final = 0.5
SIZES: Final = (0.15, 0.25, 0.4, 0.7)  # of the photograph's shorter side: what the symbol spans
TURNS: Final = {0: (0.0, 22.5, 45.0), 1: (-10.0, 0.0, 10.0), 2: (0.0, 22.5, 45.0)}  # degrees; the runes stand upright
EACH: Final = 8  # photographs for each symbol, size and turn
CONTRAST: Final = 50.0  # least difference in brightness between a symbol and what lies under it, of 255


def symbols() -> dict[str, Any]:
    """The figures at the thresholds that are shipped."""
    engine = shared_engine()
    photos = sets.photographs(200)
    setting = [_highest(engine, p) for p in photos[::2]]
    figures: dict[str, Any] = {}
    for name, threshold, scores in zip(drawings.SYMBOLS, MIN_SCORES, zip(*setting, strict=True), strict=True):
        figures[f"{name}, threshold"] = threshold
        figures[f"{name}, highest score on the 100 photographs that set it"] = max(scores)
    others = {
        "the 100 other photographs": photos[1::2],
        "these at JPEG q50": [sets.jpeg(p, 50) for p in photos[1::2]],
        "large photographs": large_photographs(),
        "pictures of the generator's world": [i.pixels for i in sets.world_pictures(100, seed=9)],
        "pictures made by Symphony": list(made_pictures(30)),
    }
    for name, pictures in others.items():
        finds = [engine.find(p) for p in pictures]
        figures[f"false alarms on {name}"] = f"{sum(map(bool, finds))}/{len(finds)}"
    begin = time.process_time()
    for photo in photos[:20]:
        engine.find(photo)
    figures["CPU ms a photograph of 481 x 321"] = round(1000 * (time.process_time() - begin) / 20, 1)
    large = np.resize(photos[0], (3000, 4000, 3))
    begin = time.process_time()
    engine.find(large)
    figures["CPU ms a picture of 12 megapixels"] = round(1000 * (time.process_time() - begin), 1)
    return figures | _large(engine) | _recall(engine, photos[1::2])


def _large(engine: SymbolEngine) -> dict[str, str]:
    """Symbols of 15 and 25 % on the large photographs, looked for as the detector does and without shrinking first."""
    unshrunk = SymbolEngine(working_side=1_000_000)
    rng = np.random.default_rng(78)
    found: dict[str, list[bool]] = {"": [], ", without shrinking first": []}
    for photo in large_photographs():
        for kind in range(len(drawings.SYMBOLS)):
            for share in SIZES[:2]:
                picture, place = laid(photo, kind, share, 0.0, rng)
                for name, one in (("", engine), (", without shrinking first", unshrunk)):
                    found[name].append(_hit(one, picture, kind, place))
    return {f"on photographs above 1 MP{name}, found": f"{sum(hits)}/{len(hits)}" for name, hits in found.items()}


def _hit(engine: SymbolEngine, pixels: sets.Pixels, kind: int, place: tuple[float, float, float]) -> bool:
    x, y, span = place
    return any(
        s.kind == drawings.SYMBOLS[kind]
        and abs((s.box.left + s.box.right) / 2 - x) < span / 2
        and abs((s.box.top + s.box.bottom) / 2 - y) < span / 2
        for s in engine.find(pixels)
    )


def _highest(engine: SymbolEngine, pixels: sets.Pixels) -> list[float]:
    """For each kind of symbol the score of the surest find, 0 without one."""
    found = engine.find(pixels, (LOW,) * len(drawings.SYMBOLS))
    return [max((s.score for s in found if s.kind == name), default=0.0) for name in drawings.SYMBOLS]


def large_photographs() -> list[sets.Pixels]:
    """The eight photographs above one megapixel."""
    paths = sorted(p for p in (SHARED / "photos" / "large").iterdir() if p.suffix in (".jpg", ".png"))
    return [np.asarray(PilImage.open(io.BytesIO(p.read_bytes())).convert("RGB")) for p in paths]


def made_pictures(count: int) -> Iterable[sets.Pixels]:
    """Pictures by the shipped checkpoint to the gallery's prompts, with new seeds."""
    from benchmarks.symphony.prompts import PROMPTS, generate
    from gensafe.core.types import GenerationJob
    from gensafe_backends.symphony import plugin

    backend = plugin.create({})
    prompts = PROMPTS[Modality.IMAGE]
    for seed in range(count):
        draft, _ = generate(backend, GenerationJob(prompts[seed % len(prompts)], Modality.IMAGE, (), 100 + seed, 0))
        assert isinstance(draft.media, Image)
        yield draft.media.pixels


def laid(photo: sets.Pixels, kind: int, share: float, degrees: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """A symbol in a random colour somewhere on a photograph, two in five on a disc; its middle and span in pixels."""
    height, width = photo.shape[:2]
    span = share * min(height, width)
    side = round(span / 0.72)  # a mask's symbol fills about that much of it
    mask = drawings.symbol_mask(kind, rng).rotate(degrees, PilImage.Resampling.BICUBIC)
    weight = np.asarray(mask.resize((side, side), PilImage.Resampling.BOX), np.float32)[:, :, None] / 255
    top = int(rng.integers(0, max(1, height - side)))
    left = int(rng.integers(0, max(1, width - side)))
    out = photo.copy()
    part = out[top : top + side, left : left + side].astype(np.float32)
    weight = weight[: part.shape[0], : part.shape[1]]
    if rng.random() < 0.4:
        y, x = np.mgrid[: part.shape[0], : part.shape[1]]
        part[np.hypot(x - side / 2, y - side / 2) < side * 0.49] = rng.integers(0, 256, 3)
    grey = np.array([0.299, 0.587, 0.114])
    under = float((part @ grey)[weight[:, :, 0] > 0.3].mean())
    colour = rng.integers(0, 256, 3)
    while abs(float(colour @ grey) - under) < CONTRAST:
        colour = rng.integers(0, 256, 3)
    out[top : top + side, left : left + side] = np.round(part * (1 - weight) + colour * weight)
    return out, (left + side / 2, top + side / 2, span)


def _recall(engine: SymbolEngine, photos: list[sets.Pixels]) -> dict[str, str]:
    found: dict[str, list[bool]] = {}
    rng = np.random.default_rng(77)
    for kind, name in enumerate(drawings.SYMBOLS):
        for share in SIZES:
            for degrees in TURNS[kind]:
                for _ in range(EACH):
                    photo = photos[int(rng.integers(len(photos)))]
                    picture, place = laid(photo, kind, share, degrees, rng)
                    for change, pixels in (("", picture), (", JPEG q50", sets.jpeg(picture, 50))):
                        hit = _hit(engine, pixels, kind, place)
                        found.setdefault(f"{name}{change}, found", []).append(hit)
                        if not change:
                            found.setdefault(f"{name}, {share:.0%} of the shorter side, found", []).append(hit)
                            found.setdefault(f"{name}, turned by {degrees:g} degrees, found", []).append(hit)
    return {key: f"{sum(hits)}/{len(hits)}" for key, hits in sorted(found.items())}
