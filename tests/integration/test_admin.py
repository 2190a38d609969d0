"""The desk through the wire: who reviews, who holds, who erases, and that each act says in the log who and why."""

import hashlib
import io
import json
from importlib.resources import files

import grpc
import numpy as np
import pytest
from PIL import Image

from gensafe.audit import AuditLog
from gensafe.cli import main
from gensafe.client import Client, ClientOptions
from gensafe.client.statuses import HeldForReview
from gensafe.core import errors
from gensafe.v1 import admin_pb2 as pb

# caller -> tenant and roles of its key
KEYS = {
    "a-maker": ("acme", "generate,verify"),
    "b-maker": ("beta", "generate,verify"),
    "a-review": ("acme", "review"),
    "officer": ("ops", "admin,audit"),
}
ADA = "Ada Example"
WHY = "looked at it with Bo Example"


@pytest.fixture(scope="module")
def site(tmp_path_factory, write_config, server_process):
    """A server on which every picture and film comes out blank, and a policy that wants a person to see blank media."""
    folder = tmp_path_factory.mktemp("admin")
    policy, keys = folder / "policy.toml", folder / "keys.txt"
    default = files("gensafe.safety").joinpath("policies/default.toml").read_text("utf-8")
    policy.write_text(default.replace("[categories.bad]", "[categories.bad]\nblock_action = 'review'", 1))
    keys.write_text("".join(f"sha256:{hashlib.sha256(k.encode()).hexdigest()} {t} {r}\n" for k, (t, r) in KEYS.items()))
    settings = {"api_keys": str(keys), "http": "127.0.0.1:0"}
    config = write_config(folder, server=settings, options={"blank": "1", "text": "a quiet garden in the morning"})
    config.write_text(config.read_text() + f'[safety]\npolicy = "{policy}"\n')
    server = server_process(folder / "data", ("--config", str(config)))
    server.start()
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture
def by(site):
    """by(caller) is a client with that caller's key."""
    opened = {}

    def client(caller: str) -> Client:
        if caller not in opened:
            opened[caller] = Client(ClientOptions(site.address, api_key=caller))
        return opened[caller]

    yield client
    for each in opened.values():
        each.close()


def held(client: Client, modality: str = "image") -> str:
    with pytest.raises(HeldForReview) as caught:
        client.generate("a garden", modality, seed=1)
    return caught.value.held.review_id


def logged(site) -> list[dict]:
    with AuditLog.open_readonly(site.data_dir / "log") as log:
        return [dict(e.entry) for e in log.entries()]


def decide(client: Client, review_id: str, decision: int, **said) -> pb.DecideReviewResponse:
    request = pb.DecideReviewRequest(review_id=review_id, decision=decision, **({"reason": WHY, "actor": ADA} | said))
    return client.unary(client.admin.DecideReview, request)


def waiting(client: Client) -> set[str]:
    return {item.review_id for item in client.unary(client.admin.ListReviews, pb.ListReviewsRequest()).reviews}


@pytest.mark.parametrize("modality", ["image", "video"])
def test_a_reviewer_sees_a_blur_takes_a_logged_copy_and_decides(modality, site, by):
    review_id = held(by("a-maker"), modality)
    reviewer = by("a-review")
    got = reviewer.unary(reviewer.admin.GetReview, pb.GetReviewRequest(review_id=review_id))
    assert (got.review.tenant, got.review.decision, got.review.done) == ("acme", "", False)
    assert got.review.categories and got.review.held.endswith("Z")
    assert max(Image.open(io.BytesIO(got.preview)).size) <= 24
    assert not [e for e in logged(site) if e.get("review_id") == review_id and e["event"] == "review.shown"]

    copy = reviewer.review_copy(review_id, actor=ADA)
    [shown] = [e for e in logged(site) if e.get("review_id") == review_id and e["event"] == "review.shown"]
    assert (shown["copy_id"], logged(site)[copy.log_index]) == (copy.copy_id, shown)
    assert copy.media_type == {"image": "image/png", "video": "video/mp4"}[modality]

    done = decide(reviewer, review_id, pb.REVIEW_DECISION_RELEASED)
    entry = logged(site)[done.log_index]
    assert (entry["event"], entry["review"]["decision"], done.review.done) == ("generation.released", "released", True)
    assert entry["review"]["reviewer"] == shown["reviewer"] and entry["review"]["reason_digest"].startswith("hmac-")
    assert (done.review.reviewer, done.review.reason) == (f"{ADA} [tenant acme]", WHY)
    assert by("a-maker").fetch(done.review.record_id)
    said = json.dumps(logged(site))
    assert "Ada" not in said and "Bo Example" not in said


def test_a_preview_shows_masses_and_no_detail():
    from gensafe.core.types import Audio
    from gensafe.core.types import Image as Pixels
    from gensafe.pipeline.desk.reviews import _coarse

    lines = np.zeros((320, 480, 3), np.uint8)
    lines[:, ::2] = 255  # detail of one pixel is gone, its mean stays
    small = _coarse(Pixels(lines))
    assert max(small.shape[:2]) <= 24 and int(small.max()) - int(small.min()) <= 8
    assert _coarse(Audio(np.sin(np.arange(8000) / 9)[None].astype(np.float32), 8000)).shape == (24, 24, 3)


def test_a_decision_needs_a_person_a_reason_and_a_choice(site, by):
    reviewer, review_id = by("a-review"), held(by("a-maker"))
    wrong = [
        ("actor", {"actor": " "}), ("reason", {"reason": " "}), ("reason", {"reason": "x" * 2001}),
        ("decision", {"decision": pb.REVIEW_DECISION_UNSPECIFIED}),
    ]  # fmt: skip
    for field, said in wrong:
        decision = said.pop("decision", pb.REVIEW_DECISION_REJECTED)
        with pytest.raises(errors.InvalidRequest) as caught:
            decide(reviewer, review_id, decision, **said)
        assert caught.value.field == field
    with pytest.raises(errors.InvalidRequest, match="actor"):
        reviewer.review_copy(review_id)
    assert review_id in waiting(reviewer)
    done = decide(reviewer, review_id, pb.REVIEW_DECISION_REJECTED)
    assert (done.log_index, done.review.decision) == (-1, "rejected")
    with pytest.raises(errors.Conflict):
        decide(reviewer, review_id, pb.REVIEW_DECISION_RELEASED)
    assert [e["event"] for e in logged(site)][-1] == "generation.blocked"
    gone = reviewer.unary(reviewer.admin.GetReview, pb.GetReviewRequest(review_id=review_id))
    assert gone.preview == b"" and gone.review.done


def test_reviewers_of_one_tenant_know_nothing_of_another(site, by):
    theirs, reviewer = held(by("b-maker")), by("a-review")
    assert theirs not in waiting(reviewer) and theirs in waiting(by("officer"))
    calls = [
        lambda i: reviewer.unary(reviewer.admin.GetReview, pb.GetReviewRequest(review_id=i)),
        lambda i: reviewer.review_copy(i, actor=ADA),
        lambda i: decide(reviewer, i, pb.REVIEW_DECISION_RELEASED),
    ]
    for call in calls:
        said = set()
        for review_id in (theirs, "0" * 16):
            with pytest.raises(errors.NotFound) as caught:
                call(review_id)
            said.add(str(caught.value).replace(review_id, "ID"))
        assert len(said) == 1
    assert theirs in waiting(by("officer"))


def test_the_officer_holds_and_erases_and_the_log_says_who_and_why(site, by):
    zoe, officer = "Zoé Quux", by("officer")
    output = by("a-maker").generate("a garden", "text", subject=zoe)

    def erase(**more) -> pb.EraseResponse:
        request = pb.EraseRequest(tenant="acme", subject=zoe, **({"actor": ADA} | more))
        return officer.unary(officer.admin.Erase, request)

    place = pb.PlaceHoldRequest(hold_id="case 7", scope=f"subject:{zoe}", tenant="acme", reason=WHY, actor=ADA)
    placed = officer.unary(officer.admin.PlaceHold, place)
    entry = logged(site)[placed.log_index]
    assert (entry["event"], entry["hold_id"]) == ("hold.set", placed.logged_as)
    assert entry["actor"].startswith("s-") and entry["why"].startswith("hmac-sha256:")
    [hold] = [h for h in officer.unary(officer.admin.ListHolds, pb.ListHoldsRequest()).holds if h.hold_id == "case 7"]
    assert (hold.actor, hold.reason, hold.logged_as) == (f"{ADA} [tenant ops]", WHY, placed.logged_as)
    with pytest.raises(errors.RegistryRefused, match="legal hold case 7 forbids"):
        erase()
    with pytest.raises(errors.RegistryRefused, match="already"):
        officer.unary(officer.admin.PlaceHold, place)
    with pytest.raises(errors.InvalidRequest, match="reason"):
        officer.unary(officer.admin.ReleaseHold, pb.ReleaseHoldRequest(hold_id="case 7", actor=ADA))
    lifted = officer.unary(officer.admin.ReleaseHold, pb.ReleaseHoldRequest(hold_id="case 7", actor=ADA, reason=WHY))
    assert logged(site)[lifted.log_index]["why"] == entry["why"]

    before = len(logged(site))
    counted = erase(dry_run=True, actor="")
    assert (counted.prompts, counted.log_index, len(logged(site))) == (1, -1, before)
    with pytest.raises(errors.InvalidRequest, match="reason"):
        erase(reason="because Ann asked")
    done = erase()
    tombstone = logged(site)[done.log_index]
    assert (done.prompts, done.blobs) == (counted.prompts, counted.blobs)
    assert (tombstone["event"], tombstone["subject"], tombstone["actor"]) == (
        "log.tombstone",
        done.subject,
        entry["actor"],
    )
    with pytest.raises(errors.NotFound, match="erased"):
        by("a-maker").fetch(output.record_id)
    with pytest.raises(errors.RegistryRefused, match="nothing is kept"):
        erase()
    said = json.dumps(logged(site))
    assert "Quux" not in said and "Ada" not in said and "case 7" not in said


@pytest.mark.parametrize("field", ["hold_id", "reason", "actor", "tenant"])
def test_a_hold_that_says_too_little_names_the_field(field, by):
    said = {"hold_id": "x", "scope": "all", "reason": WHY, "actor": ADA} | {field: "acme" if field == "tenant" else ""}
    officer = by("officer")
    with pytest.raises(errors.InvalidRequest) as caught:
        officer.unary(officer.admin.PlaceHold, pb.PlaceHoldRequest(**said))
    assert caught.value.field == field


def test_the_command_line_does_the_same_through_the_server(site, by, capsys, monkeypatch, tmp_path):
    review_id = held(by("a-maker"))

    def gensafe(*words: str, key: str = "a-review") -> tuple[int, str]:
        capsys.readouterr()
        monkeypatch.setenv("GENSAFE_API_KEY", key)
        status = main([*words, "--server", site.address])
        said = capsys.readouterr()
        return status, said.out or said.err

    status, said = gensafe("review", "list", "--json")
    assert status == 0 and review_id in {item["review_id"] for item in json.loads(said)}
    assert json.loads(gensafe("review", "show", review_id)[1])["modality"] == "image"
    copy = tmp_path / "copy.png"
    assert gensafe("review", "show", review_id, "-o", str(copy))[0] == 64
    assert gensafe("review", "show", review_id, "-o", str(copy), "--reviewer", ADA)[0] == 0
    assert copy.stat().st_mode & 0o777 == 0o600
    words = ("review", "release", review_id, "--reviewer", ADA, "--reason", WHY)
    assert gensafe(*words, "-o", str(tmp_path / "x"))[0] == 64
    status, said = gensafe(*words)
    assert status == 0 and "released as record" in said
    assert gensafe(*words)[0] == 64
    assert gensafe(*words, "--data-dir", "x")[0] == 64

    hold = ("privacy", "hold", "case 8", "--scope", "tenant:beta", "--reason", WHY, "--actor", ADA)
    assert gensafe(*hold)[0] != 0 and gensafe(*hold, key="officer")[0] == 0
    status, said = gensafe("privacy", "holds", key="officer")
    assert status == 0 and "case 8  tenant:beta" in said and WHY in said
    # beside the server, on its disk, the same words
    assert main(["privacy", "holds", "--json", "--data-dir", str(site.data_dir)]) == 0
    [known] = [one for one in json.loads(capsys.readouterr().out)["holds"] if one["hold_id"] == "case 8"]
    assert (known["reason"], known["actor"]) == (WHY, f"{ADA} [tenant ops]")
    lift = ("privacy", "release", "case 8", "--reason", WHY, "--actor", ADA)
    assert gensafe(*lift, key="officer")[0] == 0 and gensafe(*lift, key="officer")[0] == 1
    status, said = gensafe("privacy", "erase", "--tenant", "acme", "--dry-run", "--json", key="officer")
    assert status == 0 and json.loads(said)["would_erase"]["prompts"] >= 1


def test_only_who_names_the_role_gets_to_the_desk(site, by):
    maker = by("a-maker")
    for call, request in (("ListReviews", pb.ListReviewsRequest()), ("ListHolds", pb.ListHoldsRequest())):
        with pytest.raises(errors.PermissionDenied, match="'admin'"):
            maker.unary(getattr(maker.admin, call), request)
    reviewer = by("a-review")
    with pytest.raises(grpc.RpcError, match="lacks the role 'admin'"):
        reviewer.admin.Erase(
            pb.EraseRequest(tenant="acme"), metadata=(("authorization", "Bearer a-review"),), timeout=9
        )
