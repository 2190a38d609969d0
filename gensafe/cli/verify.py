"""``gensafe verify``: what can be proved about files, offline on a data directory or against a server."""

from __future__ import annotations

import argparse
import glob
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, progress, read_config, say
from gensafe.core.errors import GensafeError, InvalidRequest
from gensafe.core.types import Conclusion, VerificationReport

Verifier = Callable[[bytes, str, bytes | None], VerificationReport]
MAX_FILE_BYTES = 1 << 30


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify",
        help="say what can be proved about files",
        description="Check manifest, signer, watermark, registry, fingerprint and log of each file and conclude. "
        "A negative means 'not found', never 'made by a person'. "
        "Exit: 0 proved, 1 failed or layers disagree, 2 nothing found, 3 unreadable or refused, 64 usage; "
        "for several files 1 before 3 before 2.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="files, folders (searched) or glob patterns")
    add_config_arguments(parser)
    parser.add_argument("--server", metavar="HOST:PORT", help="ask a running server instead")
    parser.add_argument("--trust-anchors", metavar="PEM", help="further root certificates of signers to trust")
    parser.add_argument("--sidecar", metavar="FILE", help="a detached manifest store (one file only)")
    parser.add_argument("--fail-on", choices=("nothing-found",), help="treat files without evidence as failures")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print a list of reports")
    shape.add_argument("--crjson", action="store_true", help="print the manifest as crJSON (one file only)")
    shape.add_argument("--junit", metavar="FILE", help="also write a JUnit report")


def run(args: argparse.Namespace) -> int:
    """Verify every file; print as they finish, conclude once."""
    from gensafe.verify import worst_exit
    from gensafe.verify.render import junit, report_dict, report_text

    paths = list(expand(args.files))
    if (args.crjson or args.sidecar) and len(paths) != 1:
        raise InvalidRequest("takes one file", field="--crjson" if args.crjson else "--sidecar")
    sidecar = _read_argument(args.sidecar, "--sidecar") if args.sidecar else None
    with ExitStack() as stack:
        verifier = _remote(args, stack) if args.server else _offline(args, stack)
        show = progress()
        reports: list[VerificationReport] = []
        with ThreadPoolExecutor() as pool:
            for report in pool.map(lambda path: _one(path, verifier, sidecar), paths):
                reports.append(report)
                if len(paths) > 1:
                    show("verified", len(reports), len(paths))
                if not (args.json or args.crjson):
                    show("", 0, 0)
                    say(report_text(report))
    if args.json:
        print_json([report_dict(r) for r in reports])
    elif args.crjson:
        if not reports[0].crjson:
            note(f"gensafe: {paths[0]} has no manifest to show")
        else:
            print(reports[0].crjson)
    if args.junit:
        Path(args.junit).write_text(junit(reports), "utf-8")
    conclusions = [r.conclusion for r in reports]
    if args.fail_on == "nothing-found" and Conclusion.NOTHING_FOUND in conclusions:
        return Exit.FAILED
    return worst_exit(conclusions)


def expand(names: list[str]) -> Iterator[Path]:
    """Files as named; folders searched; patterns matched. What does not exist is kept, to be reported as unreadable."""
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            yield from inside or [path]
        elif not path.exists() and glob.has_magic(name):
            yield from (Path(p) for p in sorted(glob.glob(name, recursive=True))) if glob.glob(name) else [path]
        else:
            yield path


def _one(path: Path, verifier: Verifier, sidecar: bytes | None) -> VerificationReport:
    try:
        if not path.is_file():  # a folder without files, a device, a pipe, nothing at all
            reason = "no such file" if not path.exists() else "not a regular file, or an empty folder"
            return _unreadable(path, reason)
        if path.stat().st_size > MAX_FILE_BYTES:
            return _unreadable(path, f"larger than {MAX_FILE_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        return _unreadable(path, error.strerror or "cannot be read")
    try:
        return verifier(data, str(path), sidecar)
    except GensafeError as error:
        return _unreadable(path, str(error))


def _unreadable(path: Path, reason: str) -> VerificationReport:
    return VerificationReport(name=str(path), conclusion=Conclusion.UNREADABLE, explanation=reason, checks=())


def _offline(args: argparse.Namespace, stack: ExitStack) -> Verifier:
    from gensafe.audit import AuditLog
    from gensafe.keys import KeyRing
    from gensafe.pipeline.assemble import key_passphrase, text_tokenizer
    from gensafe.provenance import import_trust_list
    from gensafe.registry import Registry
    from gensafe.verify import open_context, verify_bytes
    from gensafe.verify.trust_lists import SIGNERS, TIME_STAMPS, read_revocations, read_trust_lists

    config = read_config(args)
    data_dir = Path(config.data_dir)
    trust_lists = read_trust_lists(data_dir, SIGNERS)
    if args.trust_anchors:
        pem = _read_argument(args.trust_anchors, "--trust-anchors")
        trust_lists += (import_trust_list(args.trust_anchors, pem),)
    keys = registry = log = None
    if (data_dir / "keys" / "keyring.json").is_file():
        keys = KeyRing.open(
            data_dir / "keys", environment=config.environment, create=False, passphrase=key_passphrase()
        )
        if (data_dir / "registry").is_dir():
            registry = stack.enter_context(Registry.open(data_dir / "registry", kek=keys.kek(), readonly=True))
        if (data_dir / "log").is_dir():
            log = stack.enter_context(AuditLog.open_readonly(data_dir / "log"))
    elif args.data_dir:
        raise InvalidRequest(f"{data_dir} is not a GenSafe data directory", field="--data-dir")
    else:
        note("no data directory: only the file's own manifest is checked (give --data-dir or --server)")
    context = open_context(
        keys,
        registry=registry,
        log=log,
        tokenizer=text_tokenizer(config) if keys else None,
        trust_lists=trust_lists,
        time_stamp_lists=read_trust_lists(data_dir, TIME_STAMPS),
        revocations=read_revocations(data_dir),
    )
    return lambda data, name, sidecar: verify_bytes(data, name=name, context=context, sidecar=sidecar)


def _remote(args: argparse.Namespace, stack: ExitStack) -> Verifier:
    from gensafe.client import Client
    from gensafe.client.reports import report_from_pb

    client = stack.enter_context(Client(args.server))
    return lambda data, name, sidecar: report_from_pb(
        client.verify(data, name=name, sidecar=sidecar or b"", crjson=args.crjson)
    )


def _read_argument(path: str, field: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}", field=field) from None
