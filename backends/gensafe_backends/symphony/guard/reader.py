"""What the model reads in a picture, a sound or a film: its description, and what it nearly said instead.

One pass over the medium, then the description greedily, word by word. Each step gives the probability of every text id,
read off the last hidden state by the model's own output head. A word that was nearly said counts by how nearly.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import ConfigError, GensafeError, SafetyUnavailable
from gensafe_backends.symphony.generate import PREFILL_CHUNK
from gensafe_backends.symphony.grammar import live_range
from gensafe_backends.symphony.guard.words import Term, spellings, terms
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.model.open import open_engine
from gensafe_backends.symphony.sequence import TokenSpan, prompt_ids
from gensafe_backends.symphony.tokenizers.universal import UniversalTokenizer
from gensafe_backends.symphony.vocab import EOS, vocabulary
from gensafe_backends.symphony.weights import load_model, read_verified, sha256, weights_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe_backends.symphony.model.engine import Engine

MAX_WORDS: Final = 96  # text ids of a description; that of six different shapes takes about 60
SAID: Final = 0.5  # what a term that stands in the description counts at least


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A description and how sure the model was.

    Attributes:
        text: The description.
        chances: float32 (steps, control and text ids): the probabilities at every step, the end of it included.
        starts: bool (steps + 1,): whether the id chosen at a step begins a word; the end does.
    """

    text: str
    chances: NDArray[np.float32]
    starts: NDArray[np.bool_]

    def chance(self, ids: Iterable[int]) -> float:
        """The probability of these ids, one after another, at the best place where a word may begin and end."""
        wanted = list(ids)
        steps = len(self.chances) - len(wanted) + 1
        if not wanted or steps < 1:
            return 0.0
        column = [self.chances[n : n + steps, i] for n, i in enumerate(wanted)]
        ends = self.starts[len(wanted) : len(wanted) + steps]
        return float((np.min(column, axis=0) * ends).max())


class Reader:
    """One bundle on one engine. Safe to use from several threads.

    Args:
        engine: Any engine.
        tokenizer: Of the same bundle.
        digest: The bundle's.
        tokenizer_digest: Of the part that turns media into ids.
    """

    def __init__(self, engine: Engine, tokenizer: UniversalTokenizer, digest: str, tokenizer_digest: str) -> None:
        self.engine, self.tokenizer = engine, tokenizer
        self.digest, self.tokenizer_digest = digest, tokenizer_digest
        self._ids: dict[Term, tuple[tuple[int, ...], ...]] = {}

    def read(self, span: TokenSpan) -> Reading:
        """Describe one picture, sound or film.

        Raises:
            SafetyUnavailable: the model gave no usable score.
        """
        config = self.engine.config
        live, text = live_range(config, None), vocabulary(config).text
        feeder, cache = Feeder(config), self.engine.new_cache()
        pending, written = prompt_ids([span], config), []
        rows, starts = [], []
        for _ in range(MAX_WORDS):
            while len(pending) > PREFILL_CHUNK:
                self.engine.forward(feeder.push(pending[:PREFILL_CHUNK]), cache, live=live)
                del pending[:PREFILL_CHUNK]
            scores = self.engine.forward(feeder.push(pending), cache, live=live)[0].astype(np.float64)
            if not np.isfinite(scores).all():
                raise SafetyUnavailable("the model gave no usable score")
            chance = np.exp(scores - scores.max())
            chance /= chance.sum()
            rows.append(chance.astype(np.float32))
            allowed = chance.copy()
            allowed[: text.start] = 0.0
            allowed[EOS] = chance[EOS]
            token = int(np.argmax(allowed))
            starts.append(token == EOS or self.tokenizer.text.decode_bytes([token - text.start])[:1] == b" ")
            if token == EOS:
                break
            written.append(token)
            pending = [token]
        return Reading(self.tokenizer.decode_text(written), np.array(rows), np.array([*starts, True]))

    def score(self, reading: Reading, wanted: Iterable[Term]) -> float:
        """0..1: how sure the model is that one of the terms belongs in the description."""
        chosen = tuple(wanted)
        best = max((reading.chance(ids) for t in chosen for ids in self._spelt(t)), default=0.0)
        said = bool(terms(reading.text, max(map(len, chosen), default=1)) & set(chosen))
        return min(1.0, max(best, SAID if said else 0.0))

    def _spelt(self, wanted: Term) -> tuple[tuple[int, ...], ...]:
        known = self._ids.get(wanted)
        if known is None:
            known = tuple(tuple(self.tokenizer.encode_text(s)) for s in spellings(wanted))
            self._ids[wanted] = known
        return known


_LOCK: Final = threading.Lock()


def open_reader(weights: str = "", engine: str = "auto") -> Reader:
    """The reader of a bundle; one per bundle and engine in a process.

    Args:
        weights: A bundle directory; "" = the one that ships.
        engine: auto, native or numpy.

    Raises:
        ConfigError: no such engine.
        SafetyUnavailable: the bundle is missing or altered, or the engine cannot run here.
    """
    if engine not in ("auto", "native", "numpy"):
        raise ConfigError("auto, native or numpy", field="engine")
    from gensafe_backends.symphony.plugin import default_bundle

    try:
        with _LOCK:
            return _open(Path(weights) if weights else default_bundle(), engine)
    except GensafeError as error:
        raise SafetyUnavailable(f"the model bundle cannot be used: {error.message}") from error


@lru_cache(maxsize=4)
def _open(bundle: Path, engine: str) -> Reader:
    config, tensors = load_model(bundle)
    spans = {k: v for k, v in asdict(config).items() if k.startswith(("text_", "image_", "audio_", "video_"))}
    parts = [json.dumps(spans, sort_keys=True)]  # what ids mean; a config says more, which may change without that
    parts += [sha256(read_verified(bundle, n)) for n in ("tokenizer.json", "tokenizer.safetensors")]
    own = sha256("\n".join(parts).encode("ascii"))
    return Reader(open_engine(engine, config, tensors), UniversalTokenizer.load(bundle), weights_digest(bundle), own)
