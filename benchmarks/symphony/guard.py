"""The guard on Symphony's own reading, measured: concepts registered from few examples, looked for in every medium.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.symphony.guard [--bundle DIR] [--out FILE] [--count N] [--docs]

Media are drawn anew from the procedural world; what is truly in them is known from what they were rendered from. Per
medium a third are examples, a third are background, a third are tested. Systems whose score has no threshold of its own
get the one that is best for them: at most one false alarm in a hundred on the tested items themselves.
With ``--docs`` the tables in docs/symphony-guard.md and the figures of the card are rewritten. About three minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common.metrics import auroc, share
from benchmarks.common.places import RESULTS
from benchmarks.symphony import guard_plain as plain
from benchmarks.symphony import guard_sets as sets
from benchmarks.symphony.guard_systems import (
    LAYER,
    MEDIA,
    SEED,
    Known,
    Pool,
    Score,
    by_concept,
    by_head,
    by_neighbour,
    by_states,
    by_word_list,
    learned,
    pools,
)
from gensafe.core.types import Audio, Draft, GenerationJob, Image, Media, Modality, Stage, Video
from gensafe_backends.symphony.guard import learn, words
from gensafe_backends.symphony.guard.gate import look
from gensafe_backends.symphony.guard.plugin import DEFAULT_STAGES, FOUND_FROM, Concepts
from gensafe_backends.symphony.guard.reader import Reader, open_reader
from gensafe_backends.symphony.plugin import SymphonyBackend
from gensafe_backends.symphony.world.reading import read_film, read_picture, read_sound

RESULT: Final = RESULTS / "symphony" / "guard.json"
COUNT: Final = 210  # random items of each medium; a quarter as many hold each concept, at least
EXAMPLES: Final = (1, 4, 16)
DRAWS: Final = 3  # different sets of examples


# --- figures ----------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """Hits and false alarms over concepts and draws."""

    hits: int = 0
    positives: int = 0
    alarms: int = 0
    negatives: int = 0
    areas: list[float] = field(default_factory=list)

    def add(self, tested: Sequence[Known], name: str, score: Score, threshold: float | None) -> None:
        """Count; ``threshold`` None = the score that one in a hundred of the items without the concept exceed."""
        labels = np.array([name in k.item.concepts for k in tested])
        scores = np.array([score(k) for k in tested])
        if threshold is None:
            without = np.sort(scores[~labels])
            limit = without[max(0, int(np.ceil(0.99 * len(without))) - 1)]
            found = scores > limit
        else:
            found = scores >= threshold
        self.hits += int((found & labels).sum())
        self.positives += int(labels.sum())
        self.alarms += int((found & ~labels).sum())
        self.negatives += int((~labels).sum())
        self.areas.append(auroc(labels, scores))

    def figures(self) -> dict[str, Any]:
        """With 95 % Wilson intervals."""
        recall, alarms = share(self.hits, self.positives), share(self.alarms, self.negatives)
        return {
            "recall": [round(v, 4) for v in (recall.value, recall.low, recall.high)],
            "positives": self.positives,
            "false alarms": [round(v, 4) for v in (alarms.value, alarms.low, alarms.high)],
            "negatives": self.negatives,
            "auroc": round(float(np.mean(self.areas)), 4),
        }


def carried(pool: Mapping[Modality, Pool], name: str) -> list[Modality]:
    """The media that can hold a concept, with enough items to say anything."""
    return [m for m, p in pool.items() if sum(name in k.item.concepts for k in p.tested) >= 8]


def chosen(pool: Mapping[Modality, Pool], name: str, sources: Iterable[Modality], k: int, seed: int) -> list[Known]:
    """``k`` examples of a concept from each source."""
    rng = np.random.default_rng([seed, k])
    found: list[Known] = []
    for source in sources:
        able = [e for e in pool[source].examples if name in e.item.concepts]
        found += [able[int(i)] for i in rng.permutation(len(able))[:k]]
    return found


Systems = dict[str, tuple[Callable[[Sequence[Known]], Score], float | None]]


def few_shot(reader: Reader, pool: Mapping[Modality, Pool]) -> dict[str, Any]:
    """Per system and number of examples: same medium, another medium, examples of all media."""
    systems: Systems = {
        "guard: examples -> terms, looked for in the model's reading": (
            lambda e: by_concept(reader, learned(reader, "x", e)),
            FOUND_FROM,
        ),
        "hidden states, shrinkage LDA": (by_states(pool), None),
        **{f"nearest example by {kind}": (_nearest(kind), None) for kind in plain.KINDS},
    }
    out: dict[str, Any] = {}
    for label, (make, threshold) in systems.items():
        for k in EXAMPLES:
            tallies = {t: Tally() for t in ("same medium", "another medium", "all media")}
            for name in sets.CONCEPTS:
                media = carried(pool, name)
                for seed in range(DRAWS):
                    for source in (*((m,) for m in media), tuple(media)):
                        examples = chosen(pool, name, source, k, seed)
                        if not examples:
                            continue
                        score = make(examples)
                        for target in media:
                            kind = (
                                "all media"
                                if len(source) > 1
                                else "same medium"
                                if target in source
                                else "another medium"
                            )
                            if label.startswith("nearest") and not plain.applies(label, target):
                                continue
                            tallies[kind].add(pool[target].tested, name, score, threshold)
            out[f"{label}, k={k}"] = {t: v.figures() for t, v in tallies.items() if v.positives}
    return out


def _nearest(kind: str) -> Callable[[Sequence[Known]], Score]:
    return lambda examples: by_neighbour(kind, examples)


def given_words(reader: Reader, pool: Mapping[Modality, Pool]) -> dict[str, Any]:
    """Concepts given as words, per medium: what each part of the guard brings."""
    out: dict[str, Any] = {}
    for medium in MEDIA:
        rows = {label: Tally() for label in ("guard", "word list on the description", "head on hidden states",
                                             "guard or head", "word list on the text")}  # fmt: skip
        for name, said in sets.CONCEPTS.items():
            if medium not in carried(pool, name):
                continue
            concept = learn.fit("x", reader, tuple(words.term(w) for w in said), ())
            guard, head = by_concept(reader, concept), by_head(pool[medium], name)
            tested = pool[medium].tested
            limit = float(np.quantile([head(k) for k in tested if name not in k.item.concepts], 0.99))
            rows["guard"].add(tested, name, guard, FOUND_FROM)
            rows["head on hidden states"].add(tested, name, head, None)
            both = _either(guard, head, limit)
            rows["guard or head"].add(tested, name, both, FOUND_FROM)
            if medium is Modality.TEXT:
                rows["word list on the text"].add(tested, name, by_word_list(name), 0.5)
            else:
                rows["word list on the description"].add(tested, name, by_concept(reader, concept, hard=True), 0.5)
        out[medium.value] = {label: t.figures() for label, t in rows.items() if t.positives}
    return out


def _either(guard: Score, head: Score, limit: float) -> Score:
    return lambda k: max(guard(k), float(head(k) > limit))


def per_concept(reader: Reader, pool: Mapping[Modality, Pool]) -> dict[str, Any]:
    """The guard given words: recall and false alarms of each concept in each medium."""
    out: dict[str, Any] = {}
    for name, said in sets.CONCEPTS.items():
        concept = learn.fit("x", reader, tuple(words.term(w) for w in said), ())
        for medium in carried(pool, name):
            tally = Tally()
            tally.add(pool[medium].tested, name, by_concept(reader, concept), FOUND_FROM)
            out[f"{name}, {medium.value}"] = tally.figures()
    return out


# --- the gate, outputs of the model, cost -----------------------------------------------------------------------------


def gate(reader: Reader, pool: Mapping[Modality, Pool]) -> dict[str, str]:
    """How much of the world is let in, and of what is not the world."""
    out = {}
    for medium, p in pool.items():
        every = [*p.examples, *p.others, *p.tested]
        out[f"world, {medium.value}: taken for the world"] = f"{sum(not k.outside for k in every)}/{len(every)}"
    for name, media in plain.strangers(pool[Modality.IMAGE].tested):
        inside = [not look(m, reader.tokenizer).outside for m in media]
        out[f"{name}: taken for the world"] = f"{sum(inside)}/{len(inside)}"
    return out


ASKED: Final = {Modality.IMAGE: 60, Modality.AUDIO: 24, Modality.VIDEO: 18}


def outputs(reader: Reader) -> dict[str, Any]:
    """Media that Symphony makes, judged by exact readers that know nothing of it, and by the guard."""
    backend = SymphonyBackend(reader.engine, reader.tokenizer, reader.digest)
    concepts = {n: learn.fit("x", reader, tuple(words.term(w) for w in s), ()) for n, s in sets.CONCEPTS.items()}
    out: dict[str, Any] = {}
    for medium, count in ASKED.items():
        rng, tally, outside = np.random.default_rng([SEED, 9]), Tally(), 0
        made: list[tuple[Media, frozenset[str]]] = []
        while len(made) < count:
            thing, _ = sets.draw(medium, rng)
            prompt = plain.prompt_for(thing, rng)
            *_, draft = backend.generate(GenerationJob(prompt, medium, (), len(made), 0), None, lambda: False)
            assert isinstance(draft, Draft)
            read = _read(draft.media)
            made.append((draft.media, sets.truth(read) if read is not None else sets.truth(thing)))
        for media, true in made:
            seen = look(media, reader.tokenizer)
            outside += bool(seen.outside)
            reading = None if seen.outside else reader.read(seen.spans[0])
            for name, concept in concepts.items():
                found = reading is not None and reader.score(reading, concept.shown) >= FOUND_FROM
                tally.hits += found and name in true
                tally.positives += name in true
                tally.alarms += found and name not in true
                tally.negatives += name not in true
        figures = tally.figures()
        del figures["auroc"]
        out[medium.value] = {**figures, "outside the world": f"{outside}/{count}"}
    return out


def _read(media: Media) -> sets.Thing | None:
    if isinstance(media, Image):
        return read_picture(media.pixels)
    if isinstance(media, Audio):
        return read_sound(media)
    return read_film(media) if isinstance(media, Video) else None


def cost(reader: Reader, pool: Mapping[Modality, Pool]) -> dict[str, str]:
    """CPU milliseconds an item takes with eight concepts watched, everything included."""
    watched = tuple(
        ("lst", learn.fit("x", reader, tuple(words.term(w) for w in s), ())) for s in sets.CONCEPTS.values()
    )
    stages = frozenset(Stage(s) for s in DEFAULT_STAGES.split(","))
    out = {}
    for medium, p in pool.items():
        guard, times = Concepts(medium, watched, reader, stages), []
        for k in p.tested[:25]:
            begin = time.process_time()
            guard.assess(k.item.media, Stage.OUTPUT)
            times.append(1000 * (time.process_time() - begin))
        out[f"CPU ms, {medium.value}, median"] = f"{np.median(times[1:]):.1f}"
    return out


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--docs", action="store_true")
    args = parser.parse_args()
    begin = time.monotonic()
    reader = open_reader(args.bundle)
    pool = pools(reader, args.count)
    print(f"{time.monotonic() - begin:.0f} s: items read", flush=True)
    sizes = {
        m.value: {"items": sum(map(len, (p.examples, p.others, p.tested))), "tested": len(p.tested)}
        for m, p in pool.items()
    }
    results: dict[str, Any] = {
        "parameters": {"weights": reader.digest, "engine": reader.engine.name, "seed": SEED, "pools": sizes,
                       "concepts": {n: [m.value for m in carried(pool, n)] for n in sets.CONCEPTS},
                       "found from": FOUND_FROM, "draws": DRAWS, "layer": LAYER},
    }  # fmt: skip
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "given words": lambda: given_words(reader, pool),
        "given words, per concept": lambda: per_concept(reader, pool),
        "cost": lambda: cost(reader, pool),
        "gate": lambda: gate(reader, pool),
        "few examples": lambda: few_shot(reader, pool),
        "outputs of symphony": lambda: outputs(reader),
    }
    for name, step in steps.items():
        results[name] = step()
        print(f"{time.monotonic() - begin:.0f} s: {name}\n{json.dumps(results[name], indent=1)}", flush=True)
        args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if args.docs:
        from benchmarks.symphony import guard_docs

        guard_docs.write(results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
