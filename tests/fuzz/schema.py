"""The HTTP front's own description drives a fuzzer (schemathesis) against a running server.

    python -m tests.fuzz.schema --http http://127.0.0.1:8080 [--count 50] [--seed 1]

Each operation gets ``count`` requests that fit its schema and as many that do not (a tenth where media are made). No
answer may be a server error or have a status that is not described, and what does not fit is refused. Exit 1 otherwise.
The server must use the simulator or be otherwise idle: requests generate.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from gensafe.server.http.openai.description import PATH, description
from gensafe.server.http.openai.guards import LITELLM

MEDIA = ("/v1/images", "/v1/audio", "/v1/videos")
MEDIA_SHARE = 10  # each of these that is accepted makes a real picture, sound or film: seconds
# a request that fits may be refused (no such model, a policy stop); on a server without keys nobody needs one
EXCLUDED = ("positive_data_acceptance", "ignored_auth")


def main() -> int:
    """Fuzz every operation; say which failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--http", required=True)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    api = schemathesis.openapi.from_url(args.http + PATH)
    failed, asked = [], 0
    for path, methods in description()["paths"].items():
        for method in methods:
            operation = api[path][method]
            for mode in GenerationMode:
                if mode is GenerationMode.NEGATIVE and (not operation.body or path == LITELLM):
                    continue  # any string is a name or a number to look for; LiteLLM's guard passes over what is new
                media = mode is GenerationMode.POSITIVE and path.startswith(MEDIA)
                count = max(2, args.count // (MEDIA_SHARE if media else 1))
                try:
                    asked += exercise(operation, mode, count, args.seed)
                except (Exception, BaseExceptionGroup) as error:  # a failed check, or a server that is gone
                    failed.append(f"{method.upper()} {path}")
                    print(f"{method.upper()} {path}, {mode.value}: {error}", flush=True)
    print(f"schema: {asked} requests, {len(failed)} operations failed")
    return 1 if failed else 0


def exercise(operation: Any, mode: GenerationMode, count: int, seed: int) -> int:
    """Send ``count`` requests; returns how many were sent. Raises the first failed check."""
    sent = 0

    @hypothesis.seed(seed)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal sent
        if mode is GenerationMode.NEGATIVE and "Authorization" not in (case.headers or {}):
            return  # that there is no key is all that is wrong with it, and a server without keys needs none
        sent += 1
        case.call_and_validate(
            headers={"Authorization": "Bearer any"},  # described as needed; a server without keys takes any
            excluded_checks=[CHECKS.get_one(name) for name in EXCLUDED],
        )

    ask()
    return sent


if __name__ == "__main__":
    sys.exit(main())
