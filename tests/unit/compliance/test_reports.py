"""Regime reports: shares are counted right, exceptions are named, weaknesses are stated, the files can be read."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gensafe.audit import AuditLog, entries, fsck
from gensafe.cli import main
from gensafe.compliance.duty import Status
from gensafe.compliance.evidence import Evidence, Share
from gensafe.compliance.law import regimes
from gensafe.compliance.measures import measured
from gensafe.compliance.report import make_report
from gensafe.compliance.write import write_report
from gensafe.core.clock import FixedClock
from gensafe.core.digest import sha256
from gensafe.core.errors import InvalidRequest, OutputFailed
from gensafe.core.hazards import CATEGORIES
from gensafe.core.types import Action, MarkLevel, Modality, OneTenant, Stage
from gensafe.keys import KeyRing
from gensafe.registry import Record, Registry

REGIMES = regimes()
ASSETS = Path(__file__).parents[2] / "assets" / "bundles"


def _load():
    spec = importlib.util.spec_from_file_location("gensafe_bundle_sample", ASSETS / "sample.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sample = _load()


@pytest.fixture
def log(tmp_path: Path):
    with sample.sample_log(tmp_path / "log") as opened:
        yield opened


def duty(report, key: str):
    [found] = [finding for known, finding in report.findings if known.key == key]
    return found


def release(log: AuditLog, n: int, *, labels: dict[str, object] | None = None, environment: str = "production", **more):
    at = log.append(sample.opened(n, Modality.IMAGE, "p-acme")).index
    signed = sample.signed(n, at, more.pop("modality", Modality.IMAGE), "p-acme", **more)
    log.append(entries.released(signed, labels=labels, layers=("c2pa",), environment=environment))


def test_the_regimes_of_the_command_line_are_those_there_are():
    from gensafe.cli.audit import REGIMES as choices

    assert set(choices) == set(REGIMES)
    keys = [d.key for regime in REGIMES.values() for d in regime.duties]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("regime", sorted(REGIMES))
def test_every_duty_says_what_software_cannot_prove(regime: str):
    for known in REGIMES[regime].duties:
        assert known.beyond
        assert known.basis


def test_shares_count_what_satisfies_a_duty_and_name_what_does_not(log: AuditLog):
    report = make_report(log, "eu-ai-act")
    assert duty(report, "eu-50-2-layers").share == (8, 8)
    assert duty(report, "eu-50-2-layers").status is Status.MET
    release(log, 901, level=MarkLevel.NONE, note="too flat to carry a mark")
    release(log, 902, development=True, environment="development")
    release(log, 903, modality=Modality.TEXT, level=MarkLevel.NONE, tokens=300)
    report = make_report(log, "eu-ai-act")
    layers = duty(report, "eu-50-2-layers")
    assert layers.share == (9, 11)
    assert layers.status is Status.PARTLY
    assert layers.exceptions[0] == "0000000000385: too flat to carry a mark"
    assert duty(report, "eu-50-2-signed").exceptions == ("0000000000386: development certificate",)
    assert duty(report, "eu-text-200").share == (0, 1)
    assert duty(report, "eu-text-200").status is Status.NOT_MET
    assert any("development" in warning for warning in report.warnings)


def test_a_label_counts_only_if_all_its_fields_are_there(log: AuditLog):
    before = duty(make_report(log, "ca-sb942"), "ca-latent")
    assert before.share == (6, 6)  # texts are not the law's business
    release(log, 901, labels={"profile": "ca", "fields": ["system", "version", "time", "content_id"]})
    release(log, 902, labels={"profile": "ca", "fields": ["provider", "system", "version", "time"]})
    after = duty(make_report(log, "ca-sb942"), "ca-latent")
    assert after.share == (6, 8)
    assert after.exceptions == ("0000000000385: without provider", "0000000000386: without content_id")


def test_an_option_nobody_took_is_not_a_fault(log: AuditLog):
    found = duty(make_report(log, "ca-sb942"), "ca-manifest")
    assert found.status is Status.RECORDED
    assert found.facts["with_notice"] + found.facts["without"] > found.facts["with_notice"]


def test_a_small_label_and_a_missing_aigc_element_are_exceptions(log: AuditLog):
    small = {"kind": "drawn", "text": "AI", "position": "bottom-right", "height_permille": 31, "duration_ms": 0}
    release(log, 901, labels={"profile": "cn", "fields": ["aigc"], "visible": small})
    report = make_report(log, "cn-gb45438")
    assert duty(report, "cn-size").share == (2, 3)
    assert duty(report, "cn-size").exceptions == ("0000000000385: below 5 %",)
    assert duty(report, "cn-implicit").share == (1, 9)


ALL = {m.value: {"whole": sorted(CATEGORIES), "part": [], "none": []} for m in Modality}


@pytest.fixture
def empty(tmp_path: Path):
    with AuditLog.open(tmp_path / "empty", origin=sample.ORIGIN, key=sample.KEY) as opened:
        yield opened


def start(log: AuditLog, coverage: dict = ALL):
    digest = sample.POLICY[1]
    log.append(
        entries.service_started(
            version="1", config_digest=digest, policy_digest=digest, environment="production", coverage=coverage
        )
    )


def test_filters_that_worked_and_cover_the_duty_meet_it(empty: AuditLog):
    start(empty)
    release(empty, 901)
    assert duty(make_report(empty, "eu-ai-act"), "eu-5-1-ba").status is Status.MET
    # the text's own prompt verdict: an outage in which nothing left is no fault
    empty.append(entries.filter_outage(entries.FILTER_UNAVAILABLE, classifier="text_screen", since_ms=1))
    release(empty, 902)  # judged before the filter failed: its verdict says that the filter worked
    found = duty(make_report(empty, "eu-ai-act"), "eu-5-1-ba")
    assert found.status is Status.MET
    assert "1 filter outages" in found.summary


def test_an_output_on_which_a_filter_failed_is_not_met(empty: AuditLog):
    start(empty)
    empty.append(entries.filter_outage(entries.FILTER_UNAVAILABLE, classifier="text_screen", since_ms=1))
    at = empty.append(sample.opened(901, Modality.IMAGE, "p-acme")).index
    leaked = sample.signed(901, at, Modality.IMAGE, "p-acme")
    verdict = replace(leaked.marked.judged.verdict, errors=("text_screen: timed out",))
    judged = replace(leaked.marked.judged, verdict=verdict)
    empty.append(entries.released(replace(leaked, marked=replace(leaked.marked, judged=judged))))
    found = duty(make_report(empty, "eu-ai-act"), "eu-5-1-ba")
    assert found.status is Status.NOT_MET
    assert "1 outputs left" in found.summary


@pytest.mark.parametrize("regime", sorted(REGIMES))
def test_nothing_released_and_everything_blocked_meets_nothing(empty: AuditLog, regime: str):
    """The review saw: "met in the evidence, 0 of 0 outputs passed ... 74 requests were blocked; 0 filter outages"."""
    start(empty)
    for n in range(3):
        empty.append(
            entries.blocked(
                request_id=sample.request_id(n),
                record_id=n,
                tenant="p-acme",
                modality=Modality.TEXT,
                stage=Stage.PROMPT,
                verdict_=sample.verdict(Stage.PROMPT, Modality.TEXT, Action.BLOCK),
            )
        )
    report = make_report(empty, regime)
    assert not [known.key for known, finding in report.findings if finding.status is Status.MET]
    assert not [known.key for known, finding in report.findings if finding.share and finding.share[1] == 0]


@pytest.mark.parametrize(
    ("how", "status", "word"),
    [
        ("none", Status.NO_EVIDENCE, "no classifier covers"),
        ("part", Status.PARTLY, "covered only in part"),
        ("unstated", Status.NO_EVIDENCE, "not stated"),
    ],
)
def test_a_duty_whose_categories_nobody_covers_is_not_met(empty: AuditLog, how: str, status: Status, word: str):
    """The review saw: "sexual depictions: met in the evidence, 4 of 4" with no classifier of nudity installed."""
    rest = [c for c in CATEGORIES if c not in ("sxc", "cse")]
    coverage = {m.value: {"whole": rest, "part": [], "none": [], how: ["sxc", "cse"]} for m in Modality}
    if how == "unstated":
        coverage = {m.value: {"whole": rest, "part": [], "none": []} for m in Modality}
    start(empty, coverage)
    release(empty, 901)
    found = duty(make_report(empty, "eu-ai-act"), "eu-5-1-ba")
    assert found.status is status
    assert f"image: {word}" in found.summary and "sexual content (sxc)" in found.summary
    # what holds at a moment counts, also when it was stated before the period
    at = empty.size
    assert empty.entry(at - 1).entry["event"] == "generation.released"
    start(empty)
    release(empty, 902)
    assert duty(make_report(empty, "eu-ai-act"), "eu-5-1-ba").status is Status.PARTLY


def test_a_duty_without_any_of_its_events_has_no_evidence(empty: AuditLog):
    start(empty)
    release(empty, 901)
    found = duty(make_report(empty, "in-it-rules"), "in-takedown")
    assert found.status is Status.NO_EVIDENCE and "misuse.reported" in found.summary
    assert duty(make_report(empty, "iso-42001"), "iso-data").status is Status.NO_EVIDENCE
    assert duty(make_report(empty, "iso-42001"), "iso-oversight").status is Status.NO_EVIDENCE


def test_a_release_without_intent_is_an_exception(log: AuditLog):
    log.append(entries.released(sample.signed(901, 3, Modality.IMAGE, "p-acme")))
    found = duty(make_report(log, "iso-42001"), "iso-intent")
    assert found.share == (8, 9)


def test_an_empty_period_is_no_evidence_not_full_marks(log: AuditLog):
    report = make_report(log, "eu-ai-act", end_ms=0)
    assert duty(report, "eu-50-2-layers").status is Status.NO_EVIDENCE
    assert Status.MET not in {finding.status for _, finding in report.findings}


def test_a_tenants_report_counts_only_its_outputs(log: AuditLog):
    every = duty(make_report(log, "iso-42001"), "iso-a8").share
    acme = duty(make_report(log, "iso-42001", scope=OneTenant("p-acme")), "iso-a8").share
    umbra = duty(make_report(log, "iso-42001", scope=OneTenant("p-umbra")), "iso-a8").share
    assert acme[1] + umbra[1] == every[1]
    assert min(acme[1], umbra[1]) > 0


def test_an_unsound_log_is_said_first(log: AuditLog, tmp_path: Path):
    report = make_report(log, "eu-ai-act", integrity=fsck(tmp_path / "log"))
    assert any("who signed" in warning for warning in report.warnings)
    assert make_report(log, "eu-ai-act").warnings[0].startswith("The log was not rebuilt")


def test_percentages_never_round_up_to_all():
    judge, _ = measured("manifest", "x")
    finding = judge(Evidence(manifest=Share(100_000, 99_999)))
    assert "99.9 %" in finding.summary


class _Tags(HTMLParser):
    VOID = ("meta", "br", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("regime", sorted(REGIMES))
def test_html_is_whole_and_loads_nothing(log: AuditLog, regime: str, tmp_path: Path):
    release(log, 901, level=MarkLevel.NONE, note='<script>alert("x")</script>')
    write_report(make_report(log, regime), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.links == []
    assert "<script" not in page
    for known in REGIMES[regime].duties:
        if known.unconfirmed:
            assert "Unconfirmed" in page


@pytest.mark.parametrize("regime", sorted(REGIMES))
def test_pdf_and_json_are_the_same_twice(log: AuditLog, regime: str, tmp_path: Path):
    pytest.importorskip("reportlab")
    for name in ("a", "b"):
        write_report(make_report(log, regime), tmp_path / f"{name}.pdf")
        write_report(make_report(log, regime), tmp_path / f"{name}.json")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes()[:5] == b"%PDF-"
    data = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert data["regime"] == regime
    assert len(data["duties"]) == len(REGIMES[regime].duties)
    with pytest.raises(InvalidRequest):
        write_report(make_report(log, regime), tmp_path / "a.docx")


def test_a_duty_that_is_not_in_force_is_shown_and_not_counted(log: AuditLog, tmp_path: Path):
    before, after = (make_report(log, "eu-ai-act", as_of=date(2026, 12, day)) for day in (1, 2))
    assert "3 not yet in force" in before.summary and "2 not yet in force" in after.summary
    write_report(before, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "not yet in force: from 2026-12-02" in page and "Law as of 2026-12-01" in page
    rows = {row["key"]: row for row in before.as_json()["duties"]}
    assert rows["eu-5-1-ba"]["standing"] == "not yet in force" and rows["eu-5-1-ba"]["from"] == "2026-12-02"


def test_the_law_of_the_periods_last_day_applies(log: AuditLog):
    midnight = 1_796_169_600_000  # 2026-12-02T00:00:00Z, which is not in a period that ends there
    assert make_report(log, "eu-ai-act", end_ms=midnight).as_of == date(2026, 12, 1)
    assert make_report(log, "eu-ai-act", end_ms=midnight + 1).as_of == date(2026, 12, 2)


def test_facts_are_sentences_and_not_json(log: AuditLog, tmp_path: Path):
    release(log, 901)
    write_report(make_report(log, "eu-ai-act"), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<pre>" not in page and "{&quot;" not in page and ">policy changes</th>" in page


def test_a_report_that_cannot_be_written_is_an_error_of_the_output(log: AuditLog, tmp_path: Path):
    """Seen before: a traceback of the operating system's error."""
    with pytest.raises(OutputFailed):
        write_report(make_report(log, "eu-ai-act"), tmp_path / "no such folder" / "report.json")


# --- the command line: reports and erasure on an installation ---


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    ring = KeyRing.open(folder / "keys")
    clock = FixedClock(sample.START_MS)
    with AuditLog.open(folder / "log", origin=ring.origin, key=ring.checkpoint_private_key(), clock=clock) as log:
        sample.fill(log, clock, 1)
        for future in [log.submit({"event": "test", "n": n}) for n in range(300)]:
            future.result()
    with Registry.open(folder / "registry", kek=ring.kek()) as registry:
        registry.seal_prompt(1, "user-7", "a private prompt")
    return folder


def test_report_on_the_command_line(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "report.html"
    assert main(["audit", "report", "--regime", "cn-gb45438", "-o", str(out), "--data-dir", str(data_dir)]) == 0
    assert "GB 45438" in capsys.readouterr().out
    assert ": OK; its checkpoints are signed" in out.read_text("utf-8")
    assert main(["audit", "report", "--regime", "cn-gb45438", "-o", "x.txt", "--data-dir", str(data_dir)]) == 64


def test_erasure_leaves_a_tombstone_and_a_sound_log(data_dir: Path, capsys: pytest.CaptureFixture[str]):
    where = ["--data-dir", str(data_dir), "--json"]
    assert main(["privacy", "hold", "case-1", "--scope", "subject:user-7", *where]) == 0
    assert main(["privacy", "erase", "--subject", "user-7", *where]) == 1
    assert main(["privacy", "prune", "--before", "2030-01-01", *where]) == 1
    assert main(["privacy", "holds", *where]) == 0
    assert main(["privacy", "release", "case-1", *where]) == 0
    capsys.readouterr()
    assert main(["privacy", "erase", "--subject", "user-7", *where]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["erased"] == {"prompts": 1, "blobs": 0}
    assert re.fullmatch("s-[0-9a-f]{24}", said["subject"])
    assert main(["privacy", "prune", "--before", "2030-01-01", *where]) == 0
    assert json.loads(capsys.readouterr().out)["erased"]["entries"] == 256
    assert main(["audit", "fsck", *where]) == 0
    with AuditLog.open_readonly(data_dir / "log") as log:
        events = [e.entry["event"] for e in log.entries(300)]
    assert events[-4:] == ["hold.set", "hold.released", "log.tombstone", "log.tombstone"]
    assert b"user-7" not in b"".join(p.read_bytes() for p in data_dir.rglob("*") if p.is_file())


def test_an_erasure_waits_for_the_process_that_holds_the_log(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    """Before: "stop the server first". Now the order stays, and whoever holds the log carries it out."""
    from gensafe.cli import orders
    from gensafe.pipeline.orders import carry_out_orders

    monkeypatch.setattr(orders, "WAIT_S", 0.0)
    ring = KeyRing.open(data_dir / "keys")
    with (
        AuditLog.open(data_dir / "log", origin=ring.origin, key=ring.checkpoint_private_key()) as log,
        Registry.open(data_dir / "registry", kek=ring.kek()) as registry,
    ):
        assert main(["privacy", "erase", "--subject", "user-7", "--data-dir", str(data_dir)]) != 0
        assert registry.open_prompt(1) is not None
        assert carry_out_orders(registry, log, ring) == 1
        assert registry.open_prompt(1) is None
        assert log.entry(log.size - 1).entry["event"] == "log.tombstone"
        assert carry_out_orders(registry, log, ring) == 0


def test_erasing_says_what_it_would_do_and_refuses_what_is_not_there(data_dir: Path, capsys):
    """Before: a misspelt subject was "erased 0 prompts", exit 0; no dry run; a hold on everything by default."""
    where = ["--data-dir", str(data_dir), "--json"]
    with AuditLog.open_readonly(data_dir / "log") as log:
        size = log.size
    assert main(["privacy", "erase", "--subject", "user-8", *where]) == 1
    assert main(["privacy", "erase", "--subject", "user-7", "--dry-run", *where]) == 0
    assert json.loads(capsys.readouterr().out)["would_erase"] == {"prompts": 1, "blobs": 0}
    for words in (["hold", "local"], ["erase", "--subject", "user-7", "--reason", "Ann Example asked"]):
        assert main(["privacy", *words, *where]) == 64
    with AuditLog.open_readonly(data_dir / "log") as log:
        assert log.size == size
    ring = KeyRing.open(data_dir / "keys")
    with Registry.open(data_dir / "registry", kek=ring.kek()) as registry:
        assert registry.open_prompt(1) is not None


def test_a_report_of_misuse_is_logged_and_its_words_can_be_erased(data_dir: Path, tmp_path: Path, capsys):
    """The review saw: ``misuse.reported`` was documented, counted and exported, and nothing could write it."""
    where = ["--data-dir", str(data_dir), "--json"]
    words = "a picture of Ann Example, sent to her employer"
    ring = KeyRing.open(data_dir / "keys")
    file = tmp_path / "picture.png"
    file.write_bytes(b"released bytes")
    with Registry.open(data_dir / "registry", kek=ring.kek()) as registry:
        put_record(registry, 0xABC, b"released bytes")
    assert main(["misuse", "report", "0000000000abd", "--reason", words, *where]) == 64
    assert main(["misuse", "report", "README", "--reason", words, *where]) == 64
    capsys.readouterr()
    for output in (str(file), "0000000000abc"):
        assert main(["misuse", "report", output, "--reason", words, "--category", "privacy", *where]) == 0
        said = json.loads(capsys.readouterr().out)
        with AuditLog.open_readonly(data_dir / "log") as log:
            entry = log.entry(said["log_index"]).entry
        assert entry["event"] == "misuse.reported"
        assert (entry["record_id"], entry["category"], entry["ticket"]) == ("0000000000abc", "privacy", said["ticket"])
        assert entry["text_commitment"].startswith("hmac-sha256:")
    assert b"Ann Example" not in b"".join(p.read_bytes() for p in data_dir.rglob("*") if p.is_file())
    with AuditLog.open_readonly(data_dir / "log") as log:
        [taken] = [f for d, f in make_report(log, "in-it-rules").findings if d.key == "in-takedown"]
    assert taken.status is Status.RECORDED
    number = int(said["ticket"], 16)
    with Registry.open(data_dir / "registry", kek=ring.kek()) as registry:
        assert registry.open_prompt(number)[0] == words
    assert main(["privacy", "erase", "--subject", f"misuse:{said['ticket']}", *where]) == 0
    with Registry.open(data_dir / "registry", kek=ring.kek()) as registry:
        assert registry.open_prompt(number) is None


def put_record(registry: Registry, record_id: int, data: bytes) -> None:
    record = Record(
        record_id=record_id,
        request_id=sample.request_id(record_id),
        tenant="p-acme",
        modality=Modality.IMAGE,
        media_type="image/png",
        digest=sha256(data),
        manifest_digest=sha256(b"m"),
        manifest_label="urn:c2pa:1",
        watermark_scheme="",
        watermark_payload=b"",
        key_epoch=0,
        fingerprint={},
        log_index=0,
        leaf_hash="00",
        created_ms=0,
    )
    registry.put(record)


@pytest.mark.parametrize("suffix", ["json", "html"])
def test_a_report_is_signed_and_a_changed_one_is_found_out(suffix, data_dir: Path, tmp_path: Path, capsys):
    """Before: nothing told a report from one that somebody edited."""
    out, key, other = tmp_path / f"report.{suffix}", tmp_path / "log.key", tmp_path / "other.key"
    where = ["--data-dir", str(data_dir)]
    assert main(["audit", "report", "--regime", "iso-42001", "-o", str(out), *where]) == 0
    capsys.readouterr()
    assert main(["audit", "checkpoint", *where]) == 0
    key.write_text(capsys.readouterr().out)
    other.write_text("7" * 64)
    check = ["audit", "check-report", str(out)]
    assert main([*check, "--log-key", str(key)]) == 0
    assert "unchanged, signed by" in capsys.readouterr().out
    assert main(check) == 2
    assert main([*check, "--log-key", str(other)]) == 1
    assert main([*check, "--log-key", str(out)]) == 64
    note = out.with_name(out.name + ".note")
    signed, report = note.read_bytes(), out.read_bytes()
    for changed, under in ((report + b" ", signed), (report, signed[:-4] + b"AA=\n"), (report, b"x" * 10)):
        out.write_bytes(changed)
        note.write_bytes(under)
        assert main([*check, "--log-key", str(key)]) == 1
    note.unlink()
    assert main([*check, "--log-key", str(key)]) == 3


def test_a_report_that_cannot_be_written_leaves_nothing(data_dir: Path, tmp_path: Path):
    words = ["audit", "report", "--regime", "iso-42001", "--data-dir", str(data_dir), "-o"]
    assert main([*words, str(tmp_path / "absent" / "report.json")]) == 74
    assert main([*words, str(tmp_path / "report.docx")]) == 64
    (tmp_path / "report.html.note").mkdir()  # the signature cannot be written, so the report is not kept
    assert main([*words, str(tmp_path / "report.html")]) == 74
    assert not [p for p in tmp_path.rglob("*report*") if p.is_file()]
