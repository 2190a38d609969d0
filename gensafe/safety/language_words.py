# ruff: noqa: E501 - lists of words read better in long lines
"""Words that tell the language of a text too short for n-grams, and the scripts that languages are written in.

The lists are everyday words (greetings, pronouns, auxiliaries, requests) that are no usual English words, written for
this project. They need not be complete: a word that is in none of them decides nothing.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

_LISTS: Final = {
    "de": "ich du er wir ihr dich mich dir mir ist bist sind nicht kein keine und oder aber mit von auf für über der das ein"
    " eine einen dem den guten morgen tag abend nacht danke bitte hallo wie geht was heißt bringe werde habe hast wird kann"
    " schreibe erzähle geschichte gedicht bild zeig mach töte tot dein deine mein meine sie auch noch schon heute",
    "fr": "je tu il elle nous vous ils est suis es sont ne pas et ou mais avec dans sur pour une des les du au aux mon ma mes"
    " ton ta tes merci beaucoup bonjour bonsoir salut oui non quoi comment donne donne-moi moi toi écris raconte histoire"
    " vais va tuer te très c'est j'ai qu'est que qui où s'il plaît",
    "es": "yo tú él ella nosotros usted es soy eres está estoy y o pero con por para una unos las los del al mi tu su muchas"
    " gracias hola buenos buenas días noches tardes sí qué cómo voy vas va matar te quiero escribe cuenta historia dame muy"
    " que por favor también",
    "it": "io tu lui lei noi voi è sono sei non e ma con per una gli le della del di il lo che mi ti ci grazie mille ciao buongiorno"
    " buonasera sì cosa come scrivi racconta storia dammi ammazzo uccido molto anche questo questa",
    "pt": "eu você ele ela nós é sou não e mas com para uma os as do da dos das meu minha seu sua obrigado obrigada olá bom boa dia"
    " noite tarde sim que como vou matar te escreva conte história muito também",
    "nl": "ik jij hij zij wij je jou is ben niet geen en maar met van voor een het de dank bedankt hallo goedemorgen goeden avond"
    " ja nee wat hoe ga maak dood schrijf vertel verhaal heel ook deze",
    "pl": "ja ty on ona my jest jestem nie tak i ale z na do się cię mnie mi dziękuję dzień dobry cześć proszę zabiję napisz co jak"
    " bardzo też dobranoc",
    "cs": "já ty on ona je jsem není ne ano a ale s na se tě mě děkuji dobrý den ahoj prosím zabiju napiš co jak velmi také",
    "sv": "jag du han hon vi är inte och men med på för en ett det tack hej god morgon kväll dig mig ska döda skriv berätta vad hur"
    " mycket också",
    "da": "jeg du han hun vi er ikke og men med på for en et det tak hej godmorgen dig mig vil dræbe skriv fortæl hvad hvordan",
    "no": "jeg du han hun vi er ikke og men med på en et det takk hei god morgen deg meg skal drepe skriv fortell hva hvordan",
    "fi": "minä sinä hän me olen olet on ei ja mutta kanssa kiitos hei huomenta hyvää päivää sinut minut tapan kirjoita kerro mitä"
    " miten tarina",
    "hu": "én te ő mi vagyok vagy nem és de köszönöm szia jó reggelt napot estét megöllek írj mesélj mit hogyan egy az téged engem",
    "tr": "ben sen o biz var yok değil ve ama ile için bir teşekkürler teşekkür ederim merhaba günaydın iyi geceler seni beni"
    " öldüreceğim yaz anlat ne nasıl çok",
    "ro": "eu tu el ea noi este sunt nu da și dar cu pentru o un mulțumesc bună ziua dimineața te mă omor scrie ce cum foarte",
    "id": "saya kamu dia kami adalah tidak ya dan tapi dengan untuk yang ini itu terima kasih selamat pagi malam aku akan membunuhmu"
    " tulis ceritakan apa bagaimana",
    "vi": "tôi bạn anh em là không và nhưng với cho một cảm ơn xin chào giết mày tao viết gì thế nào",
    "tl": "ako ikaw siya kami ay hindi oo at pero para ang ng mga salamat magandang umaga papatayin kita isulat ano paano",
}  # fmt: skip
_ENGLISH: Final = frozenset(
    "a an the i you he she it we they me him her us them my your his its our their is are am was were be been do does did have"
    " has had will would can could should may might must not no yes and or but if of to in on at by for from with about as into"
    " than then that this these those there here what who how why when where which so too very all any some more most just only"
    " hi hello hey thanks thank please ok okay good morning night day bye sorry tell give show write make get go let see say"
    " know want need like love new old big red one two pour die man den dem hat war tag mit en o y do da di la le el les las al"
    " ten he on me no ton tu es sin son mi un una lo de du des e z my ja va ma et est bed co bed as dos os vi ty im bad art rat"
    " not was has her ole hoe los pan van von for her per con con come sei men du god hot han mi nu tot hare sono bra and ate"
    " ng at ay ne se te si am us an in at in it is to we at".split()
)
_SHARED: Final = frozenset("hallo ciao hola merci danke".split())  # known in English too: alone they are a greeting
WORDS: Final[dict[str, frozenset[str]]] = {}
for _code, _text in _LISTS.items():
    for _word in _text.split():
        if _word not in _ENGLISH and (len(_word) > 1 or not _word.isascii()):
            WORDS[_word] = WORDS.get(_word, frozenset()) | {_code}

SCRIPTS: Final[dict[str, tuple[str, str]]] = {  # script: what to call it, and the languages of py3langid that use it
    "cyrillic": ("Cyrillic", "ru uk bg sr mk be kk ky mn tg tt ba ce cv"),
    "greek": ("Greek", "el"),
    "armenian": ("Armenian", "hy"),
    "hebrew": ("Hebrew", "he yi"),
    "arabic": ("Arabic", "ar fa ur ps ug ckb sd arz"),
    "indic": ("Indic", "hi mr ne bn as pa gu or ta te kn ml si sa"),
    "thai": ("Thai or Lao", "th lo"),
    "georgian": ("Georgian", "ka"),
    "hangul": ("Korean", "ko"),
    "kana": ("Japanese", "ja"),
    "han": ("Chinese or Japanese", "zh ja yue wuu"),
    "other": ("another", "am ti my km bo dv"),
}
_NAMES: Final = {
    "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "nl": "Dutch", "pl": "Polish",
    "cs": "Czech", "sk": "Slovak", "sv": "Swedish", "da": "Danish", "no": "Norwegian", "nb": "Norwegian", "nn": "Norwegian",
    "fi": "Finnish", "hu": "Hungarian", "tr": "Turkish", "ro": "Romanian", "id": "Indonesian", "ms": "Malay", "vi": "Vietnamese",
    "tl": "Filipino", "ru": "Russian", "uk": "Ukrainian", "bg": "Bulgarian", "sr": "Serbian", "hr": "Croatian", "el": "Greek",
    "he": "Hebrew", "ar": "Arabic", "fa": "Persian", "ur": "Urdu", "hi": "Hindi", "bn": "Bengali", "ta": "Tamil", "te": "Telugu",
    "th": "Thai", "ka": "Georgian", "hy": "Armenian", "ko": "Korean", "ja": "Japanese", "zh": "Chinese", "yue": "Cantonese",
    "et": "Estonian", "lv": "Latvian", "lt": "Lithuanian", "sl": "Slovenian", "sq": "Albanian", "ca": "Catalan", "la": "Latin",
    "is": "Icelandic", "ga": "Irish", "cy": "Welsh", "eu": "Basque", "gl": "Galician", "sw": "Swahili", "af": "Afrikaans",
    "eo": "Esperanto", "am": "Amharic", "my": "Burmese", "km": "Khmer", "lo": "Lao", "mr": "Marathi", "ne": "Nepali", "en": "English",
}  # fmt: skip


def language_name(code: str) -> str:
    """English name of a language, or its code in words where no name is known."""
    return _NAMES.get(code) or (f"{SCRIPTS[code][0]} script" if code in SCRIPTS else f'like the language "{code}"')


def language_by_words(words: list[str]) -> str:
    """Code of the language most of these (lower-case) words belong to, "" if they do not tell or are English as well.

    At least a third of the words must be in one language's list and more of them than are English words; a lone greeting
    that English has borrowed tells nothing.
    """
    if all(w in _SHARED for w in words):
        return ""
    votes: dict[str, int] = {}
    for word in words:
        for code in WORDS.get(word, ()):
            votes[code] = votes.get(code, 0) + 1
    if not votes:
        return ""
    best = max(sorted(votes), key=lambda code: votes[code])
    english = sum(w in _STRICT for w in words)
    return best if 3 * votes[best] >= len(words) and votes[best] > english else ""


# of the words above, those that in a short text speak for English
_STRICT: Final = frozenset(
    "the i you he she it we they my your his our their is are was were have has had will would can could should and or but if"
    " of to for from with about that this these those there here what who how why when where which hi hello hey thanks thank"
    " please ok okay good morning tell give show write make get know want need love new old big red".split()
)


_COMMON: Final = frozenset("a in is at of my to me no do it so we he on by be or an as if us am go up and".split())
_BOTH: Final = frozenset(
    w for ws in _LISTS.values() for w in ws.split() if w in _ENGLISH and w not in _STRICT | _COMMON
)
UNSURE: Final = "unknown"  # no language's code; "und" is one of the identifier's
WORDS_FILE: Final = Path(__file__).parent / "weights" / "text_language.words.txt"
LAST_LATIN_1: Final = "\u00ff"
SHORTEST: Final = 3  # letters; shorter words belong to many languages
_ENDINGS: Final = ("'s", "s", "ed", "ing", "er", "ers", "ly", "y", "ness", "less", "able", "ish", "d", "r", "est")


@lru_cache(maxsize=1)
def english_words() -> frozenset[str]:
    """About 20,000 English words, see ``training.text_classifiers.english_words``."""
    return frozenset(WORDS_FILE.read_text(encoding="utf-8").split())


def is_english(word: str) -> bool:
    """Whether ``word`` (lower case) is a known English word, or one with a usual ending."""
    known = english_words()
    if word in known or word in _STRICT:
        return True
    return any(
        word.endswith(end) and (word[: -len(end)] in known or word[: -len(end)] + "e" in known) for end in _ENDINGS
    )


def unlike_english(words: list[str]) -> bool:
    """Whether two or more words and most of those that count are no English words.

    Words of one or two letters count for nothing, nor do words with a capital (names), except the first one and where all
    are capitals; a word that another language shares with English ("die", "los") makes half enough. A lone word tells
    nothing, since it may be a name, a brand or a slip of the keyboard.
    """
    loud = all(w == w.upper() for w in words)
    plain = [
        _without_accents(w) for i, w in enumerate(words) if loud or w == w.lower() or (i == 0 and _small(words[1:]))
    ]
    counted = [w for w in plain if len(w) >= SHORTEST and w not in _BOTH]
    both = any(w.lower() in _BOTH for w in words)
    strange = sum(not is_english(w) for w in counted)
    return len(counted) + both > 1 and strange > 0 and 2 * strange > len(counted) - both


def _small(words: list[str]) -> bool:
    """Whether some word is in small letters: then a capital at the beginning is the sentence's, not a name's."""
    return any(w == w.lower() and len(w) >= SHORTEST for w in words)


def _without_accents(word: str) -> str:
    """Lower case, accents of Western European letters taken off; English writes no others ("naïve", never "mấy")."""
    if max(word) > LAST_LATIN_1:
        return word.lower()
    parts = unicodedata.normalize("NFKD", word.lower())
    return "".join(c for c in parts if not unicodedata.combining(c))
