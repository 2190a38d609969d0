"""The demo's report as one HTML page: what was made, what was checked, what the attacks did. No script, nothing fetched."""

from __future__ import annotations

from html import escape
from pathlib import PurePosixPath
from typing import Any

from gensafe.core.hazards import named

STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --dim: #6e7781 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.25rem; margin-top: 2.5rem }
figure { margin: 0; display: grid; gap: .5rem } img, video { max-width: 100%; border-radius: .4rem; border: 1px solid var(--line) }
audio { width: 100% } pre { white-space: pre-wrap; background: #8881; padding: .8rem; border-radius: .4rem; max-height: 18rem; overflow: auto }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1.5rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem } td, th { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.pass, .held { color: var(--good) } .fail, .error, .missed { color: var(--bad) } .absent, .unsupported { color: var(--dim) }
summary { cursor: pointer } code { font-size: .85em; overflow-wrap: anywhere }
"""


def render(report: dict[str, Any]) -> str:
    """Render the report; every value is escaped."""
    held = sum(1 for e in report["expectations"] if e["held"])
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        f"<title>GenSafe demo</title><style>{STYLE}</style><main>",
        f"<h1>GenSafe demo: {held} of {len(report['expectations'])} expectations met</h1>",
        f"<p>Version {_e(report['gensafe'])}, {_e(report['seconds'])} s. Signed with development keys, made for this demo: "
        "they prove nothing to third parties. Everything below can be repeated with <code>gensafe verify</code>.</p>",
        *(_output(o) for o in report["outputs"]),
        _refused(report["refused"]),
        _audit(report["audit"]),
        _expectations(report["expectations"]),
        "<h2>What this does not prove</h2><p>A file without evidence is not shown to be made by a person. A watermark can be "
        "removed by somebody who tries hard enough; the record and its fingerprint then remain. A signature says who signed, "
        "not that the content is true.</p></main></html>\n",
    ]
    return "\n".join(parts)


def _output(output: dict[str, Any]) -> str:
    receipt = output["receipt"]
    facts = {
        "prompt": output["prompt"],
        "made by": f"engine {output['engine']} ({receipt['generation']['backend']})",
        "record": receipt["record_id"],
        "model": f"{receipt['generation']['model']} {receipt['generation']['model_version']}",
        "weights": receipt["generation"]["weights_digest"],
        "watermark": " ".join(filter(None, (receipt["watermark"]["scheme"], receipt["watermark"]["note"]))),
        "manifest": receipt["manifest"]["label"],
        "log entry": f"{receipt['log']['index']} of {receipt['log']['origin']}",
    }
    rows = "".join(f"<tr><th>{_e(k)}<td><code>{_e(v)}</code>" for k, v in facts.items())
    return (
        f"<h2>{_e(output['modality'].capitalize())}</h2><div class='pair'>"
        f"<figure>{_show(output['file'], output)}<figcaption>as released</figcaption></figure>"
        f"<figure>{_show(output['attacked_file'], output)}<figcaption>{_e(output['attack'])}</figcaption></figure></div>"
        f"<table>{rows}</table>"
        + _checks("untouched", output["untouched"])
        + _checks(output["attack"], output["attacked"])
        + _checks("one byte changed", output["damaged"])
    )


def _show(file: str, output: dict[str, Any]) -> str:
    source = _e(file)
    match output["modality"]:
        case "image":
            return f"<img src='{source}' alt='{_e(output['prompt'])}'>"
        case "audio":
            return f"<audio controls src='{source}'></audio>"
        case "video":
            return f"<video controls loop muted src='{source}'></video>"
    text = output["receipt"].get("text", "")
    return f"<pre>{_e(text)}</pre><a href='{source}'>{_e(PurePosixPath(file).name)}</a>"


def _checks(title: str, report: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td class='{_e(c['outcome'])}'>{_e(c['outcome'])}<td>{_e(c['name'])}<td>{_e(c['summary'])}"
        for c in report["checks"]
    )
    return (
        f"<details><summary>{_e(title)}: <strong>{_e(report['conclusion'])}</strong></summary>"
        f"<p>{_e(report['explanation'])}</p><table>{rows}</table></details>"
    )


def _refused(refused: dict[str, Any]) -> str:
    if not refused:
        return ""
    return (
        f"<h2>Refused</h2><p>One prompt was refused: category {_e(named(refused['categories']))}, "
        f"log entry {_e(refused['log_index'])}. The log holds the category and a keyed commitment, not the prompt.</p>"
    )


def _audit(audit: dict[str, Any]) -> str:
    return f"<h2>Log</h2><p>Exported and checked without the service:</p><pre>{_e(audit['verify'])}</pre>"


def _expectations(expectations: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td class='{'held' if e['held'] else 'missed'}'>{'held' if e['held'] else 'missed'}<td>{_e(e['name'])}"
        f"<td>{_e(e['got'])}"
        for e in expectations
    )
    return f"<h2>Expectations</h2><table>{rows}</table>"


def _e(value: object) -> str:
    return escape(str(value), quote=True)
