"""The review queue: sealed at rest, decided once, bound to what was judged."""

from __future__ import annotations

import json
import stat
import threading

import pytest

from gensafe.cli import main
from gensafe.core.canonical import canonical_json
from gensafe.core.clock import FixedClock
from gensafe.core.errors import Conflict, InvalidRequest, KeyError_, NotFound
from gensafe.core.types import Modality, Stage, Text
from gensafe.safety.policy import parse_policy
from gensafe.safety.review import ReviewQueue
from gensafe.safety.runner import SafetyRunner

KEY = bytes(range(32))
CONTENT = b"the held words"


@pytest.fixture
def verdict():
    return SafetyRunner(parse_policy(""), {Modality.TEXT: ()}).judge(Text("x"), Stage.OUTPUT)


@pytest.fixture
def queue(tmp_path):
    return ReviewQueue(tmp_path / "queue", KEY, FixedClock(1_700_000_000_000))


def hold(queue, verdict, content=CONTENT):
    return queue.hold(content, "text/plain", verdict, tenant="acme", record="00000000000ab")


def test_held_items_are_sealed_and_open_with_the_key(queue, verdict, tmp_path):
    item = hold(queue, verdict)
    folder = tmp_path / "queue"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert CONTENT not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert queue.open(item) == CONTENT
    (held,) = queue.items()
    assert (held.id, held.tenant, held.held_ms, held.decision) == (item, "acme", 1_700_000_000_000, None)
    assert held.commitment.startswith("hmac-sha256:")


def test_another_key_or_changed_files_do_not_open(queue, verdict, tmp_path):
    item = hold(queue, verdict)
    with pytest.raises(KeyError_):
        ReviewQueue(tmp_path / "queue", bytes(32), FixedClock(0)).open(item)
    with pytest.raises(KeyError_):
        ReviewQueue(tmp_path / "queue", b"short", FixedClock(0))
    header = tmp_path / "queue" / f"{item}.json"
    known = json.loads(header.read_bytes())
    header.write_bytes(canonical_json({**known, "tenant": "other"}))
    with pytest.raises(KeyError_):
        queue.open(item)
    with pytest.raises(KeyError_):
        queue.release(item, "ann", "fine")
    assert queue.item(item).decision is None


def test_a_release_is_an_event_without_content(queue, verdict):
    item = hold(queue, verdict)
    event = queue.release(item, "ann", "a quotation from the play")
    assert canonical_json(event)
    assert event["decision"] == "released" and event["record"] == "00000000000ab"
    assert "quotation" not in json.dumps(event)
    assert queue.items() == () and queue.items(waiting=False)[0].decision["reason"] == "a quotation from the play"
    assert queue.open(item) == CONTENT
    with pytest.raises(Conflict):
        queue.reject(item, "bob", "no")


def test_a_rejection_removes_the_content(queue, verdict):
    item = hold(queue, verdict)
    queue.reject(item, "bob", "no")
    with pytest.raises(NotFound):
        queue.open(item)
    with pytest.raises(NotFound):
        queue.release(item, "ann", "yes")


@pytest.mark.parametrize(("reviewer", "reason"), [("", "x"), ("ann", " "), ("a" * 201, "x"), ("ann", "x" * 2001)])
def test_a_decision_needs_a_name_and_a_reason(queue, verdict, reviewer, reason):
    item = hold(queue, verdict)
    with pytest.raises(InvalidRequest):
        queue.release(item, reviewer, reason)
    assert queue.item(item).decision is None


@pytest.mark.parametrize("item", ["../../etc/passwd", "", "zz", "0" * 16])
def test_unknown_ids_are_not_paths(queue, item):
    with pytest.raises(NotFound):
        queue.item(item)


def test_two_reviewers_cannot_both_decide(queue, verdict):
    item = hold(queue, verdict)
    outcomes = []

    def decide(how):
        try:
            outcomes.append(how(item, "r", "because")["decision"])
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=decide, args=(queue.release,)) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(outcomes) == ["conflict"] * 5 + ["released"]


def test_the_command_line(queue, verdict, tmp_path, capsysbinary):
    key = tmp_path / "key"
    key.write_text(KEY.hex())
    item = hold(queue, verdict)
    where = ["--queue", str(tmp_path / "queue"), "--key", str(key)]
    assert main(["review", "list", *where]) == 0
    assert item.encode() in capsysbinary.readouterr().out
    assert main(["review", "show", item, "-o", "-", *where]) == 0
    assert capsysbinary.readouterr().out == CONTENT
    assert main(["review", "release", item, "--reviewer", "ann", "--reason", "fine", *where]) == 0
    assert main(["review", "reject", item, "--reviewer", "bob", "--reason", "no", *where]) == 64
    assert main(["review", "list", "--queue", str(tmp_path / "queue"), "--key", str(tmp_path / "none")]) == 1
