"""What the image, audio and video safety checks find, what they miss, what they cost.

Usage: python -m benchmarks.media_safety [SECTION ...]    (all without arguments; needs the shared data folder)

Prints a table and merges the sections that ran into benchmarks/results/media_safety.json; ``--cards`` copies the
figures from there into the cards of the classifiers.
"""

from __future__ import annotations

import csv
import itertools
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import media_sets as sets
from benchmarks.media_labels import FACES, LARGE
from benchmarks.media_reference import reference_loudness
from benchmarks.media_symbols import symbols
from gensafe.core.types import Audio, Image, Media, Stage, Video
from gensafe.media import decode, encode
from gensafe.media.fingerprint import MATCH_THRESHOLD, fingerprint, similarity
from gensafe.media.shrink import shrink
from gensafe.safety.classifiers.image_hashlist import ImageHashlist
from gensafe.safety.faces import shared_engine as shared_faces
from gensafe.safety.ocr import shared_engine
from gensafe.safety.signals.audio_print import PrintEntry, PrintIndex, audio_print
from gensafe.safety.signals.flash import HEIGHT, WIDTH, FlashResult, flash_report
from gensafe.safety.signals.hashlist import ListEntry
from gensafe.safety.signals.loudness import measure_loudness
from gensafe.safety.signals.pdq_index import MATCH_BITS, PdqIndex
from gensafe.safety.signals.pdq_views import CROP_BITS, crop_hashes, dihedral_hashes, listing_hashes
from gensafe.safety.signals.spectrum import find_ultrasound
from gensafe.safety.signals.subliminal import find_insertions
from gensafe.safety.signals.voice import speech_seconds

RESULTS = Path(__file__).parent / "results" / "media_safety.json"
Figures = dict[str, Any]


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
    for log in sorted((sets.SHARED / "flash" / "ExpectedVideoLogFiles").glob("*.csv")):
        rows = list(csv.DictReader(log.read_text(encoding="utf-8-sig").splitlines()))
        name = log.stem.removesuffix("_RELATIVE")
        video = decode((sets.SHARED / "flash" / "TestVideos" / f"{name}.mp4").read_bytes())
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
    """Photographs inserted for one to three frames into real clips; false hits on the clips as they are."""
    found = total = false = 0
    seconds = 0.0
    photos = sets.photographs(12)
    for name, video in sets.real_clips().items():
        small = shrink(video.frames, HEIGHT, WIDTH)
        own = find_insertions(small, video.fps)
        false += len(own)
        seconds += len(small) / video.fps
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
    }


def block_lists() -> Figures:
    """Every photograph listed, looked up after each change; two lists: whole pictures' hashes alone, and with crops."""
    photos = sets.photographs(200)
    listed = [listing_hashes(photo) for photo in photos]
    lists = {"hash of the whole": slice(1, 2), "hashes of crops too": slice(None)}
    indices = {
        name: PdqIndex([ListEntry(bytes.fromhex(h), "lst", str(i)) for i, own in enumerate(listed) for h in own[part]])
        for name, part in lists.items()
    }
    rng = np.random.default_rng(0)

    def anywhere(p: sets.Pixels) -> sets.Pixels:
        return sets.cropped(p, 0.1, (float(rng.random()), float(rng.random())))

    plain: dict[str, Callable[[sets.Pixels], sets.Pixels]] = {
        "jpeg q20": lambda p: sets.jpeg(p, 20),
        "scale 0.5": lambda p: sets.scaled(p, 0.5),
        "scale 2": lambda p: sets.scaled(p, 2.0),
        "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]),
        "turned 90": lambda p: np.ascontiguousarray(np.rot90(p)),
    }
    crops: dict[str, Callable[[sets.Pixels], sets.Pixels]] = {
        "centre crop 10 %": lambda p: sets.cropped(p, 0.1),
        "crop 10 % anywhere": anywhere,
        "crop 10 % anywhere, mirrored, jpeg q50": lambda p: sets.jpeg(np.ascontiguousarray(anywhere(p)[:, ::-1]), 50),
        "each edge cut by up to 10 %": lambda p: sets.edges_cut(p, 0.1, rng),
    }
    figures: Figures = {"photographs listed": len(photos), "crops looked up, each kind": len(photos) // 2}
    wrong = {name: 0 for name in lists}
    tried = range(0, len(photos), 5)
    for name, change in plain.items():
        hits = 0
        for i in tried:
            found = {h.entry.label for h in indices["hash of the whole"].search(dihedral_hashes(change(photos[i]))[0])}
            hits += str(i) in found
            wrong["hash of the whole"] += len(found - {str(i)})
        figures[f"found: {name}, {len(tried)} looked up"] = round(hits / len(tried), 4)
    nearest = 256
    for name, change in crops.items():
        views = {i: crop_hashes(change(photos[i])) for i in range(0, len(photos), 2)}
        for list_name, index in indices.items():
            own, other = [], []
            for i, view in views.items():
                hits = index.search(view, 100)
                own.append(min((h.distance for h in hits if h.entry.label == str(i)), default=256))
                other.append(min((h.distance for h in hits if h.entry.label != str(i)), default=256))
            wrong[list_name] += sum(d <= CROP_BITS for d in other)
            nearest = min(nearest, *other)
            for bits in (MATCH_BITS, CROP_BITS):
                share = float(np.mean(np.array(own) <= bits))
                figures[f"found: {name}, {list_name}, within {bits} bits"] = round(share, 4)
    for name, count in wrong.items():
        figures[f"false matches, {name}"] = count
    figures["nearest other photograph to any view, bits"] = nearest
    figures |= _look_alikes()
    million = np.random.default_rng(1).integers(0, 256, (1_000_000, 32), dtype=np.uint8)
    begin = time.process_time()
    large = PdqIndex([ListEntry(row.tobytes(), "lst", "") for row in million])
    figures["index of 1 M hashes: build, CPU s"] = round(time.process_time() - begin, 2)
    views = crop_hashes(photos[0])
    for name, queries in (("one hash", million[:1]), ("8 turns", million[:8]), ("3600 crops", views)):
        begin = time.process_time()
        large.search(queries, CROP_BITS)
        figures[f"index of 1 M hashes: {name}, CPU ms"] = round(1000 * (time.process_time() - begin), 1)
    return figures


def _look_alikes() -> Figures:
    """Different pictures that look alike to PDQ, looked up against a list of one another by the classifier itself."""
    figures: Figures = {}
    for name, pictures in (("pages of text", sets.text_pages(30)), ("generator's pictures", sets.world_pictures(30))):
        digests = [dihedral_hashes(p.pixels)[0][0] for p in pictures]
        matched = likely = 0
        for i, picture in enumerate(pictures):
            others = [ListEntry(d, "lst", str(k)) for k, d in enumerate(digests) if k != i]
            for finding in ImageHashlist(PdqIndex(others)).look_up(picture.pixels):
                matched += finding.score == 1.0
                likely += finding.score < 1.0
        figures[f"different {name}: matched, held as a crop"] = f"{matched}/{len(pictures)}, {likely}/{len(pictures)}"
    return figures


def ocr() -> Figures:
    """Words of the generator's vocabulary on photographs; words seen on empty ones."""
    engine, rng = shared_engine(), np.random.default_rng(0)
    photos = sets.photographs(10)
    words = ("CALL", "FREE", "OFFER", "STOP", "WINTER", "HARBOUR", "TICKET", "GARDEN", "SECRET", "PLATFORM")
    figures: Figures = {"photographs": len(photos), "words a photograph": 3}
    for height in (16, 20, 24, 32):
        hits = 0
        for photo in photos:
            wanted = [str(w) for w in rng.choice(words, 3, replace=False)]
            seen = " ".join(line.text for line in engine.read(sets.caption(photo, " ".join(wanted), height, rng)))
            hits += sum(w in seen.upper() for w in wanted)
        figures[f"word recall at {height} px"] = round(hits / (3 * len(photos)), 4)
    figures["lines seen on the photographs as they are"] = sum(len(engine.read(p)) for p in photos)
    return figures


def ultrasound() -> Figures:
    """Carriers of 1 % amplitude on the corpus at 48 kHz, and on white noise; false finds without them."""
    from scipy.signal import resample_poly

    beds = {}
    for name, sound in sets.corpus_audio().items():
        part = sound.samples[0, : 10 * sound.rate].astype(np.float64)
        beds[name] = resample_poly(part, 48_000, sound.rate)
    beds["white noise"] = np.random.default_rng(0).normal(0, 0.02, 480_000)
    found = total = false = 0
    for bed in beds.values():
        clean = find_ultrasound(bed.astype(np.float32), 48_000)
        false += bool(clean and clean.suspicious)
        t = np.arange(bed.size) / 48_000
        for hertz, depth in itertools.product((18_500, 19_000, 20_000, 21_000, 22_500), (0.0, 0.4, 0.8)):
            carrier = 0.01 * (1 + depth * np.sin(2 * np.pi * 300 * t)) / (1 + depth) * np.sin(2 * np.pi * hertz * t)
            heard = find_ultrasound(np.clip(bed + carrier, -1, 1).astype(np.float32), 48_000)
            total += 1
            found += bool(heard and heard.suspicious)
    return {"carriers of 1 % found": f"{found}/{total}", "false finds": f"{false}/{len(beds)}"}


def loudness() -> Figures:
    """Against FFmpeg's ebur128 filter."""
    worst_level = worst_peak = 0.0
    cases = 0
    sounds = sets.corpus_audio()
    rng = np.random.default_rng(0)
    stereo = (rng.standard_normal((2, 480_000)) * [[0.05], [0.2]]).astype(np.float32)
    sounds["stereo noise"] = Audio(stereo, 48_000)
    for sound in sounds.values():
        part = Audio(np.ascontiguousarray(sound.samples[:, : 30 * sound.rate]), sound.rate)
        level, peak = reference_loudness(part)
        ours = measure_loudness(part.samples, part.rate)
        worst_level = max(worst_level, abs(ours.integrated_lufs - level))
        worst_peak = max(worst_peak, abs(ours.true_peak_dbtp - peak))
        cases += 1
    return {
        "sounds": cases,
        "largest difference, LU": round(worst_level, 3),
        "largest true-peak difference, dB": round(worst_peak, 3),
    }


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


def recordings() -> Figures:
    """Ten-second pieces of the corpus listed, looked up after each change; finds of another recording are false."""
    pieces = [
        (name, Audio(np.ascontiguousarray(s.samples.mean(axis=0)[None, k : k + 10 * s.rate]), s.rate))
        for name, s in sets.corpus_audio().items()
        for k in range(0, min(s.samples.shape[1], 60 * s.rate) - 10 * s.rate + 1, 10 * s.rate)
    ]
    index = PrintIndex([PrintEntry(audio_print(p.samples[0], p.rate), "lst", name) for name, p in pieces])
    rng = np.random.default_rng(0)
    changes: dict[str, Callable[[Audio], Audio]] = {
        "mp3 64k": lambda a: _audio(decode(encode(a, "audio/mpeg", quality=64))),
        "opus 32k": lambda a: _audio(decode(encode(a, "audio/ogg", quality=32))),
        "4 s of it": lambda a: Audio(a.samples[:, int(3.013 * a.rate) : int(7.013 * a.rate)], a.rate),
        "a tenth as loud, noise at -20 dB": lambda a: Audio(
            0.1 * (a.samples + 0.1 * a.samples.std() * rng.standard_normal(a.samples.shape)).astype(np.float32), a.rate
        ),
    }
    figures: Figures = {"pieces listed": len(pieces)}
    false = 0
    for change, apply in changes.items():
        found = 0
        for name, piece in pieces:
            changed = apply(piece)
            labels = {hit.entry.label for hit in index.search(audio_print(changed.samples[0], changed.rate))}
            found += name in labels
            false += len(labels - {name})
        figures[f"found: {change}"] = f"{found}/{len(pieces)}"
    unlisted = [audio_print(s.samples[0], s.rate) for s in sets.world_sounds(40)]
    false += sum(len(index.search(codes)) for codes in unlisted)
    figures["finds of another recording"] = false
    return figures


def _audio(media: Media) -> Audio:
    assert isinstance(media, Audio)
    return media


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


def speech() -> Figures:
    """Word error rate of the built-in recogniser on read speech, and what it hears in sounds without speech."""
    from gensafe.safety.signals.transcribers import PocketSphinx

    engine = PocketSphinx()
    folder = sets.SHARED / "speech" / "librivox"
    errors = words = 0
    spent = seconds = 0.0
    for line in (folder / "transcription").read_text().splitlines():
        said, _, name = line.rpartition("(")
        wanted = [w for w in said.lower().split() if not w.startswith("<")]
        sound = decode((folder / f"{name.strip(') ')}.wav").read_bytes())
        assert isinstance(sound, Audio)
        begin = time.process_time()
        heard = " ".join(s.text for s in engine.transcribe(sound.samples[0])).split()
        spent += time.process_time() - begin
        seconds += sound.samples.shape[1] / sound.rate
        errors += _edits(wanted, heard)
        words += len(wanted)
    tones = [s for s in sets.world_sounds(20) if float(np.abs(s.samples).max()) > 0]
    phantom = sum(len(s.text.split()) for t in tones for s in engine.transcribe(t.samples[0]))
    return {
        "word error rate, read speech": round(errors / words, 3),
        "words": words,
        "CPU s a second of speech": round(spent / seconds, 2),
        "words heard in 20 sounds of the generator's world": phantom,
    }


def _edits(wanted: list[str], heard: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def ordinary() -> Figures:
    """What the default policy does with ordinary outputs of the generator's world."""
    from gensafe.safety.policy import load_policy
    from gensafe.safety.runner import SafetyRunner

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
    for name in ("image_signal", "image_hashlist", "image_text", "image_likeness"):
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
    return figures


SECTIONS = {
    f.__name__: f
    for f in (
        *(flash, insertions, block_lists, recordings, likeness, ocr, ultrasound, loudness, fingerprints, speech),
        *(symbols, ordinary, cost),
    )
}


def main(arguments: list[str]) -> int:
    """Run the sections named, or all."""
    about = {
        "benchmark": "media_safety",
        "gensafe": version("gensafe"),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("av", "numpy", "onnxruntime", "pdqhash", "pillow", "scipy")},
    }
    unknown = [name for name in arguments if name not in SECTIONS]
    if unknown:
        print(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}, or --cards", file=sys.stderr)
        return 64
    for name in arguments or SECTIONS:
        figures = SECTIONS[name]()
        print(f"\n## {name}")
        for key, value in figures.items():
            print(f"{key:<55} {value}")
        RESULTS.parent.mkdir(exist_ok=True)
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known |= about | {name: figures}
        RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--cards"]:
        from benchmarks.media_cards import write

        sys.exit(write(json.loads(RESULTS.read_text())))
    sys.exit(main(sys.argv[1:]))
