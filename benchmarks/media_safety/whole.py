"""Sections ``likeness``, ``fingerprints``, ``ordinary`` and ``cost`` of benchmarks.media_safety: all kinds of media."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common import media_sets as sets
from benchmarks.media_safety.labels import FACES, LARGE
from gensafe.core.types import Audio, Image, Media, Stage, Video
from gensafe.media import decode, encode
from gensafe.media.fingerprint import MATCH_THRESHOLD, fingerprint, similarity
from gensafe.safety.faces import shared_engine as shared_faces
from gensafe.safety.policy import load_policy
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.signals.voice import speech_seconds

Figures = dict[str, Any]


def likeness() -> Figures:
    """Faces on the photographs against labels made by eye; voices in 3 s pieces of speech, music and other sounds."""
    engine = shared_faces()
    seen = {name: bool(engine.find(photo)) for name, photo in sets.named_photographs()}
    without = [name for name in seen if name not in FACES]
    figures: Figures = {
        "photographs with a face, found": f"{sum(seen[n] for n in FACES)}/{len(FACES)}",
        "of these with a large one, found": f"{sum(seen[n] for n in LARGE)}/{len(LARGE)}",
        "photographs without a face, said to have one": f"{sum(seen[n] for n in without)}/{len(without)}",
    }
    for name, sounds in sets.voice_sets().items():
        heard = [any(s.speech for s in speech_seconds(sound.samples.mean(axis=0), sound.rate)) for sound in sounds]
        figures[f"a voice heard in {name}"] = f"{sum(heard)}/{len(heard)}"
    return figures


def fingerprints() -> Figures:
    """Copies against the threshold, and pairs of different media against it."""
    rng = np.random.default_rng(0)
    figures: Figures = {}

    def measure(name: str, items: list[Media], changes: dict[str, Callable[[Any], Media]]) -> None:
        threshold = MATCH_THRESHOLD[items[0].modality]
        known = [fingerprint(item) for item in items]
        for change, apply in changes.items():
            scores = [similarity(k, fingerprint(apply(item))) for k, item in zip(known, items, strict=True)]
            figures[f"{name}, {change}: match"] = round(float(np.mean(np.array(scores) >= threshold)), 4)
        other = [similarity(known[a], known[b]) for a, b in sets.pairs(len(items), 300, rng)]
        figures[f"{name}, different: match"] = round(float(np.mean(np.array(other) >= threshold)), 4)

    picture: dict[str, Callable[[Any], Media]] = {
        "jpeg q70": lambda m: Image(sets.jpeg(m.pixels, 70)),
        "scale 0.75": lambda m: Image(sets.scaled(m.pixels, 0.75)),
        "centre crop 10 %": lambda m: Image(sets.cropped(m.pixels, 0.1)),
    }
    measure("photographs", [Image(p) for p in sets.photographs(40)], picture)
    measure("generator's pictures", list(sets.world_pictures(40)), picture)
    mp3: dict[str, Callable[[Any], Media]] = {
        "mp3 128k": lambda m: decode(encode(m, "audio/mpeg", quality=128)),
        "opus 32k": lambda m: decode(encode(m, "audio/ogg", quality=32)),
        "first 0.3 s cut": lambda m: Audio(np.ascontiguousarray(m.samples[:, round(0.3 * m.rate) :]), m.rate),
    }
    measure("generator's sounds", list(sets.world_sounds(24)), mp3)
    parts = [
        Audio(np.ascontiguousarray(s.samples[:, k * s.rate : (k + 4) * s.rate]), s.rate)
        for s in sets.corpus_audio().values()
        for k in range(0, 12, 4)
        if (k + 4) * s.rate <= s.samples.shape[1]
    ]
    measure("music and speech, 4 s", list(parts), mp3)
    h264: dict[str, Callable[[Any], Media]] = {
        "h264 crf 28": lambda m: decode(encode(m, "video/mp4; codecs=avc1", quality=28)),
        "first 0.5 s cut": lambda m: Video(m.frames[4:], m.fps),
    }
    measure("moving shapes", list(sets.world_clips(16)), h264)
    return figures


def ordinary() -> Figures:
    """What the default policy does with ordinary outputs of the generator's world."""
    runner = SafetyRunner.from_policy(load_policy(), timeout_s=600.0)
    figures: Figures = {}
    for name, items in (
        ("pictures", sets.world_pictures(30)),
        ("sounds", sets.world_sounds(20)),
        ("clips", sets.world_clips(10)),
    ):
        verdicts = [runner.judge(item, Stage.OUTPUT) for item in items]
        figures[f"{name} held or blocked"] = f"{sum(not v.releasable for v in verdicts)}/{len(items)}"
    photos = [runner.judge(Image(p), Stage.OUTPUT) for p in sets.photographs(10)]
    figures["photographs held or blocked"] = f"{sum(not v.releasable for v in photos)}/{len(photos)}"
    return figures


def cost() -> Figures:
    """CPU time of each classifier."""
    from gensafe.core import plugins

    def spend(name: str, item: Media, repeat: int = 1) -> float:
        classifier = plugins.load("gensafe.classifiers", name, {})
        classifier.assess(item, Stage.OUTPUT)
        begin = time.process_time()
        for _ in range(repeat):
            classifier.assess(item, Stage.OUTPUT)
        return (time.process_time() - begin) / repeat

    picture = sets.world_pictures(1)[0]
    photo = Image(sets.photographs(1)[0])
    sound = sets.world_sounds(1)[0]
    clip = sets.world_clips(1)[0]
    film = next(iter(sets.real_clips().values()))
    long = Video(np.concatenate([film.frames, film.frames[::-1]])[:250], film.fps)
    figures: Figures = {}
    for name in ("image_signal", "image_hashlist", "image_text", "image_likeness", "image_symbols"):
        figures[f"{name}, 256 x 256, CPU ms"] = round(1000 * spend(name, picture), 1)
        megapixels = photo.pixels.shape[0] * photo.pixels.shape[1] / 1e6
        figures[f"{name}, CPU ms a megapixel"] = round(1000 * spend(name, photo) / megapixels, 1)
    for name in ("audio_signal", "audio_text", "audio_likeness", "audio_hashlist"):
        figures[f"{name}, CPU ms a second of sound"] = round(1000 * spend(name, sound) / 2, 1)
    total = 0.0
    for name in ("video_signal", "video_frames"):
        figures[f"{name}, 2 s of 128 x 128, CPU ms"] = round(1000 * spend(name, clip), 1)
        seconds = spend(name, long, 1)
        figures[f"{name}, 10 s of 720p, CPU s"] = round(seconds, 2)
        total += seconds
    figures["10 s of 720p, all checks, CPU s"] = round(total, 2)
    runner = SafetyRunner.from_policy(load_policy(), timeout_s=600.0)
    runner.judge(clip, Stage.OUTPUT)
    begin, spent = time.monotonic(), time.process_time()
    verdict = runner.judge(long, Stage.OUTPUT)
    spent, wall = time.process_time() - spent, time.monotonic() - begin
    assert not verdict.errors, verdict.errors
    figures["10 s of 720p under the default policy, CPU s"] = round(spent, 2)
    figures["10 s of 720p under the default policy, wall s"] = round(wall, 2)
    figures["cores it had the use of meanwhile"] = round(spent / wall, 2)
    return figures
