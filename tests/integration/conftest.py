"""Servers with the simulator backend, for tests of the wire and of faults."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx
import pytest


@pytest.fixture(scope="session")
def write_config() -> Callable[..., Path]:
    """Write a configuration: write_config(folder, server={...}, options={...})."""

    def write(
        folder: Path, *, server: dict | None = None, options: dict | None = None, backend: str = "simulator"
    ) -> Path:
        lines = ["[generation]", f'backend = "{backend}"', "[generation.options]"]
        lines += [f"{k} = {json.dumps(v)}" for k, v in (options or {}).items()]
        lines += ["[server]", *(f"{k} = {json.dumps(v)}" for k, v in (server or {}).items())]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "config.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory, write_config, server_process) -> Iterator:
    """One server with the simulator for all tests that only talk to it."""
    folder = tmp_path_factory.mktemp("simulated")
    running = server_process(folder / "data", ("--config", str(write_config(folder))))
    running.start()
    yield running
    assert running.stop() == 0, running.log


class ConnectError(grpc.RpcError):
    """What a gRPC stub raises, from the error object of the Connect protocol."""

    def __init__(self, error: dict) -> None:
        super().__init__(error.get("message", ""))
        self.error = error

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode[self.error["code"].upper().replace("CANCELED", "CANCELLED")]

    def details(self) -> str:
        return self.error.get("message", "")


class ConnectChannel:
    """Stands in for a gRPC channel, so that the generated stubs speak Connect: ``Stub(ConnectChannel(url))``."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)

    def close(self) -> None:
        self._http.close()

    def unary_unary(self, path, request_serializer, response_deserializer, **_):
        def call(request, metadata=(), timeout=None):
            answer = self._post(path, "application/", request_serializer(request), metadata, timeout)
            if answer.status_code != 200:
                raise ConnectError(answer.json())
            assert answer.headers["content-type"] == "application/proto"
            return response_deserializer(answer.content)

        return call

    def unary_stream(self, path, request_serializer, response_deserializer, **_):
        def call(request, metadata=(), timeout=None):
            body = request_serializer(request)
            enveloped = struct.pack(">BI", 0, len(body)) + body
            answer = self._post(path, "application/connect+", enveloped, metadata, timeout)
            assert answer.status_code == 200, answer.text
            data, at = answer.content, 0
            while at < len(data):
                flags, size = struct.unpack(">BI", data[at : at + 5])
                message, at = data[at + 5 : at + 5 + size], at + 5 + size
                if flags & 2:
                    assert at == len(data)
                    if error := json.loads(message).get("error"):
                        raise ConnectError(error)
                    return
                yield response_deserializer(message)
            raise AssertionError("the stream has no end")

        return call

    def stream_unary(self, path, request_serializer, response_deserializer, **options):
        """Not spoken by Connect here; sent as a call that the server refuses."""
        several = self.unary_stream(path, request_serializer, response_deserializer, **options)
        return lambda requests, **rest: list(several(next(iter(requests)), **rest))

    stream_stream = stream_unary

    def _post(self, path, kind, body, metadata, timeout):
        headers = {"content-type": kind + "proto", **dict(metadata)}
        if timeout is not None:
            headers["connect-timeout-ms"] = str(int(timeout * 1000))
        return self._http.post(path, content=body, headers=headers)


@pytest.fixture(scope="session")
def connect_channel() -> type[ConnectChannel]:
    """The class."""
    return ConnectChannel
