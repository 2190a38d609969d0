"""Media for the media-safety benchmark: photographs and clips from the shared data, strobes and ordinary outputs."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from benchmarks.common.places import SHARED
from gensafe.core.types import Audio, Image, Video
from gensafe.media import decode
from gensafe.media.shrink import resize
from gensafe_backends.symphony.world.render import render
from gensafe_backends.symphony.world.sample import sample_scene
from gensafe_backends.symphony.world.sound import render_sound, sample_sound

Pixels = NDArray[np.uint8]


def photographs(count: int) -> list[Pixels]:
    """The first ``count`` of the 200 BSDS500 test photographs (481 x 321)."""
    paths = sorted((SHARED / "photos" / "bsds500_test").glob("*.jpg"))[:count]
    return [np.asarray(PilImage.open(io.BytesIO(p.read_bytes())).convert("RGB")) for p in paths]


def named_photographs() -> Iterator[tuple[str, Pixels]]:
    """All 200 photographs with their file names (without the ending)."""
    for path in sorted((SHARED / "photos" / "bsds500_test").glob("*.jpg")):
        yield path.stem, np.asarray(PilImage.open(io.BytesIO(path.read_bytes())).convert("RGB"))


def voice_sets() -> dict[str, list[Audio]]:
    """Pieces of 3 s: read speech, spoken digits, music; and the generator's sounds, with and without spoken words."""
    found: dict[str, list[Audio]] = {"3 s of read speech": [], "3 s of spoken digits": [], "3 s of music": []}
    corpus = list(corpus_audio().items())
    for path in sorted((SHARED / "speech" / "librivox").glob("*.wav")):
        sound = decode(path.read_bytes())
        assert isinstance(sound, Audio)
        corpus.append((f"speech_{path.stem}", sound))
    for name, sound in corpus:
        length = 3 * sound.rate
        for start in range(0, min(sound.samples.shape[1], 60 * sound.rate) - length + 1, length):
            piece = Audio(sound.samples[:, start : start + length], sound.rate)
            found["3 s of read speech" if name.startswith("speech") else "3 s of music"].append(piece)
    digits = [decode(p.read_bytes()) for p in sorted((SHARED / "speech" / "digits").glob("*.wav"))[::4]]
    joined = np.concatenate([d.samples[0] for d in digits if isinstance(d, Audio)])
    rate = digits[0].rate if isinstance(digits[0], Audio) else 8000
    for start in range(0, joined.size - 3 * rate + 1, 3 * rate):
        found["3 s of spoken digits"].append(Audio(joined[None, start : start + 3 * rate], rate))
    rng = np.random.default_rng(2)
    for _ in range(80):
        described = sample_sound(rng)
        kind = "the generator's spoken words" if described.kind == "words" else "the generator's other sounds"
        found.setdefault(kind, []).append(Audio(render_sound(described)[None].astype(np.float32), 16_000))
    return found


def corpus_audio() -> dict[str, Audio]:
    """The read speech and music files."""
    found = {}
    for path in sorted((SHARED / "audio").glob("*.ogg")):
        sound = decode(path.read_bytes())
        assert isinstance(sound, Audio)
        found[path.stem] = sound
    return found


def real_clips() -> dict[str, Video]:
    """Camera and film footage that is not a flash test: one film excerpt and the clips of the C2PA fixtures."""
    paths = [SHARED / "video" / "bigbuckbunny.mp4"]
    paths += [SHARED / "c2pa" / "c2pa-rs" / name for name in ("video1_no_manifest.mp4", "test.avi")]
    found = {}
    for path in paths:
        if path.exists():
            video = decode(path.read_bytes())
            assert isinstance(video, Video)
            found[path.name] = video
    return found


def world_pictures(count: int, seed: int = 1) -> list[Image]:
    """Pictures of the generator's world, as its training renderer draws them (256 x 256)."""
    rng = np.random.default_rng(seed)
    return [Image(resize(render(sample_scene(rng)), 256, 256)) for _ in range(count)]


def world_sounds(count: int, seed: int = 2) -> list[Audio]:
    """Sounds of the generator's world: notes, telephone digits, beeps, spoken words (2 s, 16 kHz)."""
    rng = np.random.default_rng(seed)
    return [Audio(render_sound(sample_sound(rng))[None].astype(np.float32), 16_000) for _ in range(count)]


def world_clips(count: int, seed: int = 3) -> list[Video]:
    """One shape moving over plain ground, 16 frames of 128 x 128 at 8 per second, clicks on a silent track."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        ground, colour = rng.integers(0, 256, (2, 3))
        if np.abs(ground - colour).max() < 60:
            colour = 255 - ground
        frames = np.empty((16, 128, 128, 3), np.uint8)
        start, stop, size = rng.uniform(20, 108, 2), rng.uniform(20, 108, 2), int(rng.integers(8, 24))
        for i in range(16):
            x, y = start + (stop - start) * i / 15
            picture = PilImage.new("RGB", (128, 128), tuple(int(v) for v in ground))
            box = (x - size, y - size, x + size, y + size)
            draw = ImageDraw.Draw(picture)
            (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=tuple(int(v) for v in colour))
            frames[i] = np.asarray(picture)
        sound = np.zeros((1, 32_000), np.float32)
        for at in rng.integers(0, 31_000, int(rng.integers(1, 4))):
            sound[0, at : at + 160] = 0.8 * np.sin(np.arange(160) / 3) * np.hanning(160)
        found.append(Video(frames, 8.0, Audio(sound, 16_000)))
    return found


def strobe(hertz: float, low: tuple[int, ...], high: tuple[int, ...], share: float, fps: float = 30.0) -> Pixels:
    """Two seconds of a square-wave strobe over ``share`` of the screen, 96 x 54."""
    frames = np.empty((round(2 * fps), 54, 96, 3), np.uint8)
    frames[:] = low
    rows, columns = round(54 * share**0.5), round(96 * share**0.5)
    for i in range(len(frames)):
        if int(2 * hertz * i / fps + 1e-9) % 2:
            frames[i, :rows, :columns] = high
    return frames


def caption(pixels: Pixels, text: str, height: int, rng: np.random.Generator) -> Pixels:
    """White words with a thin black outline somewhere on a picture; ``height`` is the font size in pixels."""
    picture = PilImage.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(height)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    x = int(rng.integers(4, int(max(5, picture.width - (right - left) - 4))))
    y = int(rng.integers(4, int(max(5, picture.height - (bottom - top) - 8))))
    draw.text((x, y), text, font=font, fill="white", stroke_width=1, stroke_fill="black")
    return np.asarray(picture)


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Through JPEG."""
    out = io.BytesIO()
    PilImage.fromarray(pixels).save(out, "JPEG", quality=quality)
    return np.asarray(PilImage.open(out))


def scaled(pixels: Pixels, factor: float) -> Pixels:
    """Resized by ``factor``."""
    return resize(pixels, round(pixels.shape[0] * factor), round(pixels.shape[1] * factor))


def cropped(pixels: Pixels, share: float, place: tuple[float, float] = (0.5, 0.5)) -> Pixels:
    """``share`` of each side cut off; ``place`` 0..1 says where the window lies."""
    height, width = pixels.shape[:2]
    rows, columns = round(height * (1 - share)), round(width * (1 - share))
    top, left = round((height - rows) * place[0]), round((width - columns) * place[1])
    return np.ascontiguousarray(pixels[top : top + rows, left : left + columns])


def edges_cut(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Each axis shortened by up to ``share``, however it falls on the two edges."""
    slices = []
    for side in pixels.shape[:2]:
        total = float(rng.uniform(0, share))
        before = float(rng.uniform(0, total))
        slices.append(slice(round(before * side), side - round((total - before) * side)))
    return np.ascontiguousarray(pixels[slices[0], slices[1]])


def text_pages(count: int, seed: int = 4) -> list[Image]:
    """Pages of random words in black on white, 480 x 640: all alike from afar."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        picture = PilImage.new("RGB", (480, 640), "white")
        draw = ImageDraw.Draw(picture)
        for line in range(int(rng.integers(12, 26))):
            words = (
                "".join(rng.choice(list("etaoinshrdlu"), int(n))) for n in rng.integers(2, 9, int(rng.integers(3, 8)))
            )
            draw.text((30, 24 + 23 * line), " ".join(words), font=ImageFont.load_default(16), fill="black")
        found.append(Image(np.asarray(picture)))
    return found


def pairs(count: int, wanted: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """``wanted`` random pairs of different indices below ``count``."""
    for _ in range(wanted):
        a, b = rng.choice(count, 2, replace=False)
        yield int(a), int(b)
