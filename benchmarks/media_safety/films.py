"""Sections ``flash``, ``insertions`` and ``clip_lists`` of benchmarks.media_safety: films."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import media_sets as sets
from benchmarks.common.places import SHARED
from gensafe.core.types import Media, Video
from gensafe.media import decode, encode
from gensafe.media.shrink import shrink
from gensafe.safety.classifiers.video_hashlist import STEP_S, VideoHashlist, frame_hashes
from gensafe.safety.signals.flash import HEIGHT, WIDTH, FlashResult, flash_report
from gensafe.safety.signals.hashlist import ListEntry
from gensafe.safety.signals.subliminal import find_insertions

Figures = dict[str, Any]
Frames = NDArray[np.uint8]


def flash() -> Figures:
    """IRIS's logs frame by frame, then a matrix of strobes with the verdict the rules prescribe."""
    columns: dict[str, Callable[[Any, int], int]] = {
        "LuminanceTransitions": lambda r, i: r.luminance[i].transitions,
        "RedTransitions": lambda r, i: r.red[i].transitions,
        "LuminanceExtendedFailCount": lambda r, i: r.luminance[i].extended,
        "RedExtendedFailCount": lambda r, i: r.red[i].extended,
        "FlashLuminanceFailedFrame": lambda r, i: int(r.luminance[i].result),
        "FlashRedFailedFrame": lambda r, i: int(r.red[i].result),
    }
    compared = differing = videos = 0
    for log in sorted((SHARED / "flash" / "ExpectedVideoLogFiles").glob("*.csv")):
        rows = list(csv.DictReader(log.read_text(encoding="utf-8-sig").splitlines()))
        name = log.stem.removesuffix("_RELATIVE")
        video = decode((SHARED / "flash" / "TestVideos" / f"{name}.mp4").read_bytes())
        assert isinstance(video, Video)
        report = flash_report(shrink(video.frames, HEIGHT, WIDTH), video.fps)
        wrong = 0
        for column in columns.keys() & rows[0].keys():
            for i, row in enumerate(rows):
                compared += 1
                wrong += int(float(row[column])) != columns[column](report, i)
        differing += wrong
        videos += wrong == 0
    colours = {
        "black-white": ((0,) * 3, (255,) * 3),
        "red": ((80, 110, 110), (255, 0, 0)),
        "grey": ((20,) * 3, (160,) * 3),
    }
    faint = {"step below 0.1": ((215,) * 3, (226,) * 3), "both above 0.8": ((240,) * 3, (255,) * 3)}
    wrong_verdicts = cases = 0
    for hertz, share, (low, high) in itertools.product(
        (1, 2, 3, 4, 5, 7.5, 10, 15), (1, 0.25, 0.1, 0.02), colours.values()
    ):
        found = flash_report(sets.strobe(hertz, low, high, share), 30.0).worst()
        cases += 1
        wrong_verdicts += (found is FlashResult.FAIL) != (hertz >= 4 and share >= 0.1)
    for hertz, (low, high) in itertools.product((4, 10, 15), faint.values()):
        cases += 1
        wrong_verdicts += flash_report(sets.strobe(hertz, low, high, 1), 30.0).worst() is not FlashResult.PASS
    return {
        "iris videos agreeing on every frame": f"{videos}/8",
        "iris values compared": compared,
        "iris values differing": differing,
        "strobe matrix cases": cases,
        "strobe matrix wrong verdicts": wrong_verdicts,
    }


def insertions() -> Figures:
    """Photographs inserted for one to three frames into real clips; false hits on the clips and on variants of them."""
    found = total = false = varied = 0
    seconds = varied_seconds = 0.0
    photos = sets.photographs(12)
    for name, video in sets.real_clips().items():
        small = shrink(video.frames, HEIGHT, WIDTH)
        false += len(find_insertions(small, video.fps))
        seconds += len(small) / video.fps
        for frames in _variants(video.frames):
            varied += len(find_insertions(shrink(frames, HEIGHT, WIDTH), video.fps))
            varied_seconds += len(frames) / video.fps
        rng = np.random.default_rng(len(name))
        for length, photo in itertools.product((1, 2, 3), photos):
            at = int(rng.integers(1, len(small) - length - 1))
            changed = small.copy()
            changed[at : at + length] = shrink(photo[None], HEIGHT, WIDTH)
            hits = {(i.start, i.length) for i in find_insertions(changed, video.fps)}
            total += 1
            found += (at, length) in hits
    return {
        "insertions found at their index": f"{found}/{total}",
        "false hits": false,
        "seconds of real clips": round(seconds, 1),
        "false hits on variants of them": varied,
        "minutes of variants": round(varied_seconds / 60, 1),
    }


def _variants(frames: Frames) -> Iterator[Frames]:
    """Sixteen other films of the same footage: each quarter of the screen and the whole, at other speeds and lights."""
    height, width = frames.shape[1:3]
    rows, columns = slice(height // 2), slice(width // 2)
    lower, right = slice(height // 2, None), slice(width // 2, None)
    views = [frames[:, a, b] for a, b in itertools.product((rows, lower), (columns, right))]
    for view in [frames, *views]:
        yield view[::-1]  # backwards
        yield view[::2]  # twice as fast
        yield view // 2 + 100  # washed out
    yield np.repeat(frames, 2, axis=0)  # half as fast: every second step is nothing, which lowers the median


def clip_lists() -> Figures:
    """Three-second pieces of the real clips listed, looked up after each change; finds of another film are false."""
    pieces = [
        (name, start, Video(video.frames[start : start + round(3 * video.fps)], video.fps))
        for name, video in sets.real_clips().items()
        for start in range(0, max(1, len(video.frames) - round(3 * video.fps) + 1), round(3 * video.fps))
    ]
    listed = [
        [ListEntry(digest, "lst", f"{name} {start}") for digest in frame_hashes(clip)] for name, start, clip in pieces
    ]
    classifier = VideoHashlist(listed)
    changes: dict[str, Callable[[Video], Video]] = {
        "as it is": lambda v: v,
        "h264 crf 35": lambda v: _video(decode(encode(v, "video/mp4; codecs=avc1", quality=35))),
        "half the size": lambda v: _each(v, lambda f: sets.scaled(f, 0.5)),
        "mirrored": lambda v: Video(np.ascontiguousarray(v.frames[:, :, ::-1]), v.fps),
        "crop 5 %": lambda v: _each(v, lambda f: sets.cropped(f, 0.05)),
        "crop 10 %": lambda v: _each(v, lambda f: sets.cropped(f, 0.1)),
        "a logo of 1/10 of each side in a corner": lambda v: _each(v, lambda f: _logo(f, 10)),
        "a logo of 1/5 of each side in a corner": lambda v: _each(v, lambda f: _logo(f, 5)),
        "1.25 times as fast": lambda v: Video(v.frames, v.fps * 1.25),
        "0.8 times as fast": lambda v: Video(v.frames, v.fps * 0.8),
        "the first 0.5 s cut": lambda v: Video(v.frames[round(v.fps / 2) :], v.fps),
        "between two seconds of noise": _between_noise,
    }
    figures: Figures = {"pieces listed": len(pieces), "frames listed": sum(map(len, listed))}
    same_film = other_film = 0
    for change, apply in changes.items():
        found = 0
        for name, start, clip in pieces:
            labels = {finding.detail.split(" frames of ", 1)[1] for finding in classifier.look_up(apply(clip))}
            found += f"{name} {start}" in labels
            others = labels - {f"{name} {start}"}
            same_film += sum(other.rsplit(" ", 1)[0] == name for other in others)
            other_film += sum(other.rsplit(" ", 1)[0] != name for other in others)
        figures[f"found: {change}"] = f"{found}/{len(pieces)}"
    figures["finds of another piece of the same film"] = same_film
    figures["finds of another film"] = other_film
    return figures


def _video(media: Media) -> Video:
    assert isinstance(media, Video)
    return media


def _each(video: Video, change: Callable[[sets.Pixels], sets.Pixels]) -> Video:
    """Change the frames that are looked at, four a second; those between them are never hashed and stay out."""
    looked_at = np.unique((np.arange(0, len(video.frames) / video.fps, STEP_S) * video.fps).astype(int))
    return Video(np.stack([change(video.frames[i]) for i in looked_at]), 1 / STEP_S)


def _logo(frame: sets.Pixels, part: int) -> sets.Pixels:
    out = frame.copy()
    tall, wide = frame.shape[0] // part, frame.shape[1] // part
    out[:tall, -wide:] = (230, 40, 40)
    out[tall // 4 : tall // 2, -wide * 3 // 4 : -wide // 4] = 255
    return out


def _between_noise(video: Video) -> Video:
    shape = (round(2 * video.fps), *video.frames.shape[1:])
    noise = np.random.default_rng(0).integers(0, 256, (1, *shape[1:]), dtype=np.uint8)
    around = np.broadcast_to(noise, shape)
    return Video(np.concatenate([around, video.frames, around]), video.fps)
