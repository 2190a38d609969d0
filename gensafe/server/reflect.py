"""gRPC server reflection: ``grpc.reflection.v1``, and ``v1alpha`` for older tools.

The protocol is one: v1 has the messages of v1alpha under another package name
(https://github.com/grpc/grpc-proto, grpc/reflection), so one servicer answers both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

SERVICE: Final = "grpc.reflection.v1.ServerReflection"


def add_to_server(names: Sequence[str], server: grpc.aio.Server) -> None:
    """Tell what services there are.

    Args:
        names: Full names of the services, without reflection's own.
        server: Not started yet.
    """
    shown = (*names, SERVICE, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(shown, server)
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(shown).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"ServerReflectionInfo": handler}),))
