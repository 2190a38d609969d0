"""The page of ``gensafe audit viewer`` in a real Chromium, opened from disk: it judges as the reference does."""

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest

from gensafe.audit import standalone
from gensafe.audit.export import export_jsonl
from gensafe.cli import main
from gensafe.compliance.exporters.csv import CsvExporter
from gensafe.compliance.exporters.jsonl import JsonlExporter
from gensafe.compliance.exporters.ocsf import OcsfExporter
from gensafe.core.types import OneTenant
from tests.integration.test_verify_page import CHROMIUM, Browser
from tests.unit.audit.test_bundles import ASSETS, VECTORS
from tests.unit.audit.test_hostile_bundles import EDITS, rewrite, sample, seal

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
KEY = VECTORS["log_key"]
RAW = sample.KEY.public_key().public_bytes_raw()
NASTY = "<img src=x onerror=alert(1)>\u202egnp.exe"
SIZES = {"wide": (1280, 900, False), "phone": (390, 844, True)}
# In the page: choose these files, type the key, press the button, and wait for what the worker says.
JUDGE = """
async (cases) => {
  const reports = [];
  for (const [files, key] of cases) {
    const chosen = new DataTransfer();
    for (const [name, data] of Object.entries(files)) {
      chosen.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
    }
    document.getElementById('files').files = chosen.files;
    document.getElementById('files').dispatchEvent(new Event('change'));
    document.getElementById('key').value = key;
    const judged = new Promise((done) => document.addEventListener('judged', (e) => done(e.detail), { once: true }));
    document.getElementById('form').requestSubmit();
    const report = await judged;
    reports.push({ status: report && report.status, codes: report && report.findings.map(([code]) => code),
                   shown: document.getElementById('headline').textContent });
  }
  return reports;
}
"""
HEADLINES = {
    0: "Valid",
    1: "Not valid",
    2: "Consistent, origin not established",
    3: "Not a readable bundle",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page as the command writes it, opened from disk."""
    file = tmp_path_factory.mktemp("viewer") / "viewer.html"
    assert main(["audit", "viewer", "-o", str(file)]) == 0
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.open(file.as_uri())
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A signed export of the whole log with three views."""
    folder = tmp_path_factory.mktemp("made")
    with sample.sample_log(folder / "log") as log:
        views = [CsvExporter(), OcsfExporter(), JsonlExporter()]
        export_jsonl(log, folder / "out", key=sample.KEY, views=views, known_keys=[log.verifier_key])
    return folder / "out"


def lay_out(folder: Path, files: dict[str, str | None]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        if text is not None:
            (folder / name).write_bytes(text.encode())
    return folder


def copy_of(made: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in made.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def content(folder: Path) -> dict[str, str]:
    return {file.name: base64.b64encode(file.read_bytes()).decode() for file in folder.iterdir()}


def judged(page: Browser, cases: list[tuple[Path, str]]) -> list[dict]:
    given = json.dumps([[content(folder), key] for folder, key in cases])
    return page.evaluate(f"({JUDGE})({given})")


def judged_as_by_the_reference(page: Browser, cases: list[tuple[Path, str]]) -> dict[tuple[str, bool], int]:
    """Same status, same codes in the same order, and the headline of that status."""
    statuses = {}
    for (folder, key), report in zip(cases, judged(page, cases), strict=True):
        wanted = standalone.verify(folder, [standalone.LogKey(sample.ORIGIN, RAW)] if key else [])
        codes = [code for code, _ in wanted.findings]
        shown = {"status": wanted.status, "codes": codes, "shown": HEADLINES[wanted.status]}
        assert report == shown, f"{folder.name}, {'with' if key else 'without'} the key"
        statuses[folder.name, bool(key)] = report["status"]
    return statuses


def test_every_vector_is_judged_as_by_the_reference(page, tmp_path):
    good = lay_out(tmp_path / "good", VECTORS["good"])
    bad = [lay_out(tmp_path / name, {**VECTORS["good"], **case["files"]}) for name, case in VECTORS["bad"].items()]
    assert len(bad) >= 80
    statuses = judged_as_by_the_reference(page, [(folder, key) for folder in (good, *bad) for key in (KEY, "")])
    assert (statuses.pop(("good", True)), statuses.pop(("good", False))) == (0, 2)
    assert {status for (_, key), status in statuses.items() if key} == {1}


def test_views_scopes_formats_and_stamps_are_judged_as_by_the_reference(page, made, tmp_path):
    folders = [made]
    for name, edit in EDITS.items():
        folders.append(copy_of(made, tmp_path / name))
        edit(folders[-1])
        seal(folders[-1])
    with sample.sample_log(tmp_path / "log") as log:
        tenant = OneTenant("p-acme")
        export_jsonl(log, tmp_path / "tenant", scope=tenant, key=sample.KEY, known_keys=[log.verifier_key])
        export_jsonl(log, tmp_path / "unsigned", known_keys=[log.verifier_key])
    old = json.loads((ASSETS / "format-1.json").read_text("utf-8"))
    folders += [tmp_path / "tenant", tmp_path / "unsigned", lay_out(tmp_path / "format 1", old.get("files", old))]
    for name, token in (("stamp", (made / "checkpoint").read_bytes()), ("stamp of another", b"x")):
        folders.append(copy_of(made, tmp_path / name))
        digest = hashlib.sha256(token).digest()
        (folders[-1] / "checkpoint.tst").write_bytes(b"0" + digest)
    folders.append(tmp_path / "empty")
    folders[-1].mkdir()
    (folders[-1] / "something").touch()
    statuses = judged_as_by_the_reference(page, [(tmp_path / "unsigned", ""), *((folder, KEY) for folder in folders)])
    names = ("out", "tenant", "unsigned", "stamp", "stamp of another", "empty")
    assert [statuses[name, True] for name in names] == [0, 0, 1, 0, 1, 3]


def test_what_is_not_examined_is_said_and_does_not_hold(page, made, tmp_path):
    folder = copy_of(made, tmp_path / "more")
    (folder / "entries.parquet").write_bytes(b"PAR1")
    seal(folder)
    (report,) = judged(page, [(folder, KEY)])
    assert report["status"] == 2
    assert report["shown"] == "Consistent and signed, but not examined in full"
    assert "entries.parquet: Parquet is not read here" in page.evaluate("unchecked.textContent")


@pytest.mark.parametrize("key", ["nonsense", "# nothing", KEY.replace("ed26", "ed27"), "-----BEGIN PUBLIC KEY-----\nx"])
def test_a_key_that_is_none_judges_nothing(page, made, key):
    (report,) = judged(page, [(made, key)])
    assert report["status"] is None
    assert page.evaluate("result.hidden")
    assert "the key cannot be read" in page.evaluate("progress.textContent")


def test_the_folder_of_a_disk_is_read_and_its_entries_are_listed(page, made, tmp_path):
    page.evaluate(f"document.getElementById('key').value = {json.dumps(RAW.hex())}")
    root = page.page("DOM.getDocument")["root"]["nodeId"]
    node = page.page("DOM.querySelector", {"nodeId": root, "selector": "#folder"})["nodeId"]
    page.page("DOM.setFileInputFiles", {"nodeId": node, "files": [str(made)]})
    listed = "new Promise((done) => document.addEventListener('listed', () => done(true), { once: true }))"
    press = "document.getElementById('form').requestSubmit()"
    page.evaluate(f"(async () => {{ const all = {listed}; {press}; await all }})()")
    assert page.evaluate("headline.textContent") == "Valid"
    count = json.loads((made / "manifest.json").read_bytes())["counts"]
    assert page.evaluate("rows.children.length") == min(count["disclosed"], 100)
    choose = "event.value = 'generation.released'; event.dispatchEvent(new Event('change'))"
    find = "const event = document.getElementById('event')"
    page.evaluate(f"(async () => {{ {find}; const some = {listed}; {choose}; await some }})()")
    shown = page.evaluate("[...rows.children].map((row) => row.children[2].textContent)")
    assert shown == ["generation.released"] * count["events"]["generation.released"]
    for name, (width, height, mobile) in SIZES.items():
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        page.page("Emulation.setDeviceMetricsOverride", size)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("TEST_SCREENSHOTS", ""):
            page.screenshot(Path(folder) / f"viewer-{name}.png")


def test_a_folder_is_dropped_and_a_folder_within_is_a_finding(page, made, tmp_path):
    folder = copy_of(made, tmp_path / "dropped")
    page.evaluate(f"document.getElementById('key').value = {json.dumps(KEY)}")
    for codes in ([], ["special-file"]):
        page.evaluate("last = null; document.addEventListener('judged', (e) => { last = e.detail; }, { once: true })")
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            page.page("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})
        page.wait_until("last !== null", 20)
        assert page.evaluate("last.findings.map(([code]) => code)") == codes
        (folder / "more").mkdir(exist_ok=True)


def test_what_a_bundle_says_is_only_text_and_nothing_is_asked_of_the_network(page, made, tmp_path):
    folder = copy_of(made, tmp_path / "nasty")
    lines = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)
    leaf = json.loads(lines[0])
    leaf["entry"]["tenant"] = leaf["entry"]["event"] = NASTY
    lines[0] = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    (folder / "entries.jsonl").write_bytes(b"".join(lines))
    rewrite(folder, origin=NASTY)
    (folder / NASTY.replace("/", "")).touch()
    (report,) = judged(page, [(folder, "")])
    page.wait_until("rows.children.length > 0")
    assert report["status"] == 1
    assert not page.evaluate("document.querySelectorAll('img').length")
    assert page.evaluate("document.body.textContent.includes('<img src=x')")
    assert "\u202e" not in page.evaluate("document.body.innerText")
    sent = [e["params"]["request"]["url"] for e in page.events if e.get("method") == "Network.requestWillBeSent"]
    assert [url for url in sent if not url.startswith(("file:", "blob:", "about:"))] == []
    logged = [e["params"]["entry"]["text"] for e in page.events if e.get("method") == "Log.entryAdded"]
    assert logged == []
