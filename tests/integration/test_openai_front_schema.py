"""The front's served description drives a fuzzer (schemathesis) against a real server: answers are as described.

Each operation is called with data that fits its schema and with data that does not. No answer is a server error, has a
status that is not described, or lets in a caller without a key; what does not fit is refused. A request that fits may
still be refused (no such model, a prompt that policy stops).
"""

import hashlib

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from gensafe.server.http.openai.description import PATH, description
from gensafe.server.http.openai.routes import TABLE

KEY = "fuzzer"
EXAMPLES = 6
MEDIA = ("/v1/images", "/v1/audio", "/v1/videos")
MEDIA_EXAMPLES = 2  # each that is accepted makes a real picture, sound or film: seconds
OPERATIONS = [(path, method) for path, methods in description()["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def api(tmp_path_factory, write_config, server_process):
    folder = tmp_path_factory.mktemp("fuzzed")
    keys = folder / "keys"
    keys.write_text(f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()} acme\n")
    path = write_config(folder, server={"api_keys": str(keys), "classify_per_minute": 0, "query_per_minute": 0})
    server = server_process(folder / "data", ("--config", str(path), "--http", "127.0.0.1:0")).start()
    yield schemathesis.openapi.from_url(server.http + PATH)
    assert server.stop() == 0, server.log
    assert "unexpected error" not in server.log


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_as_described(api, path, method, mode):
    operation = api[path][method]
    if mode is GenerationMode.NEGATIVE and not operation.body:
        pytest.skip("any string is a name or a number to look for")
    takes_data = any((operation.path_parameters, operation.query, operation.body))

    makes_media = mode is GenerationMode.POSITIVE and path.startswith(MEDIA)

    @settings(
        max_examples=EXAMPLES if takes_data and not makes_media else MEDIA_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def exercise(case):
        case.call_and_validate(
            headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=[CHECKS.get_one("positive_data_acceptance")]
        )

    exercise()


def test_every_route_is_described():
    served = {(path.replace(":path}", "}"), method.lower()) for method, path, _, _ in TABLE}
    assert served == set(OPERATIONS)
