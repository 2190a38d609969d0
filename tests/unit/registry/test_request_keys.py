"""A request id means something within its tenant only, also in databases that were made when it was global.

With ``request_id`` as the only key the review saw the second tenant's id refused: ``open_intent`` raised
"this request id was used for another request", which tells that the id exists.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from gensafe.core.clock import FixedClock
from gensafe.core.errors import InvalidRequest, RegistryError
from gensafe.core.types import Modality, RequestKey
from gensafe.registry import IntentState, Record, Registry
from gensafe.registry.tables import intents

ACME, BETA = RequestKey("acme", "r"), RequestKey("beta", "r")

OLD_SCHEMA = """
CREATE TABLE records (record_id BIGINT NOT NULL, request_id TEXT NOT NULL, tenant TEXT NOT NULL, modality TEXT NOT NULL,
  media_type TEXT NOT NULL, digest TEXT NOT NULL, manifest_digest TEXT NOT NULL, manifest_label TEXT NOT NULL,
  watermark_scheme TEXT NOT NULL, watermark_payload BLOB NOT NULL, key_epoch SMALLINT NOT NULL,
  fingerprint TEXT NOT NULL,
  log_index BIGINT NOT NULL, leaf_hash TEXT NOT NULL, created_ms BIGINT NOT NULL, subject TEXT NOT NULL,
  extra TEXT NOT NULL, PRIMARY KEY (record_id), UNIQUE (request_id));
CREATE INDEX ix_records_modality ON records (modality);
CREATE INDEX ix_records_digest ON records (digest);
CREATE INDEX ix_records_manifest_label ON records (manifest_label);
CREATE TABLE intents (request_id TEXT NOT NULL, request_digest TEXT NOT NULL, tenant TEXT NOT NULL,
  record_id BIGINT NOT NULL, modality TEXT NOT NULL, opened_index BIGINT NOT NULL, state TEXT NOT NULL,
  final_index BIGINT NOT NULL, created_ms BIGINT NOT NULL, PRIMARY KEY (request_id));
CREATE INDEX ix_intents_state ON intents (state);
INSERT INTO intents VALUES ('r', 'd', 'acme', 7, 'image', 3, 'released', 4, 1000);
INSERT INTO intents VALUES ('s', 'd', 'beta', 8, 'text', 5, 'open', -1, 1001);
INSERT INTO records VALUES (7, 'r', 'acme', 'image', 'image/png', 'sha256:AA', 'sha256:BB', 'urn:c2pa:7', 'q', x'07', 0,
  '{"pdq": "00"}', 4, 'ab', 1000, '', '{}');
""".replace("AA", "a" * 64).replace("BB", "b" * 64)


def record(number: int, key: RequestKey) -> Record:
    digest = f"sha256:{number:064x}"
    return Record(
        number, key.request_id, key.tenant, Modality.TEXT, "text/plain", digest, digest, f"urn:{number}", "", b"", 0,
        {}, number, "ab", 1000 + number,
    )  # fmt: skip


@pytest.fixture(params=["fresh", "made by the old schema"])
def registry(request: pytest.FixtureRequest, tmp_path: Path):
    folder = tmp_path / "registry"
    if request.param != "fresh":
        folder.mkdir()
        with sqlite3.connect(folder / "registry.db") as old:
            old.executescript(OLD_SCHEMA)
        old.close()
    with Registry.open(folder, clock=FixedClock(5_000)) as opened:
        yield opened


def test_two_tenants_use_one_id_and_never_notice(registry: Registry):
    key_a, key_b = RequestKey("acme", "shared"), RequestKey("beta", "shared")
    first, fresh_a = registry.open_intent(key_a, "digest of a", 1)
    second, fresh_b = registry.open_intent(key_b, "digest of b", 2)
    assert (fresh_a, fresh_b) == (True, True)
    registry.mark_opened(key_b, 9)
    registry.close_intent(key_b, IntentState.FAILED, 10)
    assert registry.intent(key_a) == first
    registry.reopen_intent(key_b, 3)
    assert registry.intent(key_a) == first
    assert registry.intent(key_b).record_id == 3  # type: ignore[union-attr]
    registry.put(record(1, key_a))
    registry.put(record(2, key_b))
    with pytest.raises(RegistryError):
        registry.put(record(4, key_a))
    with pytest.raises(InvalidRequest):
        registry.open_intent(key_a, "another digest", 5)
    assert [intent.tenant for intent in registry.intents_named("shared")] == ["acme", "beta"]
    assert second.key == key_b


def test_a_held_output_is_found_by_its_own_tenant_only(registry: Registry):
    keys = (RequestKey("acme", "held"), RequestKey("beta", "held"))
    for number, key in enumerate(keys, 1):
        registry.open_intent(key, "d", number)
    held = registry.reviews.hold(
        review_id="0" * 16, key=keys[0], record_id=1, modality=Modality.TEXT, draft="", verdict={}, held_index=1
    )
    assert registry.reviews.of_request(keys[0]) == held
    assert registry.reviews.of_request(keys[1]) is None
    assert registry.intent(keys[0]).state is IntentState.HELD  # type: ignore[union-attr]
    assert registry.intent(keys[1]).state is IntentState.OPEN  # type: ignore[union-attr]


def test_an_old_database_keeps_its_rows_and_opens_again(tmp_path: Path):
    with sqlite3.connect(tmp_path / "registry.db") as old:
        old.executescript(OLD_SCHEMA)
    old.close()
    with Registry.open(tmp_path, readonly=True) as reader:  # reading never changes it, and works on the old keys
        assert reader.intent(ACME).final_index == 4  # type: ignore[union-attr]
        assert reader.intent(BETA) is None
    for expected in (["s"], ["s", "r"]):
        with Registry.open(tmp_path) as opened:
            assert opened.by_record_id(7).manifest_label == "urn:c2pa:7"  # type: ignore[union-attr]
            assert opened.intent(ACME).state is IntentState.RELEASED  # type: ignore[union-attr]
            assert [intent.request_id for intent in opened.open_intents()] == expected
            opened.open_intent(BETA, "other", 9)
    with sqlite3.connect(tmp_path / "registry.db") as after:
        names = {row[0] for row in after.execute("SELECT name FROM sqlite_master")}
    after.close()
    assert {"ix_intents_state", "ix_records_digest", "intents", "records"} <= names
    assert not any(name.endswith("_by_id") for name in names)


def test_a_crash_while_an_old_database_is_brought_forward_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with sqlite3.connect(tmp_path / "registry.db") as old:
        old.executescript(OLD_SCHEMA)
    old.close()

    def crash(*_args: object, **_options: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(type(intents), "create", crash)
        with pytest.raises(RuntimeError):
            Registry.open(tmp_path)
    with Registry.open(tmp_path) as opened:
        assert opened.intent(ACME).record_id == 7  # type: ignore[union-attr]
        with opened._db.reading("look") as connection:
            assert sa.inspect(connection).get_pk_constraint("intents")["constrained_columns"] == [
                "tenant",
                "request_id",
            ]
