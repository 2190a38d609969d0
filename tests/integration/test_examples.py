"""The examples of the tutorials, used as a stranger would: copied into a folder of their own, tested, plugged in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gensafe.testing.certificates import certify

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
GROUPS = {"backwards": "gensafe.backends", "env_key": "gensafe.signers", "shouting": "gensafe.classifiers"}
PROGRAMS = {"disclosed_marks"}  # no plugin: test_disclosure.py
NAMES = sorted({p.name for p in EXAMPLES.iterdir() if p.is_dir()} - PROGRAMS)
POLICY = """
id = "no-shouting"
version = "1"
[classifiers]
text = ["shouting"]
[default]
review = 0.9
block = 0.9
"""


@pytest.fixture
def stranger(tmp_path):
    """A folder outside of the repository with copies of all examples and what ``pip install`` would note of them."""
    for name in NAMES:
        for path in (EXAMPLES / name).glob("*.py"):
            shutil.copy(path, tmp_path)
        noted = tmp_path / f"{name}-1.dist-info"
        noted.mkdir()
        (noted / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (noted / "entry_points.txt").write_text(f"[{GROUPS[name]}]\n{name} = {name}:create\n")
    assert ROOT not in tmp_path.parents
    return tmp_path


def run(stranger, *command, status=0, **variables):
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(stranger), **variables}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=stranger, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_the_examples_keep_their_contracts_outside_of_the_repository(stranger):
    options = ("-p", "no:cacheprovider", "--import-mode=prepend", "-c", os.devnull, "--rootdir", str(stranger))
    said = run(stranger, "pytest", "-v", *options, str(stranger))
    for name in NAMES:
        assert f"test_{name}.py" in said


def test_each_tutorial_names_the_entry_point():
    text = "".join(path.read_text("utf-8") for path in (ROOT / "docs" / "tutorials").glob("write-a-*.md"))
    for name, group in GROUPS.items():
        assert f'[project.entry-points."{group}"]\n{name} = "{name}:create"' in text


def test_the_three_plugins_make_and_sign_one_output_together(stranger):
    """Backend, classifier and signer of the tutorials in one installation; then the key is taken away."""
    listed = {(p["group"], p["name"]) for p in json.loads(run(stranger, "gensafe", "plugins", "--json"))}
    assert {(group, name) for name, group in GROUPS.items()} <= listed
    key = ec.generate_private_key(ec.SECP256R1())
    chain, root = certify(key.public_key())
    (stranger / "chain.pem").write_bytes(chain)
    (stranger / "root.pem").write_bytes(root)
    (stranger / "policy.toml").write_text(POLICY)
    (stranger / "gensafe.toml").write_text(
        '[generation]\nbackend = "backwards"\n[safety]\npolicy = "policy.toml"\n[signing]\nprovider = "env_key"\n'
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    where = ("--config", "gensafe.toml", "--data-dir", "data")
    run(stranger, "gensafe", "keys", "init", *where)
    run(stranger, "gensafe", "keys", "import", "--chain", "chain.pem", "--root", "root.pem", *where)
    make = ("gensafe", "generate", "--modality", "text", *where)
    run(stranger, *make, "one two three", "--output", "a.txt", CLAIM_KEY=pem)
    assert (stranger / "a.txt").read_text("utf-8").startswith("three two one")
    run(stranger, "gensafe", "verify", "a.txt", *where)
    run(stranger, *make, "one STOP THAT NOW", "--output", "b.txt", CLAIM_KEY=pem, status=2)
    run(stranger, *make, "one two three", "--output", "c.txt", status=1)
    assert not (stranger / "b.txt").exists() and not (stranger / "c.txt").exists()
