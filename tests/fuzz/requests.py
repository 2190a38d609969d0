"""Hostile requests against a running server: random field values over gRPC, random requests over HTTP.

    python -m tests.fuzz.requests --grpc 127.0.0.1:50051 [--http http://127.0.0.1:8080] [--count 500] [--seed 1]

Every answer must be one that a caller can act on: never UNKNOWN or INTERNAL over gRPC, never 500 over HTTP. Exit 1 and
the offending request otherwise. The server must use the simulator or be otherwise idle: requests may generate.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gensafe.v1 import audit_pb2, generation_pb2, provenance_pb2, safety_pb2

# method -> (request class, request is a stream)
METHODS: dict[str, tuple[type[Message], bool]] = {
    "GenerationService/Generate": (generation_pb2.GenerateRequest, False),
    "GenerationService/StartGeneration": (generation_pb2.StartGenerationRequest, False),
    "GenerationService/GetGeneration": (generation_pb2.GetGenerationRequest, False),
    "GenerationService/WaitGeneration": (generation_pb2.WaitGenerationRequest, False),
    "GenerationService/ListGenerations": (generation_pb2.ListGenerationsRequest, False),
    "GenerationService/CancelGeneration": (generation_pb2.CancelGenerationRequest, False),
    "GenerationService/FetchOutput": (generation_pb2.FetchOutputRequest, False),
    "GenerationService/ListModels": (generation_pb2.ListModelsRequest, False),
    "SafetyService/Classify": (safety_pb2.ClassifyRequest, False),
    "SafetyService/ClassifyStream": (safety_pb2.ClassifyStreamRequest, True),
    "ProvenanceService/Verify": (provenance_pb2.VerifyRequest, True),
    "ProvenanceService/Resolve": (provenance_pb2.ResolveRequest, False),
    "AuditService/Query": (audit_pb2.QueryRequest, False),
    "AuditService/Export": (audit_pb2.ExportRequest, False),
    "AuditService/GetProof": (audit_pb2.GetProofRequest, False),
    "AuditService/GetCheckpoint": (audit_pb2.GetCheckpointRequest, False),
}
TEXTS = (
    "",
    "x",
    "a garden",
    "\0",
    "\u202e",
    "\ufeff",
    "‮" * 50,
    "é" * 300,
    "../../etc/passwd",
    "%s%n",
    "'; --",
    "image/png",
    "image/png; x=\r\n",
    "text/plain",
    "video/mp4",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999+23:59",
    "0001-01-01T00:00:00+23:59",
    "sha256:" + "0" * 64,
    "0" * 13,
    "f" * 14,
    "z" * 13,
    "00000000-0000-4000-8000-000000000000",
    "jsonl",
    "csv",
    "no-such",
    "eu",
    "-1",
    "9" * 400,
)
NUMBERS = (0, 1, -1, 2, 7, 100, 2**31 - 1, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63), 2**64 - 1)
BYTES = (
    b"",
    b"\0",
    b"x" * 5000,
    b"\x89PNG\r\n\x1a\n" + b"\xff" * 40,
    b"RIFF\xff\xff\xff\xffWAVEfmt ",
    b"\xff\xd8\xff\xe0",
    b"\xff" * 64,
)
BAD = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)
PATHS = (
    "/",
    "/verify",
    "/classify",
    "/healthz",
    "/readyz",
    "/static/verify.css",
    "/static/%2e%2e%2fapp.py",
    "/softbinding/v1/matches/byBinding",
    "/softbinding/v1/matches/byContent",
    "/softbinding/v1/matches/byReference",
    "/softbinding/v1/manifests",
    "/softbinding/v1/manifests/x",
    "/softbinding/v1/manifests/x/receipts",
    "/softbinding/v1/services/status",
    "/v1/models",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/nothing",
    "/.well-known/c2pa-soft-binding-resolution",
    "/%00",
    "/" + "a" * 3000,
)
HEADERS = (
    {},
    {"accept": "application/json"},
    {"authorization": b"Basic \xff"},
    {"authorization": b"Bearer \xff\xfe"},
    {"authorization": "Basic ="},
    {"content-type": "multipart/form-data"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "application/json"},
    {"content-type": b"\xff"},
    {"x-file-name": b"\xff\xfe"},
    {"x-forwarded-for": "::"},
    {"range": "bytes=-1"},
    {"content-encoding": "gzip"},
)
BODIES = (
    b"",
    b"{}",
    b"[1]",
    b"[" * 5000,
    b"null",
    b'{"alg":1}',
    b'{"alg":"x","value":"\xff"}',
    b'{"messages":[{"role":"user","content":null}]}',
    b'--x\r\nContent-Disposition: form-data; name=file; filename="\xff"\r\n\r\nabc\r\n--x--\r\n',
    b'{"a":1e999}',
    b'"\\ud800"',
    *BYTES,
)


def random_message(kind: type[Message], random_: random.Random, depth: int = 0) -> Message:
    """A message of ``kind`` with about half of its fields set to hostile values."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if random_.random() < 0.5 or depth > 3:
            continue
        repeated = field.is_repeated
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(message, field.name)[random_.choice(TEXTS)] = random_.choice(TEXTS)
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for _ in range(random_.choice((0, 1, 2, 70)) if repeated else 1):
                target = getattr(message, field.name)
                place = target.add() if repeated else target
                place.CopyFrom(random_message(type(place), random_, depth + 1))
            continue
        try:
            if repeated:
                getattr(message, field.name).extend([_value(field, random_)])
            else:
                setattr(message, field.name, _value(field, random_))
        except (ValueError, TypeError):  # out of this field's range
            pass
    return message


def _value(field: Any, random_: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return random_.choice(TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random_.choice(BYTES)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random_.random() < 0.5
    return random_.choice(NUMBERS if field.type != FieldDescriptor.TYPE_ENUM else (0, 1, 2, 3, 4, 99, -1))


def fuzz_grpc(channel: grpc.Channel, count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """(method, code, what was sent); code "OK" or the name of a status; one answer each."""
    random_ = random.Random(seed)
    for _ in range(count):
        method = random_.choice(list(METHODS))
        kind, streams = METHODS[method]
        sent = [
            random_message(kind, random_).SerializeToString() for _ in range(random_.randrange(4) if streams else 1)
        ]
        if random_.random() < 0.1:  # not a message at all, or cut short
            sent = [random_.randbytes(random_.randrange(30)) for _ in sent]
        name = f"/gensafe.v1.{method}"
        try:
            if streams:
                list(channel.stream_stream(name)(iter(sent), timeout=60))
            else:
                list(channel.unary_stream(name)(sent[0], timeout=60))
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
            if error.code() in BAD:
                code += f" {error.details()}"
        yield method, code, repr(sent)[:600]


def fuzz_http(base: str, count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """(path, status, what was sent)."""
    random_ = random.Random(seed)
    with httpx.Client(base_url=base, timeout=60) as client:
        for _ in range(count):
            path, headers, body = random_.choice(PATHS), random_.choice(HEADERS), random_.choice(BODIES)
            method = random_.choice(("GET", "POST", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"))
            query = random_.choice(("", "?alg=x&value=AAAA", "?maxResults=-1", "?alg=%ff", "?" + "q=" * 3000))
            status = str(client.request(method, path + query, headers=headers, content=body).status_code)
            yield f"{method} {path[:60]}", status, f"{query[:60]} {headers} {body[:80]!r}"


def main() -> int:
    """Run it; 1 if an answer was one that no caller can act on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grpc", required=True, metavar="HOST:PORT")
    parser.add_argument("--http", metavar="URL")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with grpc.insecure_channel(args.grpc) as channel:
        found = list(fuzz_grpc(channel, args.count, args.seed))
    found += list(fuzz_http(args.http, args.count, args.seed)) if args.http else []
    wrong = [f for f in found if is_wrong(f[1])]
    for code, number in sorted(Counter(f[1].split()[0] for f in found).items()):
        print(f"{number:6} {code}")
    for method, code, sent in wrong:
        print(f"WRONG {method}: {code}\n   {sent}")
    return 1 if wrong else 0


def is_wrong(code: str) -> bool:
    """Whether an answer is one that no caller can act on."""
    return code.startswith(("UNKNOWN", "INTERNAL", "500"))


if __name__ == "__main__":
    sys.exit(main())
