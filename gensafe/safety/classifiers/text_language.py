"""``text_language``: say "not covered" about passages in a language the other text classifiers were not measured on.

Identification by py3langid (n-gram naive Bayes, BSD-3-Clause, weights in its wheel). A text is looked at in passages
of about ``PASSAGE`` characters, so that one foreign paragraph in a long text is seen. Links, mail addresses, code and
digits carry no language and are masked first. Letters of a script that no covered language uses decide by themselves,
however short the text; a few words in Latin letters are looked up in ``language_words``. Where that does not tell
either, a text is not covered of which most words are no English words and whose letters the identifier takes for no
English.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from gensafe.core.digest import sha256
from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Media, Modality, Span, Stage, Text
from gensafe.safety.cards import read_card
from gensafe.safety.language_words import SCRIPTS, UNSURE, WORDS_FILE, language_by_words, language_name, unlike_english
from gensafe.safety.normalize import script_of

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

NAME: Final = "text_language"
VERSION: Final = "3"
COVERED: Final = frozenset({"en"})
PASSAGE: Final = 240  # characters, about 40 English words: a short paragraph; chosen by eye, not measured
MEMORY: Final = 4096  # passages whose answer is kept: a stream shows the same passage to many windows
MIN_WORDS: Final = 4  # fewer say too little about a language for n-grams; chosen by eye, not measured
MIN_LETTERS: Final = 16  # likewise, of about four short words; chosen by eye, not measured
MIN_HAN: Final = 6  # one Han, kana or Hangul character says as much as a few letters
CONFIDENT: Final = 0.50  # probability: the language found is likelier than all others together
COVERED_AT_MOST: Final = 0.03  # of the probability, by all covered languages together; of the first two and three words
# of 159 foreign sentences 104 are unlike English, 95 % of them below this, and 1 of 19 English prompts of rare words

# languages so close to a covered one that the identifier mixes them up; reading them as covered loses nothing
_NEIGHBOURS: Final[Mapping[str, frozenset[str]]] = {
    "en": frozenset({"en", "sco", "pcm", "zxx", "und"}),
    "de": frozenset({"de", "nds", "lb", "gsw", "bar"}),
    "fr": frozenset({"fr"}),
    "zh": frozenset({"zh", "yue", "wuu"}),
}
_MASK: Final = re.compile(
    r"https?://[!-~]{1,2000}|[!-~]{1,200}@[!-~]{1,200}|```.{0,20000}?```|`[^`\n]{1,500}`"
    # only ASCII around a sign: a script without spaces would hide a whole sentence behind one bracket
    r"|[!-~]{0,100}[_{}<>=|\\/#$~^*+\[\]()0-9]{1,100}[!-~]{0,100}",
    re.DOTALL,
)
_STOP: Final = re.compile(r"[.!?\u0964\u061f]+[\s\"')\u00bb\u201d]+|[\n\u3002\uff01\uff1f]+")
SURELY_COVERED: Final = 0.90  # of the probability, by the covered languages; below, the words are asked as well
WORDS_CONFIDENCE: Final = 0.9  # above the policy's threshold; see language_words for when words decide
RUN_LETTERS: Final = 10  # longer than a name or a quoted word usually is; chosen by eye, not measured
_LEAST_LETTERS: Final = {"greek": 3}  # single Greek letters are mathematics
_WORD: Final = re.compile(r"[^\W\d_]+")
_EAST_ASIAN: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class TextLanguage:
    """Language identification as a Classifier.

    Args:
        covered: ISO 639-1 codes that count as covered.
    """

    name = NAME
    modality = Modality.TEXT

    def __init__(self, covered: frozenset[str] = COVERED) -> None:
        self._covered = frozenset().union(*(_NEIGHBOURS.get(c, frozenset({c})) for c in covered))
        self._scripts = {"latin", *(k for k, (_, codes) in SCRIPTS.items() if self._covered & set(codes.split()))}
        self._english_only = covered == COVERED  # the words are known of no other language
        self._identifier = _identifier()
        self._remembered = lru_cache(maxsize=MEMORY)(self._uncovered)

    def identity(self) -> ClassifierId:
        """The model is py3langid's; its digest is taken from the installed file."""
        return ClassifierId(NAME, VERSION, _model_digest())

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(NAME)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Report each passage in a language that is not covered (category ``unc``, the code as detail).

        Raises:
            SafetyUnavailable: not a text.
        """
        if not isinstance(item, Text):
            raise SafetyUnavailable("text_language reads text")
        text = item.text
        spans: dict[str, list[Span]] = {}
        scores: dict[str, float] = {}
        for span, language, confidence in self.uncovered(text):
            spans.setdefault(language, []).append(span)
            scores[language] = max(scores.get(language, 0.0), confidence)
        findings = tuple(
            Finding("unc", scores[code], NAME, described(code), tuple(where)) for code, where in sorted(spans.items())
        )
        return Assessment(findings, (Coverage(NAME, "characters", len(text), len(text)),))

    def uncovered(self, text: str) -> Iterator[tuple[Span, str, float]]:
        """(where, language code, confidence) of the passages that are surely in a language that is not covered."""
        alone = len(text) <= PASSAGE  # inside a longer text a few odd words are names, terms or code
        for start, end in passages(text):
            language, confidence = self._remembered(text[start:end], alone=alone)
            if language:
                yield Span(start, end), language, confidence
                continue
            for first, last in _sentences(text, start, end):
                language, confidence = self._remembered(text[first:last])
                if language:
                    yield Span(first, last), language, confidence

    def _uncovered(self, passage: str, *, alone: bool = False) -> tuple[str, float]:
        """(language code, confidence) if the passage is surely in a language that is not covered, else ("", 0)."""
        plain = _MASK.sub(" ", passage)
        words = _WORD.findall(plain)
        letters = sum(map(len, words))
        if not letters:
            return "", 0.0
        script = self._foreign_script(plain, letters)
        east_asian = len(_EAST_ASIAN.findall(plain))
        short = east_asian < MIN_HAN and (len(words) < MIN_WORDS or letters < MIN_LETTERS)
        if short and not script:
            return self._by_words(words, alone)
        ranked = self._identifier.rank(" ".join(words))
        best, confidence = ranked[0]
        covered = sum(p for code, p in ranked if code in self._covered)
        if best in self._covered and not (script and best not in SCRIPTS[script][1].split()):
            return self._by_words(words, alone) if covered < SURELY_COVERED else ("", 0.0)
        if script:  # the identifier only names the language
            known = SCRIPTS[script][1].split()
            return next((str(code) for code, _ in ranked if code in known), script), 1.0
        if confidence < CONFIDENT or covered > COVERED_AT_MOST:
            return self._by_words(words, alone)
        return str(best), min(1.0, 1.0 - float(covered))

    def _foreign_script(self, plain: str, letters: int) -> str:
        """The script of most letters, or of several words, if no covered language is written in it."""
        counts: dict[str, int] = {}
        for char in plain:
            script = _script(char)
            if script and script not in self._scripts:
                counts[script] = counts.get(script, 0) + 1
        counts = {k: v for k, v in counts.items() if v >= _LEAST_LETTERS.get(k, 1)}
        total = sum(counts.values())
        if not total:
            return ""
        if 2 * total > letters or any(_run_of(plain, k) for k in counts):
            return max(counts, key=lambda k: counts[k])
        return ""

    def _by_words(self, words: list[str], alone: bool) -> tuple[str, float]:
        code = language_by_words([w.lower() for w in words])
        if not code and alone and self._english_only and unlike_english(words) and self._surely_foreign(words):
            code = UNSURE
        return (code, WORDS_CONFIDENCE) if code and code not in self._covered else ("", 0.0)

    def _surely_foreign(self, words: list[str]) -> bool:
        """Whether the letters are those of no covered language: rare English words ("marigolds") are not."""
        ranked = self._identifier.rank(" ".join(words))
        return bool(sum(p for code, p in ranked if code in self._covered) <= COVERED_AT_MOST)


def _script(char: str) -> str:
    """Script of a letter; mathematical letters and what NFKC turns into Latin are Latin."""
    script = script_of(char)
    return "latin" if script == "other" and unicodedata.normalize("NFKC", char).isascii() else script


def _run_of(plain: str, script: str) -> bool:
    """Whether a passage in ``script`` goes on for RUN_LETTERS, inside a text that is mostly in another one."""
    run = words = 0
    for char in plain:
        if _script(char) == script:
            run += 1
        elif char.isalpha():
            run = words = 0
        elif char.isspace() and run:
            words += 1
        if run >= RUN_LETTERS and (words >= 2 or script in ("han", "kana", "thai")):
            return True
    return False


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentences of a passage, where it has more than one."""
    cuts = [m.end() for m in _STOP.finditer(text, start, end)]
    edges = [start, *(c for c in cuts if start < c < end), end]
    if len(edges) > 2:
        yield from ((a, b) for a, b in pairwise(edges) if text[a:b].strip())


def described(code: str) -> str:
    """What is said about a passage in language ``code``."""
    if code == UNSURE:
        return "this text does not look English and its language cannot be told; the installed filters do not cover it"
    return f"this text looks {language_name(code)}, which the installed filters do not cover"


def passages(text: str, size: int = PASSAGE) -> Iterator[tuple[int, int]]:
    """Cut ``text`` into passages of about ``size`` characters at line, sentence or word ends; nothing is left out."""
    start = 0
    while start < len(text):
        end = min(len(text), start + size)
        if end < len(text):
            cut = max(text.rfind(mark, start + size // 3, end) for mark in ("\n", ". ", "! ", "? ", "。"))
            end = cut + 1 if cut > 0 else text.rfind(" ", start + size // 3, end) + 1 or end
        yield start, end
        start = end


@lru_cache(maxsize=1)  # it has no state, and text_encoder asks it as well
def _identifier() -> LanguageIdentifier:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except Exception as error:
        raise SafetyUnavailable(f"the language model cannot be loaded: {type(error).__name__}") from error


@lru_cache(maxsize=1)
def _model_digest() -> str:
    import py3langid.langid as module

    return sha256((module.MODEL_DIR / module.MODEL_FILE).read_bytes() + WORDS_FILE.read_bytes())


def create(options: Mapping[str, str]) -> TextLanguage:
    """Entry point. Option ``covered``: ISO 639-1 codes separated by spaces.

    Raises:
        ConfigError: no language given.
    """
    codes = frozenset(options["covered"].split()) if "covered" in options else COVERED
    if not codes:
        raise ConfigError("at least one language", field="covered")
    return _shared(codes)


@lru_cache(maxsize=8)  # text_encoder asks about the same passages
def _shared(covered: frozenset[str]) -> TextLanguage:
    return TextLanguage(covered)
