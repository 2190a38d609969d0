"""``gensafe doctor``: look for gaps between what this installation promises and what it has."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from gensafe import __version__
from gensafe.cli.common import Commands, Exit, add_config_arguments, print_json, read_config, say
from gensafe.core import plugins
from gensafe.core.clock import SystemClock, iso
from gensafe.core.config import Config, check_config
from gensafe.core.errors import GensafeError
from gensafe.core.hazards import CATEGORIES, NOT_IN, in_words
from gensafe.core.postgres import SQLITE, parse_postgres
from gensafe.core.roles import installed
from gensafe.core.types import Modality
from gensafe.core.types.stages import NOT_STAMPED
from gensafe.installation import Installation


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination. ``level``: ok | note | gap."""

    level: str
    about: str
    text: str


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "doctor",
        help="look for gaps in this installation",
        description="Examine configuration, keys, plugins, policy coverage and the sandbox. Changes nothing. "
        "Exit codes: 0 no gap, 1 gaps, 64 configuration error.",
    )
    add_config_arguments(parser)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Examine."""
    config = read_config(args)
    check_config(config)
    findings = [
        Finding("note", "version", f"gensafe {__version__}, Python {platform.python_version()}, {sys.platform}")
    ]
    for name, examine in EXAMINATIONS:
        try:
            findings += examine(config)
        except GensafeError as error:
            findings.append(Finding("gap", name, str(error)))
    if args.json:
        print_json([asdict(f) for f in findings])
    else:
        for finding in findings:
            say(f"{finding.level:4} {finding.about:12} {finding.text}")
    return Exit.FAILED if any(f.level == "gap" for f in findings) else Exit.OK


def _roles(_config: Config) -> Iterator[Finding]:
    """The whole, the verifier and the client share files: two in one environment break each other when one goes."""
    here = installed()
    if len(here) > 1:
        said = f"{', '.join(here)} share files: uninstall all of them, then install one"
        yield Finding("gap", "install", said)


def _keys(config: Config) -> Iterator[Finding]:
    home = Installation(config)
    if not home.has_keys:
        yield Finding("note", "keys", f"none in {home.keys_dir} yet; made on first run")
        return
    ring = home.read_keys()
    if ring.claimless:
        yield Finding("gap", "keys", "no claim key: serve will not start until gensafe keys import installs one")
    elif ring.development:
        yield Finding("note", "keys", "development keys: signatures prove nothing to third parties")
    else:
        yield Finding("ok", "keys", "claims are signed by an imported key")
    for stop in ring.stops.all():
        yield Finding("note", "keys", f"generation is stopped for the tenant {stop.tenant} since {iso(stop.since_ms)}")


def rotations(config: Config) -> Iterator[Finding]:
    """Whether a rotated key is still in use: a head under an old checkpoint key, keys wrapped under an old one."""
    from gensafe.audit.checkpoint import parse_checkpoint
    from gensafe.audit.note import NoteKey
    from gensafe.keys import Role, State

    home = Installation(config)
    if not home.has_keys or not home.has_log:
        return
    ring = home.read_keys()
    with home.read_log() as log:
        head = parse_checkpoint(log.checkpoint())
    infos = [
        info
        for key in ring.checkpoint_signers()
        if head.verified_by([NoteKey(ring.origin, key)])
        for info in ring.keys()
        if info.public == key.public_bytes_raw().hex()
    ]
    if not infos:
        yield Finding("gap", "keys", "the log's newest checkpoint is signed by no key of this key ring")
    elif infos[0].state is not State.ACTIVE:
        level = "gap" if infos[0].state is State.REVOKED else "note"
        said = f"signed by the {infos[0].state} key {infos[0].key_id} until the next entry: {_TAKES_OVER}"
        yield Finding(level, "keys", f"the log's newest checkpoint is {said}")
    if home.has_registry:
        with home.open_registry(readonly=True) as registry:
            wrapped = registry.wrapped_under()
        usable = {info.key_id: info.state for info in ring.keys() if info.role is Role.KEK}
        for key_id, count in sorted(wrapped.items()):
            state = usable.get(key_id)
            if state is State.RETIRED:
                said = f"{count} data keys are wrapped under the retired kek {key_id}: {_TAKES_OVER}"
                yield Finding("note", "keys", said)
            elif state is not State.ACTIVE:
                said = f"{count} data keys are lost: wrapped under the {state or 'unknown'} kek {key_id}"
                yield Finding("gap", "keys", said)


def _signing(config: Config) -> Iterator[Finding]:
    """Opens the signer and asks each time-stamp authority for one stamp; signs nothing."""
    from gensafe.pipeline.signing import Signing

    home = Installation(config)
    if not home.has_keys:
        return
    ring = home.read_keys()
    if ring.claimless:
        return
    signing = Signing(config, ring, SystemClock())
    signer = signing.tools().signer
    yield Finding("ok", "signing", f"{config.signing.provider}: {signer.algorithm}")
    if signing.outside:
        for problem in signing.ask_authorities():
            yield Finding("gap", "signing", problem)
        if not signing.down:
            yield Finding("ok", "signing", f"time-stamps by {len(config.signing.time_stamp)} authorities, in order")
    else:
        own = "stamped by the key ring's own authority" if ring.tsa_anchors() else "not time-stamped"
        level = "note" if config.environment == "development" else "gap"
        yield Finding(level, "signing", f"{own}: {NOT_STAMPED}")


def _folders(config: Config) -> Iterator[Finding]:
    """Reviewers and their reasons lie in these folders, and whoever can lock a file can stop the service."""
    home = Installation(config)
    data_dir, parts = home.data_dir, (home.keys_dir, home.log_dir, home.registry_dir)
    found = [path for part in parts if part.is_dir() for path in (part, *part.rglob("*"))]
    open_ = [path for path in found if not path.is_symlink() and path.stat().st_mode & 0o077]
    closed = data_dir.is_dir() and not data_dir.stat().st_mode & 0o077
    if open_:
        level, said = ("note", "closed by the folder above") if closed else ("gap", "other users can read or lock them")
        text = f"{len(open_)} files and folders, first {open_[0]}: {said}; chmod -R go= {data_dir}"
        yield Finding(level, "folders", text)
    elif found:
        yield Finding("ok", "folders", "keys, log and registry are for their owner only")


def _stores(config: Config) -> Iterator[Finding]:
    from gensafe.audit.clockwatch import TOLERANCE_MS
    from gensafe.pipeline.agreement import disagreements

    home = Installation(config)
    if not home.has_log or not home.has_registry:
        return
    with home.open_registry(readonly=True) as registry:
        with home.read_log() as log:
            wrong = disagreements(log, registry, newest_only=True)
            size = log.size
            newest_ms = log.entry(size - 1).time_ms if size else 0
    for text in wrong:
        yield Finding("gap", "stores", text)
    if newest_ms > SystemClock().now_ms() + TOLERANCE_MS:
        said = f"the newest entry is dated {iso(newest_ms)}, after this machine's clock: check the clock"
        yield Finding("gap", "clock", said)
    if not wrong:
        yield Finding("ok", "stores", f"log ({size} entries) and registry agree")
    for part, address in (("log", config.store.log), ("registry", config.store.registry)):
        if address != SQLITE:
            yield Finding("ok", "stores", f"{part}: {parse_postgres(address, f'store.{part}').shown} answers")


def _reviews(config: Config) -> Iterator[Finding]:
    home = Installation(config)
    if not home.has_registry:
        return
    with home.open_registry(readonly=True) as registry:
        waiting = registry.reviews.waiting()
    if waiting:
        since = iso(waiting[0].held_ms)
        yield Finding("note", "review", f"{len(waiting)} wait for a person since {since}: gensafe review list")


def _backend(config: Config) -> Iterator[Finding]:
    from gensafe.engines import open_engines

    for engine in open_engines(config, isolated=False):
        made = ", ".join(sorted(engine.can.outputs))
        version = f"{engine.backend.name} {engine.backend.version}"
        yield Finding("ok", "engine", f"{engine.name} ({version}): {', '.join(engine.models)} makes {made}")
        if Modality.TEXT in engine.can.outputs and not engine.can.sampling_marks:
            said = "its text is not marked by sampling; it is found again by fingerprint only"
            yield Finding("note", "engine", f"{engine.name}: {said}")


def _watermarks(config: Config) -> Iterator[Finding]:
    for modality in Modality:
        scheme = plugins.load("gensafe.watermarks", modality.value).scheme
        yield Finding("ok", "watermark", f"{modality}: {scheme}")


def _policy(config: Config) -> Iterator[Finding]:
    from gensafe.safety import SafetyRunner, load_policy
    from gensafe.safety.cards import category_coverage

    policy = load_policy(config.safety.policy or None)
    runner = SafetyRunner.from_policy(policy)
    for modality in Modality:
        loaded = runner.classifiers(modality)
        yield Finding("ok", "policy", f"{modality}: {', '.join(classifier.name for classifier in loaded)}")
        named = (set(policy.categories) & set(CATEGORIES)) - NOT_IN.get(modality.value, frozenset())
        wanted = named | set(policy.require.get(modality, ()))
        covered = category_coverage((classifier.card() for classifier in loaded), wanted)
        missing = [in_words(c) for c in covered.missing]
        if missing:
            level = "gap" if config.environment == "production" else "note"
            yield Finding(level, "policy", f"{modality}: no installed classifier covers {', '.join(missing)}")
        by_part: dict[str, list[str]] = {}
        for category, parts in covered.partial.items():
            by_part.setdefault("; ".join(parts), []).append(category)
        for part, categories in by_part.items():
            yield Finding(
                "note", "policy", f"{modality}: {', '.join(map(in_words, categories))} covered in part: {part}"
            )
        unmet = [c for c in policy.require.get(modality, ()) if c not in covered.whole]
        if unmet:
            said = f"requires {', '.join(map(in_words, unmet))} whole, so every {modality} is blocked"
            yield Finding("gap", "policy", f"{modality}: the policy {said}")
    if policy.monitor:
        yield Finding("gap", "policy", "monitor mode: findings are noted, nothing is blocked")


def _sandbox(config: Config) -> Iterator[Finding]:
    from gensafe.media.sandbox import default_pool

    for name, active in default_pool().status().items():
        yield Finding(
            "ok" if active else "note", "sandbox", f"{name}: {'in force' if active else 'not available here'}"
        )


_TAKES_OVER = "a running server takes a rotation over within seconds, else the next start does"

EXAMINATIONS: tuple[tuple[str, Callable[[Config], Iterator[Finding]]], ...] = (
    ("install", _roles),
    ("keys", _keys),
    ("keys", rotations),
    ("signing", _signing),
    ("backend", _backend),
    ("watermark", _watermarks),
    ("policy", _policy),
    ("sandbox", _sandbox),
    ("review", _reviews),
    ("folders", _folders),
    ("stores", _stores),
)
