"""Build the client and the verifier, install each alone with pip into a clean environment, weigh it and use it.

    python scripts/check_roles.py [client|verifier ...]      (needs network or a cache; about a minute)

Fails where a part is heavier than docs/adr/0009 allows, or cannot do what it is for.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_MB = {"client": 40, "verifier": 220}  # docs/adr/0009; MiB on disk, without pip and setuptools
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
STAMPED = ROOT / "tests" / "assets" / "pki" / "stamped.png"
VECTORS = ROOT / "tests" / "assets" / "bundles" / "vectors.json"


def main(parts: list[str]) -> int:
    """Check each part; returns the exit code."""
    for part in parts or list(MOST_MB):
        with tempfile.TemporaryDirectory() as place:
            python = install(part, Path(place))
            weight = weigh(python)
            print(f"gensafe-{part}: {weight:.0f} MB of {MOST_MB[part]}")
            if weight > MOST_MB[part]:
                print(f"gensafe-{part} is too heavy")
                return 1
            {"client": use_client, "verifier": use_verifier}[part](python, Path(place))
    return 0


def install(part: str, place: Path) -> Path:
    """The Python of a new environment with nothing but the part's wheel and what it requires."""
    pip = [sys.executable, "-m", "pip"]
    run(*pip, "wheel", "-q", "--no-deps", "-w", str(place / "dist"), str(ROOT / "packages" / part))
    run(sys.executable, "-m", "venv", str(place / "venv"))
    python = place / "venv" / "bin" / "python"
    wheel = next((place / "dist").glob("*.whl"))
    run(str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel))
    return python


def weigh(python: Path) -> float:
    """MiB that lie in the environment's packages, as the disk counts them."""
    found = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    kept = [p for p in Path(found).iterdir() if not p.name.startswith(NOT_OURS)]
    files = [f for p in kept for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file()]
    return sum(f.stat().st_blocks * 512 for f in files) / 2**20


def use_client(python: Path, place: Path) -> None:
    """A call that reaches no server ends as the client says, and no codec, model or scipy is there."""
    program = (
        "import importlib.util as u\n"
        "from gensafe.client import Client\n"
        "from gensafe.core.errors import BackendUnavailable\n"
        "assert not any(map(u.find_spec, ('numpy', 'scipy', 'PIL', 'av', 'onnxruntime', 'c2pa')))\n"
        "try: Client('127.0.0.1:1').models(timeout_s=0.5)\n"
        "except BackendUnavailable: print('asked')\n"
    )
    check(run(str(python), "-c", program, cwd=place) == "asked\n", "the client did not call")


def use_verifier(python: Path, place: Path) -> None:
    """``verify`` and ``audit verify`` answer; what is not there is said in a line."""
    gensafe = str(python.with_name("gensafe"))
    shown = json.loads(run(gensafe, "verify", str(STAMPED), "--json", cwd=place, status=4))
    check(shown[0]["conclusion"] == "found but untrusted", "verify answers something else")
    vectors = json.loads(VECTORS.read_text("utf-8"))
    for name, text in vectors["good"].items():
        (place / "export" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "export" / name).write_bytes(text.encode("utf-8"))
    (place / "log.key").write_text(vectors["log_key"])
    check("valid, signed by" in run(gensafe, "audit", "verify", "export", "--log-key", "log.key", cwd=place), "audit")
    run(gensafe, "serve", cwd=place, status=64)


def run(*command: str, cwd: Path | None = None, status: int = 0) -> str:
    """Run a command, ask for its exit status, return what it printed."""
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True)  # noqa: S603 - our own commands
    check(ended.returncode == status, f"{' '.join(command)}: exit {ended.returncode}\n{ended.stderr}{ended.stdout}")
    return ended.stdout


def check(holds: bool, said: str) -> None:
    """End with a message where something does not hold."""
    if not holds:
        raise SystemExit(said)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
