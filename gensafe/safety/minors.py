"""Mentions of minors, for one purpose: sexual content beside one is treated as child sexual exploitation.

No training data combines the two, on purpose; the conjunction of a measured score with this list is all there is, and it is
meant to err on the side of blocking.
"""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = re.compile(
    r"(?<!\w)(?:minors?|child(?:ren|s)?|kids?|kiddies?|toddlers?|infants?|bab(?:y|ies) (?:girl|boy)|preteens?|pre-teens?|tweens?"
    r"|underage|under-age|under age|pubescent|prepubescent|lolis?|lolita|shota|jailbait|school ?(?:girls?|boys?)|pupils?"
    r"|little (?:girls?|boys?|sister|brother|one)|young (?:girls?|boys?)|(?:girl|boy) scouts?|teen(?:ager)?s?|teenaged?"
    r"|(?:step)?daughter|kindergart\w{2,6}|middle ?school\w{0,4}|elementary school|first grader|[1-9](?:st|nd|rd|th) grader)(?!\w)"
)
_AGE: Final = re.compile(
    r"(?<![\w.])(?:[1-9]|1[0-7]|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    r"|sixteen|seventeen)[ -]?(?:years?|yrs?|yo|y/o)(?:[ -]?olds?)?(?!\w)|\bage(?:d)? (?:[1-9]|1[0-7])(?!\w)"
)


def mentions_minor(text: str) -> bool:
    """Whether (normalised) ``text`` mentions a minor."""
    return _WORDS.search(text) is not None or _AGE.search(text) is not None
