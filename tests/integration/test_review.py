"""Held outputs: nothing leaves before a person decides; released ones are marked, signed and logged like any other."""

import json
import time
from importlib.resources import files
from pathlib import Path

import grpc
import pytest

from gensafe.audit import AuditLog, fsck
from gensafe.cli import main
from gensafe.client import Client
from gensafe.client.messages import generate_request
from gensafe.client.statuses import HeldForReview
from gensafe.core import errors, ids
from gensafe.registry import Registry, ReviewDecision
from gensafe.v1 import generation_pb2

STORY = " ".join(["the garden was quiet in the morning and the evening"] * 30)
HELD_STORY = f"{STORY} then a zebra came {STORY}"


@pytest.fixture
def config(tmp_path, write_config) -> Path:
    """A policy that wants a person to see blank media and texts about zebras; every picture comes out blank."""
    policy = tmp_path / "policy.toml"
    default = files("gensafe.safety").joinpath("policies/default.toml").read_text("utf-8")
    default = default.replace("[categories.bad]", "[categories.bad]\nblock_action = 'review'", 1)
    animals = '\n[custom.animals]\nkeywords = ["zebra"]\n[categories.animals]\nreview = 0.5\nblock_action = "review"\n'
    policy.write_text(default + animals)
    path = write_config(tmp_path, options={"blank": "1", "text": HELD_STORY})
    path.write_text(path.read_text() + f'[safety]\npolicy = "{policy}"\n')
    return path


def entries_of(data_dir) -> list[dict]:
    with AuditLog.open_readonly(data_dir / "log") as log:
        return [dict(e.entry) for e in log.entries()]


def review(capsys, config, data_dir, action, *arguments) -> tuple[int, object]:
    status = main(["review", action, *arguments, "--json", "--config", str(config), "--data-dir", str(data_dir)])
    out = capsys.readouterr().out
    return status, json.loads(out) if out else None


def decide(capsys, config, data_dir, action, review_id, *arguments):
    who = ("--reviewer", "Ada Example", "--reason", "looked at it with Bo")
    return review(capsys, config, data_dir, action, review_id, *who, *arguments)


def hold(client, modality, request_id=""):
    with pytest.raises(HeldForReview) as caught:
        client.generate("a garden", modality, seed=1, request_id=request_id or ids.new_request_id())
    return caught.value.held


@pytest.mark.parametrize("modality", ["text", "image", "audio", "video"])
def test_a_held_output_leaves_only_after_its_release(modality, config, start_server, capsys, tmp_path):
    server = start_server("--config", str(config))
    seen = []
    request_id = ids.new_request_id()
    with Client(server.address) as client:
        with pytest.raises(HeldForReview) as caught:
            client.generate("a garden", modality, seed=1, request_id=request_id, on_event=seen.append)
        held = caught.value.held
        streamed = "".join(e.text_delta.text for e in seen if e.HasField("text_delta"))
        assert not any(e.HasField("media_chunk") or e.HasField("completed") for e in seen)
        assert "zebra" not in streamed
        assert held.retract_from == -1 or 0 <= held.retract_from <= len(streamed)
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            list(client.generation.FetchOutput(generation_pb2.FetchOutputRequest(record_id=held.record_id)))

        # the same request again: still held, and not generated or logged anew
        before = entries_of(server.data_dir)
        assert hold(client, modality, request_id).review_id == held.review_id
        assert entries_of(server.data_dir) == before

        # a person looks at it: the sealed draft opens, what lies on disk does not show it
        view = tmp_path / "view"
        assert review(capsys, config, server.data_dir, "show", held.review_id, "-o", str(view))[0] == 64
        assert not view.exists()
        who = ("--reviewer", "Ada Example")
        assert review(capsys, config, server.data_dir, "show", held.review_id, "-o", str(view), *who)[0] == 0
        shown = view.read_bytes()
        assert view.stat().st_mode & 0o777 == 0o600
        [entry] = [e for e in entries_of(server.data_dir) if e["event"] == "review.shown"]
        assert (entry["review_id"], entry["record_id"]) == (held.review_id, held.record_id)
        assert entry["reviewer"].startswith("s-")
        if modality == "text":
            first, _, rest = shown.decode().partition("\n")
            assert rest == HELD_STORY and entry["copy_id"] in first and held.review_id in first
        draft = review(capsys, config, server.data_dir, "show", held.review_id)[1]["draft"]
        with (
            Registry.open(server.data_dir / "registry", readonly=True) as without_key,
            pytest.raises(errors.RegistryError, match="key-encryption key"),
        ):
            without_key.get_blob(draft)

        finished = tmp_path / "finished"
        status, said = decide(capsys, config, server.data_dir, "release", held.review_id, "-o", str(finished))
        assert (status, said["done"], said["decision"]) == (0, True, "released")
        output = client.generate("a garden", modality, seed=1, request_id=request_id)
        assert output.data == finished.read_bytes()
        assert output.record_id == held.record_id
        entry = json.loads(client.proof(output.record_id).entry_json)["entry"]
    assert entry["review"]["decision"] == "released"
    assert entry["review"]["reason_digest"].startswith("hmac-sha256:")  # a plain hash before: guessable
    assert entry["review"]["review_id"] == held.review_id
    logged = entries_of(server.data_dir)
    assert [e["event"] for e in logged if e.get("request_id") == request_id] == [
        "generation.opened",
        "generation.held",
        "generation.released",
    ]
    assert "Ada" not in json.dumps(logged)
    assert "looked at" not in json.dumps(logged)
    assert main(["verify", str(finished), "--config", str(config), "--data-dir", str(server.data_dir)]) == 0
    assert "PROVED" in capsys.readouterr().out
    assert server.stop() == 0
    assert fsck(server.data_dir / "log").ok
    assert export_holds(server.data_dir, config, tmp_path)


def export_holds(data_dir, config, tmp_path) -> bool:
    out = tmp_path / "export"
    made = main(["audit", "export", "-o", str(out), "--config", str(config), "--data-dir", str(data_dir)])
    return made == 0 and main(["audit", "verify", str(out)]) == 2  # consistent; no key is given


def test_a_rejected_output_is_destroyed_and_its_request_stays_blocked(config, start_server, capsys, tmp_path):
    server = start_server("--config", str(config))
    with Client(server.address) as client:
        held = hold(client, "image")
        status, said = decide(capsys, config, server.data_dir, "reject", held.review_id)
        assert (status, said["done"]) == (0, True)
        status, _ = review(capsys, config, server.data_dir, "show", held.review_id, "-o", "-")
        assert status == 64
        status, _ = decide(capsys, config, server.data_dir, "release", held.review_id)
        assert status == 64
        with pytest.raises(errors.Conflict):
            client.generate("a garden", "image", seed=1, request_id=held.request_id)
        assert review(capsys, config, server.data_dir, "list")[1] == []
    report = ["audit", "report", "--regime", "iso-42001", "-o"]
    place = ["--config", str(config), "--data-dir", str(server.data_dir)]
    assert main([*report, str(tmp_path / "report.json"), *place]) == 0
    duties = {d["key"]: d for d in json.loads((tmp_path / "report.json").read_text())["duties"]}
    assert duties["iso-oversight"]["facts"] == {"held": 1, "released": 0, "rejected": 1, "copies_shown": 0}
    last = entries_of(server.data_dir)[-1]
    assert last["event"] == "generation.blocked"
    assert last["review"]["decision"] == "rejected"


@pytest.mark.parametrize(
    ("decision", "state"),
    [("release", generation_pb2.JOB_STATE_COMPLETED), ("reject", generation_pb2.JOB_STATE_BLOCKED)],
)
def test_a_job_ends_as_held_and_reports_what_was_decided(decision, state, config, start_server, capsys):
    server = start_server("--config", str(config))
    request = generate_request("a garden", "image", seed=1)
    start = generation_pb2.StartGenerationRequest(request=request)
    asked = generation_pb2.GetGenerationRequest(request_id=request.request_id)
    with Client(server.address) as client:
        client.unary(client.generation.StartGeneration, start)
        waited = generation_pb2.WaitGenerationRequest(request_id=request.request_id)
        job = client.unary(client.generation.WaitGeneration, waited).job
        assert job.state == generation_pb2.JOB_STATE_HELD
        assert client.unary(client.generation.GetGeneration, asked).job == job
        assert decide(capsys, config, server.data_dir, decision, job.held.review_id)[0] == 0
        assert client.unary(client.generation.GetGeneration, asked).job.state == state
        job = client.unary(client.generation.StartGeneration, start).job
        assert job.state == state
        if decision == "release":
            fetch = generation_pb2.FetchOutputRequest(record_id=job.completed.record_id)
            assert list(client.generation.FetchOutput(fetch))[-1].digest == job.completed.digest
        else:
            assert job.blocked.log_index == len(entries_of(server.data_dir)) - 1


def test_without_a_server_the_command_itself_carries_the_decision_out(config, start_server, capsys):
    server = start_server("--config", str(config))
    with Client(server.address) as client:
        held = hold(client, "audio")
    assert server.stop() == 0
    status, said = decide(capsys, config, server.data_dir, "release", held.review_id)
    assert (status, said["done"]) == (0, True)
    assert [e["event"] for e in entries_of(server.data_dir)].count("generation.released") == 1


@pytest.mark.parametrize("point", ["stored", "recorded"])
def test_a_crash_while_a_decision_is_carried_out_loses_and_doubles_nothing(point, config, start_server, capsys):
    server = start_server("--config", str(config), "--test-crash-at", point)
    with Client(server.address) as client:
        held = hold(client, "audio")
    with Registry.open(server.data_dir / "registry") as registry:
        registry.reviews.decide(held.review_id, ReviewDecision.RELEASED, "Ada", "fine")
    assert server.process.wait(60) == -9
    server = start_server("--config", str(config))
    with Client(server.address) as client:
        deadline = time.monotonic() + 60
        while review(capsys, config, server.data_dir, "list", "--all")[1][0]["done"] is False:
            assert time.monotonic() < deadline
        output = client.generate("a garden", "audio", seed=1, request_id=held.request_id)
    assert output.record_id == held.record_id
    assert [e["event"] for e in entries_of(server.data_dir)].count("generation.released") == 1


def test_a_damaged_draft_is_closed_as_failed_and_does_not_keep_the_server_from_starting(config, start_server):
    server = start_server("--config", str(config))
    with Client(server.address) as client:
        held = hold(client, "image")
    assert server.stop() == 0
    with Registry.open(server.data_dir / "registry") as registry:
        item = registry.reviews.decide(held.review_id, ReviewDecision.RELEASED, "Ada", "fine")
    digest = item.draft.removeprefix("sha256:")
    blob = server.data_dir / "registry" / "blobs" / digest[:2] / digest[2:]
    blob.write_bytes(blob.read_bytes()[:-20])
    server = start_server("--config", str(config))
    assert "generation.failed" in [e["event"] for e in entries_of(server.data_dir)]
    assert "generation.released" not in [e["event"] for e in entries_of(server.data_dir)]


def test_a_text_held_across_a_key_rotation_is_found_under_the_key_it_was_sampled_with(
    tmp_path, write_config, start_server, capsys
):
    policy = tmp_path / "policy.toml"
    default = files("gensafe.safety").joinpath("policies/default.toml").read_text("utf-8")
    words = '\n[custom.words]\nkeywords = ["the"]\n[categories.words]\nreview = 0.5\nblock_action = "review"\n'
    policy.write_text(default + words)
    config = write_config(tmp_path, backend="symphony")
    config.write_text(config.read_text() + f'[safety]\npolicy = "{policy}"\n')
    server = start_server("--config", str(config))
    with Client(server.address) as client:
        with pytest.raises(HeldForReview) as caught:
            client.generate("tell me a story", "text", seed=5)
        held = caught.value.held
    assert server.stop() == 0
    arguments = ("--config", str(config), "--data-dir", str(server.data_dir))
    assert main(["keys", "rotate", "watermark", "--yes", *arguments]) == 0
    capsys.readouterr()
    finished = tmp_path / "finished.txt"
    assert decide(capsys, config, server.data_dir, "release", held.review_id, "-o", str(finished))[0] == 0
    (released,) = [e for e in entries_of(server.data_dir) if e["event"] == "generation.released"]
    assert released["watermark"]["level"] == "present"
    assert released["watermark"]["key_id"] == "watermark-epoch-0"
    with Registry.open(server.data_dir / "registry", readonly=True) as registry:
        assert registry.by_record_id(ids.parse_record_id(held.record_id)).key_epoch == 0


def test_erasing_the_tenant_erases_what_waits(config, start_server, capsys):
    server = start_server("--config", str(config))
    with Client(server.address) as client:
        held = hold(client, "image")
    assert server.stop() == 0
    place = ["--config", str(config), "--data-dir", str(server.data_dir)]
    assert main(["privacy", "erase", "--subject", "local", *place]) == 0
    capsys.readouterr()
    assert decide(capsys, config, server.data_dir, "release", held.review_id)[0] == 64
    status, said = decide(capsys, config, server.data_dir, "reject", held.review_id)
    assert (status, said["done"]) == (0, True)


def test_usage(config, start_server, capsys, tmp_path):
    assert review(capsys, config, tmp_path / "nowhere", "list")[0] == 64
    server = start_server("--config", str(config))
    assert review(capsys, config, server.data_dir, "show", "0" * 16)[0] == 64
    assert review(capsys, config, server.data_dir, "show", "../../etc")[0] == 64
    with Client(server.address) as client:
        held = hold(client, "image")
    blank = ("--reviewer", " ", "--reason", "x")
    assert review(capsys, config, server.data_dir, "reject", held.review_id, *blank)[0] == 64
    assert len(review(capsys, config, server.data_dir, "list")[1]) == 1
    main(["doctor", "--config", str(config), "--data-dir", str(server.data_dir)])
    assert "1 wait for a person" in capsys.readouterr().out
