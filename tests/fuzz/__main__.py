"""All fuzzers in one command: the checker of exports, its parsers, the readers of files, the request surfaces.

    python -m tests.fuzz                 # 20,000 mutations each, 2,000 requests; hours on a small machine
    python -m tests.fuzz --count 500     # a short look

Each runs as a process of its own and prints what it found; the exit code is 1 if one of them found something.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PER_OPERATION = 50  # requests from the front's own description, of each operation and kind. A round number
CONFIG = '[generation]\nbackend = "simulator"\n[server]\nhttp_per_minute = 0\ndrain_s = 2\n'


def run(name: str, *words: str) -> bool:
    """Run one fuzzer; whether it found nothing."""
    print(f"== {name} {' '.join(words)}", flush=True)
    return subprocess.run([sys.executable, "-m", f"tests.fuzz.{name}", *words], check=False).returncode == 0


def run_requests(*words: str) -> bool:
    """The request surface and the described one, against a server with the simulator that is started for them."""
    with tempfile.TemporaryDirectory(prefix="gensafe-fuzz-") as folder:
        config = Path(folder) / "config.toml"
        config.write_text(CONFIG, "utf-8")
        where = ["--config", str(config), "--data-dir", str(Path(folder) / "data")]
        command = [sys.executable, "-m", "gensafe", "serve", *where, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                _, grpc, http = server.stdout.readline().split() if server.stdout else ("", "", "")
                clean = run("requests", "--grpc", grpc, "--http", http, *words)
                clean = run("schema", "--http", http, "--count", str(PER_OPERATION), *words[2:]) and clean
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(60)
        return clean and "Traceback" not in (Path(folder) / "log").read_text("utf-8")


def main() -> int:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    words = ("--count", str(args.count), "--seed", str(args.seed))
    clean = [
        run("bundles", *words),
        run("bundles", *words, "--without-note"),
        run("bundles", *words, "--parsers"),
        run("media", *words),
        run_requests("--count", str(max(args.count // 10, 50)), "--seed", str(args.seed)),
    ]
    print(f"{clean.count(True)} of {len(clean)} found nothing")
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
