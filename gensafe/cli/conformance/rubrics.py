"""The programme's rubrics over the crJSON of samples by the configured signer, where the operator has a copy of them.

They are published under CC BY 4.0 (c2pa-org/conformance-public) and are not part of this product. Their evaluators are
Python from that copy: it runs in a process of its own, with what this program may do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gensafe.cli.conformance.evaluate import SIGNALS
from gensafe.cli.conformance.pack import CONFIGURED, Pack, RubricResult, Sample
from gensafe.core.errors import InvalidRequest

CONFORMANCE: Final = "asset-rubric-conformance0.2-spec2.4.yml"
INTEGRITY: Final = "asset-rubric-integrity.yml"
TEXT: Final = "asset-rubric-text-conformance.yml"
LOCAL_SIGNALS: Final = f"{SIGNALS}-local.yml"
EVALUATOR: Final = "c2pa_conformance_rubric_evaluator.py"
KNOWN: Final = {(TEXT, "is_text_asset")}
"""Wants a parameter "dc:format" on the first action, which the conformance rubric refuses by name; that one is kept."""
EXAMINED: Final = ("created", "edited", "composed")
TIMEOUT_S: Final = 600.0  # all of them take some 20 s; a guard against one that hangs. Chosen by eye


def check(rubrics: str | None, formula: str | None) -> None:
    """Refuse folders that cannot be what they are named as, before anything is generated.

    Raises:
        InvalidRequest: one is missing, or holds something else.
    """
    for given, field, wanted in (
        (rubrics, "--rubrics", EVALUATOR),
        (formula, "--json-formula", "json_formula"),
    ):
        if given is None:
            raise InvalidRequest("is needed too: the evaluators import both", field=field)
        if not Path(given, wanted).exists():
            raise InvalidRequest(f"{wanted} is not in {given}", field=field)


def run(pack: Pack, rubrics: str | None, formula: str | None) -> None:
    """Evaluate, and keep each answer in the pack; without the folders say that nothing was run."""
    if rubrics is None or formula is None:
        pack.omit("rubric results", "not run: give --rubrics and --json-formula")
        return
    pack.say("the programme's rubrics")
    wanted = [(sample, name) for sample in pack.samples for name in _rubrics_for(sample)]
    pairs = [
        (str(Path(rubrics, name).resolve()), str((pack.folder / sample.crjson).resolve())) for sample, name in wanted
    ]
    try:
        answers = _answers(pairs, rubrics, formula)
    except _Failed as failed:
        pack.omit("rubric results", f"the evaluators failed: {failed}")
        return
    for (sample, name), answer in zip(wanted, answers, strict=True):
        pack.rubrics.append(_result(pack, sample, name, answer))
    broken = [r for r in pack.rubrics if r.failed]
    pack.say(f"  {len(pack.rubrics) - len(broken)} of {len(pack.rubrics)} without a failed trait")


def _rubrics_for(sample: Sample) -> Iterator[str]:
    if sample.signer != CONFIGURED or sample.kind not in EXAMINED or not sample.crjson:
        return
    yield CONFORMANCE
    yield INTEGRITY
    if sample.medium == "text":
        yield TEXT
    yield LOCAL_SIGNALS


class _Failed(Exception):
    """The evaluators gave no answer."""


def _answers(pairs: list[tuple[str, str]], rubrics: str, formula: str) -> list[dict[str, Any]]:
    folders = [str(Path(folder).resolve()) for folder in (rubrics, formula)]
    path = os.pathsep.join([*folders, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gensafe.cli.conformance.evaluate"],
            input=json.dumps(pairs),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": path},
        )
        if done.returncode:
            raise _Failed(done.stderr.strip().rsplit("\n", 1)[-1] or f"exit {done.returncode}")
        answers: list[dict[str, Any]] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise _Failed(f"no answer in {TIMEOUT_S:.0f} s") from None
    except ValueError:
        raise _Failed("their answer is not JSON") from None
    return answers


def _result(pack: Pack, sample: Sample, rubric: str, answer: dict[str, Any]) -> RubricResult:
    """Traits that hold, and those that do not. Signals describe a file: none of them is a failure."""
    file = pack.write(f"rubrics/{sample.name}.{Path(rubric).stem}.json", json.dumps(answer, indent=1) + "\n")
    if rubric == LOCAL_SIGNALS:
        return RubricResult(sample.name, rubric, file, len(set(_traits(answer))), (), ())
    others = [found for outcome, found in answer.items() if outcome not in ("rubricName", "rubricVersion", "true")]
    wrong = sorted(set(_traits(others)))
    known = tuple(trait for trait in wrong if (rubric, trait) in KNOWN)
    failed = tuple(trait for trait in wrong if trait not in known)
    return RubricResult(sample.name, rubric, file, len(list(_traits(answer.get("true")))), failed, known)


def _traits(answer: object) -> Iterator[str]:
    """Every trait that is named anywhere in it."""
    if isinstance(answer, dict):
        if isinstance(answer.get("trait"), str):
            yield answer["trait"]
        else:
            for value in answer.values():
                yield from _traits(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from _traits(value)
