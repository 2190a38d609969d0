"""``gensafe audit``: export, verify, prove, fsck, report, checkpoint, publish, viewer.

Exit status: 0 done or valid · 1 failed or not valid · 2 nothing found (prove), or consistent and origin not
established (verify) · 3 unreadable · 64 usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gensafe.audit import LogReader, entries, fsck, standalone
from gensafe.audit.disclosure import scope_of
from gensafe.audit.export import Manifest, export_jsonl
from gensafe.audit.note import NoteKey
from gensafe.audit.publish import publish
from gensafe.cli import audit_reconcile, audit_report, audit_viewer, audit_witness
from gensafe.cli.common import Commands, Exit, add_config_arguments, day_of, note, print_json, read_config, say
from gensafe.core import plugins
from gensafe.core.config import Config
from gensafe.core.errors import ExportInvalid, InvalidRequest
from gensafe.core.ids import parse_record_id, record_id_text
from gensafe.installation import Installation
from gensafe.keys import KeyRing
from gensafe.registry import Intent

REGIMES = (
    "ca-sb942", "cn-gb45438", "eu-ai-act", "in-it-rules", "iso-42001", "kr-ai-basic", "us-ny", "us-wa", "vn-ai-law",
)  # fmt: skip


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "audit",
        help="export, prove and check the log",
        description="The tamper-evident log. Exit codes: 0 done or valid, 1 failed or not valid, 2 nothing found "
        "(prove) or consistent but origin not established (verify, check-report), 3 unreadable, 64 usage error.",
    )
    verbs = parser.add_subparsers(dest="audit_command", required=True, metavar="COMMAND")

    export = verbs.add_parser("export", help="write a bundle that an auditor can check independently")
    installed = sorted({"jsonl", *(plugin.name for plugin in plugins.list_plugins("gensafe.exporters"))})
    export.add_argument(
        "--format", action="append", choices=installed, dest="formats", help="a view beside the entries, which are "
        "always written; may be repeated (default: jsonl, the entries alone)",
    )  # fmt: skip
    export.add_argument(
        "--from", dest="start", metavar="TIME", help="start of the period (inclusive), as 2026-11-01 (UTC)"
    )
    export.add_argument("--to", dest="end", metavar="TIME", help="end of the period (exclusive)")
    export.add_argument(
        "--tenant", type=_tenant, metavar="NAME", help="disclose only this tenant; others stay as hashes"
    )
    export.add_argument("--previous", type=Path, metavar="DIR", help="an earlier export to prove continuity from")
    export.add_argument(
        "--stamp", metavar="own|signing|URL",
        help="RFC 3161 time-stamp on the checkpoint, by the key ring's own authority, those of [signing] or one at "
        "this address (default: audit.time_stamp of the configuration)",
    )  # fmt: skip
    export.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")

    verify = verbs.add_parser(
        "verify",
        help="check an export on its own",
        description="Check an export on its own. Exit codes: 0 valid, signed under the given key; 1 not valid; "
        "2 consistent, origin not established (no key given, or a file was not examined); 3 not a readable bundle; "
        "64 usage error.",
    )
    verify.add_argument("directory", type=Path, metavar="DIR", help="the export")
    verify.add_argument(
        "--log-key", type=Path, metavar="FILE", help="the log's public key, obtained separately from the export: "
        "what `gensafe audit checkpoint` printed, a verifier key, PEM or 64 hex digits",
    )  # fmt: skip
    verify.add_argument("--previous", type=Path, metavar="DIR", help="an earlier export that this one must continue")

    prove = verbs.add_parser("prove", help="write the .tlog-proof of one output")
    prove.add_argument("id", metavar="ID", help="record id, request id, output digest, or log index")
    prove.add_argument("-o", "--out", type=Path, metavar="FILE")

    verbs.add_parser("fsck", help="rebuild the whole tree from the entries and compare")
    verbs.add_parser("checkpoint", help="print the newest signed checkpoint and the log's verifier key")

    report = verbs.add_parser("report", help="duties of a law, the evidence found, and what software cannot prove")
    report.add_argument("--regime", required=True, choices=REGIMES)
    report.add_argument("--from", dest="start", metavar="TIME")
    report.add_argument("--to", dest="end", metavar="TIME")
    day = "apply the law of this day (YYYY-MM-DD); default: the period's last day, or today"
    report.add_argument("--as-of", type=day_of, metavar="DATE", help=day)
    report.add_argument("--tenant", type=_tenant, metavar="NAME", help="report on this tenant's entries only")
    report.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help=".json, .html or .pdf")

    static = verbs.add_parser("publish", help="write the log as static C2SP tiles")
    static.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")

    audit_witness.add_verbs(verbs)
    audit_reconcile.add_verb(verbs)
    audit_report.add_verb(verbs)
    audit_viewer.add_verb(verbs)
    for name, verb in verbs.choices.items():
        if name not in ("verify", "viewer", "witness", "check-report"):
            add_config_arguments(verb)
        verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    try:
        return _COMMANDS[args.audit_command](args)
    except OSError as error:
        note(f"gensafe: {error.strerror}: {error.filename}")
        return Exit.UNREADABLE


def _export(args: argparse.Namespace) -> int:
    try:
        return _make_export(args)
    except ExportInvalid as error:
        if error.field != "directory":
            raise
        raise InvalidRequest(error.message, field="--out", fix=error.fix) from None
    except OSError as error:
        note(f"gensafe: --out {args.out}: {error.strerror}: {error.filename or ''}".rstrip(": "))
        return Exit.IO_ERROR


def _make_export(args: argparse.Namespace) -> int:
    formats = args.formats or ["jsonl"]
    views = [plugins.load("gensafe.exporters", name) for name in formats if name != "jsonl"]
    start, end = parse_time(args.start), parse_time(args.end)
    home = _home(args)
    ring = home.keys_if_readable()
    config = read_config(args)
    stamp = time_stamper(args.stamp or config.audit.time_stamp, ring, config)

    def make(log: LogReader) -> Manifest:
        return export_jsonl(
            log,
            args.out,
            start_ms=start,
            end_ms=end,
            scope=scope_of(args.tenant),
            previous=args.previous,
            views=views,
            key=ring.checkpoint_private_key() if ring else None,
            known_keys=[NoteKey(log.origin, k).vkey for k in ring.checkpoint_public_keys()] if ring else (),
            stamp=stamp,
            progress=progress("export"),
        )

    writer = home.writer_if_free(ring)
    if writer is None:
        with home.read_log() as log:
            manifest = make(log)
        remark = "the log is in use or has no key here, so this export is not itself logged"
    else:
        with writer:
            manifest = make(writer)
            checkpoint = (args.out / "checkpoint").read_bytes()
            writer.keep_checkpoint(checkpoint)
            span = manifest.data["range"]
            writer.append(
                entries.export_made(
                    start=span["start"],
                    stop=span["stop"],
                    size=manifest.data["checkpoint"]["size"],
                    tenant=args.tenant or "",
                    formats=sorted(set(formats)),
                    manifest_digest=manifest.digest,
                )
            )
        remark = ""
    data: dict[str, Any] = {"directory": str(args.out), "manifest": manifest.digest, "signed": manifest.signed}
    data |= {"range": manifest.data["range"], "counts": manifest.data["counts"], "note": remark}
    counts = manifest.data["counts"]
    span, size = manifest.data["range"], manifest.data["checkpoint"]["size"]
    shown = f"entries {span['start']} to {span['stop'] - 1}" if span["start"] < span["stop"] else "no entries"
    text = f"{args.out}: {shown} of a tree of {size}: {counts['disclosed']} disclosed, "
    text += f"{counts['withheld']} withheld, {counts['pruned']} pruned"
    signer = manifest.data["signer"]
    text += (
        f"\nsigned by {signer['name']}, key {signer['fingerprint']}" if signer else "\nnot signed: there is no key here"
    )
    _say(args, data, text + (f"\nnote: {remark}" if remark else ""))
    return 0


def _verify(args: argparse.Namespace) -> int:
    arguments = [str(args.directory)]
    arguments += ["--log-key", str(args.log_key)] if args.log_key else []
    arguments += ["--previous", str(args.previous)] if args.previous else []
    return standalone.main([*arguments, "--json"] if args.json else arguments)


def _prove(args: argparse.Namespace) -> int:
    home = _home(args)
    with home.read_log() as log:
        index = _index_of(args.id, home)
        if index is None or index >= log.size:
            _say(args, {"found": False, "id": args.id}, f"{args.id}: nothing found in the log")
            return 2
        proof = log.tlog_proof(index)
        logged = log.entry(index)
    if args.out:
        args.out.write_bytes(proof)
    data = {
        "found": True,
        "index": index,
        "leaf_hash": logged.leaf_hash,
        "proof": proof.decode(),
        "entry": logged.entry,
    }
    _say(args, data, f"{args.out}: entry {index}, leaf {logged.leaf_hash}" if args.out else proof.decode().rstrip("\n"))
    return 0


def _fsck(args: argparse.Namespace) -> int:
    home = _home(args)
    ring = home.keys_if_readable()
    keys = ring.checkpoint_public_keys() if ring else ()
    report = fsck(home.log_place, keys=keys, progress=progress("fsck"))
    report = replace(report, findings=(*report.findings, *_against_registry(home)))
    data = {"ok": report.ok, "origin": report.origin, "size": report.size, "pruned": report.pruned}
    data |= {"root": report.root, "signed": report.signed, "findings": list(report.findings)}
    data["clock_corrections"] = list(report.corrections)
    lines = [f"{report.origin}: {report.size} entries, {'OK' if report.ok else 'not OK'}"]
    lines += [f"  note: the clock was put right at entry {index}" for index in report.corrections]
    lines += [f"  FAIL {finding}" for finding in report.findings]
    _say(args, data, "\n".join(lines))
    return Exit.OK if report.ok else Exit.FAILED


def _against_registry(home: Installation) -> list[str]:
    """What the registry of the same data folder says about the log, and the log does not confirm."""
    if not home.has_registry:  # a log alone is checked alone
        return []
    from gensafe.pipeline.agreement import disagreements

    with (
        home.open_registry(readonly=True) as registry,
        home.read_log() as log,
    ):
        return disagreements(log, registry)


def _checkpoint(args: argparse.Namespace) -> int:
    home = _home(args)
    ring = home.keys_if_readable()
    with home.read_log() as log:
        head, origin = log.checkpoint().decode(), log.origin
    keys = [NoteKey(origin, key).vkey for key in ring.checkpoint_public_keys()] if ring else []
    prints = [NoteKey(origin, key).fingerprint for key in ring.checkpoint_public_keys()] if ring else []
    lines = [f"key: {key}\n# fingerprint: {print_}\n" for key, print_ in zip(keys, prints, strict=True)]
    _say(args, {"checkpoint": head, "keys": keys, "fingerprints": prints}, head + "".join(lines))
    return 0


def _report(args: argparse.Namespace) -> int:
    from gensafe.audit.report_note import sign_report
    from gensafe.compliance.report import make_report
    from gensafe.compliance.write import write_report

    home = _home(args)
    ring = home.keys_if_readable()
    with home.read_log() as log:
        keys = ring.checkpoint_public_keys() if ring else ()
        integrity = fsck(home.log_place, keys=keys, progress=progress("fsck"))
        report = make_report(
            log, args.regime, start_ms=parse_time(args.start), end_ms=parse_time(args.end), as_of=args.as_of,
            scope=scope_of(args.tenant), integrity=integrity,
        )  # fmt: skip
    write_report(report, args.out)
    if ring is None:
        note("the keys of this log cannot be read here, so the report is not signed")
    else:
        sign_report(args.out, ring.origin, ring.checkpoint_private_key())
    _say(args, report.as_json(), f"{args.out}: {report.summary}")
    return 0


def _publish(args: argparse.Namespace) -> int:
    with _home(args).read_log() as log:
        written = publish(log, args.out)
    _say(args, {"directory": str(args.out), "written": written}, f"{args.out}: {written} files written")
    return 0


def time_stamper(choice: str, ring: KeyRing | None, config: Config) -> Callable[[bytes], bytes] | None:
    """The authority that ``own``, ``signing``, addresses or "" (none) stands for.

    Raises:
        ConfigError, InvalidRequest: not an address, or there is no such authority, or no list to check it against.
    """
    from gensafe.core.clock import SystemClock
    from gensafe.pipeline.signing import outside_time_stamper
    from gensafe.provenance import LocalTimeStamper
    from gensafe.provenance.trust_lists import TIME_STAMPS, read_trust_lists

    if not choice:
        return None
    if choice == "own":
        credential = ring.tsa_credential() if ring else None
        if credential is None:
            raise InvalidRequest("this key ring has no time-stamp authority", field="--stamp", fix="give its address")
        return LocalTimeStamper(credential.key, credential.chain, SystemClock()).stamp
    urls = config.signing.time_stamp if choice == "signing" else tuple(choice.replace(",", " ").split())
    lists = read_trust_lists(Path(config.data_dir), TIME_STAMPS)
    outside = outside_time_stamper(config, urls, lambda: b"".join(each.pem for each in lists))
    if outside is None:
        raise InvalidRequest("[signing] time_stamp names no authority", field="--stamp", fix="give an address")
    return outside.stamp


def parse_time(text: str | None) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 date or time; without a zone it is UTC.

    Raises:
        InvalidRequest: not one.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is not a date or time", fix="write 2026-11-01 or 2026-11-01T12:00:00Z"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def progress(what: str) -> Callable[[int, int], None] | None:
    """A progress line on a terminal; None in a pipe."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        end = "\n" if done >= total else ""
        print(f"\r{what}: {done:,} of {total:,}", end=end, file=sys.stderr, flush=True)

    return show


def _home(args: argparse.Namespace) -> Installation:
    return Installation(read_config(args)).existing()


def _index_of(text: str, home: Installation) -> int | None:
    if text.isascii() and text.isdigit() and len(text) < 13:
        return int(text)
    with home.open_registry(readonly=True) as registry:
        if text.startswith("sha256:"):
            record = registry.by_digest(text)
        elif len(text) == 13:
            record = registry.by_record_id(parse_record_id(text))
        else:
            return _of_request(registry.intents_named(text))
    return None if record is None else record.log_index


def _tenant(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is empty; leave the option out for all tenants")
    return text


def _of_request(found: list[Intent]) -> int | None:
    """Where the log says how a request ended. Ids are per tenant, so two may share one: then the record decides."""
    ended = [intent for intent in found if intent.final_index >= 0]
    if len(ended) > 1:
        choices = ", ".join(f"{record_id_text(intent.record_id)} ({intent.tenant})" for intent in ended)
        raise InvalidRequest("several tenants used this request id", field="id", fix=f"name the record: {choices}")
    return ended[0].final_index if ended else None


def _say(args: argparse.Namespace, data: dict[str, Any], text: str) -> None:
    if args.json:
        print_json(data)
    else:
        say(text)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "export": _export,
    "verify": _verify,
    "prove": _prove,
    "fsck": _fsck,
    "checkpoint": _checkpoint,
    "report": _report,
    "check-report": audit_report.check_report,
    "publish": _publish,
    "viewer": audit_viewer.run,
    "cosign": lambda args: audit_witness.cosign(args, _home(args)),
    "witness": audit_witness.witness,
    "reconcile": audit_reconcile.run,
}
