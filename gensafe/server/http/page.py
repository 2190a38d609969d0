"""The verify page as HTML. Works without script; every value from a file is escaped; no request leaves this origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gensafe.core.types import Check, Conclusion, Outcome, VerificationReport
from gensafe.verify.headline import Headline, headline
from gensafe.verify.render import escape_html

_HEADLINES: Final = {
    Conclusion.PROVED: "Proved: unchanged since a trusted signer signed it",
    Conclusion.PROVED_BY_RECOVERY: "Proved by recovery: its credentials were removed, found again, and fit it exactly",
    Conclusion.DERIVED: "Made from an output of this service; not shown to be unchanged",
    Conclusion.ALTERED: "Altered: this was changed after it was made or signed",
    Conclusion.LAYERS_DISAGREE: "Do not rely on this: its layers contradict each other",
    Conclusion.TRANSPLANTED_MARK: "Transplanted mark: a genuine mark on content that is not its own",
    Conclusion.FOUND_UNTRUSTED: "Something was found, but nothing that can be trusted here",
    Conclusion.NOTHING_FOUND: "Nothing was found",
    Conclusion.UNEXAMINED: "This could not be examined in full, so nothing is proved",
    Conclusion.UNREADABLE: "This file could not be read",
}
_DEVELOPMENT: Final = " (signed with a development key: no proof to third parties)"
_WORDS: Final = {
    Outcome.PASS: "OK",
    Outcome.FAIL: "failed",
    Outcome.ABSENT: "not present",
    Outcome.UNSUPPORTED: "not checked",
    Outcome.ERROR: "error",
}
_LIMITS: Final = (
    "“Nothing found” does not mean that a person made it: other systems mark differently or not at all.",
    "A proof says where a file comes from and that it is unchanged. It does not say that what it shows is true.",
    "Marks can be removed by someone who tries hard enough, and are lost in strong editing.",
    "Signatures by development keys prove nothing to third parties.",
)
_INPUTS: Final = {"text/plain": "a text (prompt)", "application/octet-stream": "data (such as a model)"}
_FORM: Final = """<form id="form" method="post" action="/verify" enctype="multipart/form-data">
<div id="drop" class="drop">
<label for="file">Image, audio, video or text file</label>
<input id="file" name="file" type="file" required aria-describedby="hint">
<p id="hint">You can also drop a file here. It is checked in memory and not kept.</p>
</div>
<button type="submit">Verify</button>
<p id="status" role="status" aria-live="polite"></p>
</form>"""


def form(problem: str = "", *, links: bool = False) -> str:
    """The page before a file was sent; with ``links``, one to the classifiers' page."""
    alert = f'<p class="alert" role="alert">{escape_html(problem)}</p>' if problem else ""
    intro = (
        "<p>See what can be proved about a file: who signed it, whether it was changed, and whether AI made it on this "
        "service.</p>"
    )
    return frame("Verify a file", f"<h1>Verify a file</h1>{intro}{alert}{_FORM}{_link(links)}{_limits()}")


def result(report: VerificationReport, *, links: bool = False) -> str:
    """The page with a verdict; ``links`` as for ``form``."""
    first = headline(report)
    title = _HEADLINES[report.conclusion] + (_DEVELOPMENT if first.development else "")
    unread = report.conclusion is Conclusion.UNREADABLE
    name = f'<p class="file">{escape_html(report.name)}</p>' if report.name else ""
    verdict = (
        f'<section class="verdict {first.tone}" aria-labelledby="verdict"><h1 id="verdict">{title}</h1>'
        f"{name}{'' if unread else _facts(first)}<p>{escape_html(report.explanation, 600)}</p></section>"
    )
    rows = "".join(_row(check) for check in report.checks)
    layers = (
        '<h2>Layers</h2><table role="table"><caption>Each layer of evidence, checked on its own</caption>'
        '<thead><tr role="row">'
        '<th scope="col">Layer</th><th scope="col">Result</th><th scope="col">What was seen</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    body = f"{verdict}{_chain(report)}{_recovered(report)}{layers}{_limits()}<h2>Another file</h2>{_FORM}{_link(links)}"
    return frame(title, body)


def _facts(first: Headline) -> str:
    """Whether AI made it, by whom it is signed, when, and how it was changed: what people ask first."""
    facts = (
        ("Made by AI", first.origin),
        ("Signed by", first.signer),
        ("When", first.when),
        ("Changed", first.change),
    )
    rows = "".join(f"<dt>{title}</dt><dd>{escape_html(text, 600)}</dd>" for title, text in facts)
    return f"<dl>{rows}</dl>"


def _row(check: Check) -> str:
    return (
        f'<tr role="row" class="{check.outcome.value}"><th role="rowheader" scope="row">{escape_html(check.name)}</th>'
        f'<td role="cell" class="outcome">{_WORDS[check.outcome]}</td>'
        f'<td role="cell">{escape_html(check.summary)}</td></tr>'
    )


def _chain(report: VerificationReport) -> str:
    """Ingredients leading to this file, as an image with its text in reach of screen readers."""
    items = _evidence(report, "ingredients").get("ingredients", [])
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        return ""
    shown = list(items)[:8]
    height = 44 * len(shown) + 12
    middle = height // 2
    parts = []
    words = []
    for position, item in enumerate(shown):
        y = 8 + 44 * position
        state = str(item.get("state", ""))
        text, below = escape_html(_input_name(item), 34), escape_html(state)
        words.append(f"{text} ({below})")
        parts.append(
            f'<rect class="box {"broken" if state == "invalid" else ""}" x="4" y="{y}" width="270" height="36" rx="6"/>'
            f'<svg x="6" y="{y}" width="264" height="36">'  # an inner svg cuts off what does not fit its box
            f'<text x="8" y="16">{text}</text><text class="small" x="8" y="30">{below}</text></svg>'
            f'<path class="line" d="M274 {y + 18} C 320 {y + 18}, 320 {middle}, 356 {middle}"/>'
        )
    parts.append(
        f'<rect class="box" x="358" y="{middle - 18}" width="130" height="36" rx="6"/>'
        f'<text x="372" y="{middle + 5}">this file</text>'
    )
    more = f"<p>and {len(items) - len(shown)} more</p>" if len(items) > len(shown) else ""
    return (
        f'<h2>What it was made from</h2><svg class="chain" viewBox="0 0 500 {height}" role="img" '
        f'aria-label="Made from: {", ".join(words)}">{"".join(parts)}</svg>{more}'
    )


def _input_name(item: Mapping[str, Any]) -> str:
    """Title where it may be read; else what an input of this type usually is (C2PA 2.4, relationship inputTo)."""
    media_type = str(item.get("media_type") or "")
    usual = _INPUTS.get(media_type, "") if item.get("relationship") == "inputTo" else ""
    return str(item.get("title") or usual or media_type or "input")


def _recovered(report: VerificationReport) -> str:
    evidence = _evidence(report, "recovered manifest")
    if report.conclusion not in (Conclusion.PROVED_BY_RECOVERY, Conclusion.DERIVED) or not evidence:
        return ""
    rows = "".join(
        f"<dt>{escape_html(str(k).replace('_', ' '))}</dt><dd>{escape_html(str(v))}</dd>"
        for k, v in evidence.items()
        if isinstance(v, str) and v
    )
    return f"<h2>The recovered manifest</h2><dl>{rows}</dl>"


def _evidence(report: VerificationReport, name: str) -> Mapping[str, Any]:
    return next((c.evidence for c in report.checks if c.name == name), {})


def _limits() -> str:
    items = "".join(f"<li>{text}</li>" for text in _LIMITS)
    heading = '<h2 id="limits">What this does not prove</h2>'
    return f'<aside class="limits" aria-labelledby="limits">{heading}<ul>{items}</ul></aside>'


def _link(links: bool) -> str:
    return '<p>With a key: <a href="/classify">what would the classifiers say?</a></p>' if links else ""


def frame(title: str, body: str) -> str:
    """A whole page around ``body``, which is markup; the title is text."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape_html(title)} – GenSafe</title>"
        '<link rel="stylesheet" href="/static/verify.css"><script src="/static/verify.js" defer></script></head>'
        f"<body><main>{body}</main></body></html>"
    )
