"""Train the heads without a source, test on it: what the recipe is worth on texts that nobody collected for it.

Two recipes in the same run: ``before`` (the sources as large as they come, the contrastive set's first two parts, the
encoder's features alone) and ``after`` (``balanced``, ``fit_mean``, all of the contrastive set, the cues). The score is
the ``any`` head's; the linear screen and the calibration are left out, so the figures are of the heads alone.

A source with harmful texts only is tested against calm texts that no fold trains on; for a source with benign texts
only the share above the score that 5 % of those calm texts reach is reported. The headline is the mean over sources,
with an interval from sources drawn with replacement.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.metrics import auroc, average_precision, bootstrap, share
from benchmarks.text_safety.accuracy import figures
from benchmarks.text_safety.balanced import balanced
from benchmarks.text_safety.corpus import HEADS, Example, held_out
from benchmarks.text_safety.data import CONTRASTIVE
from benchmarks.text_safety.fitting import features, fit_heads, fit_mean
from benchmarks.text_safety.systems import KeptEncoder, System, any_score
from gensafe.safety.cards import WEIGHTS
from gensafe.safety.cues import WIDTH

CAP: Final = 400  # rows a source: enough to rank recipes, and four dozen fits take minutes
TESTED: Final = 300  # rows of the source left out
CALM: Final = 300
FALSE_ALARMS: Final = 0.05
EPOCHS: Final = 4
OWN_EVERY: Final = 2
LEAST: Final = 20  # rows of a kind below which a source is not tested
ANY: Final = HEADS.index("any")
_CALM_SOURCES: Final = frozenset(("clinc", "banking", "wiki", "gsm8k", "self_instruct", "mitre_frr", "books"))


def leave_one_out(shared: Path, cache: Path, systems: Mapping[str, System]) -> dict[str, Any]:
    """Per source AUPRC and AUROC of both recipes and of ``systems``; ``macro``: the means over sources."""
    old_kinds = _first_parts()
    encoder = KeptEncoder(
        (WEIGHTS / "text_encoder.onnx").read_bytes(),
        (WEIGHTS / "text_encoder.vocab.txt").read_text(encoding="utf-8").splitlines(),
        cache,
    )
    rows = _thinned([e for e in balanced(shared, CAP) if e.labels[ANY] == e.labels[ANY]])
    x = np.stack([features(encoder, e.text) for e in rows])
    labels = np.array([[*e.labels, np.nan] for e in rows], np.float32)
    source = np.array([e.source for e in rows])
    harmful = labels[:, ANY] == 1
    calm = np.array([e.source in _CALM_SOURCES and held_out(e) for e in rows])
    out: dict[str, Any] = {"cap": CAP, "rows": len(rows), "sources": {}}
    for name in dict.fromkeys(source.tolist()):
        own = np.flatnonzero(source == name)[:TESTED]
        counts = int(harmful[own].sum()), int((~harmful[own]).sum())
        if max(counts) < LEAST:
            continue
        train = (source != name) & ~calm
        against = np.flatnonzero(calm & (source != name))[:CALM]
        test = own if min(counts) >= LEAST else np.concatenate([own, against])
        entry: dict[str, Any] = {"n": len(own), "harmful": counts[0]}
        for recipe in ("before", "after"):
            use = train & np.array([recipe == "after" or _old(e, old_kinds) for e in rows])
            score = _scores(recipe, [e for e, u in zip(rows, use, strict=True) if u], x, labels, use)
            entry[recipe] = _figures(harmful, score, own, test, against, counts)
        for system, run in systems.items():
            score = np.zeros(len(rows))
            where = np.unique(np.concatenate([test, against]))
            score[where] = [any_score(s) for s in run([rows[i].text for i in where])]
            entry[system] = _figures(harmful, score, own, test, against, counts)
        out["sources"][name] = entry
        print(f"  {name:24} {entry['n']:4} " + "  ".join(f"{k} {entry[k]}" for k in ("before", "after")), flush=True)
    out["macro"] = macro(out["sources"], ("before", "after", *systems))
    print("macro over sources:", out["macro"])
    return out


def _thinned(rows: Sequence[Example]) -> list[Example]:
    """Every OWN_EVERY-th row of the project's own set: its templates repeat, and each fit reads them all."""
    own = [e for e in rows if e.source == "contrastive"]
    return [*own[::OWN_EVERY], *(e for e in rows if e.source != "contrastive")]


def _first_parts() -> frozenset[str]:
    """Families of the contrastive set's first two parts."""
    found = []
    for name in ("families", "sentences"):
        for tables in tomllib.loads((CONTRASTIVE.parent / f"{name}.toml").read_text(encoding="utf-8")).values():
            found += [t["id"] for t in tables if isinstance(t, dict) and "id" in t]
    return frozenset(found)


def _old(example: Example, kinds: frozenset[str]) -> bool:
    if example.source in ("jade", "hh_red_team"):
        return False
    return example.source != "contrastive" or example.group.split("/")[0] in kinds


def _scores(
    recipe: str, used: Sequence[Example], x: NDArray[np.float32], labels: NDArray[np.float32], use: NDArray[np.bool_]
) -> NDArray[np.float64]:
    if recipe == "after":
        heads = fit_mean(x[use], labels[use], used, epochs=EPOCHS)
        return np.asarray(heads.logits(x)[:, ANY], np.float64)
    weight = np.array([e.weight * (2.0 if e.source == "contrastive" else 1.0) for e in used], np.float32)
    plain = np.ascontiguousarray(x[:, :-WIDTH])
    return np.asarray(fit_heads(plain[use], labels[use], weight, epochs=EPOCHS).logits(plain)[:, ANY], np.float64)


def _figures(
    harmful: NDArray[np.bool_],
    score: NDArray[np.float64],
    own: NDArray[np.int64],
    test: NDArray[np.int64],
    against: NDArray[np.int64],
    counts: tuple[int, int],
) -> dict[str, Any]:
    threshold = float(np.quantile(score[against], 1 - FALSE_ALARMS))
    above = score[own] > threshold
    if not counts[0]:
        return {"benign_above": figures(share(int(above.sum()), len(own)))}
    found: dict[str, Any] = {"recall": figures(share(int((above & harmful[own]).sum()), counts[0]))}
    found["auprc"] = figures(bootstrap(average_precision, harmful[test], score[test]))
    found["auroc"] = round(auroc(harmful[test], score[test]), 4)
    return found


def macro(sources: Mapping[str, Any], systems: Sequence[str]) -> dict[str, Any]:
    """Mean over sources of each figure, with the 2.5 % and 97.5 % quantiles over sources drawn with replacement."""
    draw = np.random.default_rng(1)
    found: dict[str, Any] = {}
    for system in systems:
        for figure in ("auprc", "auroc", "recall", "benign_above"):
            values = [e[system][figure] for e in sources.values() if figure in e.get(system, {})]
            flat = np.array([v[0] if isinstance(v, list) else v for v in values])
            if len(flat):
                means = flat[draw.integers(0, len(flat), (1000, len(flat)))].mean(1)
                low, high = np.quantile(means, (0.025, 0.975))
                entry = [round(float(flat.mean()), 4), round(float(low), 4), round(float(high), 4), len(flat)]
                found.setdefault(system, {})[figure] = entry
    return found
