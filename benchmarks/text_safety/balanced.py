"""The training examples of the heads: every source that may train, none larger than CAP, and the project's own set.

Large sources are cut before they are weighed: 59,000 forum comments teach little more than 1,000 and cost sixty times
the encoding.
"""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.text_safety.corpus import FOREIGN, HEADS, Example, example, read_all, read_contrastive
from benchmarks.text_safety.data import CONTRASTIVE
from benchmarks.text_safety.sets import objects
from gensafe.core.digest import sha256

CAP: Final = 1000
CAPS: Final[Mapping[str, int]] = MappingProxyType(
    {"books": 400, "gsm8k": 400, "mixture": 0, **dict.fromkeys(FOREIGN, 0)}
)
MIXTURES: Final = 400  # of each kind
RED_TEAM: Final = CONTRASTIVE.parent.parent / "red_team.toml"
DIGITS: Final = 10  # of a digest that red_team.toml keeps
JADE_WEIGHT: Final = 0.4  # its English part asks for trade secrets and lotteries as well as for crimes


def balanced(folder: Path, cap: int = CAP) -> list[Example]:
    """The English examples in a fixed order, at most ``cap`` rows a source; a smaller cap takes the first of them."""
    sources: dict[str, list[Example]] = {}
    for e in [*read_all(folder), *further(folder)]:
        sources.setdefault(e.source, []).append(e)
    found = list(read_contrastive(CONTRASTIVE))
    for name, rows in sorted(sources.items()):
        distinct = list({e.text: e for e in rows}.values())
        random.Random("s" + name).shuffle(distinct)
        found += distinct[: min(cap, CAPS.get(name, CAP))]
    return found


def further(folder: Path) -> Iterator[Example]:
    """Sources that the first version did not have."""
    yield from _jade(folder / "train")
    yield from _red_team(folder / "train")


def mixtures(examples: Sequence[Example], count: int = MIXTURES) -> Iterator[Example]:
    """Long texts of short ones: ``count`` benign throughout, ``count`` with one harmful sentence among benign ones."""
    draw = random.Random(11)
    benign = [e for e in examples if len(e.text) < 200 and all(v == 0.0 for v in e.labels)]
    harmful = [e for e in examples if len(e.text) < 200 and e.labels[HEADS.index("any")] == 1.0 and e.weight >= 0.5]
    for i in range(2 * count):
        parts = [draw.choice(benign) for _ in range(draw.randint(2, 5))]
        core = parts[0]
        if i % 2:
            core = draw.choice(harmful)
            parts[draw.randrange(len(parts))] = core
        texts = [p.text if p.text.rstrip().endswith((".", "!", "?")) else p.text + "." for p in parts]
        yield replace(core, text=" ".join(texts), source="mixture", weight=0.7)


def _jade(train: Path) -> Iterator[Example]:
    """English questions of JADE: harmful, of kinds that are not ours; only ``any`` is known."""
    unknown = [h for h in HEADS if h not in ("jbk", "any")]
    for row in objects(train / "jade" / "jade_benchmark_en.csv"):
        yield example(row["问题"], "jade", JADE_WEIGHT, unknown=unknown, labels={"any": 1.0})


def _red_team(train: Path) -> Iterator[Example]:
    """Opening turns of people who tried to get harm out of a model, with the labels of red_team.toml."""
    tables = tomllib.loads(RED_TEAM.read_text(encoding="utf-8"))
    label = {digest: name for name, digests in tables.items() for digest in digests.split()}
    for line in (train / "hh_red_team" / "human_turns.jsonl").read_text(encoding="utf-8").splitlines():
        text = str(json.loads(line)["turns"][0]).strip()
        name = label.get(sha256(text.encode()).removeprefix("sha256:")[:DIGITS])
        if name == "harmless":
            yield example(text, "hh_red_team")
        elif name:
            unknown = [h for h in HEADS if h not in ("jbk", name)]
            known = {} if name == "other" else {name: 1.0}
            yield example(text, "hh_red_team", unknown=unknown, labels={"any": 1.0, **known})
