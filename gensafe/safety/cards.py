"""Classifier cards: one JSON file per classifier beside its weights.

Rendered to docs/cards by ``python -m gensafe.safety.cards``.

The measured figures are written into the JSON by the benchmarks that measured them, never by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.hazards import CATEGORIES
from gensafe.core.ports import Card
from gensafe.core.types import Modality

WEIGHTS: Final = Path(__file__).parent / "weights"


def read_card(name: str, folder: Path = WEIGHTS) -> Card:
    """Read the card of the classifier ``name``.

    Raises:
        SafetyUnavailable: there is none, or it is malformed.
    """
    try:
        data = json.loads((folder / f"{name}.card.json").read_text(encoding="utf-8"))
        if not set(data.get("partial", {})) <= set(data["categories"]):
            raise ValueError("a category covered in part is a category")
        return Card(
            name=data["name"],
            version=data["version"],
            modality=Modality(data["modality"]),
            categories=tuple(data["categories"]),
            summary=data["summary"],
            trained_on=tuple(data["trained_on"]),
            measured=dict(data["measured"]),
            not_covered=tuple(data["not_covered"]),
            weights_digest=data.get("weights_digest", ""),
            partial=dict(data.get("partial", {})),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SafetyUnavailable(f"no usable card for {name}: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class CategoryCoverage:
    """Which categories the classifiers of one modality look for: whole, in part (and which parts), not at all."""

    whole: tuple[str, ...]
    partial: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]


def category_coverage(cards: Iterable[Card], wanted: Iterable[str]) -> CategoryCoverage:
    """What ``cards`` say of the categories ``wanted``; one classifier that covers a category whole is enough."""
    known = tuple(cards)
    whole = {c for card in known for c in card.categories if c not in card.partial}
    parts: dict[str, list[str]] = {}
    for card in known:
        for category, part in card.partial.items():
            parts.setdefault(category, []).append(f"{part} ({card.name})")
    names = sorted(set(wanted))
    return CategoryCoverage(
        tuple(c for c in names if c in whole),
        {c: tuple(parts[c]) for c in names if c in parts and c not in whole},
        tuple(c for c in names if c not in parts and c not in whole),
    )


def render_card(card: Card) -> str:
    """The card as Markdown."""
    lines = [
        f"# {card.name} (version {card.version})",
        "",
        card.summary,
        "",
        f"- Modality: {card.modality}",
        "- Categories: " + ", ".join(f"`{c}` {CATEGORIES.get(c, c)}" for c in card.categories),
    ]
    lines += [f"- Covered only in part: `{c}`: {part}" for c, part in card.partial.items()]
    if card.weights_digest:
        lines.append(f"- Weights: `{card.weights_digest}`")
    lines += ["", "## Trained on", ""]
    lines += [f"- {source}" for source in card.trained_on] or ["Rules; nothing was trained."]
    lines += ["", "## Measured", ""]
    if card.measured:
        lines += ["| figure | value |", "|---|---|", *(f"| {k} | {v} |" for k, v in card.measured.items())]
    else:
        lines.append("Nothing yet.")
    lines += ["", "## Not covered", "", *(f"- {line}" for line in card.not_covered), ""]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Render every card in the weights folder into the folder given (docs/cards)."""
    args = sys.argv[1:] if arguments is None else arguments
    target = Path(args[0] if args else "docs/cards")
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(WEIGHTS.glob("*.card.json")):
        name = path.name.removesuffix(".card.json")
        (target / f"{name}.md").write_text(render_card(read_card(name)), encoding="utf-8")
        print(target / f"{name}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
