"""Runs in a process of its own: the programme's evaluators over crJSON files.

Standard input: a JSON list of [rubric file, crJSON file] pairs. Standard output: a list of the evaluators' answers, in
that order. The evaluators' folder and that of json-formula are on PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any, Final

SIGNALS: Final = "asset-rubric-signals"


def main() -> None:
    """Evaluate every pair; what the evaluators print goes nowhere."""
    answers: list[Any] = []
    with contextlib.redirect_stdout(None):
        conformance: Any = importlib.import_module("c2pa_conformance_rubric_evaluator")
        signals: Any = importlib.import_module("c2pa_signals_rubric_evaluator")
        for rubric, crjson in json.load(sys.stdin):
            data = json.loads(Path(crjson).read_text("utf-8"))
            if Path(rubric).name.startswith(SIGNALS):
                answers.append(signals.evaluate_asset(rubric, data_dict=data))
            else:
                answers.append(conformance.evaluate_asset_against_rubric(rubric, data_dict=data))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
