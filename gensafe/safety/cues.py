# ruff: noqa: E501 - patterns read better in long lines
"""What the wording of a text does, as a few numbers beside the encoder's features.

The encoder reads what a text is about; whether a slur is quoted, denied, opposed or meant is often a matter of two small
words. Each cue is 0 or 1, found by a bounded pattern on the normalised text. The lists are written for this project; they
decide nothing by themselves, the heads weigh them.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

_IDENTITY: Final = (
    r"women|woman|females?|girls|jews?|jewish|muslims?|islam|blacks?|black (?:people|man|men|woman)|whites|white people|"
    r"gays?|gay people|lesbians?|homosexuals?|queers?|trans(?:gender|sexual)?s?|trans (?:people|women|men)|bisexuals?|"
    r"immigrants?|migrants?|refugees?|foreigners?|disabled|handicapped|cripples?|mexicans?|latin[oa]s?|asians?|"
    r"chinese|indians?|arabs?|africans?|roma|gyps(?:y|ies)|christians?|hindus?|catholics?|natives?|old people|"
    r"elderly|autistic|deaf|blind people"
)
_VIOLENT: Final = (
    r"kill|murder|shoot|stab|strangle|slaughter|behead|lynch|hang|burn|bomb|beat|hurt|punch|rape|torture|attack|hunt|"
    r"destroy|smash|crush|execute|exterminate|gas|choke|cut|slit|break|wipe out|hit"
)
_PROFANE: Final = r"f+u+c+k\w{0,6}|shit\w{0,4}|damn|bloody hell|crap|hell|ass|arse|bitch\w{0,3}|bastards?|piss\w{0,4}"
_SEXUAL: Final = (
    r"sex|sexual|naked|nude|nudes|porn\w{0,6}|erotic\w{0,3}|orgasm\w{0,2}|horny|cock|dick|pussy|cum|blowjob|masturbat\w{1,4}|"
    r"tits|boobs|breasts?|milf|fuck(?:ed|ing)? (?:me|her|him|you)|moan\w{0,3}|lingerie|hardcore"
)
_INTENT: Final = r"(?:i|we)(?:'ll|'m| will| am| are| shall| would|'d)?(?: going to| gonna| want to| need to| plan to)?"

_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:{_IDENTITY})\b",
        rf"\b(?:all|every|those|these|most|the only good|typical|stupid|dirty|filthy|damn|fucking) (?:{_IDENTITY})\b",
        rf"\b(?:{_IDENTITY}) (?:are|is|should|deserve|must|have no|do not|don't|can't|cannot|will never|belong)\b",
        r"\b(?:i am|i'm|as|we are|my \w{1,12} is) (?:an? )?(?:\w{1,12} )?(?:" + _IDENTITY + r")\b",
        rf"\b(?:{_VIOLENT})(?:s|ed|ing|ning)?\b",
        rf"\b{_INTENT} (?:\w{{1,10}} ){{0,2}}(?:{_VIOLENT})\b",
        rf"\b(?:{_VIOLENT}) (?:you|your|u|ya)\b",
        r"\b(?:you|your|you're|u|ur)\b",
        r"\b(?:myself|my own life|my life|my wrists|my arms)\b",
        r"\b(?:suicide|suicidal|self-harm|overdose|cut(?:ting)? my|kill(?:ing)? myself|end(?:ing)? (?:it all|my life)|want to die)\b",
        rf"\b(?:{_PROFANE})\b",
        rf"\b(?:{_SEXUAL})\b",
        r"[\"\u201c\u201d\u00ab\u00bb]|'[^']{4,80}'",
        r"\b(?:says?|said|saying|calls?|called|calling|shouts?|shouted|writes?|wrote|claims?|claimed|thinks?|word|sentence) "
        r"(?:that|me|him|her|them|us|my|the|[\"'\u201c])",
        r"\b(?:racis[tm]|sexis[tm]|homophobi\w{1,3}|bigot\w{0,3}|hateful|hatred|hate speech|unacceptable|ashamed|shame on|"
        r"disgrace|offensive|prejudice|discriminat\w{2,5}|stereotype)\b",
        r"\b(?:stop|report|ban|banned|against|oppose|condemn|reject|never ok|not ok|not okay|wrong to|should never|no one should|"
        r"nobody should|must not|apologi[sz]e)\b",
        r"\b(?:not|never|no|nobody|none|without|don't|doesn't|isn't|aren't|won't|can't|cannot|didn't)\b",
        r"^(?:how|what|why|who|when|where|which|is|are|can|could|does|do|should|would)\b|\?",
        r"\b(?:write|give|explain|describe|list|tell me|show|create|develop|provide|make|teach|help me|find)\b",
        r"\b(?:step by step|step-by-step|instructions|guide|tutorial|recipe|without (?:being|getting) (?:caught|noticed)|undetected|"
        r"untraceable|illegal\w{0,2}|secretly|steal\w{0,3}|hack\w{0,3}|forge|counterfeit|smuggl\w{1,3}|launder\w{0,3})\b",
        r"\b(?:protect|prevent|avoid|defend|detect|recogni[sz]e|legal\w{0,2}|safely|safe|secure|report|support|recover|treat)\b",
        r"\b(?:history|museum|research|statistics|study|law|court|police|newspaper|professor|doctor|patient|hospital|war|century)\b",
        r"\b(?:story|novel|scene|character|chapter|film|movie|book|fiction|screenplay|play|game|level|boss|minecraft)\b",
        r"\b(?:python|linux|java|process|server|thread|docker|code|function|database|script|git|api|command|software)\b",
        r"\b(?:ignore|disregard|forget|override|bypass|instructions|system prompt|rules|restrictions|guidelines|policy|unfiltered|"
        r"jailbreak\w{0,3}|pretend|from now on|password|secret)\b",
        r"\b(?:ignore|disregard|forget|override|bypass|cancel|set aside) (?:\w{1,9} ){0,3}(?:instructions?|rules?|prompt|"
        r"guidelines|restrictions|policy|everything|above)\b",
    )
)
WIDTH: Final = len(_PATTERNS) + 2  # the patterns, the length and the number of words
LONG: Final = 480.0  # characters; one piece of text, see text_encoder


def cues(text: str) -> NDArray[np.float32]:
    """(WIDTH,) the cues of a normalised (lower-case) piece of text, then its length and how few words it has, in 0..1."""
    found = [1.0 if p.search(text) else 0.0 for p in _PATTERNS]
    words = text.count(" ") + 1
    return np.array([*found, min(1.0, len(text) / LONG), 1.0 / words], np.float32)
