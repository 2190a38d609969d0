"""Two sets of weights on every set, at equal false alarms: whether new weights are better, not only stricter.

usage: python -m benchmarks.text_safety.compare BEFORE_FOLDER [--limit N]

BEFORE_FOLDER holds the four text files of the weights that shipped before, as ``git show`` gives them. Both are ranked
by their highest calibrated score, the rules beside them. Per set: the area under the precision-recall
curve; the share of harmful texts above the score that 5 % of the set's own harmless texts exceed; and that above the
score that 0.5 % of the everyday texts exceed, with the set's own harmless texts above the same score. Written to
benchmarks/results/text_safety/weights_before_after.json; ``docs`` makes the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.metrics import average_precision, bootstrap, share
from benchmarks.text_safety.accuracy import figures
from benchmarks.text_safety.cards import interval
from benchmarks.text_safety.data import CONTRASTIVE, RESULT, SAFETY_TEXT, benign_sets, contrastive, drawn
from benchmarks.text_safety.kept_aside import CACHE, LIMIT, ranked_sets
from benchmarks.text_safety.sets import Row
from benchmarks.text_safety.systems import KeptEncoder, Stack, any_score
from gensafe.core import plugins
from gensafe.safety.cards import WEIGHTS
from gensafe.safety.classifiers.text_encoder import TextEncoder

TARGET: Final = RESULT.with_name("weights_before_after.json")
PARTS: Final = {"first parts": ("families", "sentences"), "third part": ("functions",), "fourth part": ("ordinary",)}
OWN_ALARMS: Final = 0.05
EVERYDAY_ALARMS: Final = 0.005  # half of what tests/unit/safety/test_text_budget.py lets pass
PER_EVERYDAY_SET: Final = 300
Array = NDArray[np.float64]


def contrastive_sets() -> dict[str, list[Row]]:
    """The test split of the project's own set, by part."""
    found: dict[str, list[Row]] = {}
    for part, files in PARTS.items():
        kinds = {kind for file in files for kind in _kinds(file)}
        rows = [r for r in contrastive() if r["kind"] in kinds]
        found[f"contrastive test, {part}"] = [Row(r["text"], bool(r["labels"]), {}) for r in rows]
    return found


def _kinds(file: str) -> Iterator[str]:
    """Values of ``kind`` of the rows that come from ``file``."""
    tables = tomllib.loads(CONTRASTIVE.with_name(f"{file}.toml").read_text(encoding="utf-8"))
    for name, families in tables.items():
        for family in families if isinstance(families, list) else ():
            yield f"verb/{family['id']}" if name == "verb" else family["id"]


def everyday(shared: Path) -> list[str]:
    """Harmless texts in which nothing looks dangerous, none of them trained on."""
    found = {n: t for n, t in benign_sets(shared).items() if "look-alikes" not in n}
    return [t for texts in found.values() for t in texts[:PER_EVERYDAY_SET]]


def stack_of(folder: Path) -> Stack:
    """Rules, language and the encoder with the weights in ``folder``."""
    encoder = TextEncoder(folder, lambda model, words: KeptEncoder(model, words, CACHE))
    return Stack([*(plugins.load("gensafe.classifiers", n) for n in ("text_rules", "text_language")), encoder])


def compared(sets: Mapping[str, list[Row]], calm: Sequence[str], stacks: Mapping[str, Stack]) -> dict[str, Any]:
    """Figures of every stack on every set."""
    out: dict[str, Any] = {"everyday": len(calm), "sets": {}}
    edges = {n: float(np.quantile(_top(s, calm), 1 - EVERYDAY_ALARMS)) for n, s in stacks.items()}
    for name, rows in sets.items():
        harmful = np.array([bool(r.harmful) for r in rows])
        entry: dict[str, Any] = {"n": len(rows), "harmful": int(harmful.sum())}
        for system, stack in stacks.items():
            entry[system] = _figures(harmful, _top(stack, [r.text for r in rows]), edges[system])
        out["sets"][name] = entry
        print(f"  {name:44} " + "  ".join(f"{n}: {entry[n]}" for n in stacks), flush=True)
    return out


def _top(stack: Stack, texts: Sequence[str]) -> Array:
    return np.array([any_score(s) for s in stack(texts)])


def _figures(harmful: NDArray[np.bool_], score: Array, edge: float) -> dict[str, list[float]]:
    own = float(np.quantile(score[~harmful], 1 - OWN_ALARMS))
    many, few = int(harmful.sum()), int((~harmful).sum())
    return {
        "auprc": figures(bootstrap(average_precision, harmful, score)),
        "recall": figures(share(int((score[harmful] > own).sum()), many)),
        "recall_everyday": figures(share(int((score[harmful] > edge).sum()), many)),
        "alarms_everyday": figures(share(int((score[~harmful] > edge).sum()), few)),
    }


def lines(out: Mapping[str, Any]) -> Iterator[str]:
    """Markdown lines."""
    yield f"New weights against those of the version before, at equal false alarms ({out['everyday']} everyday texts):"
    columns = {
        "auprc": "AUPRC",
        "recall": "recall at 5 % of its harmless texts",
        "recall_everyday": "recall at 0.5 % of everyday texts",
        "alarms_everyday": "its harmless texts above that",
    }
    heads = [f"{c}, before | after" for c in columns.values()]
    yield from ("", "| set | texts | " + " | ".join(heads) + " |", "|---" * (2 + 2 * len(columns)) + "|")
    for name, entry in out["sets"].items():
        cells = [interval(entry[system][key]) for key in columns for system in ("before", "after")]
        yield f"| {name} | {entry['n']} ({entry['harmful']} harmful) | " + " | ".join(cells) + " |"
    yield ""


def main() -> int:
    """Compare and write."""
    parser = argparse.ArgumentParser(prog="benchmarks.text_safety.compare", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("--after", type=Path, default=WEIGHTS)
    parser.add_argument("--limit", type=int, default=LIMIT)
    parser.add_argument("--own-only", action="store_true", help="the contrastive set alone: no set kept aside is read")
    parser.add_argument("--shared", type=Path, default=SAFETY_TEXT)
    args = parser.parse_args()
    sets = contrastive_sets()
    if not args.own_only:
        sets |= {n: drawn(rows, args.limit) for n, rows in ranked_sets(args.shared).items()}
    stacks = {"before": stack_of(args.before), "after": stack_of(args.after)}
    out = compared(sets, everyday(args.shared), stacks)
    if not args.own_only:
        TARGET.write_text(json.dumps(out, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
