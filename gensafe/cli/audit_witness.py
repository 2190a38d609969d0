"""``gensafe audit cosign`` and ``gensafe audit witness``: cosignatures against split views (C2SP tlog-witness)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gensafe.audit.note import NoteKey
from gensafe.cli.common import Exit, note, print_json, say
from gensafe.core.errors import InvalidRequest, LogUnavailable
from gensafe.core.textfile import MAX_SECRET_BYTES, read_text

if TYPE_CHECKING:
    from gensafe.installation import Installation


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse's sub-parser action is generic over a private type
    """Declare ``cosign`` and ``witness``."""
    cosign = verbs.add_parser("cosign", help="have a witness cosign the newest checkpoint, and keep the cosignature")
    cosign.add_argument("--url", required=True, help="submission prefix of the witness")
    cosign.add_argument("--witness-key", type=Path, required=True, metavar="FILE", help="the witness's verifier key")
    witness = verbs.add_parser("witness", help="run a witness: cosign what grows, refuse what forks")
    witness.add_argument("--name", required=True, help="its name, a schema-less URL")
    witness.add_argument("--state", type=Path, required=True, metavar="DIR", help="its key and memory; made if missing")
    witness.add_argument("--log-key", type=Path, required=True, action="append", metavar="FILE", help="logs it serves")
    witness.add_argument("--listen", default="127.0.0.1:8090", metavar="HOST:PORT", help="loopback; put TLS in front")


def cosign(args: argparse.Namespace, home: Installation) -> int:
    """Ask a witness; keep the cosigned checkpoint."""
    from gensafe.audit.witness import collect

    key = NoteKey.parse(_read(args.witness_key))
    log = home.writer_if_free(home.keys_if_readable())
    if log is None:
        raise LogUnavailable("the log cannot be written", fix="stop the server first")
    with log:
        cosigned = collect(log, args.url, key)
        log.keep_checkpoint(cosigned)
        size = log.size
    if args.json:
        print_json({"witness": key.name, "size": size, "checkpoint": cosigned.decode()})
    else:
        say(f"{key.name} cosigned the checkpoint of size {size}")
    return Exit.OK


def witness(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from gensafe.audit.witness import Witness, serve
    from gensafe.core.clock import SystemClock

    keys: dict[str, list[NoteKey]] = {}
    for path in args.log_key:
        for line in _read(path).split():
            key = NoteKey.parse(line)
            keys.setdefault(key.name, []).append(key)
    host, _, port = args.listen.rpartition(":")
    if host not in ("127.0.0.1", "::1", "localhost") or not port.isdigit():
        raise InvalidRequest("a witness listens on loopback, without TLS of its own", field="listen")
    args.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    one = Witness(args.name, _private_key(args.state / "witness.key"), keys, args.state / "witness.db", SystemClock())
    server = serve(one, host, int(port))
    say(f"key: {one.verifier_key.vkey}")
    note(f"witness {args.name} on http://{host}:{server.server_address[1]} for {', '.join(keys)}")
    try:
        server.serve_forever()
    finally:
        server.server_close()
    return Exit.OK


def _private_key(path: Path) -> Any:  # noqa: ANN401 - Ed25519PrivateKey; imported late to keep the command light
    import os

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not path.exists():
        key = Ed25519PrivateKey.generate()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key.private_bytes_raw())
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except ValueError:
        raise InvalidRequest(f"{path.name} is not a key file", field="--state") from None


def _read(path: Path) -> str:
    return read_text(path, None, largest=MAX_SECRET_BYTES, error=InvalidRequest).strip()
