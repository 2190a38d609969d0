"""An independent implementation of the C2SP formats accepts our proofs: sigstore-python, in its own environment.

Set ``TEST_SIGSTORE_PYTHON`` to an interpreter that has ``sigstore`` installed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog

SCRIPT = Path(__file__).with_name("audit_second_opinion.py")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.mark.skipif(not os.environ.get("TEST_SIGSTORE_PYTHON"), reason="TEST_SIGSTORE_PYTHON is not set")
def test_sigstore_accepts_our_checkpoints_and_proofs(tmp_path: Path):
    (tmp_path / "log.key").write_text(KEY.public_key().public_bytes_raw().hex())
    with AuditLog.open(tmp_path / "log", origin="example.com/log", key=KEY) as log:
        for count in (1, 1, 5, 250, 300):  # proofs under trees of many shapes
            for future in [log.submit({"event": "test", "n": n}) for n in range(count)]:
                future.result()
            for index in {0, log.size // 2, log.size - 1}:
                name = f"{log.size}-{index}"
                (tmp_path / f"{name}.tlog-proof").write_bytes(log.tlog_proof(index))
                (tmp_path / f"{name}.leaf").write_bytes(log.entry(index).data)
    command = [os.environ["TEST_SIGSTORE_PYTHON"], str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sigstore accepts" in done.stdout
