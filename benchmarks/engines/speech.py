"""hibari: times real time, word error rate by the recogniser in the box, and the sound mark after MP3 at 64 kbit/s."""

from __future__ import annotations

import re
import time
from typing import Any, Final

import numpy as np
from scipy.signal import resample_poly

from benchmarks.common.metrics import share
from gensafe.core import plugins
from gensafe.core.types import Audio, GenerationJob, MarkLevel, Modality
from gensafe.media.codecs import decode, encode
from gensafe.safety.signals.transcribers import PocketSphinx
from gensafe_backends import hibari

SUBJECTS: Final = (
    "the old captain",
    "a young teacher",
    "the night train",
    "my neighbor",
    "the small museum",
    "a friend",
)
PREDICATES: Final = (
    "left the harbor before the storm arrived",
    "opened the window and listened to the rain",
    "was late again on monday morning",
    "told the children a story about the sea",
    "painted the wooden door a bright blue",
)
KEY, PAYLOAD = bytes(range(32)), bytes(range(1, 8))


def measure(count: int) -> dict[str, Any]:
    """Speak ``count`` sentences."""
    backend, recogniser = hibari.create({}), PocketSphinx()
    scheme = plugins.load("gensafe.watermarks", "audio")
    errors, words, seconds, processor, recovered = 0, 0, 0.0, 0.0, 0
    for number in range(count):
        said = f"{SUBJECTS[number % len(SUBJECTS)]} {PREDICATES[number // len(SUBJECTS) % len(PREDICATES)]}"
        began = time.process_time()
        draft = list(backend.generate(GenerationJob(said + ".", Modality.AUDIO, (), number, 0), None, lambda: False))[
            -1
        ]
        processor += time.process_time() - began
        sound = draft.media  # type: ignore[union-attr]
        assert isinstance(sound, Audio)
        seconds += sound.samples.shape[1] / sound.rate
        samples = resample_poly(sound.samples[0], 2, 3).astype(np.float32)
        heard = " ".join(s.text for s in recogniser.transcribe(samples))
        wanted = re.findall(r"[a-z']+", said)
        errors += edits(wanted, re.findall(r"[a-z']+", heard.lower()))
        words += len(wanted)
        marked = scheme.embed(sound, PAYLOAD, KEY)
        again = decode(encode(marked, "audio/mpeg", quality=64))
        found = scheme.detect(again, KEY)
        recovered += found.level is MarkLevel.RECORD and found.payload == PAYLOAD
    return {
        "sentences": count,
        "times_real_time_per_cpu_second": round(seconds / processor, 1),
        "seconds_each": round(seconds / count, 2),
        "word_error_rate": round(errors / words, 4),
        "words": words,
        "mark_after_mp3_64": share(recovered, count),
    }


def edits(one: list[str], two: list[str]) -> int:
    """Insertions, deletions and substitutions between two lists of words (Levenshtein 1966)."""
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
