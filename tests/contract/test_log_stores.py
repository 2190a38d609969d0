"""The same contract on SQLite and on a real PostgreSQL: what the log and the registry need of a store."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog, fsck, merkle
from gensafe.audit.checkpoint import parse_tlog_proof
from gensafe.audit.note import NoteKey
from gensafe.cli import main
from gensafe.core import ids
from gensafe.core.clock import FixedClock
from gensafe.core.config import load_config, redacted
from gensafe.core.errors import AuditError, InvalidRequest, LogUnavailable, RegistryError
from gensafe.core.types import GenerationRequest, Modality, RequestKey
from gensafe.installation import Installation
from gensafe.keys import KeyEncryptionKey
from gensafe.pipeline import CallControl, Released, run
from gensafe.pipeline.assemble import open_chain
from gensafe.registry import IntentState, Record, Registry
from gensafe.server.health import probe

ORIGIN = "example.com/contract"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ID = "0123456789abcdef"
KEK = KeyEncryptionKey(ID, {ID: bytes(range(32))})


def _postgres_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A throw-away cluster on a socket in a temporary folder; PostgreSQL refuses to run as root, so not as root."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("pg8000", reason="the extra 'postgres' is not installed")
    user = "postgres" if os.geteuid() == 0 else None
    root = Path(tempfile.mkdtemp(prefix="gensafe-pg-"))
    try:
        if user:
            shutil.chown(root, user)

        def run(*words: str) -> None:
            subprocess.run(words, check=True, user=user, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        run(str(programs / "initdb"), "-D", f"{root}/db", "-U", "gensafe", "-A", "trust", "--no-sync")
        options = f"-k {root} -c listen_addresses= -c fsync=off -c max_connections=30"
        run(str(programs / "pg_ctl"), "-D", f"{root}/db", "-o", options, "-l", f"{root}/log", "-w", "start")
        try:
            yield f"postgresql+pg8000://gensafe@/postgres?unix_sock={root}/.s.PGSQL.5432"
        finally:
            run(str(programs / "pg_ctl"), "-D", f"{root}/db", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def database(postgres: str) -> str:
    """Its address, empty."""
    import sqlalchemy as sa

    engine = sa.create_engine(postgres)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "log"
    url: str = request.getfixturevalue("database")
    return url


def open_log(target: Path | str) -> AuditLog:
    return AuditLog.open(target, origin=ORIGIN, key=KEY, clock=FixedClock(1_000))


def fill(log: AuditLog, count: int) -> None:
    for future in [log.submit({"event": "test", "n": n}) for n in range(count)]:
        future.result()


def test_entries_proofs_and_checkpoint_survive_reopening(target: Path | str):
    with open_log(target) as log:
        fill(log, 700)
        root = log.root()
    with open_log(target) as log:
        assert log.size == 700
        assert log.root() == root
        fill(log, 100)
        assert merkle.verify_consistency(700, root, 800, log.root(), log.consistency(700))
        for index in (0, 255, 256, 511, 799):
            proof = parse_tlog_proof(log.tlog_proof(index))
            proof.verify(log.leaf_hash(index), [NoteKey(ORIGIN, KEY.public_key())])
        assert [e.entry["n"] for e in log.entries(698, 702)] == [698, 699, 0, 1]
        log.keep_checkpoint(log.checkpoint())
    report = fsck(target, keys=[KEY.public_key()])
    assert report.findings == ()
    assert (report.size, report.signed) == (800, True)


def test_there_is_one_writer_and_any_number_of_readers(target: Path | str):
    with open_log(target) as log:
        fill(log, 5)
        with pytest.raises(LogUnavailable):
            open_log(target)
        with AuditLog.open_readonly(target) as one, AuditLog.open_readonly(target) as two:
            log.append({"event": "six"})
            assert one.size == two.size == 6
    open_log(target).close()


def test_pruning_keeps_hashes(target: Path | str):
    with open_log(target) as log:
        fill(log, 300)
        leaf = log.leaf_hash(3)
        assert log.prune(300) == 256
        assert log.prune(300) == 0
        assert merkle.verify_inclusion(leaf, 3, 300, log.inclusion(3), log.root())
        with pytest.raises(AuditError):
            log.entry(3)
    assert fsck(target).pruned == 256


def test_there_is_no_log_to_read_before_one_is_made(target: Path | str):
    with pytest.raises((LogUnavailable, AuditError)):
        AuditLog.open_readonly(target)


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    url = request.getfixturevalue("database") if request.param == "postgresql" else ""
    with Registry.open(tmp_path / "registry", kek=KEK, url=url, clock=FixedClock(5)) as opened:
        yield opened


def test_records_intents_prompts_and_holds(registry: Registry):
    record = Record(
        record_id=2**51 + 7,
        request_id="00000000-0000-4000-8000-000000000001",
        tenant="acme",
        modality=Modality.AUDIO,
        media_type="audio/wav",
        digest="sha256:" + "0" * 64,
        manifest_digest="sha256:" + "1" * 64,
        manifest_label="urn:c2pa:1",
        watermark_scheme="s",
        watermark_payload=b"\x00\x01\x02\x03\x04\x05\xff",
        key_epoch=3,
        fingerprint={"a": "00"},
        log_index=9,
        leaf_hash="ab",
        created_ms=1_790_000_000_000,
    )
    registry.put(record)
    assert registry.by_record_id(record.record_id) == record
    with pytest.raises(RegistryError):
        registry.put(record)
    key = RequestKey("acme", "r")
    intent, fresh = registry.open_intent(key, "d", record.record_id, modality="audio")
    assert fresh
    assert registry.open_intent(key, "d", 1) == (intent, False)
    with pytest.raises(InvalidRequest):
        registry.open_intent(key, "other", 1)
    registry.mark_opened(key, 4)
    registry.close_intent(key, IntentState.FAILED, 5)
    assert registry.open_intents() == []
    registry.seal_prompt(record.record_id, "user", "secret")
    assert registry.open_prompt(record.record_id)[0] == "secret"  # type: ignore[index]
    registry.set_hold("h", "tenant:acme")
    with pytest.raises(RegistryError):
        registry.erase_subject("user")
    registry.release_hold("h")
    assert registry.erase_subject("user")["prompts"] == 1
    assert registry.open_prompt(record.record_id) is None


def test_a_database_keyed_by_request_id_alone_is_brought_forward(target: Path | str, tmp_path: Path):
    """The review saw the second tenant's id refused as used."""
    if isinstance(target, Path):
        pytest.skip("for SQLite see tests/unit/registry/test_request_keys.py")
    import sqlalchemy as sa

    Registry.open(tmp_path, url=target).close()
    engine = sa.create_engine(target)
    with engine.begin() as connection:  # as SQLAlchemy made them from unique=True and a primary key on the id
        for change in ("DROP CONSTRAINT intents_pkey", "ADD PRIMARY KEY (request_id)"):
            connection.exec_driver_sql(f"ALTER TABLE intents {change}")
        for change in ("DROP CONSTRAINT records_of_request", "ADD UNIQUE (request_id)"):
            connection.exec_driver_sql(f"ALTER TABLE records {change}")
    engine.dispose()
    for _ in range(2):
        with Registry.open(tmp_path, url=target) as registry:
            registry.open_intent(RequestKey("acme", "r"), "of acme", 1)
            registry.open_intent(RequestKey("beta", "r"), "of beta", 2)
            assert [intent.record_id for intent in registry.intents_named("r")] == [1, 2]


def test_an_installation_lives_in_the_database_that_its_configuration_names(database: str, tmp_path: Path, capsys):
    """Seen before: [store] was an unknown key, and nothing but these tests reached PostgreSQL."""
    data, config_file = tmp_path / "data", tmp_path / "config.toml"
    socket = f"{database.partition('unix_sock=')[2].rpartition('/')[0]}"
    address = f"postgresql://gensafe:wordy@/postgres?host={socket}"
    config_file.write_text(
        f'data_dir = "{data}"\n[generation]\nbackend = "simulator"\n[generation.options]\ntext = "spring is here"\n'
        f'[store]\nlog = "{address}"\nregistry = "{address}"\n'
    )
    config = load_config(config_file)
    assert "wordy" not in str(redacted(config))
    assert main(["doctor", "--config", str(config_file)]) == 1  # nothing has been served yet
    assert "there is no registry in this database yet" in capsys.readouterr().out
    request = GenerationRequest(ids.new_request_id(), "a calm morning", Modality.TEXT)
    with open_chain(config) as chain:
        last = list(run(chain, request, CallControl(None)))[-1]
        assert isinstance(last, Released)
        assert not {"log", "registry"} & probe(chain).keys()
        with pytest.raises(LogUnavailable, match="another process"):
            open_chain(config)
    assert [path.name for path in data.rglob("*.db")] == []
    home = Installation(config)
    with home.read_log() as log, home.open_registry(readonly=True) as registry:
        assert [record.request_id for record in registry.records()] == [request.request_id]
        assert last.recorded.log_index < log.size
    main(["doctor", "--config", str(config_file)])
    said = capsys.readouterr().out
    assert f"log: postgresql://gensafe@/postgres?host={socket} answers" in said and "wordy" not in said
    assert main(["audit", "fsck", "--config", str(config_file)]) == 0
