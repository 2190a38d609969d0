"""The registry: lookups, intents, blobs, sealing and erasure, holds."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gensafe.core.clock import FixedClock
from gensafe.core.digest import commit, sha256
from gensafe.core.errors import GensafeError, InvalidRequest, RegistryError
from gensafe.core.types import Image, Modality, RequestKey
from gensafe.keys import KeyEncryptionKey
from gensafe.media.fingerprint import MATCH_THRESHOLD, fingerprint
from gensafe.registry import IntentState, Record, Registry

ID = "0123456789abcdef"
KEK = KeyEncryptionKey(ID, {ID: bytes(range(32))})


def record(n: int = 1, **changes: object) -> Record:
    base = Record(
        record_id=n,
        request_id=f"00000000-0000-4000-8000-{n:012d}",
        tenant="acme",
        modality=Modality.IMAGE,
        media_type="image/png",
        digest=sha256(b"out%d" % n),
        manifest_digest=sha256(b"manifest%d" % n),
        manifest_label=f"urn:c2pa:{n}",
        watermark_scheme="dct-q1",
        watermark_payload=n.to_bytes(7, "big"),
        key_epoch=0,
        fingerprint={"pdq": f"{n:064x}"},
        log_index=n,
        leaf_hash="ab" * 32,
        created_ms=1000 + n,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def key(request_id: str, tenant: str = "acme") -> RequestKey:
    return RequestKey(tenant, request_id)


@pytest.fixture
def registry(tmp_path: Path):
    with Registry.open(tmp_path / "registry", kek=KEK, clock=FixedClock(5_000)) as opened:
        yield opened


def test_every_lookup_leads_to_the_same_record(registry: Registry):
    kept = record(7)
    registry.put(kept)
    registry.put(record(8))
    assert registry.by_record_id(7) == kept
    assert registry.by_digest(kept.digest) == kept
    assert registry.by_manifest_label("urn:c2pa:7") == kept
    assert registry.by_record_id(9) is None
    assert [r.record_id for r in registry.records(tenant="acme")] == [8, 7]


def test_a_record_id_cannot_be_taken_twice(registry: Registry):
    registry.put(record(1))
    with pytest.raises(RegistryError):
        registry.put(record(1, request_id="00000000-0000-4000-8000-00000000ffff"))
    with pytest.raises(RegistryError):
        registry.put(replace(record(1), record_id=2))


def test_blobs_are_found_by_digest_and_checked(registry: Registry, tmp_path: Path):
    registry.put(record(3))
    assert registry.by_record_id(3).has_output is False  # type: ignore[union-attr]
    digest = registry.put_blob(b"out3")
    assert digest == sha256(b"out3") == registry.put_blob(b"out3")
    assert registry.get_blob(digest) == b"out3"
    assert registry.by_record_id(3).has_output is True  # type: ignore[union-attr]
    assert registry.get_blob(sha256(b"other")) is None
    [path] = (p for p in (tmp_path / "registry/blobs").rglob("*") if p.is_file())
    path.write_bytes(b"out4")
    with pytest.raises(RegistryError, match="does not match"):
        registry.get_blob(digest)


@pytest.mark.parametrize("name", ["", "sha256:", "sha256:../../etc/passwd", "md5:00", "sha256:" + "A" * 64])
def test_blob_names_cannot_leave_the_folder(registry: Registry, name: str):
    with pytest.raises(RegistryError):
        registry.get_blob(name)


def test_an_intent_is_idempotent_for_the_same_request_only(registry: Registry):
    first, fresh = registry.open_intent(key("r1"), "sha256:aa", 5)
    assert fresh
    assert first.state is IntentState.OPEN
    again, fresh = registry.open_intent(key("r1"), "sha256:aa", 6)
    assert (again, fresh) == (first, False)
    with pytest.raises(InvalidRequest):
        registry.open_intent(key("r1"), "sha256:bb", 6)


def test_open_intents_are_what_recovery_must_close(registry: Registry, tmp_path: Path):
    for n in range(3):
        registry.open_intent(key(f"r{n}"), "d", n)
        registry.mark_opened(key(f"r{n}"), 10 + n)
    registry.close_intent(key("r1"), IntentState.RELEASED, 20)
    with Registry.open(tmp_path / "registry") as after_restart:
        assert [(i.request_id, i.opened_index) for i in after_restart.open_intents()] == [("r0", 10), ("r2", 12)]
        after_restart.close_intent(key("r0"), "aborted", 21)
        with pytest.raises(RegistryError):
            after_restart.close_intent(key("r0"), "released", 22)
    assert registry.intent(key("r0")).state is IntentState.ABORTED  # type: ignore[union-attr]
    assert registry.intent(key("nobody")) is None


def test_only_one_of_many_racing_claims_is_fresh(registry: Registry):
    fresh: list[bool] = []
    barrier = threading.Barrier(8)

    def claim() -> None:
        barrier.wait()
        fresh.append(registry.open_intent(key("same"), "d", 1)[1])

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fresh) == [False] * 7 + [True]


def test_prompts_are_sealed_committed_and_erased(registry: Registry, tmp_path: Path):
    secret = "a very particular prompt about Ada"
    commitment = registry.seal_prompt(1, "user-1", secret)
    registry.seal_prompt(2, "user-2", "another")
    prompt, key = registry.open_prompt(1)  # type: ignore[misc]
    assert prompt == secret
    assert commitment == commit(key, secret.encode())

    assert registry.erase_subject("user-1") == {"prompts": 1, "blobs": 0}
    assert registry.open_prompt(1) is None
    assert registry.open_prompt(2) is not None
    registry.seal_prompt(3, "user-1", "came back")  # under a fresh key
    assert registry.open_prompt(3)[0] == "came back"  # type: ignore[index]
    registry.close()
    for path in (tmp_path / "registry").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert secret.encode() not in data
            assert b"user-1" not in data


def test_the_same_prompt_of_two_records_cannot_be_linked(registry: Registry):
    assert registry.seal_prompt(1, "u", "same") != registry.seal_prompt(2, "u", "same")


def test_sealed_output_copies_go_with_their_subject(registry: Registry, tmp_path: Path):
    digest = registry.put_blob(b"picture of somebody", owner=registry.pseudonym("user-1"))
    assert registry.get_blob(digest) == b"picture of somebody"
    stored = [p.read_bytes() for p in (tmp_path / "registry/blobs").rglob("*") if p.is_file()]
    assert len(stored) == 1
    assert b"somebody" not in stored[0]
    assert registry.erase_subject("user-1") == {"prompts": 0, "blobs": 1}
    assert registry.get_blob(digest) is None


def test_without_the_kek_sealed_things_stay_closed(registry: Registry, tmp_path: Path):
    registry.seal_prompt(1, "u", "secret")
    with Registry.open(tmp_path / "registry") as closed:
        with pytest.raises(RegistryError, match="without the key-encryption key"):
            closed.open_prompt(1)
    wrong = KeyEncryptionKey(ID, {ID: bytes(32)})
    with Registry.open(tmp_path / "registry", kek=wrong) as closed:
        with pytest.raises(GensafeError):
            closed.open_prompt(1)


def test_keys_move_to_a_new_kek(registry: Registry, tmp_path: Path):
    registry.seal_prompt(1, "u", "secret")
    other = "fedcba9876543210"
    new = KeyEncryptionKey(other, {other: bytes(reversed(range(32)))})
    before = registry.pseudonym("u")
    assert registry.rewrap(new) == 1
    with Registry.open(tmp_path / "registry", kek=new) as moved:
        assert moved.open_prompt(1)[0] == "secret"  # type: ignore[index]
        assert moved.pseudonym("u") == before


def test_sealed_prompts_cannot_be_swapped_between_records(registry: Registry):
    import sqlalchemy as sa

    registry.seal_prompt(1, "u", "one")
    registry.seal_prompt(2, "u", "two")
    with registry._db._writable().begin() as connection:
        connection.execute(sa.text("UPDATE prompts SET sealed = (SELECT sealed FROM prompts WHERE record_id = 2)"))
    with pytest.raises(RegistryError, match="altered"):
        registry.open_prompt(1)


@pytest.mark.parametrize("scope", ["all", "tenant:acme", "subject"])
def test_a_legal_hold_forbids_erasure_until_it_is_lifted(registry: Registry, scope: str):
    registry.open_intent(key("r1"), "d", 1)
    registry.seal_prompt(1, "user-1", "secret")
    if scope == "subject":
        scope = "subject:" + registry.pseudonym("user-1")
    registry.set_hold("case-7", scope)
    with pytest.raises(RegistryError, match="case-7"):
        registry.erase_subject("user-1")
    assert registry.open_prompt(1) is not None
    registry.release_hold("case-7")
    assert registry.erase_subject("user-1")["prompts"] == 1


def test_holds_are_named_once_and_have_a_scope(registry: Registry):
    registry.set_hold("a", "all")
    with pytest.raises(RegistryError):
        registry.set_hold("a", "all")
    with pytest.raises(RegistryError):
        registry.set_hold("b", "everything")
    with pytest.raises(RegistryError):
        registry.release_hold("c")
    assert [h.hold_id for h in registry.holds()] == ["a"]


def test_reading_needs_a_registry_and_makes_none(tmp_path: Path):
    with pytest.raises(RegistryError):
        Registry.open(tmp_path / "none", readonly=True)
    assert not (tmp_path / "none").exists()
    Registry.open(tmp_path / "some").close()
    with Registry.open(tmp_path / "some", readonly=True) as reader:
        assert reader.open_intents() == []
        with pytest.raises(RegistryError):
            reader.put(record(1))


def test_the_nearest_record_is_found_by_its_picture(registry: Registry):
    rng = np.random.default_rng(1)
    pictures = [np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((32, 32, 1))).astype(np.uint8) for _ in range(6)]
    for n, pixels in enumerate(pictures, 1):
        registry.put(record(n, fingerprint=fingerprint(Image(pixels))))
    brighter = np.clip(pictures[3].astype(int) + 6, 0, 255).astype(np.uint8)
    (found, score), *rest = registry.nearest(fingerprint(Image(brighter)), Modality.IMAGE)
    assert found.record_id == 4
    assert MATCH_THRESHOLD[Modality.IMAGE] <= score <= 1
    assert all(other < score for _, other in rest)
    assert registry.nearest(fingerprint(Image(brighter)), Modality.AUDIO) == []
    registry.put(record(7, fingerprint=fingerprint(Image(brighter))))
    assert registry.nearest(fingerprint(Image(brighter)), Modality.IMAGE, limit=1)[0][0].record_id == 7


def test_wrapped_keys_cannot_be_given_to_another_subject(registry: Registry):
    """Else erasing one subject would leave its data readable under the other's row."""
    import sqlalchemy as sa

    registry.seal_prompt(1, "u1", "one")
    registry.seal_prompt(2, "u2", "two")
    who = registry.pseudonym("u2")
    with registry._db._writable().begin() as connection:
        query = "UPDATE subjects SET wrapped_key = (SELECT wrapped_key FROM subjects WHERE subject = :who)"
        connection.execute(sa.text(query), {"who": who})
    with pytest.raises(GensafeError):
        registry.seal_prompt(3, "u1", "three")
    registry.seal_prompt(4, "u2", "four")


def test_what_a_backup_holds_cannot_be_opened_after_erasure(registry: Registry):
    import sqlalchemy as sa

    registry.seal_prompt(1, "u", "secret")
    with registry._db._writable().begin() as connection:
        backup = connection.execute(sa.text("SELECT * FROM prompts")).mappings().one()
        backup = dict(backup)
    registry.erase_subject("u")
    registry.seal_prompt(2, "u", "came back")
    with registry._db._writable().begin() as connection:
        query = "INSERT INTO prompts VALUES (:record_id, :subject, :sealed, :created_ms)"
        connection.execute(sa.text(query), backup)
    with pytest.raises(RegistryError, match="altered"):
        registry.open_prompt(1)
