"""``<gensafe-verify>``: the script that puts a verifier into other people's pages, in the reader's language."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

from gensafe.core.languages import N_, Words
from gensafe.core.types import VerificationReport
from gensafe.server.http.page import facts_of, title_of
from gensafe.verify.headline import explained, headline

NAME: Final = "gensafe-verify.js"
_WORDS: Final = {
    "choose": N_("Image, audio, video or text file"),
    "verify": N_("Verify"),
    "checking": N_("Checking… this can take a minute for a long video."),
    "unreached": N_("The service could not be reached."),
    "details": N_("All details"),
    "limits": N_("“Nothing found” does not mean that a person made it: other systems mark differently or not at all."),
}


def script(words: Words) -> str:
    """The script, with its words."""
    said = {name: words(message) for name, message in _WORDS.items()} | {"lang": words.code, "dir": words.direction}
    body = files("gensafe.server.http").joinpath("static", NAME).read_text("utf-8")
    return f'"use strict";\nconst GENSAFE_WORDS = {json.dumps(said)};\n{body}'


def answer(report: VerificationReport, words: Words) -> dict[str, object]:
    """What the widget shows of a report, in the reader's language: the member ``shown`` of the JSON."""
    first = headline(report, words)
    return {
        "lang": words.code,
        "tone": first.tone.value,
        "title": title_of(report, words),
        "facts": [{"name": words(name), "text": text} for name, text in facts_of(first)],
        "explanation": explained(report, words),
    }
