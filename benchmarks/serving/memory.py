"""What a burst of mixed requests leaves in a server's memory: MiB resident before, at most, and after.

Runs ``gensafe serve`` of whatever checkout is first on the path, with the simulator, 16 requests at a time. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import grpc

from gensafe.client.messages import generate_request
from gensafe.core import ids
from gensafe.safety.policy import DEFAULT_POLICY
from gensafe.v1 import generation_pb2_grpc as rpc

MODALITIES: Final = ("text", "image", "audio", "video")
AT_A_TIME: Final = 16
PATIENCE_S: Final = 1800
SETTLE_S: Final = 6  # three times as long as the server waits before it gives memory back
CONFIG: Final = """
[generation]
backend = "simulator"
[server]
listen = "127.0.0.1:0"
max_concurrent = 16
max_queued = 256
default_deadline_s = 1800
[safety]
timeout_s = 600
policy = "{policy}"
"""


def resident(pid: int) -> int:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int((re.search(r"VmRSS:\s+(\d+)", status) or ["", "0"])[1]) // 1024


async def requests(address: str, count: int, at_a_time: int) -> list[str]:
    """Send ``count`` requests of all media in turn; how each ended."""
    gate = asyncio.Semaphore(at_a_time)
    options = [("grpc.max_receive_message_length", 1 << 28)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub: rpc.GenerationServiceAsyncStub = rpc.GenerationServiceStub(channel)

        async def one(number: int) -> str:
            modality = MODALITIES[number % len(MODALITIES)]
            wanted = generate_request("a calm morning", modality, request_id=ids.new_request_id())
            kind: str | None = None
            async with gate:
                try:
                    async for event in stub.Generate(wanted, timeout=PATIENCE_S):
                        kind = event.WhichOneof("event")
                except grpc.aio.AioRpcError as error:
                    kind = error.code().name
            return str(kind)

        return list(await asyncio.gather(*(one(n) for n in range(count))))


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        patient = re.sub(r"(?m)^timeout_s = .*", "timeout_s = 600.0", DEFAULT_POLICY.read_text("utf-8"), count=1)
        (folder / "policy.toml").write_text(patient, "utf-8")
        (folder / "config.toml").write_text(CONFIG.format(policy=folder / "policy.toml"))
        command = [sys.executable, "-m", "gensafe.cli", "serve", "--config", str(folder / "config.toml")]
        with (folder / "log").open("w") as out:
            server = subprocess.Popen([*command, "--data-dir", str(folder / "data")], stdout=out, stderr=out)
        try:
            address = ready(folder / "log", server)
            asyncio.run(requests(address, len(MODALITIES), 1))  # loads what is loaded on first use
            time.sleep(SETTLE_S)
            found: dict[str, object] = {"idle_mib": resident(server.pid)}
            ended = asyncio.run(requests(address, args.requests, AT_A_TIME))
            status = Path(f"/proc/{server.pid}/status").read_text()
            found["most_mib"] = int((re.search(r"VmHWM:\s+(\d+)", status) or ["", "0"])[1]) // 1024
            time.sleep(SETTLE_S)
            found["after_mib"] = resident(server.pid)
            found["ended"] = {kind: ended.count(kind) for kind in sorted(set(ended))}
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(120)
    json.dump(found, sys.stdout)
    return 0


def ready(path: Path, server: subprocess.Popen[bytes]) -> str:
    """Wait until the server answers; its address."""
    for _ in range(PATIENCE_S):
        match = re.search(r"ready (\S+)", path.read_text())
        if match:
            return match[1]
        if server.poll() is not None:
            break
        time.sleep(0.2)
    raise SystemExit(f"the server did not start\n{path.read_text()[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
