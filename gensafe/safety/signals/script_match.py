"""Does a recording say its script, word for word? Evidence of tampering, by a recogniser that is told what to expect.

A finite-state grammar lets the sound be the script and nothing else, except that any word may be replaced or left out,
and other speech may stand between two words, each at a price: a path through a loop of all phonemes, whose likelihood
is multiplied by PRICE. Where the sound is not the script, paying the price is the likelier way, and the best path says
at which word. This is how word spotting with filler models works (Rose and Paul, ICASSP 1990), turned around. Forced
alignment alone does not do it: it finds a best place for every word of a wrong script as well.

How often it is right stands in the card of ``audio_script``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import InvalidRequest
from gensafe.core.types import TimeRange
from gensafe.safety.signals import recogniser
from gensafe.safety.signals.recogniser import RATE as RATE  # part of this module's interface

PRICE: Final = 1e-40  # of not following the script once; see benchmarks.media_safety.scripts
LEAST_PHONES: Final = 3  # of other speech
MAX_WORDS: Final = 60  # a grammar of n words has about 240 n arcs
_FRAMES_A_SECOND: Final = 100  # PocketSphinx' default (``frate``)
_PHONES: Final = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()
)
_FILLER: Final = "_"
_WORD: Final = re.compile(r"[a-z]+(?:'[a-z]+)*")


@dataclass(frozen=True, slots=True)
class ScriptMatch:
    """What the best path through the grammar says.

    Args:
        words: Of the script.
        missed: Indices of the words that were not heard.
        unknown: Indices of the words that the dictionary does not have; they are not checked.
        other: Where there is speech that is not in the script, in seconds.
    """

    words: tuple[str, ...]
    missed: tuple[int, ...]
    unknown: tuple[int, ...]
    other: tuple[TimeRange, ...]

    @property
    def agrees(self) -> bool:
        """Whether every word that can be checked was heard, and nothing else."""
        return not (self.missed or self.other)


class ScriptMatcher:
    """PocketSphinx with its US-English model (``pip install gensafe[speech]``), in worker processes.

    Raises:
        SafetyUnavailable: PocketSphinx is not installed.
    """

    name = recogniser.NAME

    def __init__(self) -> None:
        recogniser.require()

    def match(self, samples: NDArray[np.float32], script: str) -> ScriptMatch:
        """Compare float32 (n,) mono samples at 16 kHz with ``script``, English in its usual spelling.

        Raises:
            InvalidRequest: the script has no word, more than MAX_WORDS, or figures instead of words.
            SafetyUnavailable: the recogniser crashed, or took too long.
        """
        words = script_words(script)
        target = "gensafe.safety.signals.script_match:best_path"
        path, unknown = recogniser.in_worker(target, samples, words)
        return _read(path, words, unknown)


def best_path(pcm: bytes, words: tuple[str, ...]) -> tuple[list[tuple[str, int, int]], tuple[int, ...]]:
    """The best path of 16-bit samples through the grammar of ``words``. Runs in a worker.

    Returns:
        (word, first frame, frame after the last) of each step, and the indices of words that the dictionary lacks.
    """
    decoder, normalisation = _decoder()
    unknown = tuple(i for i, word in enumerate(words) if decoder.lookup_word(word) is None)
    decoder.add_fsg("script", _grammar(decoder, words, unknown))
    decoder.activate_search("script")
    decoder.set_cmn(normalisation)  # what it learned from the last sound must not colour this one
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    return [(str(s.word), int(s.start_frame), int(s.end_frame) + 1) for s in decoder.seg() or ()], unknown


@cache
def _decoder() -> tuple[Any, str]:
    """The decoder of this worker, and the normalisation that it starts with."""
    from pocketsphinx import Decoder

    # weights of 1: the grammar's probabilities count as they stand; wide beams: the wrong path must survive
    decoder = Decoder(
        samprate=RATE,
        loglevel="FATAL",
        lm=None,
        lw=1.0,
        wip=1.0,
        pip=1.0,
        bestpath=False,
        fwdflat=False,
        beam=1e-60,
        wbeam=1e-40,
        pbeam=1e-60,
    )
    normalisation = decoder.get_cmn(False)
    for phone in _PHONES:
        decoder.add_word(_FILLER + phone.lower(), phone, phone == _PHONES[-1])
    return decoder, normalisation


def _grammar(decoder: Any, words: tuple[str, ...], unknown: tuple[int, ...]) -> Any:  # noqa: ANN401 - untyped library
    """States 0..n lie between the words; the rest are inside a filler."""
    count = len(words)
    arcs: list[tuple[Any, ...]] = []
    free = count + 1

    def filler(start: int, end: int, price: float) -> None:
        nonlocal free
        at = start
        for step in range(LEAST_PHONES):
            chance = (price if step == 0 else 1.0) / len(_PHONES)
            arcs.extend((at, free, chance, _FILLER + phone.lower()) for phone in _PHONES)
            at, free = free, free + 1
        arcs.extend((at, at, 1 / len(_PHONES), _FILLER + phone.lower()) for phone in _PHONES)
        arcs.append((at, end, 1.0))

    for index, word in enumerate(words):
        if index in unknown:
            filler(index, index + 1, 1.0)
            continue
        arcs += [(index, index + 1, 1.0, word), (index, index + 1, PRICE)]  # said, or left out
        filler(index, index + 1, PRICE)  # another word in its place
    for index in range(count + 1):
        filler(index, index, PRICE)  # other speech between
    return decoder.create_fsg("script", 0, count, arcs)


def script_words(script: str) -> tuple[str, ...]:
    """The words of a script in lower case, without punctuation.

    Raises:
        InvalidRequest: none, too many, or what is not spelled out.
    """
    plain = script.lower().replace("\u2019", "'")
    if re.search(r"[^\W_a-z]", plain):
        raise InvalidRequest("write out figures, and English words only", field="script")
    words = tuple(_WORD.findall(plain))
    if not 0 < len(words) <= MAX_WORDS:
        raise InvalidRequest(f"has {len(words)} words; 1 to {MAX_WORDS} can be compared", field="script")
    return words


def _read(path: list[tuple[str, int, int]], words: tuple[str, ...], unknown: tuple[int, ...]) -> ScriptMatch:
    """Follow the best path: which words are on it, and where it goes through fillers."""
    heard: list[str] = []
    gaps: list[tuple[int, int, int]] = []  # (words heard before, first frame, last frame)
    for word, start, end in path:
        if word.startswith(_FILLER):
            if gaps and gaps[-1][0] == len(heard) and gaps[-1][2] >= start:
                gaps[-1] = (len(heard), gaps[-1][1], end)
            else:
                gaps.append((len(heard), start, end))
        elif word[:1] not in "<[(":  # silence and noise
            heard.append(re.sub(r"\(\d+\)$", "", word))
    kept = _places(heard, [w for i, w in enumerate(words) if i not in unknown])
    known = [i for i in range(len(words)) if i not in unknown]
    on_path = {known[k] for k in kept}
    missed = tuple(i for i in known if i not in on_path)
    order = [known[k] for k in kept]
    other = []
    for before, start, end in gaps:
        first = order[before - 1] if before else -1
        last = order[before] if before < len(order) else len(words)
        if not any(first < i < last for i in unknown):  # there a filler stands for a word that cannot be checked
            other.append(TimeRange(start / _FRAMES_A_SECOND, end / _FRAMES_A_SECOND))
    return ScriptMatch(words, missed, unknown, tuple(other))


def _places(heard: list[str], script: list[str]) -> list[int]:
    """Index in the script of each word heard: the path has them in order, some left out."""
    places, at = [], 0
    for word in heard:
        at = script.index(word, at)
        places.append(at)
        at += 1
    return places
