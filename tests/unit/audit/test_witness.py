"""The witness cosigns growth and refuses forks, steps back, strangers and nonsense; over HTTP too."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gensafe.audit import AuditLog
from gensafe.audit.checkpoint import Checkpoint, parse_checkpoint
from gensafe.audit.note import NoteKey
from gensafe.audit.witness import Witness, collect, serve
from gensafe.cli import main
from gensafe.core.clock import FixedClock
from gensafe.core.errors import AuditError, LogUnavailable
from gensafe.keys import KeyRing

ORIGIN = "example.com/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    keys = {ORIGIN: [NoteKey(ORIGIN, KEY.public_key())]}
    return Witness("witness.example/w1", WITNESS_KEY, keys, tmp_path / "witness.db", FixedClock(1_679_315_147_000))


@pytest.fixture
def log(tmp_path: Path):
    with AuditLog.open(tmp_path / "log", origin=ORIGIN, key=KEY) as opened:
        for n in range(5):
            opened.append({"n": n})
        yield opened


def request(log: AuditLog, old: int) -> bytes:
    lines = "".join(base64.b64encode(h).decode() + "\n" for h in log.consistency(old))
    return f"old {old}\n{lines}\n".encode() + log.checkpoint()


def test_growth_is_cosigned_with_its_time(witness: Witness, log: AuditLog):
    answer = witness.add_checkpoint(request(log, 0))
    assert answer.status == 200
    cosigned = parse_checkpoint(log.checkpoint() + answer.body)
    assert cosigned.verified_by([witness.verifier_key]) == (witness.verifier_key,)
    assert cosigned.note.cosigned_at(witness.verifier_key) == 1_679_315_147  # type: ignore[union-attr]
    for n in range(300):
        log.submit({"n": n})
    log.append({"n": "last"})
    assert witness.add_checkpoint(request(log, 5)).status == 200
    assert witness.add_checkpoint(request(log, 306)).status == 200


def test_a_fork_is_refused_whatever_proof_comes_with_it(witness: Witness, log: AuditLog, tmp_path: Path):
    assert witness.add_checkpoint(request(log, 0)).status == 200
    with AuditLog.open(tmp_path / "fork", origin=ORIGIN, key=KEY) as fork:
        for n in range(9):
            fork.append({"forked": n})
        assert witness.add_checkpoint(request(fork, 5)).status == 422
        answer = witness.add_checkpoint(request(fork, 0))
        assert (answer.status, answer.body, answer.content_type) == (409, b"5\n", "text/x.tlog.size")
        same_size = Checkpoint(ORIGIN, 5, bytes(32)).signed(KEY).raw
        assert witness.add_checkpoint(b"old 5\n\n" + same_size).status == 409
    assert witness.add_checkpoint(request(log, 5)).status == 200


def test_strangers_and_steps_back_are_refused(witness: Witness, log: AuditLog):
    stranger = Checkpoint(ORIGIN, 5, log.root()).signed(WITNESS_KEY).raw
    assert witness.add_checkpoint(b"old 0\n\n" + stranger).status == 403
    unknown = Checkpoint("example.com/unknown", 5, log.root()).signed(KEY).raw
    assert witness.add_checkpoint(b"old 0\n\n" + unknown).status == 404
    assert witness.add_checkpoint(b"old 9\n\n" + log.checkpoint()).status == 400
    assert witness.add_checkpoint(request(log, 0)).status == 200
    earlier = Checkpoint(ORIGIN, 3, log.root(3)).signed(KEY).raw
    assert witness.add_checkpoint(b"old 3\n\n" + earlier).status == 409


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda b: b"old 0\n\n" + b)))
def test_nonsense_is_a_bad_request(tmp_path_factory: pytest.TempPathFactory, body: bytes):
    folder = tmp_path_factory.getbasetemp() / "nonsense.db"
    assert Witness("w.example", WITNESS_KEY, {}, folder, FixedClock(0)).add_checkpoint(body).status in (400, 404)


def test_over_http_and_after_a_restart(witness: Witness, log: AuditLog, tmp_path: Path):
    server = serve(witness)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        cosigned = collect(log, url, witness.verifier_key)
        log.keep_checkpoint(cosigned)
        assert log.kept_checkpoints()[0][1] == cosigned
        log.append({"n": "more"})
        collect(log, url, witness.verifier_key)
        with AuditLog.open(tmp_path / "fork", origin=ORIGIN, key=KEY) as fork:
            for n in range(9):
                fork.append({"forked": n})
            with pytest.raises(AuditError, match="another history"):
                collect(fork, url, witness.verifier_key)
        other = NoteKey("witness.example/w2", KEY.public_key(), 4)
        with pytest.raises(AuditError):
            collect(log, url, other)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with pytest.raises(LogUnavailable):
        collect(log, url, witness.verifier_key)


def test_the_example_of_the_cosignature_specification_verifies():
    """From C2SP tlog-cosignature: only the key is not published there, so the line's layout is what is checked."""
    line = (
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0"
        "xUe+mbIUBkBIfZ+qnA==\n"
    )
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    [found] = parse_checkpoint((text + line).encode()).note.signatures  # type: ignore[union-attr]
    assert len(found.signature) == 72
    assert int.from_bytes(found.signature[:8], "big") == 1_679_315_147


def test_a_witness_process_and_the_cosign_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Two real commands: a witness in its own process, and the log's owner asking it."""
    ring = KeyRing.open(tmp_path / "data" / "keys")
    with AuditLog.open(tmp_path / "data" / "log", origin=ring.origin, key=ring.checkpoint_private_key()) as log:
        log.append({"event": "test"})
        (tmp_path / "log.vkey").write_text(log.verifier_key)
    words = ["audit", "witness", "--name", "w.example/1", "--state", str(tmp_path / "state")]
    words += ["--log-key", str(tmp_path / "log.vkey"), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "gensafe.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            vkey = process.stdout.readline().removeprefix("key: ").strip()  # type: ignore[union-attr]
            url = re.search(r"http://\S+", process.stderr.readline())[0]  # type: ignore[index, union-attr]
            (tmp_path / "witness.vkey").write_text(vkey)
            ask = ["audit", "cosign", "--url", url, "--witness-key", str(tmp_path / "witness.vkey")]
            assert main([*ask, "--data-dir", str(tmp_path / "data"), "--json"]) == 0
            assert "w.example/1" in json.loads(capsys.readouterr().out)["checkpoint"]
        finally:
            process.terminate()
    with AuditLog.open_readonly(tmp_path / "data" / "log") as log:
        [(size, note)] = log.kept_checkpoints()
    assert size == 1
    assert parse_checkpoint(note).verified_by([NoteKey.parse(vkey)])
    assert (tmp_path / "state" / "witness.key").stat().st_mode & 0o077 == 0
