"""Every test vector is judged as it is named, by the verifier run as a file of its own."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gensafe.audit import standalone
from gensafe.core.canonical import canonical_json

ASSETS = Path(__file__).parents[2] / "assets" / "bundles"
VECTORS = json.loads((ASSETS / "vectors.json").read_text("utf-8"))


def lay_out(folder: Path, changed: dict[str, str | None] | None = None) -> Path:
    folder.mkdir()
    for name, text in {**VECTORS["good"], **(changed or {})}.items():
        if text is not None:
            (folder / name).write_bytes(text.encode())
    return folder


def keys(tmp_path: Path) -> list[standalone.LogKey]:
    path = tmp_path / "log.vkey"
    path.write_text(VECTORS["log_key"] + "\n")
    return standalone.read_keys(path)


def test_there_are_enough_bad_bundles():
    assert len(VECTORS["bad"]) >= 40


def test_the_good_bundle_holds(tmp_path: Path):
    report = standalone.verify(lay_out(tmp_path / "good"), keys(tmp_path))
    assert report.findings == []
    assert report.origin_established
    assert report.manifest_signed


def test_without_a_key_the_origin_is_not_established(tmp_path: Path):
    report = standalone.verify(lay_out(tmp_path / "good"))
    assert report.ok
    assert report.conclusion == "consistent, origin not established"


@pytest.mark.parametrize("name", sorted(VECTORS["bad"]))
def test_a_bad_bundle_is_refused_for_its_defect(tmp_path: Path, name: str):
    case = VECTORS["bad"][name]
    report = standalone.verify(lay_out(tmp_path / "bad", case["files"]), keys(tmp_path))
    assert case["expect"] in [code for code, _ in report.findings]


def test_the_vectors_are_those_the_script_makes():
    spec = importlib.util.spec_from_file_location("gensafe_bundle_build", ASSETS / "build.py")
    build = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(build)  # type: ignore[union-attr]
    assert build.build() == VECTORS


def test_the_verifier_runs_alone_in_an_isolated_interpreter(tmp_path: Path):
    """A copy of the one file, with no site of ours on the path: only the standard library and cryptography."""
    script = shutil.copy(standalone.__file__, tmp_path / "verifier.py")
    (tmp_path / "log.vkey").write_text(VECTORS["log_key"])
    guard = (
        "import sys, runpy\n"
        "class Guard:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'gensafe': raise AssertionError(name)\n"
        "sys.meta_path.insert(0, Guard())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    for folder, status in (
        (lay_out(tmp_path / "good"), 0),
        (lay_out(tmp_path / "bad", VECTORS["bad"]["entry-edited"]["files"]), 1),
        (tmp_path / "nothing", 3),
    ):
        command = [sys.executable, "-c", guard, script, str(folder), "--log-key", str(tmp_path / "log.vkey"), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        if status < 3:
            assert json.loads(done.stdout)["ok"] is (status == 0)


@pytest.mark.parametrize("text", ["", "example.com/log+00000000+AAAA", "zz", "-----BEGIN PUBLIC KEY-----\nx"])
def test_a_key_file_that_is_none_is_refused(tmp_path: Path, text: str):
    (tmp_path / "key").write_text(text)
    assert standalone.main([str(lay_out(tmp_path / "good")), "--log-key", str(tmp_path / "key")]) == 64


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(VECTORS["good"])), st.data())
def test_no_byte_of_a_bundle_can_be_changed(tmp_path: Path, name: str, data: st.DataObject):
    folder = tmp_path / "fuzzed"
    if not folder.exists():
        lay_out(folder)
    whole = VECTORS["good"][name].encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != whole[at]))
    changed = data.draw(st.sampled_from([bytes([byte]), b"", bytes([byte, whole[at]])]))
    (folder / name).write_bytes(whole[:at] + changed + whole[at + 1 :])
    try:
        assert not standalone.verify(folder, keys(tmp_path)).ok
    finally:
        (folder / name).write_bytes(whole)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_resealed_lie_is_found_or_harmless(tmp_path: Path, data: st.DataObject):
    """Somebody without the log's key edits any file and corrects every digest: without a key it must still be found."""
    folder = tmp_path / "resealed"
    if not folder.exists():
        lay_out(folder)
    name = data.draw(st.sampled_from(["entries.jsonl", "proofs.jsonl", "withheld.jsonl", "checkpoint"]))
    whole = VECTORS["good"][name].encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255).filter(lambda b: b != whole[at]))]) + whole[at + 1 :]
    manifest = json.loads(VECTORS["good"]["manifest.json"])
    manifest["files"][name] = "sha256:" + hashlib.sha256(changed).hexdigest()
    (folder / name).write_bytes(changed)
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    (folder / "manifest.note").unlink(missing_ok=True)
    try:
        report = standalone.verify(folder)
        assert not report.ok or (name == "checkpoint" and at > whole.index(b"\n\n"))  # signatures need the key
        assert not standalone.verify(folder, keys(tmp_path)).ok
    finally:
        (folder / name).write_bytes(whole)
