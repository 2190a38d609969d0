"""What the front doors add: HTTP and Connect beside gRPC on the same work, time to first token, many streams at once.

    python -m benchmarks.serving.fronts [--against CHECKOUT] [--requests N] [--streams N] [--json FILE]

One server, one engine on a socket that answers at once; the doors take turns, so that what else the machine does falls
on all of them. Ratios say more than values. With ``--against`` another checkout is measured in the same run. Writes
``benchmarks/results/serving/fronts.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import httpx

from benchmarks.common.places import RESULTS, ROOT
from benchmarks.serving.engine import WORDS, engine, words_for
from gensafe.client.messages import generate_request
from gensafe.core import ids
from gensafe.safety import SafetyRunner, StreamGate, load_policy
from gensafe.v1 import generation_pb2_grpc as rpc

RESULT: Final = RESULTS / "serving" / "fronts.json"
PROMPT: Final = "Tell me about the lighthouse."
ASK: Final = {"model": "lamp-1", "messages": [{"role": "user", "content": PROMPT}]}
STALL_S: Final = 1.0  # the goal: no stream stands still for longer
CONFIG: Final = """
[server]
listen = "127.0.0.1:0"
http = "127.0.0.1:0"
max_concurrent = 256
max_queued = 256
[[engines]]
name = "writer"
backend = "openai_http"
[engines.options]
url = "{url}"
model = "lamp-1"
outputs = "text"
"""


@dataclass(frozen=True, slots=True)
class Site:
    """The server under measurement."""

    grpc: str
    http: str
    engine: str  # the engine's own address: what nobody checks
    pid: int


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving.fronts", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=30, help="of each door")
    parser.add_argument("--streams", type=int, default=200, help="at once; 0 = none")
    parser.add_argument("--releases", type=int, default=40, help="first releases to time by themselves")
    parser.add_argument("--against", type=Path, help="the root of another checkout, measured as 'before'")
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    trees = {"before": args.against.resolve(), "after": ROOT} if args.against else {"after": ROOT}
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": [os.getloadavg()[0]], "words": len(WORDS.split())}
    for name, root in trees.items():
        with engine() as (fast, slow):
            one: dict[str, Any] = {}
            with serving(fast, root) as site:
                one["doors"] = doors(site, args.requests)
                one["first_token"] = first_token(site, args.requests)
            if args.streams:
                with serving(slow, root) as site:
                    one["streams"] = asyncio.run(streams(site, args.streams))
        found[name] = one
    found["beyond_hold_back"] = beyond_hold_back(args.releases)
    found["load"].append(os.getloadavg()[0])
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))
    return 0


@contextmanager
def serving(url: str, root: Path = ROOT) -> Iterator[Site]:
    """A real server process, of the checkout at ``root``, in front of an engine."""
    path = os.pathsep.join(str(root / part) for part in ("", "backends", "watermark"))
    with tempfile.TemporaryDirectory(prefix="gensafe-fronts-") as folder:
        config = Path(folder) / "config.toml"
        config.write_text(CONFIG.format(url=url), "utf-8")
        command = [sys.executable, "-m", "gensafe", "serve", "--config", str(config), "--data-dir", f"{folder}/data"]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=root, env={**os.environ, "PYTHONPATH": path}
            )
            assert server.stdout is not None
            try:
                _, address, http = server.stdout.readline().split()
                yield Site(address, http, url, server.pid)
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(60)


def doors(site: Site, count: int) -> dict[str, Any]:
    """Milliseconds of one text, whole, through each door, in turns."""
    took: dict[str, list[float]] = {"grpc": [], "http": [], "connect": []}
    with grpc.insecure_channel(site.grpc) as channel, httpx.Client(base_url=site.http, timeout=60) as http:
        stub = rpc.GenerationServiceStub(channel)

        def by_grpc() -> None:
            assert list(stub.Generate(_request()))[-1].completed.record_id

        def by_http() -> None:
            assert http.post("/v1/chat/completions", json=ASK).json()["gensafe"]["record_id"]

        def by_connect() -> None:
            data = _request().SerializeToString()
            body = bytes(1) + len(data).to_bytes(4, "big") + data
            headers = {"content-type": "application/connect+proto"}
            assert http.post("/gensafe.v1.GenerationService/Generate", content=body, headers=headers).status_code == 200

        calls: dict[str, Callable[[], None]] = {"grpc": by_grpc, "http": by_http, "connect": by_connect}
        for call in calls.values():
            call()  # classifiers and engine are loaded by the first
        for _ in range(count):
            for name, call in calls.items():
                took[name].append(_timed(call))
    middle = {name: statistics.median(values) for name, values in took.items()}
    ratios = {name: round(middle[name] / middle["grpc"], 3) for name in took}
    return {"n": count, "p50_ms": {name: round(ms, 1) for name, ms in middle.items()}, "ratio_to_grpc": ratios}


def _request() -> Any:
    return generate_request(PROMPT, "text", request_id=ids.new_request_id())


def _timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def first_token(site: Site, count: int) -> dict[str, Any]:
    """Milliseconds until the first text, from the engine itself and through gate and front, in turns.

    The engine sends all at once, so that waiting for the words that are held back takes no time of its own.
    """
    took: dict[str, list[float]] = {"engine": [], "gensafe": []}
    with httpx.Client(timeout=60) as http:
        for _ in range(count + 1):
            took["engine"].append(_first(http, site.engine + "/chat/completions"))
            took["gensafe"].append(_first(http, site.http + "/v1/chat/completions"))
    middle = {name: round(statistics.median(values[1:]), 1) for name, values in took.items()}
    return {"n": count, "p50_ms": middle, "added_ms": round(middle["gensafe"] - middle["engine"], 1)}


def beyond_hold_back(count: int) -> dict[str, Any]:
    """Processor ms in the gate from the word that makes the first release due until it leaves, of texts all different.

    This is what the gate adds to the first token beyond its stated hold-back: what came before was judged meanwhile.
    """
    runner = SafetyRunner.from_policy(load_policy(), timeout_s=600)
    spent = []
    for number in range(1000, 1000 + count + 1):
        gate = StreamGate(runner)
        for word in words_for(f"number {number}".encode()).split():
            began = time.process_time()
            if gate.push(word + " "):
                break
        spent.append((time.process_time() - began) * 1000)
    spent = sorted(spent[1:])  # the first loads the classifiers
    return {"n": count, "cpu_ms": {"p50": round(statistics.median(spent), 1), "max": round(spent[-1], 1)}}


def _first(http: httpx.Client, url: str) -> float:
    began = time.perf_counter()
    with http.stream("POST", url, json={**ASK, "stream": True}) as answer:
        for line in answer.iter_lines():
            if _text_of(line):
                return (time.perf_counter() - began) * 1000
    raise RuntimeError(f"no text from {url}")


def _text_of(line: str) -> str:
    if not line.startswith("data: {"):
        return ""
    choices = json.loads(line.removeprefix("data: ")).get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")


async def streams(site: Site, count: int) -> dict[str, Any]:
    """Many streams at once, each of its own text: the longest that each stood still after its first text, and memory.

    A stream alone stands still too, while a window fills behind its hold-back: that is what a stall is counted from.
    """
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=site.http, timeout=600, limits=limits) as http:
        alone = await _stream(http, 0)
        before = memory_mb(site.pid)
        used = cpu_s(site.pid)
        watching = asyncio.create_task(_watch(site.pid))
        began = time.perf_counter()
        _SEEN.clear()
        ended = await asyncio.gather(*(_stream(http, 1 + n) for n in range(count)))
        seconds = time.perf_counter() - began
        watching.cancel()
    gaps = sorted(one["gap_s"] for one in ended)
    return {
        "n": count,
        "released": sum(one["state"] == "released" for one in ended),
        "seconds": round(seconds, 1),
        "cpu_ms_a_word": round((cpu_s(site.pid) - used) * 1000 / count / len(WORDS.split()), 2),
        "stalled_over_1_s": sum(gap - alone["gap_s"] > STALL_S for gap in gaps),
        "longest_gap_s": {
            "alone": round(alone["gap_s"], 2),
            "p50": round(statistics.median(gaps), 2),
            "max": round(gaps[-1], 2),
        },
        "memory_mb": {"before": before, "most": max(_SEEN, default=before), "after": memory_mb(site.pid)},
    }


_SEEN: list[int] = []  # of the watcher


async def _watch(pid: int) -> None:
    while True:
        _SEEN.append(memory_mb(pid))
        await asyncio.sleep(0.5)


async def _stream(http: httpx.AsyncClient, number: int) -> dict[str, Any]:
    times: list[float] = []
    state = "failed"
    async for line in _lines(http, number):
        if _text_of(line):
            times.append(time.perf_counter())
        if line.startswith("data: {"):
            state = json.loads(line.removeprefix("data: ")).get("gensafe", {}).get("state", state)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    return {"state": state, "gap_s": max(gaps, default=0.0)}


async def _lines(http: httpx.AsyncClient, number: int) -> AsyncIterator[str]:
    ask = {**ASK, "messages": [{"role": "user", "content": f"{PROMPT} Take train number {number}."}], "stream": True}
    async with http.stream("POST", "/v1/chat/completions", json=ask) as answer:
        async for line in answer.aiter_lines():
            yield line


def cpu_s(pid: int) -> float:
    """Seconds of processor time that the server's own process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> int:
    """MiB that the server's own process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
