"""SIGTERM ends the process within ``drain_s`` + 2 s, whatever hangs.

On the older code a hung comparison kept it for more than two minutes (threads of the loop are joined at exit).
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

# The server with steps that never end. ``sitecustomize`` style: the real command, one function replaced.
HANGING = """
import sys, threading, time
def hang(*args, **kwargs):
    print("hangs", file=sys.stderr, flush=True)
    {how}
import gensafe.server.{module} as module
module.{name} = hang
from gensafe.cli import main
sys.argv = ["gensafe", "serve", *sys.argv[1:]]
main()
"""
FOREVER = "threading.Event().wait()"
BUSY = "sum(i for i in iter(int, 1))"  # keeps the interpreter's lock as busy as native code in small steps


def begin(tmp_path, module, name, how):
    script = tmp_path / "hanging.py"
    script.write_text(textwrap.dedent(HANGING.format(module=module, name=name, how=how)))
    config = tmp_path / "config.toml"
    config.write_text('[generation]\nbackend = "simulator"\n[server]\ndrain_s = 1\n')
    command = [sys.executable, str(script), "--config", str(config), "--data-dir", str(tmp_path / "data")]
    with (tmp_path / "err").open("w") as errors:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    with process.stdout as output:
        return process, output.readline().split()


@pytest.mark.parametrize("how", [FOREVER, BUSY])
@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        ("provenance", "verify_bytes", "verify"),
        ("classify", "judge_parts", "classify"),
        ("http.verify", "verify_bytes", "page"),
    ],
)
def test_process_ends_whatever_hangs(tmp_path, module, name, call, how):
    import httpx

    from gensafe.client import Client
    from gensafe.v1 import common_pb2, safety_pb2

    process, ready = begin(tmp_path, module, name, how)
    assert ready[0] == "ready"

    def ask():
        try:
            if call == "page":
                httpx.post(f"{ready[2]}/verify", content=b"x", timeout=30)
                return
            with Client(ready[1]) as client:
                if call == "verify":
                    client.verify(b"x", name="x")
                else:
                    item = safety_pb2.ClassifyItem(media=common_pb2.Media(data=b"text", media_type="text/plain"))
                    client.unary(client.safety.Classify, safety_pb2.ClassifyRequest(items=[item]))
        except Exception:
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    while "hangs" not in (tmp_path / "err").read_text():
        assert process.poll() is None
        threading.Event().wait(0.05)
    os.kill(process.pid, signal.SIGTERM)
    # drain_s + 2 is 3 s, the rest is for a busy machine; 1: the lock of the interpreter was not free
    assert process.wait(30) in (0, 1, 70)
    log = (tmp_path / "err").read_text()
    assert "draining" in log
    done = subprocess.run(
        [sys.executable, "-m", "gensafe.cli", "audit", "fsck", "--data-dir", str(tmp_path / "data")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
