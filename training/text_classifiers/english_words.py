"""The English words that ``text_language`` knows: counted in the training texts whose licences allow it.

usage: python -m training.text_classifiers.english_words DATA_FOLDER OUT.txt

A word counts where it stands in small letters, so that names do not get in; encyclopaedic sentences have no capitals,
so there it takes more. Words of ``language_words`` are left out: they speak for their own language.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.text_safety.contrastive.everyday import everyday_texts
from benchmarks.text_safety.corpus import FOREIGN, read_all, read_contrastive
from benchmarks.text_safety.data import CONTRASTIVE
from gensafe.safety.language_words import WORDS
from training.text_classifiers.technical import technical_texts

LEAST: Final = 3  # occurrences; two are still mostly misspellings
LEAST_WITHOUT_CAPITALS: Final = 12  # in sentences that are all in small letters, names and foreign words included
LEFT_OUT: Final = frozenset((*FOREIGN, "mixture", "surge_profanity", "davidson"))
NO_CAPITALS: Final = frozenset(("wiki", "clinc", "toxigen_demonstrations", "toxiGen", "implicitHate"))
_WORD: Final = re.compile(r"(?<![\w'’-])[a-z]{2,20}(?![\w-])")


def counted(texts: Iterator[str], least: int) -> set[str]:
    """Words that occur at least ``least`` times in small letters."""
    count: Counter[str] = Counter()
    for text in texts:
        count.update(set(_WORD.findall(text)))
    return {w for w, n in count.items() if n >= least}


def main() -> int:
    """Count and write."""
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    examples = [e for e in read_all(folder) if e.source not in LEFT_OUT]
    own = [*(e.text for e in read_contrastive(CONTRASTIVE)), *everyday_texts()]
    found = counted((e.text for e in examples if e.source not in NO_CAPITALS), LEAST)
    found |= counted((e.text for e in examples if e.source in NO_CAPITALS), LEAST_WITHOUT_CAPITALS)
    found |= counted(iter(technical_texts(2000)), 2)
    found |= counted((t.lower() for t in own), 1)
    kept = sorted(w for w in found if w not in WORDS)
    target.write_text("\n".join(kept) + "\n", encoding="utf-8")
    print(len(kept), "words")
    return 0


if __name__ == "__main__":
    sys.exit(main())
