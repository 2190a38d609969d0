"""The documents of a pack: what is in it, the security architecture, the list of what is left to do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

from gensafe import __version__
from gensafe.cli.conformance import architecture, sbom, todo
from gensafe.cli.conformance.pack import CONTENTS, Pack
from gensafe.core.clock import SystemClock, iso
from gensafe.core.config import Config
from gensafe.installation import Installation

ARCHITECTURE: Final = "security-architecture.md"
TODO: Final = "to-do.md"
README: Final = "README.md"


def documents(pack: Pack, config: Config) -> None:
    """Write them, and ``pack.json``.

    Raises:
        ConfigError, KeyError_: the key ring cannot be read.
        OutputFailed: a file cannot be written.
    """
    keys = Installation(config).read_keys()
    pack.write(ARCHITECTURE, architecture.render(pack, config, keys))
    left = "".join(f"- [ ] {item}\n" for item in todo.items(pack, config, keys))
    pack.write(TODO, f"# Left for the operator\n\n{left}")
    pack.write(CONTENTS, json.dumps(asdict(pack.contents()), indent=1, sort_keys=True) + "\n")
    pack.write(README, _readme(pack))


def _readme(pack: Pack) -> str:
    rows = "".join(
        f"| `{s.file}` | {s.kind} | {s.signer} | {s.wanted} | {s.got} | {_link(s.crjson)} |\n" for s in pack.samples
    )
    parts = [
        f"# Conformance pack\n\nMade by GenSafe {__version__} on {iso(SystemClock().now_ms())}. It shows what was run; "
        "nothing here says that the programme accepted anything.\n",
        "## Samples\n\n`configured`: by this installation's own signer, in its log. `stand-in`: by keys that were made "
        "for the sample and thrown away; their roots are `trust/stand-in-*.pem`.\n",
        f"| file | what | signer | wanted | `gensafe verify` says | crJSON |\n|---|---|---|---|---|---|\n{rows}",
        "## Rubrics\n",
        _rubrics(pack),
        "## Not made or not run\n",
        "".join(f"- {o.what}: {o.reason}\n" for o in pack.omissions) or "Nothing was left out.\n",
        "## Other files\n",
        _other_files(pack),
    ]
    return "\n".join(parts)


def _other_files(pack: Pack) -> str:
    lines = [
        f"- `{ARCHITECTURE}`: filled from the configuration; the open places are marked",
        f"- `{TODO}`: what is left to do",
        "- `trust/`: the roots under which the samples verify",
        "- `reports/`: the verification report of each sample",
    ]
    if pack.components:
        said = "codecs and other native libraries inside them are not taken apart"
        lines.append(f"- `{sbom.FILE}`: CycloneDX, the {pack.components} Python packages of this environment; {said}")
    return "\n".join(lines) + "\n"


def _rubrics(pack: Pack) -> str:
    if not pack.rubrics:
        return "Not run.\n"
    rows = "".join(
        f"| {r.sample} | `{r.rubric}` | {r.held} | {', '.join(r.failed) or 'none'} | {', '.join(r.known)} |\n"
        for r in pack.rubrics
    )
    said = (
        "Known: the text rubric asks for a parameter that the conformance rubric refuses by name; the latter is kept. "
        "Signals describe a file, so none of them fails.\n\n"
    )
    return f"{said}| sample | rubric | traits that hold | failed | known |\n|---|---|--:|---|---|\n{rows}"


def _link(path: str) -> str:
    return f"`{path}`" if path else "none: the file carries no manifest"
