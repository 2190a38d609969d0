"""Claim signatures that no log entry accounts for yet: a journal beside the log, durable before the key is used.

1. before a signature: who signs, for which record, the digest of what is signed; fsynced, then the signer is asked
2. after it: the digest of the signature
3. an entry names it (``generation.released`` or ``signature.discarded``): it is taken out
Whatever is left at a start was cut off by a crash and is logged as discarded, unless an entry names it after all. So
every signature of a claim key has exactly one place in the log, and a token that counted more signed for somebody else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

from gensafe.audit import entries
from gensafe.audit.log import LogReader
from gensafe.core.digest import sha256
from gensafe.core.errors import SigningFailed
from gensafe.core.storage import PRIVATE_FILE

FILE: Final = "signatures.journal"


@dataclass(frozen=True, slots=True)
class Pending:
    """A signature that was asked for. ``signature`` "" = not known whether it was made."""

    number: int
    signer: str  # fingerprint of the leaf, "sha256:<hex>"
    record: str  # record id it was made for, "" = a test of the signer
    since: int  # no entry before this index names it
    signature: str = ""  # "sha256:<hex>"


class SignatureJournal:
    """The journal of one process; safe between threads. Emptied whenever nothing is pending.

    Raises:
        SigningFailed: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._pending = {each.number: each for each in read_journal(path)}
        self._next = max(self._pending, default=-1) + 1

    def asked(self, signer: str, record: str, since: int, data: bytes) -> int:
        """Durably note that ``data`` is about to be signed; returns the number of the signature."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            pending = Pending(number, signer, record, since)
            about = {"number": number, "signer": signer, "record": record, "since": since, "claim": sha256(data)}
            self._write(about)
            self._pending[number] = pending
        return number

    def made(self, number: int, signature: bytes) -> str:
        """Durably note the signature; returns its digest."""
        digest = sha256(signature)
        with self._lock:
            self._write({"number": number, "signature": digest})
            if number in self._pending:  # else a test of the signer was logged meanwhile
                self._pending[number] = replace(self._pending[number], signature=digest)
        return digest

    def pending(self, record: str | None = None) -> tuple[Pending, ...]:
        """Signatures without a place in the log: of one record, or all."""
        with self._lock:
            return tuple(p for p in self._pending.values() if record is None or p.record == record)

    def settle(self, numbers: Iterable[int]) -> None:
        """These have their place in the log. A crash here repeats the look into the log, no more."""
        with self._lock:
            for number in numbers:
                self._pending.pop(number, None)
            if not self._pending:
                try:
                    os.truncate(self._path, 0)
                except OSError:
                    return  # what is left in it is looked up again at the next start

    def _write(self, line: dict[str, Any]) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
            try:
                os.write(file, json.dumps(line, separators=(",", ":")).encode() + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise SigningFailed(f"the journal of signatures cannot be written: {said}") from error


def read_journal(path: Path) -> tuple[Pending, ...]:
    """What a journal holds; a last line that a crash cut off is left out: what it announced had not begun.

    Raises:
        SigningFailed: unreadable, or not a journal.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SigningFailed(f"the journal of signatures cannot be read: {error.strerror}") from error
    found: dict[int, Pending] = {}
    try:
        for line in lines:
            said = json.loads(line)
            number = int(said["number"])
            if "signature" in said:
                found[number] = replace(found[number], signature=str(said["signature"]))
            else:
                found[number] = Pending(number, str(said["signer"]), str(said["record"]), int(said["since"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SigningFailed(
            "the journal of signatures is damaged", fix=f"keep a copy of {path} and remove it"
        ) from error
    return tuple(found.values())


def discard(
    journal: SignatureJournal,
    log: LogReader,
    append: Callable[[entries.Entry], object],
    reason: str,
    record: str | None = None,
) -> int:
    """Give every pending signature (of ``record``) its place in the log; returns how many were logged as discarded.

    Args:
        journal: Where they are noted.
        log: Read for entries that name one already.
        append: Writes an entry durably.
        reason: ``ended`` (the request came to nothing), ``crash`` or ``test``.
        record: Of one record; None = all of them.

    Raises:
        LogUnavailable: they stay pending.
    """
    pending = journal.pending(record)
    if not pending:
        return 0
    named = _named(log, min(p.since for p in pending))
    lost = [p for p in pending if not p.signature or p.signature not in named]
    for signer in dict.fromkeys(p.signer for p in lost):
        for about in dict.fromkeys(p.record for p in lost if p.signer == signer):
            these = [p for p in lost if (p.signer, p.record) == (signer, about)]
            digests = [p.signature for p in these if p.signature]
            append(
                entries.signature_discarded(
                    signer=signer,
                    signatures=digests,
                    unsure=len(these) - len(digests),
                    reason=reason if about else "test",
                    record=about,
                )
            )
            journal.settle(p.number for p in these)
    journal.settle(p.number for p in pending)
    return len(lost)


def _named(log: LogReader, since: int) -> set[str]:
    return {digest for logged in log.entries(max(0, since)) for digest in signatures_of(logged.entry)}


def signatures_of(entry: Mapping[str, object]) -> tuple[str, ...]:
    """Digests of the claim signatures that an entry accounts for."""
    if entry.get("event") == entries.SIGNATURE_DISCARDED:
        return _strings(entry.get("signatures"))
    part = entry.get("manifest")
    if entry.get("event") != entries.RELEASED or not isinstance(part, Mapping) or "signature" not in part:
        return ()
    return (str(part["signature"]), *_strings(part.get("spare")))


def signer_of(entry: Mapping[str, object]) -> str:
    """Fingerprint of the claim key whose signatures an entry accounts for; "" for any other entry."""
    part = entry.get("manifest")
    if entry.get("event") == entries.SIGNATURE_DISCARDED:
        return str(entry.get("signer", ""))
    return str(part.get("signer", "")) if entry.get("event") == entries.RELEASED and isinstance(part, Mapping) else ""


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
