"""What films go through: 19 attacks, each a function of (frames uint8 (n, H, W, 3), fps, generator) -> frames."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.watermark.image import attacks as pictures

Frames = NDArray[np.uint8]
FilmAttack = Callable[[Frames, float, np.random.Generator], Frames]
_QUIET = {"libx265": {"x265-params": "log-level=none"}}


def encode(name: str, crf: int, container: str = "mp4", **options: str) -> FilmAttack:
    """Encode and decode with constant quality; odd sizes lose their last row or column (4:2:0)."""

    def attack(frames: Frames, fps: float, _: np.random.Generator) -> Frames:
        height, width = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2
        data = io.BytesIO()
        with av.open(data, "w", container) as out:
            stream = out.add_stream(name, rate=max(1, round(fps)))
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            stream.options = {"crf": str(crf), **_QUIET.get(name, {}), **options}
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), "rgb24")
                out.mux(stream.encode(picture))
            out.mux(stream.encode())
        data.seek(0)
        with av.open(data, "r") as source:
            shown = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
        return np.stack(shown).astype(np.uint8, copy=False)

    return attack


def each(attack: pictures.Attack) -> FilmAttack:
    """One picture attack with the same draw on every frame."""

    def film(frames: Frames, _: float, rng: np.random.Generator) -> Frames:
        seed = int(rng.integers(1 << 30))
        return np.stack([attack(frame, np.random.default_rng(seed)) for frame in frames])

    return film


def chain(*attacks: FilmAttack) -> FilmAttack:
    """One after the other."""

    def film(frames: Frames, fps: float, rng: np.random.Generator) -> Frames:
        for attack in attacks:
            frames = attack(frames, fps, rng)
        return frames

    return film


def _average(frames: Frames, _: float, __: np.random.Generator) -> Frames:
    return np.stack([frames[max(0, i - 1) : i + 2].mean(0) for i in range(len(frames))]).astype(np.uint8)


def _trim(frames: Frames, fps: float, _: np.random.Generator) -> Frames:
    start = len(frames) // 3
    return frames[start : start + max(4, int(fps))]


def film_attacks() -> dict[str, FilmAttack]:
    """The 19 attacks by name."""
    h264, brightness = partial(encode, "libx264"), pictures.enhance("Brightness", 0.5)
    vp9 = encode("libvpx-vp9", 40, "webm", **{"b": "0", "cpu-used": "5"})
    return {
        "none": lambda frames, _, __: frames,
        "h264 crf23": h264(23),
        "h264 crf30": h264(30),
        "h264 crf40": h264(40),
        "h265 crf28": encode("libx265", 28, preset="fast"),
        "h265 crf35": encode("libx265", 35, preset="fast"),
        "vp9 crf40": vp9,
        "av1 crf45": encode("libsvtav1", 45, preset="10"),
        "half size, h264 crf23": chain(each(pictures.scale(0.5)), h264(23)),
        "crop .5, h264 crf23": chain(each(pictures.crop(0.5)), h264(23)),
        "rotate 5, h264 crf23": chain(each(pictures.rotate(5)), h264(23)),
        "mirror": each(lambda pixels, _: np.ascontiguousarray(pixels[:, ::-1])),
        "bright .5, h264 crf23": chain(each(brightness), h264(23)),
        "combo: crop .71, bright .5, h264 crf30": chain(each(pictures.crop(0.71**2)), each(brightness), h264(30)),
        "half the frames, h264 crf23": chain(lambda frames, _, __: frames[::2], h264(23)),
        "drop 20 %": lambda frames, _, rng: frames[rng.random(len(frames)) > 0.2],
        "average 3 frames": _average,
        "trim to 1 s": _trim,
        "two generations: h264 crf28, vp9 crf40": chain(h264(28), vp9),
    }


def mid_shot_attacks() -> dict[str, FilmAttack]:
    """Beyond the list: only the second half is kept, so that the coder begins in the middle of a shot."""

    def second_half(frames: Frames, _: float, __: np.random.Generator) -> Frames:
        return frames[len(frames) // 2 :]

    return {
        "second half, h264 crf30": chain(second_half, encode("libx264", 30)),
        "second half, h264 crf40": chain(second_half, encode("libx264", 40)),
        "second half, h265 crf35": chain(second_half, encode("libx265", 35, preset="fast")),
    }
