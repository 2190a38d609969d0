"""How fast files are verified, and whether hostile ones do harm: ``python -m benchmarks.verify``.

Files of every kind are signed with throw-away keys and verified (a) by the C2PA library's reader alone, as a reader on
the command line would, (b) by ``verify_bytes`` in this process, (c) by ``verify_bytes`` with the parsing in worker
processes, two files at a time. Trust lists only: no watermark key, so no watermark search, and no registry, so no
fingerprint; decoding and labels are included in (b) and (c). Per CPU second is what one free core would do. Then 500
hostile files (``benchmarks.verify.hostile_files``) are verified in workers. Writes results/verify/verify.json.
``--only epochs`` measures searches under several key epochs instead and writes results/verify/epochs.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.places import RESULTS
from benchmarks.verify import epochs
from benchmarks.verify.hostile_files import hostile_files
from gensafe import __version__, media
from gensafe.core.clock import SystemClock
from gensafe.core.types import Audio, Conclusion, Image, Media, Text, Video
from gensafe.keys import KeyRing
from gensafe.provenance import ClaimFacts, LocalTimeStamper, TrustList, TrustStore, c2pa_adapter, sign_asset
from gensafe.verify import VerifyContext, verify_bytes

RESULT = RESULTS / "verify" / "verify.json"
EPOCHS_RESULT = RESULTS / "verify" / "epochs.json"
SECONDS = 3.0  # spent on each measurement
HANG_S = 10.0


def contents() -> dict[str, Media]:
    """One medium per type; the picture encodes to about 1 MB as PNG."""
    rng = np.random.default_rng(1)
    t = np.arange(160_000) / 16_000
    sound = Audio((0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)[None], 16_000)
    picture = Image(rng.integers(0, 256, (592, 592, 3), dtype=np.uint8))
    frames = np.stack([np.roll(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8), i, 1) for i in range(24)])
    return {
        "image/png": picture,
        "image/jpeg": picture,
        "audio/wav": sound,
        "audio/mpeg": sound,
        "video/mp4": Video(frames, 12.0),
        "text/plain": Text("A red circle rolls to the river. " * 60),
    }


def signed_files(directory: Path) -> tuple[dict[str, bytes], VerifyContext]:
    """The contents signed with a new key ring, and a context that trusts it."""
    ring = KeyRing.open(directory)
    credential = ring.tsa_credential()
    if credential is None:
        raise AssertionError("a development ring has a time-stamp authority")
    clock = SystemClock()
    tsa = LocalTimeStamper(credential.key, credential.chain, clock)
    trust = TrustStore((TrustList("own", ring.trust_anchors()),), (TrustList("own", ring.tsa_anchors()),))
    digest = "sha256:" + "0" * 64
    facts = ClaimFacts(
        title="benchmark",
        record_id="0123456789abc",
        system_name="GenSafe",
        system_version=__version__,
        model_name="none",
        model_version="0",
        weights_digest="",
        prompt_commitment="hmac-sha256:" + "0" * 64,
        verdict_digest=digest,
        policy_digest=digest,
        created_ms=clock.now_ms(),
        development=True,
    )
    files = {
        kind: sign_asset(media.encode(content, kind), kind, facts, ring.claim_signer(), tsa, trust)[0]
        for kind, content in contents().items()
    }
    return files, VerifyContext(trust)


def per_second(call: Callable[[], object], workers: int = 1) -> tuple[float, float]:
    """Calls a second over about ``SECONDS``, ``workers`` at a time; and per second of this process's processor time."""

    def repeat(end: float) -> int:
        done = 0
        while time.perf_counter() < end:
            call()
            done += 1
        return done

    call()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: call(), range(workers)))  # the worker processes are there before the clock starts
        began, cpu = time.perf_counter(), time.process_time()
        done = sum(pool.map(repeat, [began + SECONDS] * workers))
        return done / (time.perf_counter() - began), done / (time.process_time() - cpu)


def speed(files: dict[str, bytes], context: VerifyContext) -> list[dict[str, Any]]:
    """Files a second, by type."""
    here = replace(context, contained=False)
    rows = []
    for kind, data in files.items():
        row: dict[str, Any] = {"type": kind, "bytes": len(data), "library_reader_per_s": None}
        if kind in c2pa_adapter.readable_types():
            library, per_core = per_second(partial(c2pa_adapter.read, data, kind, context.trust))
            row |= {"library_reader_per_s": round(library, 1), "library_reader_per_cpu_s": round(per_core, 1)}
        alone, per_core = per_second(partial(_prove, data, here))
        workers, _ = per_second(
            partial(_prove, data, context), workers=(os.cpu_count() or 1) + 4
        )  # as the command line
        row |= {"verify_in_process_per_s": round(alone, 1), "verify_per_cpu_s": round(per_core, 1)}
        rows.append({**row, "verify_in_workers_per_s": round(workers, 1)})
        sys.stderr.write(f"{rows[-1]}\n")
    return rows


def _prove(data: bytes, context: VerifyContext) -> None:
    if verify_bytes(data, name="x", context=context).conclusion is not Conclusion.PROVED:
        raise AssertionError("a signed file was not proved")


def hostile(files: dict[str, bytes], context: VerifyContext) -> dict[str, Any]:
    """What became of the hostile corpus."""
    conclusions: Counter[str] = Counter()
    crashes, slowest, hangs, total, untouched = 0, 0.0, 0, 0, set(files.values())
    proved_other = 0
    for name, data in hostile_files(files):
        total += 1
        began = time.perf_counter()
        try:
            conclusion = verify_bytes(data, name=name, context=context).conclusion
            conclusions[conclusion.value] += 1
            proved_other += conclusion is Conclusion.PROVED and data not in untouched
        except Exception as error:
            crashes += 1
            sys.stderr.write(f"{name[:60]!r}: {error!r}\n")
        seconds = time.perf_counter() - began
        slowest, hangs = max(slowest, seconds), hangs + (seconds > HANG_S)
    return {
        "files": total,
        "crashes": crashes,
        "over_10_s": hangs,
        "slowest_s": round(slowest, 2),
        "proved": proved_other,
        "conclusions": dict(sorted(conclusions.items())),
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description=__doc__)
    parser.add_argument("--only", choices=["epochs"], help="measure this part alone")
    if parser.parse_args().only:
        rows = epochs.measure()
        about = {"benchmark": "verify-epochs", "gensafe": __version__, "machine": platform.machine()}
        EPOCHS_RESULT.write_text(json.dumps(about | {"side": epochs.SIDE, "searches": rows}, indent=1) + "\n", "utf-8")
        return
    load = os.getloadavg()[0]  # on a machine that does other work the figures are lower bounds
    with tempfile.TemporaryDirectory() as folder:
        files, context = signed_files(Path(folder) / "keys")
        rows = speed(files, context)
        outcome = hostile(files, context)
    result = {
        "benchmark": "verify",
        "gensafe": __version__,
        "c2pa": c2pa_adapter.library_version(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_average_before": round(load, 1),
        "load_average_after": round(os.getloadavg()[0], 1),
        "seconds_each": SECONDS,
        "memory_high_water_mib": {
            "this_process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "largest_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        },
        "files_per_second": rows,
        "hostile": outcome,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    columns = ("library_reader_per_s", "verify_in_process_per_s", "verify_per_cpu_s", "verify_in_workers_per_s")
    print(f"{'type':<12} {'bytes':>9} {'library':>9} {'process':>9} {'per core':>9} {'workers':>9}   files/s")
    for row in rows:
        print(f"{row['type']:<12} {row['bytes']:>9}", *(f"{row[c] or '-':>9}" for c in columns))
    print(f"hostile: {outcome}")
    print(f"load average before: {load:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
