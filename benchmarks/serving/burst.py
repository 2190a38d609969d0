"""Many requests at once against a real server with the simulator: what becomes of each.

    python -m benchmarks.serving.burst              # 32 sounds, then 256 requests of all four media, 16 at a time
    python -m benchmarks.serving.burst --mixed 64   # fewer

Prints one JSON line for each burst: outcomes by name, seconds, and what log and registry say afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

from gensafe.audit import AuditLog, entries, fsck
from gensafe.client.messages import generate_request
from gensafe.core import ids
from gensafe.registry import Registry
from gensafe.safety.policy import DEFAULT_POLICY
from gensafe.v1 import generation_pb2_grpc as rpc

MODALITIES = ("text", "image", "audio", "video")
CALL_S = 300  # the whole burst waits in one queue of the server
READY_S = 60

PROSE = " ".join(  # fixed: of 130 texts of random words the encoder blocked one, which is not what a burst asks about
    ["The train left in the morning and the children looked out at the hills, the river and the small white houses."]
    * 8
)

CONFIG = """
[generation]
backend = "simulator"
[generation.options]
text = "{prose}"
[server]
listen = "127.0.0.1:0"
max_concurrent = {concurrent}
max_queued = {queued}
tenant_share = 1.0
[safety]
timeout_s = 600
policy = "{policy}"
"""


def patient_policy(folder: Path) -> Path:
    """The built-in policy with time for its classifiers; else a busy machine blocks requests as "timed out"."""
    path = folder / "policy.toml"
    text = DEFAULT_POLICY.read_text("utf-8")
    path.write_text(re.sub(r"(?m)^timeout_s = .*", "timeout_s = 600.0", text, count=1), "utf-8")
    return path


async def burst(address: str, modalities: list[str], call_s: float = CALL_S) -> dict[str, int]:
    """Send one request for each of ``modalities`` at the same time; returns how many ended in which way."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: rpc.GenerationServiceAsyncStub = rpc.GenerationServiceStub(channel)
        return dict(collections.Counter(await asyncio.gather(*(_one(stub, m, call_s) for m in modalities))))


async def _one(stub: rpc.GenerationServiceAsyncStub, modality: str, call_s: float) -> str:
    request = generate_request("a calm morning", modality, request_id=ids.new_request_id())
    last = None
    try:
        async for event in stub.Generate(request, timeout=call_s):
            last = event
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {error.details()}"
    kind = last.WhichOneof("event") if last is not None else "nothing"
    if last is not None and kind == "blocked":
        return f"blocked {last.blocked.reason} {list(last.blocked.verdict.errors)[:2]}"
    return str(kind)


def contradictions(data: Path) -> list[str]:
    """What log and registry of a stopped server say differently, and records without exactly one ending."""
    found = list(fsck(data / "log").findings)
    ends: dict[str, list[str]] = collections.defaultdict(list)
    with AuditLog.open_readonly(data / "log") as log:
        for logged in log.entries():
            if logged.entry["event"] == entries.OPENED:
                ends.setdefault(logged.entry["record_id"], [])
            elif logged.entry["event"] in entries.FINAL_STATES:
                ends[logged.entry["record_id"]].append(logged.entry["event"])
        released = sum(e == [entries.RELEASED] for e in ends.values())
    found += [f"{record} ended {len(e)} times: {e}" for record, e in ends.items() if len(e) != 1]
    with Registry.open(data / "registry", readonly=True) as registry:
        rows = len(registry.records(limit=10**6))
        found += [f"request {intent.request_id} is open" for intent in registry.open_intents()]
    return found if rows == released else [*found, f"{released} released in the log, {rows} records"]


def main() -> None:
    """Run the bursts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=int, default=32)
    parser.add_argument("--mixed", type=int, default=256)
    parser.add_argument("--concurrent", type=int, default=16)
    parser.add_argument("--call-s", type=float, default=CALL_S, help="deadline of each call; more on a busy machine")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gensafe-burst-"))
    config = folder / "config.toml"
    config.write_text(
        CONFIG.format(
            prose=PROSE, concurrent=args.concurrent, queued=max(args.sounds, args.mixed), policy=patient_policy(folder)
        )
    )
    with (folder / "server.log").open("w") as out:
        command = [sys.executable, "-m", "gensafe.cli", "serve", "--config", str(config), "--data-dir"]
        server = subprocess.Popen([*command, str(folder / "data")], stdout=out, stderr=subprocess.STDOUT)
    try:
        address = _address(folder / "server.log", server)
        mixed = [MODALITIES[n % len(MODALITIES)] for n in range(args.mixed)]
        for name, modalities in (("sounds", ["audio"] * args.sounds), ("mixed", mixed)):
            began = time.monotonic()
            outcomes = asyncio.run(burst(address, modalities, args.call_s))
            seconds = round(time.monotonic() - began, 1)
            print(
                json.dumps({"burst": name, "requests": len(modalities), "s": seconds, "outcomes": outcomes}), flush=True
            )
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(120)
    said = (folder / "server.log").read_text()
    locked = len(re.findall("database is locked|Traceback", said))
    print(
        json.dumps({"contradictions": contradictions(folder / "data"), "locked_or_traceback_in_the_server_log": locked})
    )
    print(f"server log: {folder / 'server.log'}", file=sys.stderr)


def _address(path: Path, server: subprocess.Popen[bytes]) -> str:
    for _ in range(READY_S * 5):
        match = re.search(r"ready (\S+)", path.read_text())
        if match:
            return match[1]
        if server.poll() is not None:
            break
        time.sleep(0.2)
    raise SystemExit(f"the server did not start{os.linesep}{path.read_text()[-2000:]}")


if __name__ == "__main__":
    main()
