"""Drills: what must be stopped is stopped, the result is an entry that reports show, and a leak makes it fail."""

import json
from types import SimpleNamespace

import pytest

from gensafe.audit import AuditLog
from gensafe.cli import main
from gensafe.core.types import Conclusion
from gensafe.pipeline import drill


def drilled(capsys, *where: str) -> tuple[int, dict]:
    capsys.readouterr()
    status = main(["drill", "--json", "--actor", "Ada Example", *where])
    return status, json.loads(capsys.readouterr().out)


def failed(done: dict) -> set[str]:
    return {step["step"] for step in done["steps"] if step["outcome"] == "failed"}


def test_a_running_server_is_drilled_and_reports_show_it(simulated, capsys, tmp_path):
    status, done = drilled(capsys, "--server", simulated.address)
    assert (status, failed(done)) == (0, set()), done
    assert {step["step"] for step in done["steps"]} == set(drill._STEPS)
    said = " ".join(step["said"] for step in done["steps"])
    assert "another picture with its credentials is" in said and "our own output is proved" in said
    with AuditLog.open_readonly(simulated.data_dir / "log") as log:
        entry = dict(log.entry(done["log_index"]).entry)
        entries = [dict(e.entry) for e in log.entries()]
    assert (entry["event"], entry["passed"], entry["drill_tenant"]) == ("drill.performed", True, drill.TENANT)
    assert entry["actor"].startswith("s-") and "Ada" not in json.dumps(entries)
    mine = [e["event"] for e in entries if e.get("tenant") == drill.TENANT]
    assert mine.count("generation.blocked") == 4 and mine.count("generation.released") == 1
    out = tmp_path / "report.json"
    words = ["audit", "report", "--regime", "iso-42001", "-o", str(out), "--data-dir", str(simulated.data_dir)]
    assert main(words) == 0
    assert json.loads(out.read_text())["drills"][-1]["passed"] is True
    assert main([*words[:5], str(tmp_path / "report.html"), *words[6:]]) == 0
    assert "everything held" in (tmp_path / "report.html").read_text()


@pytest.fixture
def place(tmp_path, write_config):
    """An installation that no server runs."""
    where = ("--config", str(write_config(tmp_path)), "--data-dir", str(tmp_path / "data"))
    assert main(["keys", "init", *where]) == 0
    return where


def test_a_leak_makes_it_fail_and_is_logged(place, capsys, tmp_path, monkeypatch):
    """Seeded: a prompt that the policy lets through, a classifier that does not fail, a verifier that proves all."""
    monkeypatch.setattr(drill, "HARMFUL", "a quiet garden")
    monkeypatch.setattr(drill, "_Dead", lambda live: live)
    proved = SimpleNamespace(conclusion=Conclusion.PROVED)
    monkeypatch.setattr("gensafe.verify.verify_bytes", lambda data, **_: proved)
    status, done = drilled(capsys, *place)
    assert status == 1 and failed(done) == {"harmful prompt", "harmful output", "classifier down", "forged file"}
    [leak] = [step["said"] for step in done["steps"] if step["said"].startswith("text:") and "left" in step["said"]]
    assert not leak.startswith("text: 0 bytes")
    with AuditLog.open_readonly(tmp_path / "data" / "log") as log:
        entry = dict(log.entry(done["log_index"]).entry)
    assert entry["passed"] is False and entry["failed"] == len([s for s in done["steps"] if s["outcome"] == "failed"])


def test_a_folder_that_is_no_installation_is_refused(tmp_path, capsys):
    assert main(["drill", "--data-dir", str(tmp_path)]) == 64
