"""Sections ``block_lists`` and ``ocr`` of benchmarks.media_safety: pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common import media_sets as sets
from gensafe.safety.classifiers.image_hashlist import ImageHashlist
from gensafe.safety.ocr import shared_engine
from gensafe.safety.signals.hashlist import ListEntry
from gensafe.safety.signals.pdq_index import MATCH_BITS, PdqIndex
from gensafe.safety.signals.pdq_views import CROP_BITS, crop_hashes, dihedral_hashes, listing_hashes

Figures = dict[str, Any]


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
                near = index.search(view, 100)
                own.append(min((h.distance for h in near if h.entry.label == str(i)), default=256))
                other.append(min((h.distance for h in near if h.entry.label != str(i)), default=256))
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
    crop = crop_hashes(photos[0])
    for name, queries in (("one hash", million[:1]), ("8 turns", million[:8]), ("3600 crops", crop)):
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
