"""In-house toy counterparts of known multimodal evaluations, on seeds training never used.

    python -m benchmarks.symphony.mini [--count 40] [--bundle DIR] [--out FILE]

The names say which published evaluation a task resembles in form. They share nothing else with it: no data, no scale,
no scoring. Never compare these numbers with published ones.

* **MMMU-mini**: a question about a picture with four options; the option with the highest probability per token counts.
  Chance is 0.25. Also with a sound as second medium ("does the spoken count match"), chance 0.5.
* **ChartQA-mini**: a bar's height, the highest and the lowest bar, the number of bars; exact. Also which of two bars is
  the higher one (chance 0.5).
* **AVSD-mini**: four questions about one film with its sound; per question, and all four of a film.
* **V2T R@1-mini**: which of ``--pool`` captions, all different, has the highest probability per token given the film;
  chance is one over the pool.
* **FAD-mini**: Frechet distance between Gaussians fitted to log-mel frames of generated sounds and of the world's own
  renderings of the same prompts; the distance between two disjoint halves of the renderings stands beside it as floor.
* **SVG-mini**: a picture redrawn as SVG, exact.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from benchmarks.common.places import RESULTS
from benchmarks.symphony.bench import SEED, Bench, Rng, film, wilson
from gensafe.core.types import Audio, Image, Media, Modality
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.sequence import TokenSpan, prompt_ids
from gensafe_backends.symphony.tokenizers import stft
from gensafe_backends.symphony.vocab import EOS, ModalityId, vocabulary
from gensafe_backends.symphony.world import captions, checkers, clip, questions, render, sample, scene, sound

RESULT: Final = RESULTS / "symphony" / "mini.json"
OPTIONS: Final = {
    "colour": tuple(scene.COLOURS),
    "number": captions.NUMBERS[:7],
    "height": tuple(str(n) for n in range(1, 7)),
    "yes": ("yes", "no"),
}


def picture(drawn: scene.Scene) -> Image:
    """A scene as the model is handed it."""
    return Image(render.render(drawn))


class Scorer:
    """Log probabilities of whole answers, by the engine and the tokenizer of a backend."""

    def __init__(self, bench: Bench) -> None:
        self._engine, self._media = bench.backend.engine, bench.backend.media
        self._live = range(0, vocabulary(self._engine.config).text.stop)

    def best(self, media: Sequence[Media], asked: str, answers: Sequence[str]) -> int:
        """Index of the answer with the highest mean log probability per token, ``eos`` included."""
        spans = [self._media.span(m) for m in media]
        if asked:
            spans.append(TokenSpan(ModalityId.TEXT, tuple(self._media.encode_text(asked))))
        prompt = prompt_ids(spans, self._engine.config)
        scores = []
        for answer in answers:
            ids = [*self._media.encode_text(answer), EOS]
            batch = Feeder(self._engine.config).push(prompt + ids[:-1])
            logits = self._engine.forward(batch, self._engine.new_cache(), live=self._live, last_only=False)
            rows = logits[len(prompt) - 1 :].astype(np.float64)
            top = rows.max(axis=1)
            norm = top + np.log(np.exp(rows - top[:, None]).sum(axis=1))
            scores.append(float((rows[np.arange(len(ids)), ids] - norm).mean()))
        return int(np.argmax(scores))


def rate(hits: Sequence[bool]) -> dict[str, Any]:
    """Share of hits with its interval."""
    mean = float(np.mean(hits))
    return {"rate": round(mean, 3), "n": len(hits), "wilson95": wilson(mean, len(hits))}


def options(answer: str, rng: Rng) -> list[str]:
    """The right answer and three others of its kind (one other for yes and no)."""
    kind = next((k for k, values in OPTIONS.items() if answer in values), "")
    others = [v for v in OPTIONS.get(kind, ()) if v != answer]
    return [answer, *(str(v) for v in rng.choice(others, size=min(3, len(others)), replace=False))] if others else []


def mmmu(bench: Bench, count: int) -> dict[str, Any]:
    """See the module."""
    scorer = Scorer(bench)
    one: list[bool] = []
    two: list[bool] = []
    rng = np.random.default_rng((SEED, 101))
    while len(one) < count:
        drawn = sample.sample_scene(rng)
        asked, answer = questions.ask_scene(drawn, rng)
        among = options(answer, rng)
        if len(among) == 4:
            one.append(scorer.best([picture(drawn)], asked, among) == 0)
    for _ in range(count):
        board = sample.sample_board(rng)
        true = len(board.things)
        spoken = true if rng.random() < 0.5 else int(rng.integers(1, 7))
        heard = sound.render_sound(sound.Sound("words", (captions.NUMBERS[spoken],)))
        told = bench.tell(questions.COUNT_QUESTION, SEED, picture(board), Audio(heard[None], 16000))
        two.append(told.split()[:1] == questions.ask_count(board, spoken)[1].split()[:1])
    return {"four options, one picture": rate(one), "yes or no, picture and sound": rate(two)}


def chartqa(bench: Bench, count: int) -> dict[str, Any]:
    """See the module."""
    rng, hits = np.random.default_rng((SEED, 102)), []
    for i in range(count):
        chart = sample.sample_bars(rng)
        asked, answer = questions.ask_scene(chart, rng)
        hits.append(bench.tell(asked, SEED + i, picture(chart)) == answer)
    pairs = []
    for i in range(count):
        asked, answer = questions.ask_bars(chart := sample.sample_bars(rng), rng)
        pairs.append(bench.tell(asked, SEED + i, picture(chart)) == answer)
    return {"exact": rate(hits), "two bars compared": rate(pairs)}


def avsd(bench: Bench, count: int) -> dict[str, Any]:
    """See the module."""
    rng, each, whole = np.random.default_rng((SEED, 103)), [], []
    for i in range(count):
        drawn, asked = clip.sample_clip(rng), dict[str, str]()
        while len(asked) < len(questions.film_questions()):
            asked.update([questions.ask_clip(drawn, rng)])
        hits = [bench.tell(question, SEED + i, film(drawn)) == answer for question, answer in sorted(asked.items())]
        each += hits
        whole.append(all(hits))
    return {"per question": rate(each), "all four of a film": rate(whole)}


def retrieval(bench: Bench, count: int, pool: int) -> dict[str, Any]:
    """See the module."""
    rng, scorer, hits = np.random.default_rng((SEED, 104)), Scorer(bench), []
    for _ in range(count):
        clips = [clip.sample_clip(rng)]
        told = [captions.describe_clip(clips[0])]
        while len(told) < pool:
            other = captions.describe_clip(clip.sample_clip(rng))
            if other not in told:
                told.append(other)
        hits.append(scorer.best([film(clips[0])], "", told) == 0)
    return {f"R@1 of {pool}": rate(hits)}


def svg(bench: Bench, count: int) -> dict[str, Any]:
    """See the module."""
    rng = np.random.default_rng((SEED, 105))
    hits: list[bool] = []
    while len(hits) < count:
        board = sample.sample_board(rng)
        if len(board.things) <= 2 and all(t.size == "medium" for t in board.things):
            told = bench.tell("svg", SEED + len(hits), picture(board))
            hits.append(checkers.parse_svg(told) == board)
    return {"exact": rate(hits)}


def mel_frames(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log band levels of two seconds, 16 frames averaged into one: (16, bands)."""
    padded = np.pad(samples.astype(np.float64).reshape(-1)[:32000], (0, max(0, 32000 - samples.size)))
    bands = stft.band_features(np.abs(stft.stft(padded)), 1)
    return np.asarray(bands.reshape(16, 16, -1).mean(axis=1), dtype=np.float64)


def frechet(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Frechet distance between Gaussians fitted to two sets of rows (Heusel et al. 2017, equation 6)."""
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    mixed = sqrtm(ca @ cb)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2.0 * np.real(mixed)))


def fad(bench: Bench, count: int) -> dict[str, Any]:
    """See the module."""
    rng, made, true = np.random.default_rng((SEED, 106)), [], []
    for i in range(2 * count):
        drawn = sound.sample_sound(rng)
        true.append(mel_frames(sound.render_sound(drawn)))
        if i < count:
            media = bench.ask(captions.sound_prompt(drawn, rng), Modality.AUDIO, SEED + i)
            assert isinstance(media, Audio)
            made.append(mel_frames(media.samples))
    same, other = np.concatenate(true[:count]), np.concatenate(true[count:])
    return {
        "generated against rendered": round(frechet(np.concatenate(made), same), 3),
        "rendered against other rendered": round(frechet(other, same), 3),
        "sounds": count,
    }


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--pool", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    bench = Bench({"engine": "auto"} | ({"weights": args.bundle} if args.bundle else {}))
    model, digest = next(iter(bench.backend.models().items()))
    made: dict[str, Callable[[], dict[str, Any]]] = {
        "MMMU-mini": lambda: mmmu(bench, args.count),
        "ChartQA-mini": lambda: chartqa(bench, args.count),
        "AVSD-mini": lambda: avsd(bench, args.count // 2),
        "V2T R@1-mini": lambda: retrieval(bench, args.count // 2, args.pool),
        "SVG-mini": lambda: svg(bench, args.count),
        "FAD-mini": lambda: fad(bench, args.count),
    }
    found: dict[str, Any] = {"parameters": {"model": model, "weights": digest, "count": args.count, "first_seed": SEED}}
    for name, task in made.items():
        found[name] = task()
        print(name, json.dumps(found[name]), flush=True)
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
