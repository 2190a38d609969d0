"""What becomes of Symphony's ids on the way through its own decoder, the watermark and a file, and back.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.symphony.heard [--bundle DIR] [--sounds 60] [--films 24] [--pictures 40]

No model takes part: the ids are those of the world's media, on seeds of their own. Each medium is decoded, marked with
the plugins a server uses, written and read as PNG, WAV or MP4, and encoded again, once as decoded and once as read from
the file. The result says how many ids differ, and which came back for which (``counts``): the channel through which
training draws part of what the model reads (``train/heard.py``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common.places import RESULTS
from benchmarks.symphony.files import through_a_file
from gensafe.core.types import Modality
from gensafe_backends.symphony.config import SymphonyConfig
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.train.media import MediaIds
from gensafe_backends.symphony.weights import ASSETS, weights_digest
from gensafe_backends.symphony.world import clip, sample, sound

RESULT: Final = RESULTS / "symphony" / "heard.json"
SEED: Final = 800_000_000


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ASSETS / "symphony-nano")
    parser.add_argument("--sounds", type=int, default=60)
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    tokenizer = UniversalTokenizer.load(args.bundle)
    media = MediaIds(SymphonyConfig.load(args.bundle), tokenizer)
    rng = np.random.default_rng(SEED)
    kinds: dict[Modality, tuple[int, Callable[[], tuple[int, ...]]]] = {
        Modality.AUDIO: (args.sounds, lambda: media.of_sound(sound.sample_sound(rng))),
        Modality.VIDEO: (args.films, lambda: media.of_clip(clip.sample_clip(rng))),
        Modality.IMAGE: (args.pictures, lambda: media.of_scene(sample.sample_scene(rng))),
    }
    counts: dict[int, dict[int, int]] = {}
    changed: dict[str, Any] = {}
    for modality, (count, make) in kinds.items():
        shares: dict[str, list[float]] = {"decoded": [], "decoded, marked, written, read": []}
        for _ in range(count):
            ids = make()
            made = tokenizer.decode(modality, ids)
            for way, seen in zip(shares, (made, through_a_file(made, modality, rng)), strict=True):
                back = tokenizer.encode(seen)
                shares[way].append(float(np.mean(np.array(ids) != np.array(back))))
                for written, found in zip(ids, back, strict=True):
                    known = counts.setdefault(written, {})
                    known[found] = known.get(found, 0) + 1
        changed[modality.value] = {way: round(float(np.mean(v)), 4) for way, v in shares.items()} | {"n": count}
        print(modality.value, changed[modality.value], flush=True)
        result = {
            "parameters": {"bundle": weights_digest(args.bundle), "seed": SEED},
            "share of ids changed": changed,
            "counts": {str(k): {str(i): n for i, n in sorted(v.items())} for k, v in sorted(counts.items())},
        }
        args.out.write_text(json.dumps(result, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
