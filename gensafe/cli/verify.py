"""``gensafe verify``: what can be proved about files, offline on a data directory or against a server."""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gensafe.cli.common import Commands, Exit, add_config_arguments, note, print_json, progress, read_config, say
from gensafe.cli.remote import add_server_arguments, client_options
from gensafe.cli.verify_demands import Demands, add_demands
from gensafe.core.errors import GensafeError, InvalidRequest, MediaError, MediaLimitExceeded, UnreadableMedia
from gensafe.core.outfile import write_file
from gensafe.core.roles import need
from gensafe.core.types import Conclusion, VerificationReport

if TYPE_CHECKING:
    from gensafe.verify.render import Result

Verifier = Callable[[bytes, str, bytes | None], VerificationReport]
MAX_FILE_BYTES = 1 << 30  # 1 GiB is read into memory at once. A round number


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify",
        help="say what can be proved about files",
        description="Check manifest, signer, watermark, registry, fingerprint and log of each file and conclude. "
        "Prints one line per file: verdict, made by AI or not claimed, signed by whom, when, unchanged or how changed. "
        "A negative means 'not found', never 'made by a person'. "
        "Exit codes: 0 proved (unchanged); 1 altered, layers disagree, transplanted mark, or a demand that is not met; "
        "2 nothing found; 3 unreadable or could not be examined; 4 signer unknown or untrusted; "
        "5 derived from an output of ours (not shown to be unchanged); 64 usage error; 69 the server could not be "
        "asked; 70 a fault of ours; 74 a report could not be written. "
        "For several files, the first of 1, 70, 69, 3, 5, 4, 2, 0 that any file has.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="files, folders (searched), glob patterns, - = standard input"
    )
    add_config_arguments(parser)
    add_server_arguments(parser, help="ask a running server instead")
    parser.add_argument("--trust-anchors", metavar="PEM", help="further root certificates of signers to trust")
    parser.add_argument(
        "--time-stamp-anchors", metavar="PEM", help="further root certificates of time-stamp authorities to trust"
    )
    parser.add_argument("--sidecar", metavar="FILE", help="a detached manifest store (one file only)")
    add_demands(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("-v", "--verbose", action="store_true", help="print every layer of each file")
    shape.add_argument("-q", "--quiet", action="store_true", help="print nothing; only the exit code answers")
    shape.add_argument("--json", action="store_true", help="print a list of reports")
    shape.add_argument("--crjson", action="store_true", help="print the manifest as crJSON (one file only)")
    parser.add_argument("--csv", metavar="FILE", help="also write a table, one row per file")
    parser.add_argument("--junit", metavar="FILE", help="also write a JUnit report")


def run(args: argparse.Namespace) -> int:
    """Verify every file; print as they finish, conclude once."""
    from gensafe.verify import worst_exit
    from gensafe.verify.render import exit_code

    paths = list(expand(args.files))
    if (args.crjson or args.sidecar) and len(paths) != 1:
        raise InvalidRequest("takes one file", field="--crjson" if args.crjson else "--sidecar")
    for given, field in ((args.trust_anchors, "--trust-anchors"), (args.time_stamp_anchors, "--time-stamp-anchors")):
        if given and args.server:
            raise InvalidRequest("a server judges by its own lists", field=field, fix="leave one of the two out")
    for path, field in ((args.csv, "--csv"), (args.junit, "--junit")):
        if path == "-":  # would be a file of that name
            raise InvalidRequest("takes a file name", field=field, fix="name a file, or /dev/stdout with --quiet")
    demands = Demands(args)
    sidecar = _read_argument(args.sidecar, "--sidecar") if args.sidecar else None
    with ExitStack() as stack:
        verifier = _remote(args, stack) if args.server else _offline(args, stack)
        reports = _verify_all(paths, verifier, sidecar, args, demands)
    _finish(reports, args, demands)
    return worst_exit(demands.exit_code(r, exit_code(r)) for r in reports)


def _verify_all(
    paths: list[Path], verifier: Verifier, sidecar: bytes | None, args: argparse.Namespace, demands: Demands
) -> list[Result]:
    """Verify side by side, print in order."""
    from gensafe.cli.verify_show import paint_for, print_painted
    from gensafe.verify.render import report_line, report_text

    source, quiet = args.server or "", args.quiet or args.json or args.crjson
    show, paint = progress(), paint_for(sys.stdout)
    reports: list[Result] = []
    with ThreadPoolExecutor() as pool:
        for report in pool.map(lambda path: _one(path, verifier, sidecar, source), paths):
            reports.append(report)
            if len(paths) > 1 and not args.quiet:
                show("verified", len(reports), len(paths))
            if quiet:
                continue
            show("", 0, 0)
            print_painted(report_text(report, source) if args.verbose else report_line(report, source, paint), paint)
            for sentence in demands.unmet(report):
                say(f"  {sentence}")
    return reports


def _finish(reports: list[Result], args: argparse.Namespace, demands: Demands) -> None:
    """Print what is about all files, and write the reports that were asked for."""
    from gensafe.cli.verify_show import summary
    from gensafe.verify.render import junit, report_dict, reports_csv

    source = args.server or ""
    if args.json:
        print_json([_with_demands(report_dict(r, source), r, demands) for r in reports])
    elif args.crjson:
        _print_crjson(reports[0])
    elif len(reports) > 1 and not args.quiet:
        say(summary(reports))
    if args.csv:
        write_file(args.csv, reports_csv(reports).encode("utf-8", "backslashreplace"), "--csv")
    if args.junit:
        unmet = {index: found for index, r in enumerate(reports) if (found := demands.unmet(r))}
        suite = junit(reports, source=source, unmet=unmet)
        write_file(args.junit, suite.encode("utf-8", "backslashreplace"), "--junit")


def _with_demands(values: dict[str, Any], report: Result, demands: Demands) -> dict[str, Any]:
    """The report with the demands that it does not meet, and what to exit with for it."""
    unmet = demands.unmet(report)
    if not unmet:
        return values
    return values | {"unmet": unmet, "exit_code": int(demands.exit_code(report, values["exit_code"]))}


def _print_crjson(report: Result) -> None:
    if isinstance(report, VerificationReport) and report.crjson:
        print(report.crjson)
    else:
        reason = "has no manifest to show" if isinstance(report, VerificationReport) else f": {report.reason}"
        note(f"gensafe: {report.name} {reason}")


def expand(names: list[str]) -> Iterator[Path]:
    """Files as named; folders searched; patterns matched. What does not exist is kept, to be reported as unreadable."""
    for name in names:
        if not name:
            raise InvalidRequest("a file name is empty", field="FILE", fix="name a file, or . for this folder")
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            yield from inside or [path]
        elif not path.exists() and glob.has_magic(name):
            yield from (Path(p) for p in sorted(glob.glob(name, recursive=True))) if glob.glob(name) else [path]
        else:
            yield path


def _one(path: Path, verifier: Verifier, sidecar: bytes | None, source: str) -> Result:
    from gensafe.verify.render import NotVerified

    try:
        data = _read_file(path)
    except OSError as error:
        return _unreadable(path, error.strerror or "cannot be read")
    except MediaError as error:
        return _unreadable(path, error.message)
    try:
        return verifier(data, str(path), sidecar)
    except MediaError as error:  # about the file: larger than the server takes
        return _unreadable(path, error.message)
    except GensafeError as error:  # about us or the server, and so no verdict about the file
        if source:
            return NotVerified(str(path), f"could not ask {source}: {error}", Exit.UNAVAILABLE)
        return NotVerified(str(path), str(error), Exit.INTERNAL)


def _read_file(path: Path) -> bytes:
    """The bytes of a file, of a pipe that was named, or of standard input.

    Raises:
        MediaError: there is no such file, or it is too large.
        OSError: it cannot be read.
    """
    if str(path) == "-":
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    elif path.is_fifo():
        with path.open("rb") as pipe:
            data = pipe.read(MAX_FILE_BYTES + 1)
    elif not path.is_file():  # a folder without files, a device, nothing at all
        raise UnreadableMedia("no such file" if not path.exists() else "not a regular file, or an empty folder")
    elif path.stat().st_size > MAX_FILE_BYTES:
        raise MediaLimitExceeded(f"larger than {MAX_FILE_BYTES} bytes")
    else:
        return path.read_bytes()
    if len(data) > MAX_FILE_BYTES:
        raise MediaLimitExceeded(f"larger than {MAX_FILE_BYTES} bytes")
    return data


def _unreadable(path: Path, reason: str) -> VerificationReport:
    return VerificationReport(name=str(path), conclusion=Conclusion.UNREADABLE, explanation=reason, checks=())


def _offline(args: argparse.Namespace, stack: ExitStack) -> Verifier:
    from gensafe.installation import Installation
    from gensafe.provenance import import_trust_list
    from gensafe.verify import open_context, verify_bytes

    home = Installation(read_config(args))
    lists = home.trust_lists()
    if args.trust_anchors:
        pem = _read_argument(args.trust_anchors, "--trust-anchors")
        lists = replace(lists, signers=(*lists.signers, import_trust_list(args.trust_anchors, pem)))
    if args.time_stamp_anchors:
        pem = _read_argument(args.time_stamp_anchors, "--time-stamp-anchors")
        lists = replace(lists, time_stamps=(*lists.time_stamps, import_trust_list(args.time_stamp_anchors, pem)))
    keys = registry = log = None
    if home.has_keys:
        need("pdqhash", "reading a data directory")  # its marks and fingerprints are not in the verifier alone
        keys = home.read_keys()
        if home.has_registry:
            registry = stack.enter_context(home.open_registry(keys, readonly=True))
        if home.has_log:
            log = stack.enter_context(home.read_log())
    elif args.data_dir:
        home.existing().read_keys()  # says what is missing
    elif not args.quiet:
        note("no data directory: only the file's own manifest is checked (give --data-dir or --server)")
    context = open_context(
        keys,
        registry=registry,
        log=log,
        tokenizers=home.tokenizers,
        lists=lists,
    )
    return lambda data, name, sidecar: verify_bytes(data, name=name, context=context, sidecar=sidecar)


def _remote(args: argparse.Namespace, stack: ExitStack) -> Verifier:
    need("grpc", "--server")
    from gensafe.client import Client

    client = stack.enter_context(Client(client_options(args)))
    return lambda data, name, sidecar: client.verify(data, name=name, sidecar=sidecar or b"", crjson=args.crjson)


def _read_argument(path: str, field: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}", field=field) from None
