"""llama.cpp on the same file (``xllamacpp``, prebuilt), one thread, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import httpx

SERVER: Final = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.n_ctx, p.n_parallel, p.port = sys.argv[1], 2048, 1, 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()  # until the benchmark ends
"""


@dataclass(frozen=True)
class Llama:
    """A running server."""

    url: str
    pid: int

    def write(self, prompt: str, seed: int, tokens: int) -> tuple[int, float]:
        """Write a text with the sampling that smollm2 uses; its tokens and the processor seconds it took."""
        before = processor_s(self.pid)
        body = {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": tokens,
            "temperature": 0.8,
            "top_p": 0.95,
            "repeat_penalty": 1.1,
            "seed": seed,
            "cache_prompt": True,  # as smollm2 keeps what it read of the system message
        }
        answer = httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=600).json()
        return int(answer["usage"]["completion_tokens"]), processor_s(self.pid) - before


def name() -> str:
    """The package and its version; "" = it is not installed."""
    return f"xllamacpp {version('xllamacpp')}" if find_spec("xllamacpp") else ""


@contextmanager
def server(weights: Path) -> Iterator[Llama]:
    """Start it; it ends with the block."""
    command = [sys.executable, "-c", SERVER, str(weights)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield Llama(next(line.strip() for line in process.stdout if line.startswith("http")), process.pid)
        finally:
            process.kill()


def processor_s(pid: int) -> float:
    """Processor time of a process so far, user and system, in seconds (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
