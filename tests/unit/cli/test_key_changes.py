"""Every kind of key, rotated and revoked, with and without a process that has the log open: nothing is locked out.

Seen on the code before: ``keys revoke`` of the active checkpoint key failed with "the stored checkpoint is not signed
by this key", and so did everything after it, for good; beside a running server every rotation ended in "another
process has the log open" with the key changed and nothing logged, and the server went on signing with the old one;
revoking a key-encryption key locked every prompt, copy and pseudonym away, because nothing wrapped them anew.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gensafe.audit import AuditLog, fsck
from gensafe.audit.checkpoint import parse_checkpoint
from gensafe.audit.note import NoteKey
from gensafe.cli import main
from gensafe.keys import KeyRing, Role, State
from gensafe.pipeline.key_changes import take_over
from gensafe.pipeline.orders import carry_out_orders
from gensafe.registry import Registry

ROLES = [role.value for role in Role]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one entry in the log, and a prompt and a copy sealed in the registry."""
    folder = tmp_path / "data"
    ring = KeyRing.open(folder / "keys")
    with opened(ring, folder) as (log, registry):
        log.append({"event": "test"})
        registry.seal_prompt(1, "user-7", "a private prompt")
        registry.put_blob(b"a copy", owner=registry.pseudonym("user-7"))
    return folder


@contextmanager
def opened(ring: KeyRing, folder: Path) -> Iterator[tuple[AuditLog, Registry]]:
    """What a process that makes outputs has open."""
    with (
        Registry.open(folder / "registry", kek=ring.kek()) as registry,
        AuditLog.open(
            folder / "log",
            origin=ring.origin,
            key=ring.checkpoint_private_key(),
            previous_keys=ring.checkpoint_signers(),
        ) as log,
    ):
        yield log, registry


@contextmanager
def served(folder: Path) -> Iterator[None]:
    """A process that has the log open and looks for orders, as the server's watcher does."""
    stop = threading.Event()
    ring = KeyRing.open(folder / "keys")

    def watch(log: AuditLog, registry: Registry) -> None:
        while not stop.wait(0.02):
            take_over(ring, log, registry)
            carry_out_orders(registry, log, ring)

    with opened(ring, folder) as parts:
        thread = threading.Thread(target=watch, args=parts)
        thread.start()
        try:
            yield
            parts[0].append({"event": "test"})  # it still can
            parts[1].seal_prompt(99, "user-8", "later")
        finally:
            stop.set()
            thread.join()


def keys(capsys, folder: Path, *words: str) -> dict:
    capsys.readouterr()
    status = main(["keys", *words, "--json", "--data-dir", str(folder)])
    said = capsys.readouterr()
    assert status == 0, said.err
    return json.loads(said.out)


@pytest.mark.parametrize("running", [False, True], ids=["offline", "beside a server"])
@pytest.mark.parametrize("role", ROLES)
def test_every_key_is_rotated_and_revoked_and_nothing_is_locked_out(role, running, data, capsys):
    first = KeyRing.open(data / "keys").active(Role(role)).key_id
    yes = ["--yes"] if role == "watermark" else []

    def change() -> str:
        second = keys(capsys, data, "rotate", role, *yes)["key"]["key_id"]
        keys(capsys, data, "revoke", first, "--reason", "lost")  # a retired one
        keys(capsys, data, "revoke", second, "--reason", "lost too")  # the active one
        return second

    if running:
        with served(data):
            second = change()
    else:
        second = change()
    ring = KeyRing.open(data / "keys")
    states = {info.key_id: info.state for info in ring.keys()}
    assert (states[first], states[second]) == (State.REVOKED, State.REVOKED)
    active = ring.active(Role(role)).key_id
    with opened(ring, data) as (log, registry):
        changes = [e.entry for e in log.entries() if e.entry["event"] == "key.rotated"]
        assert registry.open_prompt(1)[0] == "a private prompt"
        assert running is False or registry.open_prompt(99)[0] == "later"
        assert set(registry.wrapped_under()) == {ring.kek_id}
        key = NoteKey(log.origin, ring.checkpoint_public_key())
        assert parse_checkpoint(log.checkpoint()).verified_by([key]) == (key,)
    assert {entry["role"] for entry in changes} == {role}
    assert (changes[0]["reason"], changes[0]["old"], changes[0]["new"]) == ("rotated", first, second)
    assert (changes[-1]["reason"], changes[-1]["old"], changes[-1]["new"]) == ("revoked", second, active)
    assert fsck(data / "log", keys=ring.checkpoint_public_keys()).ok
    assert doctor(capsys, data) == []


def test_a_head_under_a_revoked_key_is_still_our_log(data, capsys):
    """A ring whose active key was revoked by another program, before anything was signed with the next one."""
    ring = KeyRing.open(data / "keys")
    ring.revoke(ring.active(Role.CHECKPOINT).key_id, "lost")
    assert [level for level, _ in doctor(capsys, data)] == ["gap"]
    with opened(KeyRing.open(data / "keys"), data) as (log, _):
        log.append({"event": "test"})
    assert doctor(capsys, data) == []


def test_doctor_says_what_a_lost_key_took_with_it(data, capsys):
    ring = KeyRing.open(data / "keys")
    old = ring.active(Role.KEK).key_id
    ring.rotate(Role.KEK)
    assert any(level == "note" and f"retired kek {old}" in text for level, text in doctor(capsys, data))
    ring.revoke(old, "lost")
    assert any(level == "gap" and "lost" in text for level, text in doctor(capsys, data))


def test_a_process_that_still_has_a_revoked_key_saves_what_it_wrapped(data):
    """Revoked by another program while this one runs: what is in memory is enough to wrap everything anew."""
    ring = KeyRing.open(data / "keys")
    with opened(ring, data) as (log, registry):
        other = KeyRing.open(data / "keys")
        other.revoke(other.active(Role.KEK).key_id, "lost")
        take_over(ring, log, registry)
        assert registry.open_prompt(1)[0] == "a private prompt"
    with opened(KeyRing.open(data / "keys"), data) as (_, registry):
        assert registry.open_prompt(1)[0] == "a private prompt"


def doctor(capsys, folder: Path) -> list[tuple[str, str]]:
    from gensafe.cli.doctor import rotations
    from gensafe.core.config import Config

    capsys.readouterr()
    return [(finding.level, finding.text) for finding in rotations(Config(data_dir=str(folder)))]
