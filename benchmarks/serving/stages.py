"""What one request costs, stage by stage: processor time, not wall time, so that a busy machine changes little.

Runs the pipeline in this process with the simulator, whose own work is taken out, one request at a time. Needs nothing
of this package, so that ``benchmarks.serving --against`` can run it on another checkout. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gensafe.core import ids
from gensafe.core.config import Config, GenerationConfig, SafetyConfig
from gensafe.core.observer import Observation, StageRan
from gensafe.core.types import GenerationRequest, Modality
from gensafe.pipeline import CallControl, Released, run
from gensafe.pipeline.assemble import open_chain
from gensafe.testing import simulator

CASES: Final = {  # name -> (modality, pixels a side)
    "text, 160 words": (Modality.TEXT, 256),
    "image, 256 x 256": (Modality.IMAGE, 256),
    "image, 1 MP": (Modality.IMAGE, 1024),
    "sound, 3 s": (Modality.AUDIO, 256),
    "film, 16 frames of 256 x 256": (Modality.VIDEO, 256),
}
PATIENCE_S: Final = 600.0  # for the classifiers together: a busy machine must not turn into a block


class Meter:
    """Processor seconds by stage and by classifier of the request that is running."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self.classifiers: dict[str, float] = {}
        self.engine = self._last = 0.0

    def begin(self) -> None:
        """Start a request."""
        self.stages, self.classifiers, self.engine = {}, {}, 0.0
        self._last = time.process_time()

    def note(self, stage: str) -> None:
        """What was spent since the last stage belongs to ``stage``."""
        now = time.process_time()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self._last
        self._last = now

    def observe(self, event: Observation) -> None:
        """As the chain's observer."""
        if isinstance(event, StageRan) and event.stage != "generate":  # reported together with "judge"
            self.note(event.stage)


def measured(meter: Meter) -> None:
    """Make classifiers and the simulator tell ``meter`` what they spend."""
    generate: Any = simulator.Simulator.generate

    def timed(self: Any, *args: Any) -> Iterator[Any]:
        events = generate(self, *args)
        while True:
            begin = time.thread_time()
            event = next(events, None)
            meter.engine += time.thread_time() - begin
            if event is None:
                return
            yield event

    simulator.Simulator.generate = timed  # type: ignore[assignment, method-assign]


def watch(classifier: Any, meter: Meter) -> None:
    """Add up the processor time of one classifier, at windows of a stream as well."""

    def timed(assess: Any) -> Any:
        def measured(item: Any, stage: Any) -> Any:
            begin = time.thread_time()
            try:
                return assess(item, stage)
            finally:
                spent = meter.classifiers.get(classifier.name, 0.0)
                meter.classifiers[classifier.name] = spent + time.thread_time() - begin

        return measured

    for verb in ("assess", "assess_unfinished"):
        if hasattr(classifier, verb):
            setattr(classifier, verb, timed(getattr(classifier, verb)))


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="requests of each kind; the median counts")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this")
    args = parser.parse_args()
    meter = Meter()
    measured(meter)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            data_dir=folder,
            generation=GenerationConfig(backend="simulator"),
            safety=SafetyConfig(timeout_s=PATIENCE_S),
        )
        with open_chain(config, observe=meter.observe) as chain:
            for modality in Modality:
                for classifier in chain.safety("").classifiers(modality):
                    watch(classifier, meter)
            for name in args.case or CASES:
                modality, side = CASES[name]
                simulator.SIDE = side
                one(chain, modality, meter)  # loads what is loaded on first use
                before = sizes(Path(folder))
                rounds = [one(chain, modality, meter) for _ in range(args.repeat)]
                grown = {part: size - before.get(part, 0) for part, size in sizes(Path(folder)).items()}
                per_output = {part: size // args.repeat for part, size in grown.items() if size}
                found[name] = {**summary(rounds), "stored_bytes": per_output}
    json.dump(found, sys.stdout)
    return 0


def one(chain: Any, modality: Modality, meter: Meter) -> dict[str, Any]:
    """One request: milliseconds of processor time."""
    request = GenerationRequest(ids.new_request_id(), "a calm morning in spring", modality)
    request = dataclasses.replace(request, max_tokens=160) if modality is Modality.TEXT else request
    meter.begin()
    begin, wall = time.process_time(), time.perf_counter()
    last = None
    for event in run(chain, request, CallControl(None)):
        last = event
    if not isinstance(last, Released):
        raise SystemExit(f"{modality}: not released but {last}")
    meter.note("release")
    total = time.process_time() - begin
    stages = dict(meter.stages)
    stages["judge"] -= meter.engine
    return {
        "cpu_ms": (total - meter.engine) * 1000,
        "wall_ms": (time.perf_counter() - wall) * 1000,
        "stages": {k: v * 1000 for k, v in stages.items()},
        "classifiers": {k: v * 1000 for k, v in meter.classifiers.items()},
    }


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians."""

    def middle(values: list[float]) -> float:
        return round(statistics.median(values), 2)

    return {
        "cpu_ms": middle([r["cpu_ms"] for r in rounds]),
        "wall_ms": middle([r["wall_ms"] for r in rounds]),
        **{
            part: {k: middle([r[part].get(k, 0.0) for r in rounds]) for k in rounds[0][part]}
            for part in ("stages", "classifiers")
        },
    }


def sizes(folder: Path) -> dict[str, int]:
    """Bytes in the data directory by part; outputs and manifests are in ``blobs``."""
    parts: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            part = "blobs" if "blobs" in path.parts else path.relative_to(folder).parts[0]
            parts[part] = parts.get(part, 0) + path.stat().st_size
    return parts


if __name__ == "__main__":
    sys.exit(main())
