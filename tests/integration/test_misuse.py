"""A report of misuse from a screenshot of an output to a logged decision and an answer; and drills."""

import io
import json

import pytest
from PIL import Image

from gensafe.audit import AuditLog
from gensafe.cli import main
from gensafe.client import Client
from gensafe.core import errors
from gensafe.v1 import admin_pb2 as pb

ADA = "Ada Example"
WORDS = "my neighbour Cy Example sends this picture around"
ANSWER = "Dear Cy, the picture is ours and we have taken it down."


@pytest.fixture(scope="module")
def client(simulated):
    with Client(simulated.address) as opened:
        yield opened


def logged(server) -> list[dict]:
    with AuditLog.open_readonly(server.data_dir / "log") as log:
        return [dict(e.entry) for e in log.entries()]


def everything(server) -> bytes:
    return b"".join(p.read_bytes() for p in server.data_dir.rglob("*") if p.is_file())


def screenshot(data: bytes) -> bytes:
    """The picture cut on all sides and saved by another program: its manifest and labels are gone."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = picture.size
    cut = picture.crop((width // 20, height // 16, width - width // 25, height - height // 30))
    out = io.BytesIO()
    cut.save(out, "JPEG", quality=82)
    return out.getvalue()


def report(client: Client, **said) -> pb.Case:
    request = pb.ReportMisuseRequest(**({"words": WORDS, "category": "privacy", "actor": ADA} | said))
    return client.unary(client.admin.ReportMisuse, request).case


def test_a_case_from_a_screenshot_to_a_logged_answer(simulated, client):
    output = client.generate("a garden with a fence", "image", seed=4)
    case = report(client, file=screenshot(output.data))
    assert (case.record_id, case.found_by, case.tenant) == (output.record_id, "watermark", "local")
    assert not case.late and case.reported < case.due
    entry = logged(simulated)[case.reported_index]
    assert (entry["event"], entry["ticket"], entry["record_id"]) == ("misuse.reported", case.ticket, case.record_id)
    assert (entry["found_by"], entry["actor"][:2]) == ("watermark", "s-")

    listed = client.unary(client.admin.ListCases, pb.ListCasesRequest()).cases
    assert case in listed
    got = client.unary(client.admin.GetCase, pb.GetCaseRequest(ticket=case.ticket))
    assert (got.case, got.report, got.answer) == (case, WORDS, "")
    decide = pb.DecideCaseRequest(
        ticket=case.ticket, decision=pb.CASE_DECISION_UPHELD, reason="it is ours", answer=ANSWER, actor=ADA
    )
    done = client.unary(client.admin.DecideCase, decide).case
    decided = logged(simulated)[done.decided_index]
    assert (decided["event"], decided["decision"], decided["late"]) == ("misuse.decided", "upheld", False)
    assert decided["actor"] == entry["actor"] and decided["text_commitment"].startswith("hmac-sha256:")
    got = client.unary(client.admin.GetCase, pb.GetCaseRequest(ticket=case.ticket))
    assert (got.answer, got.actor, got.reason) == (ANSWER, ADA, "it is ours")
    assert case.ticket not in {one.ticket for one in client.unary(client.admin.ListCases, pb.ListCasesRequest()).cases}
    with pytest.raises(errors.Conflict, match="decided before"):
        client.unary(client.admin.DecideCase, decide)
    kept = everything(simulated)
    assert not [words for words in (b"Cy Example", b"Dear Cy", b"it is ours", b"Ada") if words in kept]
    erased = client.unary(client.admin.Erase, pb.EraseRequest(subject=f"misuse:{case.ticket}", actor=ADA))
    assert erased.prompts == 2
    got = client.unary(client.admin.GetCase, pb.GetCaseRequest(ticket=case.ticket))
    assert (got.report, got.answer, got.case.decision) == ("", "", "upheld")


def test_a_report_that_says_too_little_names_the_field(client):
    output = client.generate("a pond", "text")
    wrong = [
        ("output", {}), ("words", {"record_id": output.record_id, "words": " "}), ("actor", {"actor": ""}),
        ("category", {"record_id": output.record_id, "category": "spite"}),
        ("within_hours", {"record_id": output.record_id, "within_hours": -1}),
        ("record_id", {"record_id": "0000000000001"}), ("file", {"file": b"never made here"}),
        ("file", {"file": b"\x89PNG\r\n\x1a\n" + bytes(64)}),
    ]  # fmt: skip
    for field, said in wrong:
        with pytest.raises(errors.InvalidRequest) as caught:
            report(client, **said)
        assert caught.value.field == field
    case = report(client, record_id=output.record_id, within_hours=1)
    for field, said in (("answer", {"reason": "x"}), ("reason", {"answer": "x"}), ("decision", {"decision": 0})):
        said = {"decision": pb.CASE_DECISION_DISMISSED, "actor": ADA} | said
        with pytest.raises(errors.InvalidRequest) as caught:
            client.unary(client.admin.DecideCase, pb.DecideCaseRequest(ticket=case.ticket, **said))
        assert caught.value.field == field


@pytest.mark.parametrize("through", ["server", "disk"])
def test_the_command_line_takes_in_and_decides_a_case(through, simulated, client, capsys, tmp_path):
    output = client.generate("a red bridge over a river", "image", seed=5)
    shot = tmp_path / "shot.jpg"
    shot.write_bytes(screenshot(output.data))
    where = ("--server", simulated.address) if through == "server" else ("--data-dir", str(simulated.data_dir))

    def misuse(*words: str) -> tuple[int, object]:
        capsys.readouterr()
        status = main(["misuse", *words, "--json", *where])
        out = capsys.readouterr().out
        return status, json.loads(out) if out else None

    status, case = misuse("report", str(shot), "--reason", WORDS, "--category", "takedown", "--actor", ADA)
    assert (status, case["found_by"], case["record_id"]) == (0, "watermark", output.record_id)
    assert case["ticket"] in {one["ticket"] for one in misuse("list")[1]}
    words = ("decide", case["ticket"], "dismissed", "--reason", "shared by himself", "--answer", ANSWER, "--actor", ADA)
    status, done = misuse(*words)
    assert (status, done["decision"], done["late"]) == (0, "dismissed", False)
    assert logged(simulated)[done["log_index"]]["event"] == "misuse.decided"
    assert misuse(*words)[0] == 64
    assert misuse("show", case["ticket"])[1]["answer"] == ANSWER
    other = tmp_path / "other.png"
    Image.effect_noise((200, 200), 90).save(other)
    assert misuse("report", str(other), "--reason", WORDS, "--actor", ADA)[0] == 64
