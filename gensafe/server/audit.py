"""AuditService: read the log over gRPC. Every answer can be checked offline."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc

from gensafe.audit import entries
from gensafe.audit.disclosure import may_read, name_of
from gensafe.audit.export import export_jsonl
from gensafe.audit.note import NoteKey
from gensafe.core import errors, ids, plugins
from gensafe.core.types import Everything
from gensafe.pipeline import Chain
from gensafe.server.identity import caller
from gensafe.server.work import offload
from gensafe.v1 import audit_pb2 as pb
from gensafe.v1 import audit_pb2_grpc

CHUNK = 256 * 1024  # far below gRPC's 4 MiB a message. A round number, not measured
MAX_PAGE = 1000  # entries of one answer. A round number, not measured
DEFAULT_PAGE = 100  # entries that a person can page through. A round number
Context = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """Serves the log of one chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def Query(self, request: pb.QueryRequest, context: Context) -> pb.QueryResponse:
        """Page through entries."""
        return await offload(self._query, request)

    def _query(self, request: pb.QueryRequest) -> pb.QueryResponse:
        log, scope = self._chain.log, caller().scope
        limit = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        for field, value in (("start_index", request.start_index), ("page_size", limit)):
            if value < 0:
                raise errors.InvalidRequest("must not be negative", field=field)
        start, stop = self._range(getattr(request, "from"), request.to)
        start = max(start, request.start_index)
        found: list[pb.Entry] = []
        for logged in log.entries(start, stop):
            if (request.event and logged.entry["event"] != request.event) or not may_read(scope, logged.entry):
                continue
            if len(found) == limit:
                return pb.QueryResponse(entries=found, next_index=logged.index)
            found.append(pb.Entry(index=logged.index, json=logged.data.decode()))
        return pb.QueryResponse(entries=found)

    def _range(self, since: str, until: str) -> tuple[int, int]:
        log = self._chain.log
        start = log.index_at(_milliseconds(since, "from")) if since else 0
        return start, (log.index_at(_milliseconds(until, "to")) if until else log.size)

    async def Export(self, request: pb.ExportRequest, context: Context) -> AsyncIterator[pb.ExportResponse]:
        """Make an export bundle and stream its files."""
        with tempfile.TemporaryDirectory(prefix="gensafe-export-") as folder:
            directory = Path(folder) / "bundle"
            await offload(self._make_export, request, directory)
            for path in sorted(p for p in directory.rglob("*") if p.is_file()):
                name = path.relative_to(directory).as_posix()
                with path.open("rb") as file:
                    offset = 0
                    while chunk := file.read(CHUNK):
                        yield pb.ExportResponse(file=name, offset=offset, data=chunk)
                        offset += len(chunk)

    def _make_export(self, request: pb.ExportRequest, directory: Path) -> None:
        log, keys, scope = self._chain.log, self._chain.keys, caller().scope
        since = getattr(request, "from")
        wanted = request.format or "jsonl"
        try:
            views = [] if wanted == "jsonl" else [plugins.load("gensafe.exporters", wanted)]
        except errors.PluginError as error:
            raise errors.InvalidRequest(error.message, field="format") from None
        manifest = export_jsonl(
            log,
            directory,
            start_ms=_milliseconds(since, "from") if since else None,
            end_ms=_milliseconds(request.to, "to") if request.to else None,
            scope=scope,
            views=views,
            key=keys.checkpoint_private_key(),
            known_keys=[NoteKey(log.origin, key).vkey for key in keys.checkpoint_public_keys()],
        )
        span = manifest.data["range"]
        log.append(
            entries.export_made(
                start=span["start"],
                stop=span["stop"],
                size=manifest.data["checkpoint"]["size"],
                tenant=name_of(scope),
                formats=["jsonl", wanted],
                manifest_digest=manifest.digest,
            )
        )

    async def GetProof(self, request: pb.GetProofRequest, context: Context) -> pb.GetProofResponse:
        """The offline proof of an entry, by index or by record."""
        return await offload(self._proof, request)

    def _proof(self, request: pb.GetProofRequest) -> pb.GetProofResponse:
        log, scope = self._chain.log, caller().scope
        if request.WhichOneof("key") == "record_id":
            record = self._chain.registry.by_record_id(ids.parse_record_id(request.record_id))
            index = record.log_index if record is not None and scope.sees(record.tenant) else -1
            absent = errors.NotFound("no such record", field="record_id")
        else:
            index = request.index
            absent = errors.NotFound("no such entry", field="index")
        # One answer for "there is none", "it was pruned" and "it is another tenant's": nobody learns which.
        if not 0 <= index < log.size:
            raise absent
        try:
            logged = log.entry(index)
        except errors.LogCorrupt:
            raise
        except errors.AuditError as error:
            raise errors.NotFound(error.message, field="index") if isinstance(scope, Everything) else absent from None
        if not may_read(scope, logged.entry):
            raise absent
        return pb.GetProofResponse(
            index=index,
            leaf_hash=logged.leaf_hash,
            tlog_proof=log.tlog_proof(index).decode(),
            entry_json=logged.data.decode(),
        )

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Context) -> pb.GetCheckpointResponse:
        """The newest checkpoint, with a consistency proof if asked."""
        log = self._chain.log
        try:
            proof = log.consistency(request.old_size) if request.old_size else ()
        except errors.AuditError as error:
            raise errors.InvalidRequest(error.message, field="old_size") from None
        return pb.GetCheckpointResponse(
            checkpoint=log.checkpoint().decode(), consistency_proof=[h.hex() for h in proof], log_key=log.verifier_key
        )


def _milliseconds(text: str, field: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise errors.InvalidRequest(f"{text!r} is no RFC 3339 time", field=field, fix="2026-11-21T00:00:00Z") from None
    if moment.tzinfo is None:
        raise errors.InvalidRequest("needs a time zone", field=field, fix=f"{text}Z")
    return int(moment.timestamp() * 1000)
