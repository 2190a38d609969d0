"""Make the table of passages that the text mark's detector does not score for the bundled model's tokenizer.

    python -m benchmarks.watermark.text.common_passages --text DIR

DIR is the data folder's ``safety_text``; only its sets that may train shipped weights are used, and of their texts only
those ``real_texts.side`` puts on the table's side: the null test runs on the others. The table holds
passages of four tokens, most of them shorter than two words, and nothing of who wrote them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from benchmarks.watermark.text import real_texts as texts_real
from gensafe_backends.symphony.plugin import default_bundle
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_watermark.text import common

COUNT = 16_000
LENGTH = 60
OUT = Path(common.__file__).parent / common.SHIPPED


def name_of(tokenizer: UniversalTokenizer) -> str:
    """Names the text tokenizer by its merges, which are all that its ids depend on."""
    return "sha256:" + hashlib.sha256(json.dumps(tokenizer.text.merges).encode()).hexdigest()


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    options = parser.parse_args()
    tokenizer = UniversalTokenizer.load(default_bundle())
    found = [t for t in texts_real.texts(options.text, trainable=True) if texts_real.side(t) == "table"]
    pieces = texts_real.pieces(found, tokenizer.encode_text, LENGTH, 1_000_000)
    passages = common.common_passages(pieces, COUNT, h=common.SHIPPED_CONTEXT)
    OUT.write_bytes(common.pack(passages, name_of(tokenizer)))
    print(f"{len(pieces)} texts, {len(passages)} passages, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
