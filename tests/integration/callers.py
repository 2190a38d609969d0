"""One call on every front with a bearer value, for tests of who may call."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import grpc
import httpx

from gensafe.extproc.v3 import ext_proc_pb2
from gensafe.v1 import generation_pb2, generation_pb2_grpc


def grpc_models(address: str, key: str) -> str:
    """OK, or code and message of ListModels."""
    with grpc.insecure_channel(address) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        metadata = (("authorization", f"Bearer {key}"),)
        try:
            stub.ListModels(generation_pb2.ListModelsRequest(), metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()}"
    return "OK"


def envoy(address: str, key: str) -> str:
    """One exchange of the external processing filter."""
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(
            "/envoy.service.ext_proc.v3.ExternalProcessor/Process",
            request_serializer=ext_proc_pb2.ProcessingRequest.SerializeToString,
            response_deserializer=ext_proc_pb2.ProcessingResponse.FromString,
        )
        headers = ext_proc_pb2.ProcessingRequest(request_headers=ext_proc_pb2.HttpHeaders(end_of_stream=True))
        try:
            list(call(iter([headers]), metadata=(("authorization", f"Bearer {key}"),), timeout=30))
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


def fronts(address: str, http: str, key: str) -> dict[str, str]:
    """What each front says to a key or token: a code of gRPC."""
    bearer = {"authorization": f"Bearer {key}"}
    guard = {"x-api-key": key}
    known = httpx.get(f"{http}/softbinding/v1/services/supportedAlgorithms", timeout=60).json()["watermarks"]
    binding = {"alg": known[0]["alg"], "value": base64.b64encode(bytes(7)).decode()}
    asked = {"input_type": "request", "texts": ["x"]}
    routes = {
        "openai": ("GET", "/v1/models", bearer, {}),
        "guard": ("POST", "/beta/litellm_basic_guardrail_api", guard, {"json": asked}),
        "binding": ("GET", "/softbinding/v1/matches/byBinding", bearer, {"params": binding}),
        "verify": ("POST", "/verify", bearer, {"content": b"x"}),
    }
    found = {"grpc": grpc_models(address, key).partition(" ")[0], "envoy": envoy(address, key)}
    for name, (method, path, headers, options) in routes.items():
        answer = httpx.request(method, http + path, timeout=60, **{**options, "headers": headers})
        found[name] = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(answer.status_code, "OK")
    return found


def eventually(what: Callable[[], bool]) -> None:
    """Wait for what a server does at its next look."""
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "not within a minute"
        time.sleep(0.1)


def all_of(answers: dict[str, str], value: str) -> bool:
    """Whether every front said ``value``."""
    return set(answers.values()) == {value}
