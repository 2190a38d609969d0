"""Exports made from a live log: the same bytes twice, complete, private, continuing each other; and the CLI."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gensafe.audit import AuditLog, standalone
from gensafe.audit.export import export_jsonl
from gensafe.audit.note import NoteKey
from gensafe.audit.publish import publish, read_published
from gensafe.audit.retention import prune_before
from gensafe.cli import audit as cli
from gensafe.cli import main
from gensafe.compliance.exporters.csv import CsvExporter, safe_cell
from gensafe.compliance.exporters.jsonl import JsonlExporter
from gensafe.compliance.exporters.ocsf import OcsfExporter
from gensafe.core.clock import iso
from gensafe.core.config import Config
from gensafe.core.errors import ExportInvalid, InvalidRequest, LogCorrupt, PluginError
from gensafe.core.types import OneTenant
from gensafe.keys import KeyRing

ASSETS = Path(__file__).parents[2] / "assets" / "bundles"


def _load():
    spec = importlib.util.spec_from_file_location("gensafe_bundle_sample", ASSETS / "sample.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sample = _load()
LOG_KEY = standalone.LogKey(sample.ORIGIN, sample.KEY.public_key().public_bytes_raw())


@pytest.fixture
def log(tmp_path: Path):
    with sample.sample_log(tmp_path / "log") as opened:
        yield opened


def test_the_same_export_has_the_same_bytes(log: AuditLog, tmp_path: Path):
    for name in ("a", "b"):
        export_jsonl(log, tmp_path / name, key=sample.KEY, views=[CsvExporter(), OcsfExporter(), JsonlExporter()])
    left, right = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert left == right
    assert {"manifest.json", "manifest.note", "checkpoint", "entries.csv", "entries.ocsf.jsonl"} <= set(left)


def test_a_tenant_sees_only_its_own_and_the_rest_stays_provable(log: AuditLog, tmp_path: Path):
    made = export_jsonl(log, tmp_path / "out", scope=OneTenant("p-umbra"), key=sample.KEY)
    report = standalone.verify(tmp_path / "out", [LOG_KEY])
    assert report.findings == []
    assert made.data["counts"]["withheld"] > 0
    assert b"p-acme" not in b"".join(p.read_bytes() for p in (tmp_path / "out").iterdir())


def test_counts_and_gaps_state_what_went_wrong(log: AuditLog, tmp_path: Path):
    made = export_jsonl(log, tmp_path / "out")
    events = made.data["counts"]["events"]
    assert events["generation.released"] == 8
    assert events["generation.blocked"] == events["generation.failed"] == 2
    gaps = made.data["gaps"]
    assert gaps["unfinished"] == [log.size - 1]
    assert [o["to_index"] < 0 for o in gaps["filter_outages"]] == [False, True]
    assert standalone.verify(tmp_path / "out").ok


def test_exports_continue_each_other(tmp_path: Path):
    clock = sample.FixedClock(sample.START_MS)
    with AuditLog.open(tmp_path / "log", origin=sample.ORIGIN, key=sample.KEY, clock=clock) as log:
        sample.fill(log, clock, 1)
        export_jsonl(log, tmp_path / "one")
        sample.fill(log, clock, 1)
        export_jsonl(log, tmp_path / "two", previous=tmp_path / "one", key=sample.KEY)
    assert standalone.verify(tmp_path / "two", [LOG_KEY], tmp_path / "one").ok
    with AuditLog.open(tmp_path / "fork", origin=sample.ORIGIN, key=sample.KEY, clock=clock) as log:
        sample.fill(log, clock, 2)
        with pytest.raises(ExportInvalid, match="rewritten"):
            export_jsonl(log, tmp_path / "three", previous=tmp_path / "one")
        export_jsonl(log, tmp_path / "four", key=sample.KEY)
    report = standalone.verify(tmp_path / "four", [LOG_KEY], tmp_path / "one")
    assert [code for code, _ in report.findings] == ["fork"]


def test_an_empty_range_and_an_empty_log_export_and_verify(tmp_path: Path):
    with AuditLog.open(tmp_path / "log", origin=sample.ORIGIN, key=sample.KEY) as log:
        export_jsonl(log, tmp_path / "empty", key=sample.KEY, views=[CsvExporter(), OcsfExporter()])
        log.append({"event": "config.changed"})
        export_jsonl(log, tmp_path / "none", end_ms=0, key=sample.KEY)
        export_jsonl(log, tmp_path / "one", key=sample.KEY)
    for name in ("empty", "none", "one"):
        assert standalone.verify(tmp_path / name, [LOG_KEY]).findings == []


def test_pruned_entries_are_stated_not_hidden(tmp_path: Path):
    clock = sample.FixedClock(sample.START_MS)
    with AuditLog.open(tmp_path / "log", origin=sample.ORIGIN, key=sample.KEY, clock=clock) as log:
        for future in [log.submit({"event": "config.changed", "n": n}) for n in range(300)]:
            future.result()
        clock.advance(1)
        assert prune_before(log, clock.ms, "a test").entries == 256
        made = export_jsonl(log, tmp_path / "out", key=sample.KEY)
    assert made.data["gaps"]["pruned"] == [[0, 256]]
    assert standalone.verify(tmp_path / "out", [LOG_KEY]).findings == []


def test_an_export_never_overwrites(log: AuditLog, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    with pytest.raises(ExportInvalid, match="not empty"):
        export_jsonl(log, tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(ExportInvalid, match="not a folder"):
        export_jsonl(log, tmp_path / "file")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "log", "out"]


class _Broken:
    """An exporter that fails after it wrote something; ``error`` None = one that names a file it may not have."""

    format = "broken"

    def __init__(self, error: BaseException | None, name: str = "view.bin") -> None:
        self.error, self.name = error, name

    def export(self, entries, directory: str) -> tuple[str, ...]:
        (Path(directory) / "view.bin").write_bytes(b"x" * 100_000)
        if self.error:
            raise self.error
        return (self.name,)


@pytest.mark.parametrize("prepared", ["absent", "empty", "link to an empty folder", "deep"])
@pytest.mark.parametrize(
    "view",
    [_Broken(PluginError("no pyarrow")), _Broken(OSError(28, "No space left on device")), _Broken(KeyboardInterrupt())]
    + [_Broken(None, name) for name in ("../x", "absent", "manifest.json", "CHECKPOINT", "x.", "")],
    ids=lambda view: view.name if view.error is None else type(view.error).__name__,
)
def test_a_failed_export_leaves_nothing(log: AuditLog, tmp_path: Path, view: _Broken, prepared: str):
    """Seen: entries.jsonl and others were left, and the next run said "is not empty"."""
    place = tmp_path / "place"
    place.mkdir()
    out = place / ("a/b/c" if prepared == "deep" else "out")
    if prepared == "empty":
        out.mkdir()
    elif prepared.startswith("link"):
        (tmp_path / "real").mkdir()
        out.symlink_to(tmp_path / "real")
    with pytest.raises((PluginError, OSError, KeyboardInterrupt)):
        export_jsonl(log, out, views=[view], key=sample.KEY)
    assert not [p for p in [*tmp_path.rglob("*")] if p.is_file() and "log" not in p.relative_to(tmp_path).parts]
    assert not [p for p in tmp_path.rglob("*.partial")]
    export_jsonl(log, out, views=[CsvExporter()], key=sample.KEY)
    assert standalone.verify(out, [LOG_KEY]).status == 0
    assert not [p for p in tmp_path.rglob("*.partial")]


def test_a_bundle_of_the_first_format_is_still_read(tmp_path: Path):
    """Made by the exporter of before: no ``signer`` and ``disclosure``, no columns ``stage`` and ``conclusion``."""
    old = json.loads((ASSETS / "format-1.json").read_text("utf-8"))
    for name, text in old["files"].items():
        (tmp_path / name).write_bytes(text.encode())
    report = standalone.verify(tmp_path, [LOG_KEY])
    assert (report.status, report.findings) == (0, [])
    (tmp_path / "manifest.note").unlink()
    assert standalone.verify(tmp_path, [LOG_KEY]).status == 1


def test_the_manifest_names_its_signer_and_whether_it_is_complete(log: AuditLog, tmp_path: Path):
    made = export_jsonl(log, tmp_path / "all", key=sample.KEY).data
    assert made["disclosure"] == "complete"
    assert made["signer"] == {"name": sample.ORIGIN, "fingerprint": LOG_KEY.fingerprint}
    assert export_jsonl(log, tmp_path / "one", scope=OneTenant("p-acme")).data["disclosure"] == "tenant"
    assert export_jsonl(log, tmp_path / "unsigned").data["signer"] is None
    assert standalone.verify(tmp_path / "unsigned").status == 2


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "\r=1", "=cmd|'/c calc'!A0", "＝1"])
def test_no_cell_starts_a_formula(cell: str):
    assert str(safe_cell(cell)).startswith("'")


def test_numbers_and_plain_text_stay_as_they_are():
    assert safe_cell(-5) == -5
    assert safe_cell("generation.released") == "generation.released"
    assert safe_cell(None) == ""


def test_parquet_and_csv_agree(log: AuditLog, tmp_path: Path):
    pq = pytest.importorskip("pyarrow.parquet")
    from gensafe.compliance.exporters.parquet import ParquetExporter

    export_jsonl(log, tmp_path / "out", views=[CsvExporter(), ParquetExporter()])
    table = pq.read_table(tmp_path / "out" / "entries.parquet").to_pylist()
    with (tmp_path / "out" / "entries.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table) == log.size
    for row, other in zip(rows, table, strict=True):
        assert iso(round(other["time"].timestamp() * 1000)) == row["time"]
        rest = {name: "" if value is None else str(value) for name, value in other.items()}
        assert row == rest | {"time": row["time"]}
    assert {row["conclusion"] for row in rows if row["event"] == "verify.performed"} == {"proved"}


def test_ocsf_events_name_class_model_and_failure(log: AuditLog, tmp_path: Path):
    export_jsonl(log, tmp_path / "out", views=[OcsfExporter()])
    events = [json.loads(x) for x in (tmp_path / "out" / "entries.ocsf.jsonl").read_text("utf-8").splitlines()]
    released = [e for e in events if e["metadata"]["event_code"] == "generation.released"]
    assert {e["class_uid"] for e in events} == {6003}
    assert all(e["type_uid"] == e["class_uid"] * 100 + e["activity_id"] for e in events)
    assert released[0]["ai_model"]["name"] == "symphony"
    assert {e["status"] for e in events if e["metadata"]["event_code"] == "generation.blocked"} == {"Failure"}


def test_no_free_text_of_a_request_is_in_the_log(log: AuditLog):
    whole = b"".join(e.data for e in log.entries())
    assert b"never logged" not in whole


def test_publishing_writes_tiles_then_the_checkpoint_and_never_goes_back(tmp_path: Path):
    clock = sample.FixedClock(sample.START_MS)
    with AuditLog.open(tmp_path / "log", origin=sample.ORIGIN, key=sample.KEY, clock=clock) as log:
        assert publish(log, tmp_path / "site") == 1
        for count in (10, 300, 250):
            for future in [log.submit({"n": n}) for n in range(count)]:
                future.result()
            assert publish(log, tmp_path / "site") > 1
            assert read_published(tmp_path / "site") == log.root()
            assert (tmp_path / "site/checkpoint").read_bytes() == log.checkpoint()
        assert publish(log, tmp_path / "site") == 0
    with AuditLog.open(tmp_path / "other", origin=sample.ORIGIN, key=sample.KEY) as other:
        other.append({})
        with pytest.raises(LogCorrupt):
            publish(other, tmp_path / "site")


# --- the command line ---


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    ring = KeyRing.open(folder / "keys")
    clock = sample.FixedClock(sample.START_MS)
    key = ring.checkpoint_private_key()
    with AuditLog.open(folder / "log", origin=ring.origin, key=key, clock=clock) as log:
        sample.fill(log, clock, 1)
    (tmp_path / "log.vkey").write_text(NoteKey(ring.origin, ring.checkpoint_public_key()).vkey)
    return folder


def command(*words: object) -> int:
    return main(["audit", *map(str, words)])


def test_export_then_verify_on_the_command_line(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert command("export", "--format", "csv", "--format", "ocsf", "-o", out, "--data-dir", data_dir, "--json") == 0
    assert json.loads(capsys.readouterr().out)["signed"] is True
    assert command("verify", out, "--log-key", tmp_path / "log.vkey") == 0
    assert "valid, signed by" in capsys.readouterr().out
    assert command("verify", out) == 2
    assert "origin not established" in capsys.readouterr().out
    with AuditLog.open_readonly(data_dir / "log") as log:
        last = list(log.entries())[-1].entry
        assert last["event"] == "export.made"
        assert log.kept_checkpoints()
    text = (out / "entries.jsonl").read_text("utf-8")
    (out / "entries.jsonl").write_text(text.replace("symphony", "sinfonia"), "utf-8")
    assert command("verify", out, "--json") == 1
    assert "file-digest" in capsys.readouterr().out
    capsys.readouterr()
    assert command("export", "-o", out, "--data-dir", data_dir) == 64
    assert "--out" in capsys.readouterr().err
    assert command("export", "-o", "/dev/null", "--data-dir", data_dir) == 64
    assert "--out" in capsys.readouterr().err
    assert command("export", "-o", "/proc/nothing", "--data-dir", data_dir) == 74
    assert "--out /proc/nothing: " in capsys.readouterr().err


def test_ranges_are_shown_as_people_count(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Seen: "entries 0 to 18 of a tree of 18"."""
    assert command("export", "-o", tmp_path / "out", "--data-dir", data_dir) == 0
    assert "entries 0 to 17 of a tree of 18" in capsys.readouterr().out
    assert command("verify", tmp_path / "out") == 2
    out = capsys.readouterr().out
    assert "entries 0 to 17 of a tree of 18, 18 disclosed" in out
    assert "gensafe audit checkpoint" in out
    assert command("export", "--to", "2020-01-01", "-o", tmp_path / "none", "--data-dir", data_dir) == 0
    assert "no entries of a tree of" in capsys.readouterr().out


def test_the_printed_checkpoint_is_a_key_file(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command("export", "-o", tmp_path / "out", "--data-dir", data_dir) == 0
    signed_by = capsys.readouterr().out.rsplit("key ", 1)[1].strip()
    assert command("checkpoint", "--data-dir", data_dir) == 0
    printed = capsys.readouterr().out
    (tmp_path / "log.key").write_text(printed)
    assert signed_by in printed
    assert command("verify", tmp_path / "out", "--log-key", tmp_path / "log.key") == 0


def test_formats_are_those_of_the_installed_plugins(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Seen: an exporter of one's own could not be chosen."""
    info = tmp_path / "site" / "own-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[gensafe.exporters]\nlines = own_exporter:create\n")
    (tmp_path / "site" / "own_exporter.py").write_text(
        "class Lines:\n    format = 'lines'\n    def export(self, entries, directory):\n"
        "        import pathlib\n"
        "        pathlib.Path(directory, 'lines.txt').write_text(''.join(str(e['index']) for e in entries))\n"
        "        return ('lines.txt',)\ndef create(options):\n    return Lines()\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert command("export", "--format", "lines", "-o", tmp_path / "out", "--data-dir", data_dir) == 0
    capsys.readouterr()
    assert command("verify", tmp_path / "out", "--log-key", tmp_path / "log.vkey") == 2  # nobody compared its rows
    assert "not examined: lines.txt" in capsys.readouterr().out


def test_parquet_without_its_library_says_which_one(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Seen: "pip install 'gensafe[parquet]'", a name that is on no index, and half a bundle."""
    monkeypatch.setattr("gensafe.compliance.exporters.parquet.find_spec", lambda name: None)
    assert command("export", "--format", "parquet", "-o", tmp_path / "out", "--data-dir", data_dir) == 1
    assert "pip install 'pyarrow" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_fsck_checkpoint_publish_and_prove(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command("fsck", "--data-dir", data_dir, "--json") == 0
    assert json.loads(capsys.readouterr().out)["signed"] is True
    assert command("checkpoint", "--data-dir", data_dir) == 0
    assert "key: " in capsys.readouterr().out
    assert command("publish", "-o", tmp_path / "site", "--data-dir", data_dir) == 0
    capsys.readouterr()
    assert command("prove", "3", "--data-dir", data_dir) == 0
    assert capsys.readouterr().out.startswith("c2sp.org/tlog-proof@v1\nindex 3\n")
    assert command("prove", "999", "--data-dir", data_dir) == 2
    assert command("fsck", "--data-dir", tmp_path / "nowhere") == 64


def test_times_are_utc_unless_they_say_otherwise():
    assert cli.parse_time("2026-11-01") == cli.parse_time("2026-11-01T02:00:00+02:00") == 1_793_491_200_000
    with pytest.raises(InvalidRequest):
        cli.parse_time("yesterday")
    assert command("export", "--from", "yesterday", "-o", "unused") == 64


def test_a_checkpoint_can_be_time_stamped_and_openssl_agrees(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out, roots = tmp_path / "out", tmp_path / "roots.pem"
    assert main(["audit", "export", "--stamp", "own", "-o", str(out), "--data-dir", str(data_dir)]) == 0
    roots.write_bytes(_ring(data_dir).tsa_anchors())
    assert main(["audit", "verify", str(out)]) == 2
    assert "openssl ts -verify" in capsys.readouterr().out
    files = ["-token_in", "-in", str(out / "checkpoint.tst"), "-data", str(out / "checkpoint")]
    command = ["openssl", "ts", "-verify", *files, "-CAfile", str(roots)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    # a token over something else is a defect, for us and for OpenSSL
    (out / "checkpoint.tst").write_bytes(cli.time_stamper("own", _ring(data_dir), Config())(bytes(32)))
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert [code for code, _ in standalone.verify(out).findings] == ["time-stamp"]


def test_a_time_stamp_that_cannot_be_had_is_an_error(data_dir: Path, tmp_path: Path):
    command = ["audit", "export", "-o", str(tmp_path / "out"), "--data-dir", str(data_dir)]
    assert main([*command, "--stamp", "http://127.0.0.1:9/"]) == 1
    assert not list((tmp_path / "out").glob("manifest*"))
    assert main([*command, "--stamp", "ftp://x"]) == 64


def _ring(data_dir: Path) -> KeyRing:
    return KeyRing.open(data_dir / "keys", environment="development", create=False)
