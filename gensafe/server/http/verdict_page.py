"""The page of ``/classify``: the verdict image, one row for each decision, and what was examined."""

from __future__ import annotations

from typing import Final

from gensafe.core.hazards import CATEGORIES
from gensafe.core.types import Action, Decision, Finding, Verdict
from gensafe.server.http.page import frame
from gensafe.verify.render import escape_html

MAX_ROWS: Final = 200  # rows that a person still reads. Chosen, not measured
MAX_ALT: Final = 1000  # characters; screen readers read all of it aloud. Chosen, not measured
_TONES: Final = {
    Action.BLOCK: "bad",
    Action.REVIEW: "open",
    Action.REDACT: "open",
    Action.ANNOTATE: "good",
    Action.ALLOW: "good",
}
_HEADLINES: Final = {
    Action.BLOCK: "This would be blocked",
    Action.REVIEW: "This would be held for a person",
    Action.REDACT: "Parts of this would be painted over",
    Action.ANNOTATE: "This would be released with a note",
    Action.ALLOW: "This would be released",
}
_FORM: Final = """<form id="form" method="post" action="/classify" enctype="multipart/form-data"
 data-several="One file at a time, please: drop the files one after the other."
 data-checking="Checking… this can take a minute for a long video.">
<div id="drop" class="drop">
<label for="file">Image, audio, video or text file</label>
<input id="file" name="file" type="file" required aria-describedby="hint">
<p id="hint">You can also drop a file here. It is judged in memory and not logged; its verdict image is kept for five
minutes, for this page only.</p>
</div>
<button type="submit">Show the verdict</button>
<p id="status" role="status" aria-live="polite"></p>
</form>"""


def form(problem: str = "") -> str:
    """The page before a file was sent."""
    alert = f'<p class="alert" role="alert">{escape_html(problem)}</p>' if problem else ""
    intro = (
        "<p>See what the classifiers of the policy in force say about a file. Nothing is released, held or blocked by "
        'asking. To see where a file comes from, <a href="/verify">verify it</a>.</p>'
    )
    return frame(
        "What the classifiers say",
        f"<h1>What the classifiers say</h1>{intro}{alert}{_FORM}",
    )


def result(verdict: Verdict, name: str, image: str) -> str:
    """The page with a verdict.

    Args:
        verdict: Over the whole file.
        name: Of the file, as it was sent; "" = none.
        image: Path of the verdict image; "" = a text, which has none.
    """
    headline = "This could not be examined in full and would be blocked" if verdict.errors else _headline(verdict)
    tone = "bad" if verdict.errors else _TONES[verdict.action]
    file = f'<p class="file">{escape_html(name)}</p>' if name else ""
    top = (
        f'<section class="verdict {tone}" aria-labelledby="verdict"><h1 id="verdict">{headline}</h1>{file}'
        f"<p>Policy {escape_html(verdict.policy_id)}, {verdict.elapsed_ms / 1000:.1f} s.</p></section>"
    )
    shown = f'<p><img class="shown" src="{image}" alt="{escape_html(described(verdict), MAX_ALT)}"></p>'
    return frame(
        headline,
        f"{top}{shown if image else ''}{_errors(verdict)}{_table(verdict)}{_examined(verdict)}"
        f"<h2>Another file</h2>{_FORM}",
    )


def described(verdict: Verdict) -> str:
    """The verdict in one paragraph: what the image says to those who cannot see it."""
    words = [f"Verdict image: {verdict.action.value}."]
    words += [f"Not examined: {error}." for error in verdict.errors]
    for decision in verdict.decisions:
        found = decision.finding
        where = _where(found)
        words.append(
            f"{_category(found)}: {decision.action.value}{f', {found.detail}' if found.detail else ''}"
            f"{f', {where}' if where else ''}."
        )
    if not verdict.decisions and not verdict.errors:
        words.append("Nothing was found.")
    return " ".join(words)


def _headline(verdict: Verdict) -> str:
    return _HEADLINES[verdict.action] + (", were the policy not only watching" if verdict.monitor_only else "")


def _errors(verdict: Verdict) -> str:
    if not verdict.errors:
        return ""
    return f"<h2>Not examined</h2><ul>{''.join(f'<li>{escape_html(e)}</li>' for e in verdict.errors)}</ul>"


def _table(verdict: Verdict) -> str:
    if not verdict.decisions:
        return "<h2>Findings</h2><p>Nothing was found.</p>"
    rows = "".join(_row(decision) for decision in verdict.decisions[:MAX_ROWS])
    left = len(verdict.decisions) - MAX_ROWS
    more = f"<p>and {left} more</p>" if left > 0 else ""
    return (
        '<h2>Findings</h2><table role="table"><caption>What was found, the strictest first</caption>'
        '<thead><tr role="row"><th scope="col">Category</th><th scope="col">Answer, score</th>'
        f'<th scope="col">Where and why</th></tr></thead><tbody>{rows}</tbody></table>{more}'
    )


def _row(decision: Decision) -> str:
    found = decision.finding
    held = "fail" if decision.action in (Action.BLOCK, Action.REVIEW) else "pass"
    said = "; ".join(filter(None, (found.detail, _where(found), f"by {found.classifier}")))
    return (
        f'<tr role="row" class="{held}"><th role="rowheader" scope="row">{escape_html(_category(found))}</th>'
        f'<td role="cell" class="outcome">{decision.action.value}, {found.score:.2f}</td>'
        f'<td role="cell">{escape_html(said)}</td></tr>'
    )


def _category(found: Finding) -> str:
    return f"{CATEGORIES.get(found.category, found.category).split(':')[0]} ({found.category})"


def _where(found: Finding) -> str:
    """The first few places, in words."""
    places = [f"{t.start_s:.2f} to {t.end_s:.2f} s" for t in found.times]
    places += [f"pixels {b.left}, {b.top} to {b.right}, {b.bottom}" for b in found.boxes]
    places += [f"characters {s.start} to {s.end}" for s in found.spans]
    return "; ".join(places[:3]) + (f" and {len(places) - 3} more places" if len(places) > 3 else "")


def _examined(verdict: Verdict) -> str:
    items = "".join(
        f"<li>{escape_html(part.classifier)}: {part.examined} of {part.total} {escape_html(part.unit)}</li>"
        for part in verdict.coverage
        if part.total
    )
    return f"<h2>What was examined</h2><ul>{items}</ul>" if items else ""
