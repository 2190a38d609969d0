"""Mentions of minors, for one purpose: sexual content beside one is treated as child sexual exploitation.

No training data combines the two, on purpose. So there is no measured score, only a conjunction: a mention of a minor
together with a sexual score or with unmistakable words. It is meant to err on the side of blocking.
"""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = re.compile(
    r"(?<!\w)(?:minors?|child(?:ren|s)?|kids?|kiddies?|toddlers?|infants?|bab(?:y|ies) (?:girl|boy)|pre-?teens?|tweens?"
    r"|under[- ]?aged?|(?:pre)?pubescent|lolis?|lolita|shota|jailbait|school ?(?:girls?|boys?)|pupils?"
    r"|little (?:girls?|boys?|sister|brother)|young (?:girls?|boys?)|(?:girl|boy) scouts?|teen(?:ager)?s?|teenaged?"
    r"|(?:step)?daughter|kindergart\w{2,6}|middle ?school\w{0,4}|elementary school|[1-9](?:st|nd|rd|th) grader)(?!\w)"
)
_AGE: Final = re.compile(
    r"(?<![\w.])(?:[1-9]|1[0-7]|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    r"|sixteen|seventeen)[ -]?(?:years?|yrs?|yo|y/o)[ -]?olds?(?!\w)|(?<!\w)aged? (?:[1-9]|1[0-7])(?!\w)"
)
_UNMISTAKABLE: Final = re.compile(
    r"(?<!\w)(?:(?:had|has|have|having) sex|sex with|sexy|porn\w{0,8}|nudes|naked (?:pics?|photos?|pictures?|body)"
    r"|blow ?jobs?"
    r"|orgasms?|erotic\w{0,3}|horny|sext(?:ing|s|ed)?|masturbat\w{1,4}|molest\w{0,4}|sexually (?:explicit|arous\w{2,4})"
    r"|seduc\w{1,5}|undress(?:ed|ing)?)(?!\w)"
)


def mentions_minor(text: str) -> bool:
    """Whether (normalised) ``text`` mentions a minor."""
    return _WORDS.search(text) is not None or _AGE.search(text) is not None


def explicit(text: str) -> bool:
    """Whether (normalised) ``text`` has words that are sexual in any context."""
    return _UNMISTAKABLE.search(text) is not None
