"""Throughput of the audit log on this machine: ``python -m benchmarks.audit [--part append|read|export]``.

Measures durable appends at several batch sizes (with a checkpoint signed per commit), proofs, verification, fsck, and
exports, beside a plain hash chain in SQLite with the same durability in the same run. Tessera's figures are its own
published ones (docs/performance.md), on other hardware: quoted, not measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.audit.process import KEY
from benchmarks.common.places import RESULTS
from gensafe import __version__
from gensafe.audit import AuditLog, fsck, merkle
from gensafe.audit.checkpoint import parse_checkpoint
from gensafe.core.canonical import canonical_json
from gensafe.core.digest import sha256

RESULT = RESULTS / "audit" / "audit.json"
ORIGIN = "example.com/benchmark"
TESSERA = {
    "POSIX, NVMe with antispam, up to 7 cores": 10_000,
    "POSIX, SAS disk": 2_900,
    "POSIX, SAS disk with antispam": 1_600,
}


def entry(n: int) -> dict[str, Any]:
    """An entry of about 800 bytes, shaped like a release."""
    return {
        "schema": "gensafe.audit.entry/1",
        "event": "config.changed",
        "tenant": f"p-{n % 7}",
        "request_id": f"00000000-0000-4000-8000-{n:012x}",
        "output": {"digest": sha256(b"%d" % n), "media_type": "image/png", "bytes": 100_000 + n},
        "manifest": {"digest": sha256(b"m%d" % n), "label": f"urn:c2pa:{n:032x}", "embedded": True},
        "watermark": {"scheme": "dct-q1", "payload": f"{n:014x}", "level": "record", "p_exponent": -9},
        "generation": {"model": "symphony", "weights": sha256(b"w"), "tokens": 1024},
        "verdicts": [{"stage": "output", "action": "allow", "policy": {"id": "default", "digest": sha256(b"p")}}],
    }


def appends(folder: Path, batch: int, total: int) -> dict[str, float]:
    """``batch`` callers' entries at a time, each batch waited for: entries/s and commit latency in ms."""
    entries = [entry(n) for n in range(total)]
    waits: list[float] = []
    with AuditLog.open(folder, origin=ORIGIN, key=KEY) as log:
        log.append({"event": "warm"})
        began, cpu = time.perf_counter(), time.process_time()
        for start in range(0, total, batch):
            at = time.perf_counter()
            for future in [log.submit(e) for e in entries[start : start + batch]]:
                future.result()
            waits.append((time.perf_counter() - at) * 1000)
        rate, cpu_rate = total / (time.perf_counter() - began), total / (time.process_time() - cpu)
    return {"per_s": round(rate), "per_cpu_s": round(cpu_rate), **latency(waits)}


def threads(folder: Path, callers: int, each: int) -> dict[str, float]:
    """``callers`` threads that each wait for their own entry: what a server sees."""
    waits: list[float] = []

    def work(caller: int) -> None:
        for n in range(each):
            value = entry(caller * each + n)
            at = time.perf_counter()
            log.append(value)
            waits.append((time.perf_counter() - at) * 1000)

    with AuditLog.open(folder, origin=ORIGIN, key=KEY) as log:
        began = time.perf_counter()
        running = [threading.Thread(target=work, args=(c,)) for c in range(callers)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        rate = callers * each / (time.perf_counter() - began)
    return {"per_s": round(rate), **latency(waits)}


def hash_chain(path: Path, batch: int, total: int) -> dict[str, float]:
    """The plain alternative: each row holds the hash of the one before; same pragmas, no tree, no signature."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE chain (idx INTEGER PRIMARY KEY, body BLOB, link BLOB)")
    entries, link, waits = [entry(n) for n in range(total)], bytes(32), list[float]()
    began = time.perf_counter()
    for start in range(0, total, batch):
        at = time.perf_counter()
        rows = []
        for n, value in enumerate(entries[start : start + batch], start):
            body = canonical_json(value)
            link = hashlib.sha256(link + body).digest()
            rows.append((n, body, link))
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO chain VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
        waits.append((time.perf_counter() - at) * 1000)
    rate = total / (time.perf_counter() - began)
    connection.close()
    return {"per_s": round(rate), **latency(waits)}


def latency(waits: list[float]) -> dict[str, float]:
    """Median and 99th percentile in ms."""
    ordered = sorted(waits)
    return {
        "p50_ms": round(statistics.median(ordered), 2),
        "p99_ms": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 2),
    }


def fill(folder: Path, count: int) -> None:
    """A log of ``count`` entries, appended in large batches."""
    with AuditLog.open(folder, origin=ORIGIN, key=KEY) as log:
        for start in range(0, count, 20_000):
            for future in [log.submit(entry(n)) for n in range(start, min(count, start + 20_000))]:
                future.result()


class Timer:
    """Wall and processor time since it was made: on a busy machine only the second says what the code costs."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def rates(self, name: str, count: int) -> dict[str, int]:
        """``count`` things per second of each."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {f"{name}_per_s": round(count / wall), f"{name}_per_cpu_s": round(count / cpu)}


def reading(folder: Path, proofs: int) -> dict[str, Any]:
    """Proofs, their verification, opening and fsck on a filled log."""
    out: dict[str, Any] = {}
    with AuditLog.open_readonly(folder) as log:
        size = log.size
        head = parse_checkpoint(log.checkpoint())
        step = max(1, size // proofs)
        indexes = range(0, size, step)
        for index in range(0, size, 256):  # warm: tiles are read once
            log.inclusion(index, size)
        timer = Timer()
        made = [log.inclusion(index, size) for index in indexes]
        out |= timer.rates("prove", len(made))
        leaves = [log.leaf_hash(index) for index in indexes]
        timer = Timer()
        held = [
            merkle.verify_inclusion(leaf, index, size, proof, head.root)
            for leaf, index, proof in zip(leaves, indexes, made, strict=True)
        ]
        out |= timer.rates("verify", len(made))
        if not all(held):
            raise SystemExit("a proof does not hold")
        out["proof_bytes"] = 32 * max(len(p) for p in made)
    timer = Timer()
    report = fsck(folder, keys=[KEY.public_key()])
    out |= timer.rates("fsck", report.size)
    if not report.ok:
        raise SystemExit("fsck found something")
    began = time.perf_counter()
    AuditLog.open(folder, origin=ORIGIN, key=KEY).close()
    out["open_ms"] = round((time.perf_counter() - began) * 1000, 1)
    return {"entries": size, **out}


EXPORT = """
import json, sys, time
from pathlib import Path
from benchmarks.audit.process import KEY, peak_mib
from gensafe.audit import AuditLog, standalone
from gensafe.audit.export import export_jsonl
from gensafe.core import plugins

task, source, target, views, seen = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:], []
began, cpu = time.perf_counter(), time.process_time()
if task == "export":
    loaded = [plugins.load("gensafe.exporters", name) for name in views]
    with AuditLog.open_readonly(source) as log:
        export_jsonl(log, target, key=KEY, views=loaded, progress=lambda done, total: seen.append(done))
else:
    report = standalone.verify(target, [standalone.LogKey("", KEY.public_key().public_bytes_raw())])
    assert report.ok, report.findings
spent = {"s": time.perf_counter() - began, "cpu": time.process_time() - cpu}
print(json.dumps({**spent, "peak": peak_mib(), "progress": len(seen)}))
"""


def exporting(folder: Path, target: Path, views: tuple[str, ...] = ()) -> dict[str, Any]:
    """Export and standalone verification in a fresh process each, for their own peak memory."""
    out: dict[str, Any] = {}
    with AuditLog.open_readonly(folder) as log:
        size = log.size
    for what in ("export", "verify"):
        command = [sys.executable, "-c", EXPORT, what, str(folder), str(target), *views]
        done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        out[f"{what}_per_s"] = round(size / done["s"])
        out[f"{what}_per_cpu_s"] = round(size / done["cpu"])
        out[f"{what}_peak_mib"] = done["peak"]
        if what == "export":
            out["progress_reports"] = done["progress"]
    out["bytes"] = sum(p.stat().st_size for p in target.iterdir())
    shutil.rmtree(target)
    return {"entries": size, **out}


def measure_appends(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Durable appends by batch size beside the hash chain, and as a server sees them."""
    out: dict[str, Any] = {"entry_bytes": len(canonical_json(entry(1))), "batches": {}, "hash_chain": {}}
    for batch in (1, 16, 64, 256, 1024):
        total = min(options.appends, 400 * batch)
        out["batches"][str(batch)] = appends(root / f"append{batch}", batch, total)
        out["hash_chain"][str(batch)] = hash_chain(root / f"chain{batch}.db", batch, total)
    out["threads_64"] = threads(root / "threads", 64, max(20, options.appends // 64))
    return out


def measure_reads(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Proofs, verification, fsck and opening on a log of ``--entries``."""
    fill(root / "read", options.entries)
    return reading(root / "read", 50_000)


def measure_export(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """JSONL only, of ``--export-entries``; all formats, of a tenth of that."""
    fill(root / "large", options.export_entries)
    out: dict[str, Any] = {"jsonl": exporting(root / "large", root / "out")}
    shutil.rmtree(root / "large")
    fill(root / "small", options.export_entries // 10)
    return out | {"all_formats": exporting(root / "small", root / "out", ("csv", "ocsf", "parquet"))}


PARTS = {"append": measure_appends, "read": measure_reads, "export": measure_export}


def main() -> None:
    """Run the parts asked for, print tables; each part's results are written as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=list(PARTS), dest="parts", help="default: all")
    parser.add_argument("--appends", type=int, default=12_800, help="entries per append measurement")
    parser.add_argument("--entries", type=int, default=1 << 18, help="size of the log that is read")
    parser.add_argument("--export-entries", type=int, default=1_000_000, help="size of the log that is exported")
    options = parser.parse_args()
    try:
        results = json.loads(RESULT.read_text("utf-8"))["results"]
    except (OSError, KeyError):
        results = {}
    for part in options.parts or PARTS:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
            found = PARTS[part](Path(name), options)
        machine: dict[str, Any] = {"python": platform.python_version(), "cpus": os.cpu_count()}
        machine["sqlite"] = sqlite3.sqlite_version
        machine["load_before"], machine["load_after"] = round(load, 1), round(os.getloadavg()[0], 1)
        results[part] = {"version": __version__, "machine": machine, **found}
        document = {"benchmark": "audit", "results": results, "published": {"tessera_entries_per_s": TESSERA}}
        RESULT.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", "utf-8")
        show(part, found)
    for name, value in TESSERA.items():
        print(f"published, other hardware: Tessera {name}: {value:,} /s")


def show(part: str, found: dict[str, Any]) -> None:
    """Print a part's table."""
    if part != "append":
        for name, value in found.items():
            print(f"{part} {name}: {value}")
        return
    print(f"{'batch':>12} {'log /s':>9} {'/cpu s':>9} {'p50 ms':>8} {'p99 ms':>8} {'chain /s':>9} {'p50 ms':>8}")
    for batch, row in found["batches"].items():
        chain = found["hash_chain"][batch]
        ours = f"{batch:>12} {row['per_s']:>9,} {row['per_cpu_s']:>9,} {row['p50_ms']:>8} {row['p99_ms']:>8}"
        print(f"{ours} {chain['per_s']:>9,} {chain['p50_ms']:>8}")
    row = found["threads_64"]
    print(f"{'64 threads':>12} {row['per_s']:>9,} {'':>9} {row['p50_ms']:>8} {row['p99_ms']:>8}")


if __name__ == "__main__":
    main()
