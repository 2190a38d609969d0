"""kill -9 at every named point, many times: ``python -m benchmarks.audit.crash [--rounds 50]``.

Two harnesses, which the tests run with fewer rounds:

- **log**: a process appends in batches, says what was acknowledged, and kills itself inside a commit.
- **pipeline**: a process opens a whole installation (and so recovers from the kill before), asks again for the request
  that was killed, then kills itself inside a new one. Backend: simulator; classifiers: two that load fast.

Children are forked from one process that has the imports and no threads, so a round costs what it does, not a start.
What must hold is counted after every round by a process that was not killed. Writes
benchmarks/results/audit/crash.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.common.places import RESULTS
from gensafe import __version__
from gensafe.audit import AuditLog, entries, fsck, merkle
from gensafe.audit.checkpoint import parse_checkpoint
from gensafe.audit.note import NoteKey
from gensafe.audit.publish import publish
from gensafe.core import ids
from gensafe.core.config import Config, GenerationConfig, SafetyConfig
from gensafe.core.types import GenerationRequest, Modality
from gensafe.pipeline.assemble import open_chain
from gensafe.pipeline.chain import FAULT_POINTS
from gensafe.pipeline.events import CallControl, Released
from gensafe.pipeline.run import run
from gensafe.registry import Registry

RESULT: Final = RESULTS / "audit" / "crash.json"
ORIGIN: Final = "example.com/crash"
KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG_POINTS: Final = (
    "batch-taken",
    "checkpoint-signed",
    "transaction-open",
    "entries-written",
    "tiles-written",
    "state-written",
    "committed",
    "before-acknowledge",
)
PUBLISH_POINTS: Final = ("tile-published", "before-publish-checkpoint", "checkpoint-published")
DURABLE: Final = ("recorded", "released")
"""Pipeline points behind the durable leaf: what is killed here was released as far as the log is concerned."""

_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        "gensafe.pipeline.assemble",
        "gensafe.pipeline.run",
        "gensafe.audit.publish",
        "scipy.signal",  # what the plugins below import when they are loaded is most of a start
        "scipy.ndimage",
        "PIL.PngImagePlugin",
        "av",
        "c2pa",
        "gensafe_watermark.plugin",
        "gensafe_watermark.text",
        "gensafe.media.labels",
        "gensafe.testing.simulator",
        "gensafe.safety.classifiers.text_rules",
        "gensafe.safety.classifiers.image_signal",
        "gensafe.safety.classifiers.audio_signal",
        "gensafe.safety.classifiers.video_signal",
    ]
)

_POLICY: Final = """
id = "crash"
version = "1"
[classifiers]
text = ["text_rules"]
image = ["image_signal"]
audio = ["audio_signal"]
video = ["video_signal"]
[default]
review = 0.6
block = 0.8
review_action = "review"
block_action = "block"
"""


@dataclass
class Outcome:
    """What many kills at one point led to. All but the first three must be zero."""

    rounds: int = 0
    acknowledged: int = 0
    closed_by_recovery: int = 0
    lost: int = 0  # acknowledged entries, or released outputs, that the log does not hold
    unclosed: int = 0  # requests without an end, or with two
    went_back: int = 0  # checkpoints that are not a continuation of the one before
    unsound: int = 0  # findings of fsck

    @property
    def held(self) -> bool:
        """Whether nothing went wrong, and something was at stake."""
        return not (self.lost or self.unclosed or self.went_back or self.unsound) and self.acknowledged > 0


class Killer:
    """Kills this process at the ``countdown``-th time the named point is passed, once armed."""

    def __init__(self, point: str, countdown: int) -> None:
        self._point, self._left, self.armed = point, countdown, True

    def __call__(self, name: str) -> None:
        """Pass a point."""
        if self.armed and name == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def killed(target: Callable[..., None], *args: object) -> None:
    """Run ``target`` in a child that must die by its own hand (or, without a point, end well)."""
    child = _PROCESSES.Process(target=target, args=args)
    child.start()
    child.join()
    code = child.exitcode
    child.close()
    if code not in (-signal.SIGKILL, 0):
        raise RuntimeError(f"the child ended with {code}")


# --- the log ---------------------------------------------------------------------------------------------------------


def appending(folder: Path, point: str, countdown: int, per_batch: int, first: int) -> None:
    """In the child: append batches, and write down each acknowledgement *after* it was given."""
    killer = Killer(point, countdown)
    handle = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    log = AuditLog.open(folder / "log", origin=ORIGIN, key=KEY, fault=killer)
    for number in range(first, first + 4000, per_batch):
        for future in [log.submit({"event": "crash", "n": number + i}) for i in range(per_batch)]:
            done = future.result()
            os.write(handle, f"{done.index} {done.leaf_hash}\n".encode())
        if point in PUBLISH_POINTS:
            publish(log, folder / "site", fault=killer)
    raise AssertionError(f"{point} was never reached")


def crash(folder: Path, point: str, countdown: int, per_batch: int, first: int) -> list[tuple[int, str]]:
    """Run a child until it dies; returns what it acknowledged (the page cache outlives the process)."""
    killed(appending, folder, point, countdown, per_batch, first)
    lines = (folder / "acknowledged").read_text().split("\n")[:-1]
    return [(int(index), leaf) for index, _, leaf in (line.partition(" ") for line in lines)]


def log_rounds(folder: Path, point: str, rounds: int) -> Outcome:
    """Kill at ``point`` again and again over one log that keeps growing."""
    out, seen = Outcome(), set[int]()
    size, root = 0, merkle.EMPTY_ROOT
    for number in range(rounds):
        # the third batch of the first rounds, later ones across the border of a tile
        done = crash(folder, point, 3 + number % 5, 40 + 30 * (number % 4), 10_000 * number)
        out.rounds += 1
        out.acknowledged += len(done)
        out.lost += len(seen & {index for index, _ in done})  # an index given out twice
        seen |= {index for index, _ in done}
        out.unsound += len(fsck(folder / "log", keys=[KEY.public_key()]).findings)
        with AuditLog.open(folder / "log", origin=ORIGIN, key=KEY) as log:
            head = parse_checkpoint(log.checkpoint())
            grown = head.size == log.size >= size and bool(head.verified_by([NoteKey(ORIGIN, KEY.public_key())]))
            proof = log.consistency(size) if grown else ()
            out.went_back += not (grown and merkle.verify_consistency(size, root, head.size, head.root, proof))
            out.lost += sum(index >= head.size or log.leaf_hash(index).hex() != leaf for index, leaf in done)
            numbers = [e.entry["n"] for e in log.entries(size) if "n" in e.entry]
            out.unsound += len(numbers) - len(set(numbers))
            log.append({"event": "reopened"})
            size, root = log.size, log.root()
    return out


# --- the pipeline ----------------------------------------------------------------------------------------------------


def serving(folder: Path, point: str, modality: str, again: str, fresh: str) -> None:
    """In the child: recover, ask again for the request killed before, then be killed in a fresh one."""
    killer = Killer(point, 1)
    killer.armed = False
    (folder / "policy.toml").write_text(_POLICY)
    config = Config(
        data_dir=str(folder / "data"),
        generation=GenerationConfig(backend="simulator"),
        safety=SafetyConfig(policy=str(folder / "policy.toml")),
    )
    chain = open_chain(config, fault_point=killer)
    with (folder / "left").open("a", buffering=1) as left:
        for request_id in (again, fresh):
            killer.armed = request_id == fresh and bool(point)
            if not request_id:
                continue
            kind = Modality(modality if request_id == fresh else (folder / "modality").read_text())
            (folder / "modality").write_text(modality)
            for event in run(chain, GenerationRequest(request_id, "a garden", kind, seed=1), CallControl()):
                if isinstance(event, Released):  # from here on bytes may leave
                    left.write(f"{request_id} {event.recorded.signed.digest} {int(event.replayed)}\n")
    chain.close()


def pipeline_rounds(folder: Path, point: str, rounds: int) -> Outcome:
    """Kill at ``point`` again and again over one installation; a last, unharmed run recovers from the last kill."""
    out, request, size, root = Outcome(), "", 0, merkle.EMPTY_ROOT
    for number in range(rounds + 1):
        before, last = request, number == rounds
        request = "" if last else ids.new_request_id()
        modality = Modality.TEXT if number % 10 == 7 else Modality.AUDIO if number % 10 == 3 else Modality.IMAGE
        killed(serving, folder, "" if last else point, modality.value, before, request)
        out.rounds += not last
        with AuditLog.open_readonly(folder / "data" / "log") as log:
            logged = [dict(e.entry) for e in log.entries()]
            out.went_back += not merkle.verify_consistency(size, root, log.size, log.root(), log.consistency(size))
            size, root = log.size, log.root()
        released = {e["output"]["digest"] for e in logged if e["event"] == entries.RELEASED}
        left = [line.split() for line in (folder / "left").read_text().splitlines()]
        out.lost += sum(digest not in released for _, digest, _ in left)
        out.lost += any(request_id == request for request_id, _, _ in left)  # killed, and yet something left
        out.unclosed += _unclosed(logged, open_request="" if point not in FAULT_POINTS[1:] else request)
        ends = [e["event"] for e in logged if e.get("request_id") == request and e["event"] in entries.FINAL_STATES]
        out.unclosed += not last and ends != ([entries.RELEASED] if point in DURABLE else [])
    replayed = {request_id for request_id, _, again in left if again == "1"}
    out.lost += point in DURABLE and len(replayed) != rounds
    out.acknowledged, out.closed_by_recovery = len(left), sum(e["event"] == entries.ABORTED for e in logged)
    with Registry.open(folder / "data" / "registry", readonly=True) as registry:
        out.unclosed += len(registry.open_intents())
    out.unsound += len(fsck(folder / "data" / "log").findings)
    return out


def _unclosed(logged: list[dict[str, Any]], open_request: str) -> int:
    """Intents that do not have exactly one end; the one just killed may lack it until recovery."""
    ends = Counter(e["opened_index"] for e in logged if e["event"] in entries.FINAL_STATES and e["opened_index"] >= 0)
    opened = {n: e["request_id"] for n, e in enumerate(logged) if e["event"] == entries.OPENED}
    return sum(ends[n] != 1 for n, request_id in opened.items() if not (request_id == open_request and ends[n] == 0))


def main() -> None:
    """Run the points asked for, print a table, write JSON as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="kills per point")
    parser.add_argument("--point", action="append", choices=(*LOG_POINTS, *FAULT_POINTS), help="default: all")
    options = parser.parse_args()
    try:
        results: dict[str, dict[str, Any]] = json.loads(RESULT.read_text("utf-8"))["results"]
    except OSError:
        results = {"log": {}, "pipeline": {}}
    for point in options.point or (*LOG_POINTS, *FAULT_POINTS):
        part, rounds = ("log", log_rounds) if point in LOG_POINTS else ("pipeline", pipeline_rounds)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as name:
            outcome = rounds(Path(name), point, options.rounds)
        results[part][point] = {**asdict(outcome), "held": outcome.held, "version": __version__}
        print(f"{part:9} {point:20} {outcome} {time.perf_counter() - began:.0f} s", flush=True)
        document = {"benchmark": "audit_crash", "python": platform.python_version(), "results": results}
        RESULT.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        if not outcome.held:
            sys.exit(f"{point}: something was lost")


if __name__ == "__main__":
    main()
