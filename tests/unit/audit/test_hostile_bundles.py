"""Bundles made to fool, crash or hang the checker. Docstrings say what was seen on the checker as it was before."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gensafe.audit import AuditLog, standalone
from gensafe.audit.export import export_jsonl
from gensafe.audit.retention import prune_before
from gensafe.compliance.exporters.csv import CsvExporter
from gensafe.compliance.exporters.jsonl import JsonlExporter
from gensafe.compliance.exporters.ocsf import OcsfExporter
from gensafe.compliance.exporters.parquet import ParquetExporter
from gensafe.core.canonical import canonical_json
from gensafe.core.types import OneTenant

ASSETS = Path(__file__).parents[2] / "assets" / "bundles"


def _load(name: str):
    spec = importlib.util.spec_from_file_location(f"gensafe_bundle_{name}", ASSETS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sample = _load("sample")
KEY = standalone.LogKey(sample.ORIGIN, sample.KEY.public_key().public_bytes_raw())
SECONDS = 20  # far more than any check of these small folders needs: only a hang gets there


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed export of the whole log with three views."""
    folder = tmp_path_factory.mktemp("made")
    with sample.sample_log(folder / "log") as log:
        export_jsonl(
            log,
            folder / "out",
            key=sample.KEY,
            views=[CsvExporter(), OcsfExporter(), JsonlExporter()],
            known_keys=[log.verifier_key],
        )
    return folder / "out"


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "out"))


@pytest.fixture(autouse=True)
def _never_a_hang() -> Iterator[None]:
    def over(*_: object) -> None:
        raise AssertionError("the checker hangs")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_bytes())


def rewrite(folder: Path, **changes: object) -> None:
    """Correct every digest, as anybody can; the note, if it is still there, no longer fits."""
    manifest = manifest_of(folder) | changes
    manifest["files"] = {
        p.name: "sha256:" + hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.iterdir())
        if p.is_file() and p.name not in ("manifest.json", "manifest.note", "checkpoint.tst")
    }
    (folder / "manifest.json").write_bytes(canonical_json(manifest))


def seal(folder: Path, **changes: object) -> None:
    """As ``rewrite``, and sign: an insider with the log's own key."""
    rewrite(folder, **changes)
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    text = f"{manifest_of(folder)['format']}\nsha256:{digest}\n"
    from gensafe.audit.note import sign_note

    (folder / "manifest.note").write_bytes(sign_note(text, sample.ORIGIN, sample.KEY))


def codes(folder: Path, *keys: standalone.LogKey) -> list[str]:
    return [code for code, _ in standalone.verify(folder, list(keys)).findings]


def move_to_withheld(folder: Path, indexes: list[int], reason: str) -> None:
    """Hide disclosed entries: their leaf hashes stay, so that the range still leads to the root."""
    manifest = manifest_of(folder)
    entries = (folder / "entries.jsonl").read_bytes().splitlines()
    proofs = (folder / "proofs.jsonl").read_bytes().splitlines()
    kept = [line for line in entries if json.loads(line)["index"] not in indexes]
    hidden = [line for line in entries if json.loads(line)["index"] in indexes]
    lines = [
        {"index": json.loads(line)["index"], "leaf": hashlib.sha256(b"\x00" + line).hexdigest(), "reason": reason}
        for line in hidden
    ]
    (folder / "entries.jsonl").write_bytes(b"".join(line + b"\n" for line in kept))
    (folder / "proofs.jsonl").write_bytes(
        b"".join(line + b"\n" for line in proofs if json.loads(line)["index"] not in indexes)
    )
    (folder / "withheld.jsonl").write_bytes(b"".join(canonical_json(line) + b"\n" for line in lines))
    counts = manifest["counts"]
    counts["disclosed"] -= len(hidden)
    counts["pruned" if reason == "pruned" else "withheld"] += len(hidden)
    for line in hidden:
        event = json.loads(line)["entry"]["event"]
        counts["events"][event] -= 1
        if not counts["events"][event]:
            del counts["events"][event]
    rewrite(folder, counts=counts)


# --- an export without its signature ---


def test_a_signed_bundle_holds_and_without_a_key_is_consistent_only(bundle: Path):
    assert standalone.verify(bundle, [KEY]).status == 0
    report = standalone.verify(bundle)
    assert (report.status, report.conclusion) == (2, "consistent, origin not established")
    assert any("gensafe audit checkpoint" in note and "--log-key" in note for note in report.notes)


def test_hidden_releases_and_a_forged_csv_are_refused_though_every_digest_is_right(bundle: Path):
    """Seen: "holds, signed by example.com/gensafe", exit 0, for a bundle that anybody can make from a signed one."""
    entries = [json.loads(line) for line in (bundle / "entries.jsonl").read_bytes().splitlines()]
    release = next(e for e in entries if e["entry"]["event"] == "generation.released")
    (bundle / "entries.ocsf.jsonl").unlink()
    (bundle / "events.jsonl").unlink()
    text = (bundle / "entries.csv").read_text("utf-8").splitlines(keepends=True)
    gone = [release["entry"]["opened_index"], release["index"]]
    rows = [row for row in text if not row.startswith(tuple(f"{i}," for i in gone))]
    (bundle / "entries.csv").write_text("".join(rows).replace("generation.released", "generation.blocked"), newline="")
    (bundle / "manifest.note").unlink()
    move_to_withheld(bundle, gone, "tenant")
    manifest = manifest_of(bundle)
    rewrite(bundle, filter=manifest["filter"] | {"tenant": "p-acme"}, disclosure="tenant")
    report = standalone.verify(bundle, [KEY])
    assert report.status == 1
    assert {"manifest-unsigned", "view"} <= {code for code, _ in report.findings}
    rewrite(bundle, signer=None, disclosure="tenant")
    assert standalone.verify(bundle).status == 1


@pytest.mark.parametrize("how", ["removed", "emptied", "of another manifest", "by a stranger", "twice the checkpoint"])
def test_no_bundle_holds_without_a_signature_over_its_own_manifest(bundle: Path, tmp_path: Path, how: str):
    """Seen: removed and emptied notes were accepted with exit 0."""
    note = bundle / "manifest.note"
    if how == "removed":
        note.unlink()
    elif how == "emptied":
        note.write_bytes(b"")
    elif how == "of another manifest":
        rewrite(bundle, gaps=manifest_of(bundle)["gaps"] | {"unfinished": []})
    elif how == "by a stranger":
        from gensafe.audit.note import sign_note

        note.write_bytes(sign_note(note.read_text().partition("\n\n")[0] + "\n", sample.ORIGIN, sample.OTHER_KEY))
    else:
        note.write_bytes((bundle / "checkpoint").read_bytes())
    assert standalone.verify(bundle, [KEY]).status == 1


# --- nothing moves between views without a word ---


def edit_csv(folder: Path, old: str, new: str) -> None:
    text = (folder / "entries.csv").read_bytes().decode()
    assert old in text
    (folder / "entries.csv").write_bytes(text.replace(old, new, 1).encode())


def edit_line(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        lines = (folder / name).read_bytes().splitlines()
        value = json.loads(lines[2])
        change(value)
        lines[2] = canonical_json(value)
        (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))

    return edit


EDITS = {
    "csv event": lambda f: edit_csv(f, "generation.released", "generation.blocked"),
    "csv action": lambda f: edit_csv(f, ",allow,", ",block,"),
    "csv tenant": lambda f: edit_csv(f, "p-acme", "p-umbra"),
    "csv time": lambda f: edit_csv(f, "2026-09-21T", "2027-09-21T"),
    "csv digest": lambda f: edit_csv(f, "sha256:", "sha256:0"),
    "csv header": lambda f: edit_csv(f, "event,tenant", "tenant,event"),
    "ocsf status": edit_line("entries.ocsf.jsonl", lambda v: v.update(status="Failure")),
    "ocsf time": edit_line("entries.ocsf.jsonl", lambda v: v.update(time=1)),
    "ocsf true for 1": edit_line("entries.ocsf.jsonl", lambda v: v.update(status_id=True)),
    "ocsf unmapped": edit_line("entries.ocsf.jsonl", lambda v: v["unmapped"].update(event="x")),
    "ocsf event code": edit_line("entries.ocsf.jsonl", lambda v: v["metadata"].update(event_code="x")),
    "ocsf field more": edit_line("entries.ocsf.jsonl", lambda v: v.update(comment="x")),
    "ocsf field less": edit_line("entries.ocsf.jsonl", lambda v: v.pop("actor")),
    "events entry": edit_line("events.jsonl", lambda v: v["entry"].update(tenant="p-nobody")),
    "events time": edit_line("events.jsonl", lambda v: v.update(time="2020-01-01T00:00:00.000Z")),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_cell_of_a_view_is_compared_with_its_entry(bundle: Path, name: str):
    """Signed by the log's own key. Seen: all but the leaf hash was believed, exit 0."""
    EDITS[name](bundle)
    seal(bundle)
    report = standalone.verify(bundle, [KEY])
    assert [code for code, _ in report.findings][:1] == ["view"], report


def test_cells_of_a_parquet_view_are_compared_too(tmp_path: Path):
    """Seen: a Parquet view was not looked at."""
    pq = pytest.importorskip("pyarrow.parquet")
    with sample.sample_log(tmp_path / "log") as log:
        export_jsonl(log, tmp_path / "out", key=sample.KEY, views=[ParquetExporter()], known_keys=[log.verifier_key])
    assert standalone.verify(tmp_path / "out", [KEY]).status == 0
    path = tmp_path / "out" / "entries.parquet"
    table = pq.read_table(path)
    events = ["generation.blocked"] * len(table)
    pq.write_table(table.set_column(2, table.schema.field(2), [events]), path)
    seal(tmp_path / "out")
    assert "view" in codes(tmp_path / "out", KEY)
    for junk in (b"", b"PAR1", b"PAR1" + bytes(200) + b"PAR1", os.urandom(4000)):
        path.write_bytes(junk)
        seal(tmp_path / "out")
        assert "view" in codes(tmp_path / "out", KEY)


@pytest.mark.parametrize("which", ["one in the middle", "the first ten", "the last", "all"])
def test_entries_are_pruned_as_whole_bundles_from_the_start_or_not_at_all(bundle: Path, which: str):
    """Seen: any entry could be called pruned, exit 0."""
    count = manifest_of(bundle)["checkpoint"]["size"]
    hide = {
        "one in the middle": [4],
        "the first ten": list(range(10)),
        "the last": [count - 1],
        "all": list(range(count)),
    }
    for view in ("entries.csv", "entries.ocsf.jsonl", "events.jsonl"):
        (bundle / view).unlink()
    move_to_withheld(bundle, hide[which], "pruned")
    seal(bundle)
    assert "withheld-reason" in codes(bundle, KEY)


def test_pruning_needs_its_tombstone_where_the_range_must_have_it(tmp_path: Path):
    with AuditLog.open(tmp_path / "log", origin=sample.ORIGIN, key=sample.KEY) as log:
        for future in [log.submit({"event": "config.changed", "n": n}) for n in range(300)]:
            future.result()
        log.prune(300)
        export_jsonl(log, tmp_path / "silent", key=sample.KEY, known_keys=[log.verifier_key])
        log.append({"event": "config.changed"})
    assert "withheld-reason" in codes(tmp_path / "silent", KEY)


def test_a_tenant_scoped_bundle_says_what_it_cannot_show(tmp_path: Path):
    with sample.sample_log(tmp_path / "log") as log:
        export_jsonl(log, tmp_path / "out", scope=OneTenant("p-acme"), key=sample.KEY, known_keys=[log.verifier_key])
    report = standalone.verify(tmp_path / "out", [KEY])
    assert report.status == 0
    assert any(note.startswith("NOT COMPLETE") for note in report.notes)


# --- what is in the folder instead of files ---


def _replace(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            os.chdir(folder)  # the path of a socket is short
            server.bind(name)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "link to a loop":
        path.symlink_to(name)
    else:
        outside = folder.parent / "outside"
        outside.write_bytes(content)
        path.symlink_to(outside)


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "link to a device", "link to a loop", "link out"])
@pytest.mark.parametrize("name", ["manifest.json", "manifest.note", "checkpoint", "entries.jsonl", "entries.csv"])
def test_only_regular_files_are_opened(bundle: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch):
    """Seen: a FIFO and a link to a device never ended; a link out of the folder was followed."""
    monkeypatch.chdir(bundle)
    _replace(bundle, name, kind)
    report = standalone.verify(bundle, [KEY])
    assert report.status == 1
    assert any(name in text for _, text in report.findings)


def test_a_fifo_or_device_beside_the_files_is_a_finding(bundle: Path):
    os.mkfifo(bundle / "more")
    assert codes(bundle, KEY) == ["special-file"]


def test_many_files_are_too_many(bundle: Path):
    for n in range(200):
        (bundle / f"f{n}").touch()
    assert codes(bundle, KEY) == ["too-many-files"]


@pytest.mark.parametrize("name", ["manifest.json", "manifest.note", "checkpoint", "entries.jsonl", "proofs.jsonl",
                                  "entries.csv", "entries.ocsf.jsonl"])  # fmt: skip
def test_a_file_of_a_tebibyte_is_refused_at_once(bundle: Path, name: str):
    """A sparse file costs its maker nothing. Seen: no end for each."""
    os.truncate(bundle / name, 1 << 40)
    report = standalone.verify(bundle, [KEY])
    assert report.status == 1
    assert any(name in text for _, text in report.findings)


def test_an_unknown_file_of_a_tebibyte_is_refused_at_once(bundle: Path):
    (bundle / "view.bin").touch()
    seal(bundle)
    assert standalone.verify(bundle, [KEY]).status == 2  # its digest is right, what it says was not examined
    os.truncate(bundle / "view.bin", 1 << 40)
    assert codes(bundle, KEY) == ["file-too-large"]


# --- what is in the files ---

PIECES = {
    "deep": b"[" * 60_000,
    "deep objects": b'{"a":' * 12_000,
    "absurd integer": b'{"index":' + b"9" * 60_000 + b"}\n",
    "large integer": b'{"index":123456789012345678901234567890}\n',
    "exponent": b'{"index":1e999}\n',
    "NaN": b'{"index":NaN}\n',
    "Infinity": b'{"index":-Infinity}\n',
    "doubled key": b'{"index":0,"index":0}\n',
    "not UTF-8": b'{"entry":"\xff\xfe"}\n',
    "NUL": b"\x00" * 1000 + b"\n",
    "surrogate": b'{"entry":"\\ud800"}\n',
    "byte order mark": b"\xef\xbb\xbf{}\n",
    "no object": b"[]\n1\nnull\n\n",
    "unhashable": b'{"entry":{"event":[],"opened_index":[]},"index":0,"time_ms":0}\n',
    "true for a number": b'{"entry":{},"index":false,"time_ms":true}\n',
    "long line": b'"' + b"A" * 3_000_000 + b'"\n',
    "long field": b'0,"' + b"A" * 200_000 + b'"\n',
    "open quote": b'"\n' * 100_000,
    "many cells": b"," * 900_000 + b"\n",
}


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("name", ["manifest.json", "manifest.note", "checkpoint", "entries.jsonl", "proofs.jsonl",
                                  "entries.csv", "entries.ocsf.jsonl", "events.jsonl"])  # fmt: skip
def test_no_content_crashes_or_hangs_the_checker(bundle: Path, name: str, piece: str):
    """At the start and after the second line, digests right. Seen: a long CSV field ended in a traceback."""
    whole = (bundle / name).read_bytes()
    lines = whole.splitlines(keepends=True)
    for content in (PIECES[piece] + whole, b"".join(lines[:2]) + PIECES[piece] + b"".join(lines[2:]), PIECES[piece]):
        (bundle / name).write_bytes(content)
        if name not in ("manifest.json", "manifest.note"):
            seal(bundle)
        report = standalone.verify(bundle, [KEY])
        assert report.status == 1, report
        assert json.dumps(standalone.as_json(report))
        assert standalone.verify(bundle).status == 1


def test_reading_goes_on_after_a_broken_line(bundle: Path):
    """Both defects are reported. Seen: the first broken line ended the check."""
    lines = (bundle / "entries.jsonl").read_bytes().splitlines(keepends=True)
    lines[1] = b"{}broken\n"
    lines[5] = lines[5].replace(b'"event":"', b'"event":"x')
    (bundle / "entries.jsonl").write_bytes(b"".join(lines))
    found = codes(bundle, KEY)
    assert "json" in found
    assert "entry-altered" in found
    assert "file-digest" in found


def test_fifty_findings_are_enough_and_none_is_made_up(bundle: Path):
    """Seen: a 51st, "structure: a field is missing or of the wrong kind (Enough)"."""
    (bundle / "proofs.jsonl").write_bytes(b"x\n" * 60)
    seal(bundle)
    assert codes(bundle, KEY) == ["json"] * standalone.MAX_FINDINGS


NAMES = ["../checkpoint", "/etc/passwd", "a/b", "a\\b", "C:x", ".hidden", "", "con", "NUL.txt", "com1.jsonl", "x."]
NAMES += ["Checkpoint", "MANIFEST.JSON", "entries．csv", "entrie\u0301s", "x\x00", "x\n", "\u202etxt.exe", "a" * 300]
NAMES += ["manifest.json", "checkpoint.tst"]


@pytest.mark.parametrize("name", NAMES)
def test_a_listed_name_cannot_lead_elsewhere(bundle: Path, name: str, capsys: pytest.CaptureFixture[str]):
    manifest = manifest_of(bundle)
    manifest["files"][name] = manifest["files"]["checkpoint"]
    (bundle / "manifest.json").write_bytes(
        json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    )
    assert standalone.main([str(bundle)]) == 1
    out = capsys.readouterr().out
    assert "\u202e" not in out
    assert "\x00" not in out


def test_names_that_differ_in_case_only_are_refused(bundle: Path):
    (bundle / "Entries.csv").write_bytes((bundle / "entries.csv").read_bytes())
    seal(bundle)
    assert "file-name" in codes(bundle, KEY)


# --- exit codes, as a program of its own ---


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", standalone.__file__, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)


def test_exit_codes_of_the_program(bundle: Path, tmp_path: Path):
    """Seen: 0 without a key, 3 for a key that cannot be read."""
    key = tmp_path / "key"
    key.write_text(KEY.raw.hex())
    assert run(bundle, "--log-key", key).returncode == 0
    assert run(bundle).returncode == 2
    assert run(tmp_path / "nothing", "--log-key", key).returncode == 3
    assert run(key, "--log-key", key).returncode == 3
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", "--log-key", key).returncode == 3
    assert run(bundle, "--log-key", tmp_path / "none").returncode == 64
    assert run(bundle, "--log-key", "/dev/zero").returncode == 64
    assert run(bundle, "--what").returncode == 64
    (bundle / "manifest.note").unlink()
    done = run(bundle, "--log-key", key)
    assert done.returncode == 1
    assert "manifest-unsigned" in done.stdout
    assert "Traceback" not in done.stderr


def test_what_a_bundle_says_cannot_steer_a_terminal(bundle: Path, tmp_path: Path):
    (bundle / "x\x1b[2J\udcff").touch()
    done = run(bundle)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert not done.stderr


def test_the_answer_fits_any_terminal(bundle: Path, tmp_path: Path):
    (bundle / "é中").touch()
    command = [sys.executable, standalone.__file__, str(bundle)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_bundle_that_was_pruned_properly_holds(tmp_path: Path):
    clock = sample.FixedClock(sample.START_MS)
    with AuditLog.open(tmp_path / "log", origin=sample.ORIGIN, key=sample.KEY, clock=clock) as log:
        for future in [log.submit({"event": "config.changed", "n": n}) for n in range(300)]:
            future.result()
        clock.advance(1000)
        prune_before(log, clock.ms, "a test")
        export_jsonl(log, tmp_path / "out", key=sample.KEY, known_keys=[log.verifier_key])
    assert standalone.verify(tmp_path / "out", [KEY]).findings == []
