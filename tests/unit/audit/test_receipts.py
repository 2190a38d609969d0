"""Moderation receipts: what is valid, and that nothing in one can be changed, moved or lent to other content."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import AuditLog, entries, receipt_check
from gensafe.audit.receipt import Subject, make_receipt, subject_of
from gensafe.audit.standalone import LogKey
from gensafe.cli import main
from gensafe.core.canonical import canonical_json
from gensafe.core.types import Action, ClassifierId, Modality, Stage, Verdict

WORDS = "the words that were judged"
FILE = b"\x89PNG and so on"
ORIGIN = "log.example/guard"


def verdict(action: Action = Action.BLOCK) -> Verdict:
    judge = ClassifierId("text_screen", "3", "sha256:" + "a" * 64)
    return Verdict(Stage.PROMPT, Modality.TEXT, action, (), (), (judge,), "default", "sha256:" + "b" * 64)


@pytest.fixture(scope="module")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def log(key, tmp_path_factory):
    with AuditLog.open(tmp_path_factory.mktemp("log"), origin=ORIGIN, key=key) as log:
        for number in range(5):
            judged(log, [f"other words {number}"])
        yield log


@pytest.fixture(scope="module")
def keys(key) -> list[LogKey]:
    return [LogKey("", key.public_key().public_bytes_raw())]


@pytest.fixture(scope="module")
def receipt(log) -> dict:
    found = judged(log, [WORDS, FILE])
    judged(log, ["later words"])
    return found


def judged(log, parts: list[str | bytes], action: Action = Action.BLOCK) -> dict:
    subject = subject_of(parts)
    entry = entries.moderated(
        [verdict(action)],
        request_id="r",
        tenant="acme",
        gateway="kong",
        stage=Stage.PROMPT,
        commitment=subject.commitment,
        parts=len(parts),
        action=action,
        passed=action is Action.ALLOW,
    )
    return make_receipt(log, log.append(entry).index, subject)


def check(receipt: object, keys, contents=None) -> receipt_check.Checked:
    return receipt_check.check(json.dumps(receipt).encode(), keys, contents)


def digests(*parts: str | bytes) -> list[str]:
    return [part["digest"] for part in subject_of(parts).content]


def test_a_receipt_is_valid_for_its_content_and_key(receipt, keys):
    found = check(receipt, keys, digests(WORDS, FILE))
    assert (found.status, found.signed, found.compared) == (0, True, True)
    assert check(receipt, keys).status == 0
    assert check(receipt, []).status == 2  # nobody known signed it


def test_the_log_alone_does_not_tell_what_was_judged(receipt):
    """A digest of short words can be guessed; the log has a commitment under a key that only the receipt holds."""
    logged = json.dumps(receipt["entry"])
    assert receipt["nonce"] not in logged
    assert not any(digest.removeprefix("sha256:") in logged for digest in digests(WORDS, FILE))
    assert subject_of([WORDS]).commitment != subject_of([WORDS]).commitment


def put(*path: object, value: object):
    def edit(receipt: dict, log) -> None:
        at = receipt
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return edit


def other_content(receipt: dict, log) -> None:
    """The list of another text, with a nonce that is as good as any."""
    receipt["content"] = list(subject_of(["harmless words", FILE]).content)


def lent(receipt: dict, log) -> None:
    """A judgement that let something pass, lent to content that was stopped."""
    kinder = judged(log, ["harmless", b"file"], Action.ALLOW)
    receipt |= {name: kinder[name] for name in ("entry", "index", "time_ms", "proof")}


def proof_of_another(receipt: dict, log) -> None:
    receipt["proof"] = log.tlog_proof(2).decode()


def moved(receipt: dict, log) -> None:
    receipt["index"] = 2
    receipt["proof"] = log.tlog_proof(2).decode()


def forged_root(receipt: dict, log) -> None:
    """A proof for an edited entry in a tree of one, under a checkpoint that the key did not sign."""
    receipt["entry"]["action"] = "allow"
    receipt["index"] = 0
    stranger = Ed25519PrivateKey.generate()
    from gensafe.audit import merkle
    from gensafe.audit.checkpoint import Checkpoint, TlogProof

    leaf = canonical_json({"entry": receipt["entry"], "index": 0, "time_ms": receipt["time_ms"]})
    head = Checkpoint(ORIGIN, 1, merkle.leaf_hash(leaf)).signed(stranger)
    receipt["proof"] = TlogProof(0, (), head).encode().decode()


def part_dropped(receipt: dict, log) -> None:
    receipt["content"].pop()


def parts_swapped(receipt: dict, log) -> None:
    receipt["content"].reverse()


def no_signature(receipt: dict, log) -> None:
    receipt["proof"] = receipt["proof"].rpartition("\n\n")[0] + "\n\n"


HOSTILE = [
    (put("entry", "action", value="allow"), "inclusion"),
    (put("entry", "passed", value=True), "inclusion"),
    (put("entry", "tenant", value="beta"), "inclusion"),
    (put("entry", "stage", value="output"), "inclusion"),
    (put("entry", "verdicts", 0, "policy", "digest", value="sha256:" + "c" * 64), "inclusion"),
    (put("entry", "verdicts", 0, "classifiers", 0, "version", value="4"), "inclusion"),
    (put("entry", "event", value="verify.performed"), "entry"),
    (put("entry", "more", value=1), "inclusion"),
    (put("time_ms", value=0), "inclusion"),
    (put("time_ms", value=1.5), None),
    (put("time_ms", value=True), "time"),
    (put("index", value=0), "index"),
    (put("index", value="5"), "index"),
    (put("nonce", value="0" * 64), "commitment"),
    (put("nonce", value="x"), "nonce"),
    (put("content", value=[]), "content"),
    (put("content", value=None), "content"),
    (put("content", 0, "digest", value="sha256:" + "0" * 64), "commitment"),
    (put("content", 0, "bytes", value=1), "commitment"),
    (put("content", 0, "kind", value="file"), "commitment"),
    (put("content", 0, value="text"), "structure"),
    (put("proof", value=None), "proof-format"),
    (put("proof", value=""), "proof-format"),
    (put("note", value="one more"), "structure"),
    (put("entry", value=[]), "entry"),
    (other_content, "commitment"),
    (lent, "commitment"),
    (proof_of_another, "index"),
    (moved, "inclusion"),
    (forged_root, "other-key"),
    (part_dropped, "content"),
    (parts_swapped, "commitment"),
    (no_signature, "note-format"),
]


@pytest.mark.parametrize(("edit", "code"), HOSTILE)
def test_an_edited_receipt_is_not_valid(receipt, log, keys, edit, code):
    hostile = copy.deepcopy(receipt)
    edit(hostile, log)
    found = check(hostile, keys)
    assert found.status == (1 if code else 3), found
    assert code is None or found.code == code


def test_a_valid_receipt_under_another_key_or_for_other_content_is_not_valid(receipt, keys):
    stranger = [LogKey("", Ed25519PrivateKey.generate().public_key().public_bytes_raw())]
    assert check(receipt, stranger).code == "other-key"
    for contents in (digests(WORDS), digests(FILE, WORDS), digests(WORDS + " ", FILE), []):
        assert check(receipt, keys, contents).code == "other-content"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"format": "gensafe.moderation.receipt/2"}',
        b'{"format": "gensafe.moderation.receipt/1", "format": "gensafe.moderation.receipt/1"}',
        b" " * (receipt_check.MAX_RECEIPT + 1),
    ],
)
def test_what_is_no_receipt_is_unreadable(data, keys):
    assert receipt_check.check(data, keys).status == 3


def test_two_members_of_one_name_are_refused(receipt, keys):
    """Python takes the last one, other readers the first: an entry that says two things says nothing."""
    text = json.dumps(receipt)
    doubled = text.replace('"action": "block"', '"action": "allow", "action": "block"', 1)
    assert doubled != text
    assert receipt_check.check(doubled.encode(), keys).status == 3


def test_the_command_and_the_copied_files_answer_alike(receipt, key, log, tmp_path, capsys):
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    (tmp_path / "key").write_text(log.verifier_key)
    (tmp_path / "words").write_text(WORDS)
    (tmp_path / "file").write_bytes(FILE)
    command = [str(tmp_path / "receipt.json"), "--key", str(tmp_path / "key")]
    content = [f"--content={tmp_path / 'words'}", f"--content={tmp_path / 'file'}"]
    assert main(["receipt", "verify", *command, *content]) == 0
    said = capsys.readouterr().out
    assert "block, stopped" in said and "text_screen 3" in said and "not where the content came from" in said
    assert main(["receipt", "verify", *command, content[1]]) == 1
    assert main(["receipt", "verify", *command[:1]]) == 2
    assert main(["receipt", "verify", str(tmp_path / "words"), *command[1:]]) == 3
    assert main(["receipt", "verify", str(tmp_path / "absent")]) == 3
    assert main(["receipt", "verify", *command, "--content", str(tmp_path / "absent")]) == 64
    assert main(["receipt", "verify", *command[:2], str(tmp_path / "words")]) == 64

    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("receipt_check.py", "standalone.py"):
        shutil.copy(Path(receipt_check.__file__).parent / name, alone)
    copied = subprocess.run(
        [sys.executable, str(alone / "receipt_check.py"), *command, *content, "--json"], capture_output=True, text=True
    )
    assert copied.returncode == 0 and json.loads(copied.stdout)["content_compared"], copied.stderr


def test_a_subject_opens_to_its_own_content_only():
    subject = Subject(subject_of(["a"]).content, b"\1" * 32)
    assert subject.commitment != Subject(subject_of(["b"]).content, b"\1" * 32).commitment
    assert subject.commitment != Subject(subject.content, b"\2" * 32).commitment
