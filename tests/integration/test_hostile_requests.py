"""A short run of ``tests.fuzz.requests``: every answer is one that a caller can act on.

Seen on the older code: bytes that are no message were UNKNOWN, an export in an unknown format was INTERNAL.
"""

import grpc

from tests.fuzz.requests import fuzz_grpc, fuzz_http, is_wrong


def test_no_request_is_answered_with_a_fault_of_the_server(start_server, write_config, tmp_path):
    bounds = {"http": "127.0.0.1:0", "http_per_minute": 0, "drain_s": 1}
    server = start_server("--config", str(write_config(tmp_path, server=bounds)))
    with grpc.insecure_channel(server.address) as channel:
        found = list(fuzz_grpc(channel, 150, 1))
    found += list(fuzz_http(server.http, 150, 1))
    assert [f for f in found if is_wrong(f[1])] == []
    assert len({f[1] for f in found}) > 4  # it reached more than one kind of answer
    assert "Traceback" not in server.log
