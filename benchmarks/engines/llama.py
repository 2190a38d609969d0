"""llama.cpp on the same file (``xllamacpp``, prebuilt), one thread: tokens a second of processor time, as smollm2's."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import httpx

SERVER: Final = """
import sys, time, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.n_ctx, p.n_parallel, p.port = sys.argv[1], 2048, 1, 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
time.sleep(600)
"""


def measure(weights: Path, prompts: tuple[str, ...], tokens: int) -> dict[str, Any]:
    """Write ``tokens`` tokens to each prompt with sampling as smollm2's; the first text is not counted."""
    if find_spec("xllamacpp") is None:
        return {"llama_cpp": "not installed"}
    command = [sys.executable, "-c", SERVER, str(weights)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(line.strip() for line in process.stdout if line.startswith("http"))
            written, spent = 0, 0.0
            for number, prompt in enumerate(prompts):
                before = _processor_s(process.pid)
                body = {
                    "messages": [{"role": "user", "content": prompt}],
                    "max_tokens": tokens,
                    "temperature": 0.8,
                    "top_p": 0.95,
                    "repeat_penalty": 1.1,
                    "seed": number,
                    "cache_prompt": True,  # as smollm2 keeps what it read of the system message
                }
                answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=600).json()
                if number:
                    written += answer["usage"]["completion_tokens"]
                    spent += _processor_s(process.pid) - before
        finally:
            process.kill()
    return {
        "llama_cpp": f"xllamacpp {version('xllamacpp')}",
        "llama_cpp_tokens_per_cpu_second": round(written / spent, 1),
    }


def _processor_s(pid: int) -> float:
    """Processor time of a process so far, user and system, in seconds (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
