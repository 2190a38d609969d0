"""The verify page as HTML. Works without script; every value from a file is escaped; no request leaves this origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core.languages import ENGLISH, LANGUAGES, N_, Words
from gensafe.core.types import Check, Conclusion, VerificationReport
from gensafe.server.http.layers import OUTCOMES, seen
from gensafe.server.http.where import changes
from gensafe.verify.headline import Headline, explained, headline
from gensafe.verify.render import escape_html

_HEADLINES: Final = {
    Conclusion.PROVED: N_("Proved: unchanged since a trusted signer signed it"),
    Conclusion.PROVED_BY_RECOVERY: N_(
        "Proved by recovery: its credentials were removed, found again, and fit it exactly"
    ),
    Conclusion.DERIVED: N_("Made from an output of this service; not shown to be unchanged"),
    Conclusion.ALTERED: N_("Altered: this was changed after it was made or signed"),
    Conclusion.LAYERS_DISAGREE: N_("Do not rely on this: its layers contradict each other"),
    Conclusion.TRANSPLANTED_MARK: N_("Transplanted mark: a genuine mark on content that is not its own"),
    Conclusion.FOUND_UNTRUSTED: N_("Something was found, but nothing that can be trusted here"),
    Conclusion.NOTHING_FOUND: N_("Nothing was found"),
    Conclusion.UNEXAMINED: N_("This could not be examined in full, so nothing is proved"),
    Conclusion.UNREADABLE: N_("This file could not be read"),
}
_DEVELOPMENT: Final = N_("signed with a development key: no proof to third parties")
_LIMITS: Final = (
    N_("“Nothing found” does not mean that a person made it: other systems mark differently or not at all."),
    N_("A proof says where a file comes from and that it is unchanged. It does not say that what it shows is true."),
    N_("Marks can be removed by someone who tries hard enough, and are lost in strong editing."),
    N_("Signatures by development keys prove nothing to third parties."),
)
_INPUTS: Final = {
    "text/plain": N_("a text (prompt)"),
    "application/octet-stream": N_("data (such as a model)"),
}
_STATES: Final = {
    "trusted": N_("trusted"),
    "valid": N_("valid, signer not trusted"),
    "invalid": N_("not valid"),
    "no manifest": N_("no manifest"),
}
_RECOVERED: Final = {
    "signer": N_("Signed by"),
    "time": N_("When"),
    "trust_list": N_("Trust list"),
    "label": N_("Name of the manifest"),
    "record_id": N_("Record"),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who a page is for.

    Args:
        words: Their language.
        named: They asked for it by name, so that it stays with them from page to page.
        links: The pages link to that of the classifiers.
    """

    words: Words = ENGLISH
    named: bool = False
    links: bool = False


_ANYBODY: Final = Reader()


def form(problem: str = "", reader: Reader = _ANYBODY) -> str:
    """The page before a file was sent. ``problem`` is a message of the catalogues, or English."""
    words = reader.words
    alert = f'<p class="alert" role="alert">{_said(words, problem)}</p>' if problem else ""
    title = words("Verify a file")
    intro = words(
        "See what can be proved about a file: who signed it, whether it was changed, and whether AI made it on this "
        "service."
    )
    head = f"<h1>{escape_html(title)}</h1><p>{escape_html(intro)}</p>{alert}"
    return frame(title, f"{head}{_upload(reader)}{_link(reader)}{_limits(words)}{_languages(words)}", words)


def result(report: VerificationReport, reader: Reader = _ANYBODY, data: bytes = b"") -> str:
    """The page with a verdict; ``data`` is the file, to show where it was changed."""
    words = reader.words
    first = headline(report, words)
    title = title_of(report, words)
    unread = report.conclusion is Conclusion.UNREADABLE
    name = f'<p class="file"><bdi>{escape_html(report.name)}</bdi></p>' if report.name else ""
    explanation = explained(report, words)
    why = f"<p>{escape_html(explanation, 600)}</p>" if unread or explanation != first.change else ""
    verdict = (
        f'<section class="verdict {first.tone}" aria-labelledby="verdict"><h1 id="verdict">{escape_html(title)}</h1>'
        f"{name}{'' if unread else _facts(first, words)}{why}</section>"
    )
    rows = "".join(_row(check, words) for check in report.checks)
    columns = "".join(
        f'<th scope="col">{_said(words, c)}</th>' for c in (N_("Layer"), N_("Result"), N_("What was seen"))
    )
    layers = (
        f'<h2>{_said(words, "Layers")}</h2><table role="table">'
        f"<caption>{_said(words, 'Each layer of evidence, checked on its own')}</caption>"
        f'<thead><tr role="row">{columns}</tr></thead><tbody>{rows}</tbody></table>'
    )
    again = f"<h2>{_said(words, 'Another file')}</h2>{_upload(reader)}{_link(reader)}"
    made_from = f"{_chain(report, words)}{_recovered(report, words)}"
    return frame(title, f"{verdict}{changes(report, data, words)}{made_from}{layers}{_limits(words)}{again}", words)


def title_of(report: VerificationReport, words: Words) -> str:
    """The verdict as a headline; a proof by a development key says so."""
    development = f" ({words(_DEVELOPMENT)})" if headline(report).development else ""
    return words(_HEADLINES[report.conclusion]) + development


def facts_of(first: Headline) -> tuple[tuple[str, str], ...]:
    """What people ask first: whether AI made it, by whom it is signed, when, how changed; (message, what is known)."""
    return (
        (N_("Made by AI"), first.origin),
        (N_("Signed by"), first.signer),
        (N_("When"), first.when),
        (N_("Changed"), first.change),
    )


def _said(words: Words, message: str) -> str:
    """A message of the catalogues as HTML."""
    return escape_html(words(message))


def _facts(first: Headline, words: Words) -> str:
    rows = "".join(f"<dt>{_said(words, name)}</dt><dd>{escape_html(text, 600)}</dd>" for name, text in facts_of(first))
    return f"<dl>{rows}</dl>"


def _row(check: Check, words: Words) -> str:
    return (
        f'<tr role="row" class="{check.outcome.value}">'
        f'<th role="rowheader" scope="row">{_said(words, check.name)}</th>'
        f'<td role="cell" class="outcome">{_said(words, OUTCOMES[check.outcome])}</td>'
        f'<td role="cell">{escape_html(seen(check, words))}</td></tr>'
    )


def _chain(report: VerificationReport, words: Words) -> str:
    """Ingredients leading to this file, as an image with its text in reach of screen readers."""
    items = _evidence(report, "ingredients").get("ingredients", [])
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        return ""
    shown = list(items)[:8]
    height = 44 * len(shown) + 12
    middle = height // 2
    parts = []
    said = []
    for position, item in enumerate(shown):
        y = 8 + 44 * position
        state = str(item.get("state", ""))
        text, below = escape_html(_input_name(item, words), 34), _said(words, _STATES.get(state, state))
        said.append(f"{text} ({below})")
        parts.append(
            f'<rect class="box {"broken" if state == "invalid" else ""}" x="4" y="{y}" width="270" height="36" rx="6"/>'
            f'<svg x="6" y="{y}" width="264" height="36">'  # an inner svg cuts off what does not fit its box
            f'<text x="8" y="16">{text}</text><text class="small" x="8" y="30">{below}</text></svg>'
            f'<path class="line" d="M274 {y + 18} C 320 {y + 18}, 320 {middle}, 356 {middle}"/>'
        )
    parts.append(
        f'<rect class="box" x="358" y="{middle - 18}" width="130" height="36" rx="6"/>'
        f'<text x="372" y="{middle + 5}">{_said(words, "this file")}</text>'
    )
    left = len(items) - len(shown)
    more = f"<p>{escape_html(words('and {count} more', count=left))}</p>" if left else ""
    label = f"{_said(words, 'Made from:')} {', '.join(said)}"
    return (
        f'<h2>{_said(words, "What it was made from")}</h2><svg class="chain" direction="ltr" '
        f'viewBox="0 0 500 {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>{more}'
    )


def _input_name(item: Mapping[str, Any], words: Words) -> str:
    """Title where it may be read; else what an input of this type usually is (C2PA 2.4, relationship inputTo)."""
    media_type = str(item.get("media_type") or "")
    usual = _INPUTS.get(media_type, "") if item.get("relationship") == "inputTo" else ""
    return str(item.get("title") or (words(usual) if usual else media_type) or words("input"))


def _recovered(report: VerificationReport, words: Words) -> str:
    evidence = _evidence(report, "recovered manifest")
    if report.conclusion not in (Conclusion.PROVED_BY_RECOVERY, Conclusion.DERIVED) or not evidence:
        return ""
    rows = "".join(
        f"<dt>{_said(words, title)}</dt><dd>{escape_html(evidence[key])}</dd>"
        for key, title in _RECOVERED.items()
        if isinstance(evidence.get(key), str) and evidence[key]
    )
    return f"<h2>{_said(words, 'The recovered manifest')}</h2><dl>{rows}</dl>"


def _evidence(report: VerificationReport, name: str) -> Mapping[str, Any]:
    return next((c.evidence for c in report.checks if c.name == name), {})


def _upload(reader: Reader) -> str:
    words = reader.words
    target = f"/verify?lang={words.code}" if reader.named else "/verify"
    several = _said(words, "One file at a time, please: drop the files one after the other.")
    checking = _said(words, "Checking… this can take a minute for a long video.")
    return f"""<form id="form" method="post" action="{target}" enctype="multipart/form-data"
 data-several="{several}" data-checking="{checking}">
<div id="drop" class="drop">
<label for="file">{_said(words, "Image, audio, video or text file")}</label>
<input id="file" name="file" type="file" required aria-describedby="hint">
<p id="hint">{_said(words, "You can also drop a file here. It is checked in memory and not kept.")}</p>
</div>
<button type="submit">{_said(words, "Verify")}</button>
<p id="status" role="status" aria-live="polite"></p>
</form>"""


def _languages(words: Words) -> str:
    """Links to the page in every language, each by its own name."""
    here = {words.code: ' aria-current="true"'}
    links = "".join(
        f'<li><a href="/verify?lang={code}" lang="{code}" hreflang="{code}"{here.get(code, "")}>{name}</a></li>'
        for code, name in LANGUAGES.items()
    )
    return f'<nav class="languages" aria-label="{_said(words, "Language")}"><ul>{links}</ul></nav>'


def _limits(words: Words) -> str:
    items = "".join(f"<li>{_said(words, text)}</li>" for text in _LIMITS)
    heading = f'<h2 id="limits">{_said(words, "What this does not prove")}</h2>'
    return f'<aside class="limits" aria-labelledby="limits">{heading}<ul>{items}</ul></aside>'


def _link(reader: Reader) -> str:
    said = _said(reader.words, "With a key: what would the classifiers say?")
    return f'<p><a href="/classify">{said}</a></p>' if reader.links else ""


def frame(title: str, body: str, words: Words = ENGLISH) -> str:
    """A whole page around ``body``, which is markup; the title is text."""
    return (
        f'<!doctype html><html lang="{words.code}" dir="{words.direction}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape_html(title)} – GenSafe</title>"
        '<link rel="stylesheet" href="/static/verify.css"><script src="/static/verify.js" defer></script></head>'
        f"<body><main>{body}</main></body></html>"
    )
