"""Does an off-the-shelf recogniser understand Symphony? ``python -m benchmarks.symphony.speech [--bundle DIR]``.

Each spoken word is judged alone by PocketSphinx (US English model, a grammar of the candidate words), in three forms:
as the formant synthesiser says it, after the tokenizer's round trip, and as the model generates it for ``say <word>``.
Two candidate lists: the ten digits, and all words the model was taught. Needs the ``speech`` extra.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.places import RESULTS
from gensafe.core.types import Audio, Draft, GenerationJob, Modality
from gensafe_backends.symphony import plugin
from gensafe_backends.symphony.world.sound import Sound, render_sound
from gensafe_backends.symphony.world.speech import SPOKEN, WORD_SAMPLES

RESULT: Final = RESULTS / "symphony" / "speech.json"
Samples = NDArray[np.float64]


def recogniser(words: Sequence[str]) -> Callable[[Samples], str]:
    """A function from 16 kHz samples to one of the words, or nothing."""
    from pocketsphinx import Config, Decoder

    with tempfile.TemporaryDirectory() as folder:
        grammar = Path(folder) / "words.gram"
        grammar.write_text(f"#JSGF V1.0; grammar w; public <w> = ( {' | '.join(words)} );", encoding="utf-8")
        decoder = Decoder(Config(jsgf=str(grammar), loglevel="FATAL", samprate=16000))

    def hear(samples: Samples) -> str:
        noise = np.random.default_rng(0).standard_normal(len(samples) + 6000) * 3e-4
        padded = np.pad(samples, 3000) + noise
        decoder.start_utt()
        decoder.process_raw((np.clip(padded, -1, 1) * 30000).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        return decoder.hyp().hypstr if decoder.hyp() else ""

    return hear


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    backend = plugin.create({"weights": args.bundle} if args.bundle else {})

    def generated(word: str, seed: int) -> Audio:
        job = GenerationJob(f"say {word}", Modality.AUDIO, (), seed, 0)
        *_, draft = backend.generate(job, None, lambda: False)
        assert isinstance(draft, Draft)
        assert isinstance(draft.media, Audio)
        return draft.media

    result: dict[str, Any] = {"weights": backend.models(), "recogniser": "pocketsphinx 5, en-us, grammar of the list"}
    for name, words in (("digits", SPOKEN[:10]), ("all words", SPOKEN)):
        hear = recogniser(words)
        forms: dict[str, list[tuple[str, str]]] = {"synthesiser": [], "tokens": [], "generated": []}
        for word in words:
            said = Audio(render_sound(Sound("words", (word,)))[None], 16000)
            again = backend.media.decode(Modality.AUDIO, backend.media.encode(said))
            assert isinstance(again, Audio)
            forms["synthesiser"].append((word, hear(said.samples[0, :WORD_SAMPLES].astype(np.float64))))
            forms["tokens"].append((word, hear(again.samples[0, :WORD_SAMPLES].astype(np.float64))))
            for seed in range(args.seeds):
                made = generated(word, 900_000_000 + seed)
                forms["generated"].append((word, hear(made.samples[0, :WORD_SAMPLES].astype(np.float64))))
        result[name] = {
            form: {
                "understood": sum(a == b for a, b in pairs),
                "of": len(pairs),
                "misheard": sorted({f"{a} as {b or 'nothing'}" for a, b in pairs if a != b}),
            }
            for form, pairs in forms.items()
        }
        for form, score in result[name].items():
            print(f"{name}, {form}: {score['understood']} of {score['of']}; misheard: {score['misheard']}")
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
