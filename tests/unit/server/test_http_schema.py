"""The served OpenAPI description drives a fuzzer (schemathesis) against the served API: answers are as described.

Each operation is called with data that fits its schema and with data that does not. An answer has a described status,
type and shape and is never a server error; what does not fit is refused; methods that are not described are 405.
"""

from dataclasses import replace

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from gensafe.server.http import create_app
from gensafe.server.http.openapi import description

EXAMPLES = 25
OPERATIONS = [(path, method) for path, methods in description()["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def api(deployment):
    """The API over a real registry and log. Parsing stays in this process: the fuzzer is not after the decoders."""
    app = create_app(replace(deployment.context, contained=False), per_minute=0)
    schema = schemathesis.openapi.from_asgi("/softbinding/v1/openapi.json", app)
    refusals = schema.config.checks.negative_data_rejection
    refusals.expected_statuses = [*refusals.expected_statuses, "414"]  # too long is refused as well
    return schema


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_as_described(api, path, method, mode):
    operation = api[path][method]
    takes_data = any((operation.path_parameters, operation.query, operation.body))
    if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
        pytest.skip("any string is a manifest id")
    unasked = [CHECKS.get_one("positive_data_acceptance")] if path == "/matches/byContent" else []  # bytes are no media

    @settings(
        max_examples=EXAMPLES if takes_data else 2,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def exercise(case):
        case.call_and_validate(excluded_checks=unasked)

    exercise()


def test_every_served_route_is_described(api):
    app = api.app
    served = {
        (route.path, method.lower())
        for mount in app.routes
        if getattr(mount, "path", "") == "/softbinding/v1"
        for route in mount.routes
        for method in route.methods - {"HEAD"}
    }
    described = {(path.replace("{manifestId}", "{manifest_id}"), method) for path, method in OPERATIONS}
    assert served - {("/openapi.json", "get")} == described
