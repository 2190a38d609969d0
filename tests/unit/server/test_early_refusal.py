"""A call without a right credential is refused before its body is read, whatever its shape."""

import asyncio
import hashlib

import grpc
import pytest

from gensafe.core.config import ServerConfig
from gensafe.server.access import AccessInterceptor
from gensafe.server.api_keys import ApiKeys

SERVICE = "gensafe.v1.GenerationService"
BODY = bytes(1 << 20)
SHAPES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def code_of(port: int, shape: str, key: str | None) -> grpc.StatusCode:
    metadata = (("authorization", f"Bearer {key}"),) if key is not None else ()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = getattr(channel, shape)(f"/{SERVICE}/{shape}")
        try:
            answer = call(BODY if shape.startswith("unary") else iter([BODY] * 3), metadata=metadata, timeout=60)
            if shape.endswith("stream"):
                list(answer)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("shape", SHAPES)
def test_a_body_is_not_read_before_its_sender_is_known(shape, tmp_path):
    """Before: a unary call's body, up to max_request_bytes, was received and decoded before the access check."""
    keys = tmp_path / "keys"
    lines = [f"sha256:{hashlib.sha256(key.encode()).hexdigest()} {who}" for key, who in (("k", "a"), ("v", "b verify"))]
    keys.write_text("\n".join(lines) + "\n")
    read: list[int] = []

    def decode(data: bytes) -> bytes:
        read.append(len(data))
        return data

    async def unary(request, context):
        if shape.startswith("stream"):
            async for _ in request:
                pass
        return b"done"

    async def stream(request, context):
        yield await unary(request, context)

    async def run() -> dict[str | None, tuple[grpc.StatusCode, int]]:
        config = ServerConfig(api_keys=str(keys))
        server = grpc.aio.server(interceptors=(AccessInterceptor(config, ApiKeys(keys)),))
        make = getattr(grpc, f"{shape}_rpc_method_handler")
        method = make(unary if shape.endswith("unary") else stream, decode, lambda answer: answer)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {shape: method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        found = {}
        for key in (None, "wrong", "v", "k"):
            read.clear()
            found[key] = await asyncio.to_thread(code_of, port, shape, key), len(read)
        await server.stop(None)
        return found

    found = asyncio.run(run())
    assert found.pop("k")[1] >= 1
    codes = grpc.StatusCode
    refused = {None: codes.UNAUTHENTICATED, "wrong": codes.UNAUTHENTICATED, "v": codes.PERMISSION_DENIED}
    assert found == {key: (code, 0) for key, code in refused.items()}
