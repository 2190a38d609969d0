"""Run every attack script of ``../shared/security`` and say of each why it fails. About eight minutes on two cores.

    python -m tests.attacks              # all of them
    python -m tests.attacks k_leak edit  # some; what they need is set up too
    python -m tests.attacks -v           # with all that the scripts print

The exit code is 1 if an attack succeeded or could not be run, 77 where the folder is not beside this checkout.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

from tests.attacks.table import ATTACKS, EDITS, Attack
from tests.attacks.worlds import ROOT, WORLDS, environment, gensafe, prepare

SCRIPTS = ROOT.parent / "shared" / "security"
LIMIT_S = 400  # of one script; the slowest takes two minutes on a quiet machine
FIRST = ("m_certs", "k_matrix")  # make the certificates and outputs that others of their folder need


def run(attack: Attack, work: Path) -> str:
    """What the script printed, and for ``hide`` what the checker says of the bundle that it forged."""
    text = (SCRIPTS / f"{attack.script}.py").read_text("utf-8")
    for old, new in EDITS.get(attack.script, ()):
        text = text.replace(old, new)
    script = work / f"{attack.script}.py"
    script.write_text(text, "utf-8")
    if attack.script == "sb":
        (work / "h5probe.py").write_bytes((SCRIPTS / "h5probe.py").read_bytes())
    command = [sys.executable, str(script), *attack.arguments]
    try:
        done = subprocess.run(
            command, cwd=work, env=environment(work), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        said = done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        said = f"{(error.stdout or b'').decode(errors='replace')}\nthe script did not end within {LIMIT_S} s"
    if attack.script == "k_matrix" and (work / "k/imgA.png").exists():
        (work / "imgA.png").write_bytes((work / "k/imgA.png").read_bytes())
    if attack.script == "hide":
        said += gensafe(work, "audit", "verify", "bundle_forged", "--log-key", "logkey")
    return said


def failed(attack: Attack, said: str) -> bool:
    """Whether the attack failed: all that shows it is there, and nothing that must not be."""
    if attack.completes and "Traceback" in said:
        return False  # a script that broke shows nothing
    return all(re.search(p, said) for p in attack.fails) and not any(re.search(p, said) for p in attack.never)


def main() -> int:
    """Run them world by world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help="names without .py (default: all)")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    if not SCRIPTS.is_dir():
        print("the folder shared/security is not beside this checkout")
        return 77
    chosen = [a for a in ATTACKS if not args.scripts or a.script in (*args.scripts, *FIRST)]
    lost = []
    with tempfile.TemporaryDirectory(prefix="gensafe-attacks-") as folder:
        work = Path(folder)
        prepare(work)
        for world, attacks in groupby(chosen, key=lambda attack: attack.world):
            with WORLDS[world](work):
                for attack in attacks:
                    said = run(attack, work)
                    holds = failed(attack, said)
                    print(
                        f"{attack.script:10} {'fails' if holds else 'NOT SHOWN TO FAIL'}: {attack.reason}", flush=True
                    )
                    if args.verbose or not holds:
                        print("    " + said.strip().replace("\n", "\n    "), flush=True)
                    if not holds:
                        lost.append(attack.script)
    print(f"{len(chosen) - len(lost)} of {len(chosen)} attacks fail" + (f"; not: {', '.join(lost)}" if lost else ""))
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
