"""The kill switch of a tenant: nothing begins, nothing under way gets out, other tenants notice nothing."""

import json
import uuid

import pytest

from gensafe.cli import doctor, main
from gensafe.core.config import Config, GenerationConfig
from gensafe.core.errors import KeyError_, TenantStopped
from gensafe.core.types import GenerationRequest, Modality
from gensafe.keys.stops import FILE, Stop
from gensafe.pipeline import Accepted, CallControl, Released, ReleasedText, open_chain, run


@pytest.fixture
def chain(tmp_path):
    engine = GenerationConfig(backend="simulator")
    with open_chain(Config(data_dir=str(tmp_path / "data"), generation=engine)) as opened:
        yield opened


def request(modality=Modality.IMAGE, tenant="acme"):
    return GenerationRequest(str(uuid.uuid4()), "a red circle", modality, tenant=tenant)


def events(chain, asked):
    return run(chain, asked, CallControl())


def last(chain):
    return dict(list(chain.log.entries())[-1].entry)


def test_a_stopped_tenant_gets_nothing_and_others_do(chain):
    chain.keys.stops.add(Stop("acme", 1, "key leaked"))
    size = chain.log.size
    with pytest.raises(TenantStopped, match="stopped for the tenant acme"):
        list(events(chain, request()))
    assert chain.log.size == size  # nothing was begun
    assert isinstance(list(events(chain, request(tenant="other")))[-1], Released)
    chain.keys.stops.remove("acme")
    assert isinstance(list(events(chain, request()))[-1], Released)


def stopped_at(chain, asked, when):
    """The events until the end of a request during which its tenant is stopped, at the first one that is ``when``."""
    seen = []
    with pytest.raises(TenantStopped):
        seen.extend(_stopping(chain, asked, when))
    return seen


def _stopping(chain, asked, when):
    for event in events(chain, asked):
        yield event
        if when(event) and not chain.keys.stops.all():
            chain.keys.stops.add(Stop("acme", 1, "x"))


def test_a_text_that_is_being_streamed_stops(chain):
    seen = stopped_at(chain, request(Modality.TEXT), lambda event: isinstance(event, Accepted))
    assert not any(isinstance(event, ReleasedText | Released) for event in seen)
    closed = last(chain)
    assert (closed["event"], closed["reason"]) == ("generation.failed", "TENANT_STOPPED")


def test_nothing_is_signed_after_the_stop(chain):
    stopped_at(chain, request(), lambda event: getattr(event, "stage", "") == "sign")
    closed = last(chain)
    assert (closed["event"], closed["reason"]) == ("generation.failed", "TENANT_STOPPED")
    assert not any(entry.entry["event"] == "signature.discarded" for entry in chain.log.entries())


def test_a_file_that_cannot_be_read_stops_everybody(chain):
    (chain.keys.directory / FILE).write_text("[{")
    with pytest.raises(KeyError_, match="every tenant is stopped"):
        list(events(chain, request(tenant="other")))


def test_the_command_stops_lists_and_restores_and_the_log_and_the_report_say_so(chain, tmp_path, capsys):
    data = chain.config.data_dir
    chain.close()
    report = tmp_path / "report.json"

    def gensafe(*arguments, code=0):
        assert main([*arguments, "--data-dir", data]) == code
        return capsys.readouterr()

    gensafe("keys", "stop", "acme", "--reason", "Jane leaked a key", "--actor", "jo")
    gensafe("keys", "stop", "acme", "--reason", "again", code=64)
    assert [s["tenant"] for s in json.loads(gensafe("keys", "stops", "--json").out)] == ["acme"]
    assert any("stopped for the tenant acme" in finding.text for finding in doctor._keys(chain.config))
    gensafe("keys", "restore", "acme", "--reason", "replaced", "--actor", "jo")
    gensafe("keys", "restore", "acme", "--reason", "again", code=64)
    assert json.loads(gensafe("keys", "stops", "--json").out) == []

    with open_chain(chain.config) as opened:
        entries = [dict(e.entry) for e in opened.log.entries() if str(e.entry["event"]).startswith("tenant.")]
    assert [e["event"] for e in entries] == ["tenant.stopped", "tenant.restored"]
    assert all(e["tenant"] == "acme" for e in entries) and entries[0]["actor"] == entries[1]["actor"]
    assert "Jane" not in json.dumps(entries) and "jo" not in {e["actor"] for e in entries}
    gensafe("audit", "report", "--regime", "iso-42001", "-o", str(report))
    assert "tenant.stopped" in report.read_text() and "tenant_stops" in report.read_text()
