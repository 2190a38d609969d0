"""A witness (C2SP tlog-witness): cosigns checkpoints of logs it knows, never a fork, never a step back.

``Witness`` is the protocol without transport; ``serve`` puts it behind the standard library's HTTP server; ``collect``
asks witnesses for cosignatures. A witness remembers one checkpoint per log in SQLite, updated in one transaction.
"""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit import merkle
from gensafe.audit.checkpoint import Checkpoint, parse_checkpoint
from gensafe.audit.note import KIND_COSIGNATURE, MAX_NOTE_BYTES, NoteKey, cosign, parse_signatures
from gensafe.audit.reader import LogReader
from gensafe.core.errors import AuditError, LogUnavailable
from gensafe.core.ports import Clock

MAX_PROOF_LINES: Final = 63  # C2SP tlog-witness: a consistency proof has at most 63 hashes
# a line of a proof has 44 characters and its end; two more lines stand around the proof
MAX_REQUEST: Final = MAX_NOTE_BYTES + 64 * (MAX_PROOF_LINES + 2)
SIZE_TYPE: Final = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class Witness:
    """One witness.

    Args:
        name: Its name, a schema-less URL.
        key: Ed25519; used for nothing else (cosignatures do not name the witness).
        logs: Origin -> keys that may sign its checkpoints.
        state: SQLite file that remembers the newest cosigned checkpoint per log.
        clock: Time of cosignatures.
    """

    def __init__(
        self, name: str, key: Ed25519PrivateKey, logs: Mapping[str, Sequence[NoteKey]], state: Path, clock: Clock
    ) -> None:
        self._name, self._key, self._logs, self._state, self._clock = name, key, dict(logs), state, clock
        with closing(self._connect()) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS seen (origin TEXT PRIMARY KEY, size INTEGER, root BLOB)")

    @property
    def verifier_key(self) -> NoteKey:
        """What log clients configure."""
        return NoteKey(self._name, self._key.public_key(), KIND_COSIGNATURE)

    def add_checkpoint(self, body: bytes) -> Answer:
        """The ``add-checkpoint`` call; every rule of the specification in its order."""
        try:
            old, proof, checkpoint = _parse_request(body)
        except AuditError as error:
            return Answer(400, f"{error.message}\n".encode())
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            return Answer(404, b"unknown log\n")
        try:
            if not checkpoint.verified_by(keys):
                return Answer(403, b"no known key signed the checkpoint\n")
        except AuditError:
            return Answer(403, b"a signature does not verify\n")
        if old > checkpoint.size:
            return Answer(400, b"the old size is larger than the checkpoint\n")
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")  # comparing and replacing are one step
            answer = self._compare(connection, old, proof, checkpoint)
            connection.execute("COMMIT" if answer.status == 200 else "ROLLBACK")
        return answer

    def _compare(self, connection: sqlite3.Connection, old: int, proof: list[bytes], new: Checkpoint) -> Answer:
        row = connection.execute("SELECT size, root FROM seen WHERE origin = ?", (new.origin,)).fetchone()
        size, root = row or (0, merkle.EMPTY_ROOT)
        if old != size:
            return Answer(409, f"{size}\n".encode(), SIZE_TYPE)
        if old == new.size and root != new.root:
            return Answer(409, f"{size}\n".encode(), SIZE_TYPE)
        if not (old == 0 and not proof) and not merkle.verify_consistency(old, root, new.size, new.root, proof):
            return Answer(422, b"the consistency proof does not verify\n")
        if new.size == 0 and new.root != merkle.EMPTY_ROOT:
            return Answer(422, b"an empty tree has one root\n")
        connection.execute("REPLACE INTO seen VALUES (?, ?, ?)", (new.origin, new.size, new.root))
        return Answer(200, cosign(new.text, self._name, self._key, self._clock.now_ms() // 1000))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._state, isolation_level=None, timeout=10)
        connection.execute("PRAGMA synchronous=FULL")
        return connection


def serve(witness: Witness, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """An HTTP server for ``witness`` (call ``serve_forever``). Put TLS in front of it for anything but loopback."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint":
                answer = Answer(404)
            elif not length.isdigit() or int(length) > MAX_REQUEST:
                answer = Answer(413)
            else:
                answer = witness.add_checkpoint(self.rfile.read(int(length)))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            return None

    return ThreadingHTTPServer((host, port), Handler)


def collect(log: LogReader, url: str, key: NoteKey, *, timeout_s: float = 10.0) -> bytes:
    """Ask the witness at ``url`` to cosign the log's newest checkpoint; returns the checkpoint with its line added.

    Raises:
        LogUnavailable: the witness does not answer.
        AuditError: it refuses (409 and 422 mean that it saw another history), or its signature is wrong.
    """
    head = parse_checkpoint(log.checkpoint())
    old = 0
    for _ in range(2):
        proof = "".join(base64.b64encode(h).decode() + "\n" for h in log.consistency(old, head.size))
        status, body = _post(url, f"old {old}\n{proof}\n".encode() + head.raw, timeout_s)
        if status == 409 and re.fullmatch(rb"[0-9]{1,18}\n", body) and old == 0 and int(body) <= head.size:
            old = int(body)
            if old:
                continue
        break
    if status != 200:
        raise AuditError(f"the witness {key.name} refuses the checkpoint ({status}); it may have seen another history")
    parse_signatures(body.decode("utf-8", "replace"))
    cosigned = head.raw + body
    if key not in parse_checkpoint(cosigned).verified_by([key]):
        raise AuditError(f"{key.name} answered without its own signature")
    return cosigned


def _post(url: str, data: bytes, timeout_s: float) -> tuple[int, bytes]:
    if not url.startswith(("http://", "https://")):
        raise AuditError("a witness is reached over http or https", field="url")
    try:
        with urlopen(Request(f"{url.rstrip('/')}/add-checkpoint", data, method="POST"), timeout=timeout_s) as answer:  # noqa: S310
            return answer.status, answer.read(MAX_NOTE_BYTES)
    except HTTPError as error:
        with error:
            return error.code, error.read(MAX_NOTE_BYTES)
    except (URLError, OSError) as error:
        raise LogUnavailable(f"the witness does not answer: {error}") from error


def _parse_request(body: bytes) -> tuple[int, list[bytes], Checkpoint]:
    head, gap, note = body.partition(b"\n\n")
    if body.startswith(b"\n") or not gap:
        raise AuditError("the request has no checkpoint")
    lines = head.split(b"\n")
    match = re.fullmatch(rb"old (0|[1-9][0-9]{0,18})", lines[0])
    if not match or len(lines) - 1 > MAX_PROOF_LINES:
        raise AuditError("the request does not begin with an old size and at most 63 proof lines")
    proof = []
    for line in lines[1:]:
        try:
            digest = base64.b64decode(line, validate=True)
        except ValueError:
            digest = b""
        if len(digest) != merkle.HASH_BYTES:
            raise AuditError("a proof line is not a hash")
        proof.append(digest)
    old = int(match[1])
    if old == 0 and proof:
        raise AuditError("a proof from size 0 is empty")
    return old, proof, parse_checkpoint(note)
