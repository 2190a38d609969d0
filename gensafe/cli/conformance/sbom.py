"""A CycloneDX bill of the Python packages in the environment that runs this, by the tool of the CycloneDX project."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Final

from gensafe.cli.conformance.pack import Pack

FILE: Final = "sbom.cdx.json"
TIMEOUT_S: Final = 300.0  # takes about 2 s; a guard against one that hangs. Chosen by eye


def make(pack: Pack) -> None:
    """Write it; without the tool say that none was made."""
    if find_spec("cyclonedx_py") is None:
        pack.omit("SBOM", "cyclonedx-bom is not installed: pip install 'gensafe[sbom]'")
        return
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON"]
    try:
        done = subprocess.run(  # noqa: S603 - a tool that this product depends on
            [*command, sys.executable], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        components = json.loads(done.stdout)["components"] if done.returncode == 0 else []
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        components = []
    if not components:
        pack.omit("SBOM", "cyclonedx-bom made none")
        return
    pack.components = len(components)
    pack.write(FILE, done.stdout)
    pack.say(f"  {FILE}: {len(components)} Python packages of this environment")
