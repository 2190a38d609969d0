"""ProvenanceService: verify a file sent in pieces; resolve a record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from gensafe.audit import entries
from gensafe.core import errors, ids
from gensafe.core.clock import iso
from gensafe.core.types import Scope, VerificationReport
from gensafe.pipeline import Chain
from gensafe.registry import Record
from gensafe.server import convert
from gensafe.server.identity import caller
from gensafe.server.work import offload
from gensafe.v1 import provenance_pb2 as pb
from gensafe.v1 import provenance_pb2_grpc
from gensafe.verify import VerifyContext, verify_bytes

Context = grpc.aio.ServicerContext[Any, Any]


class ProvenanceServicer(provenance_pb2_grpc.ProvenanceServiceServicer):
    """Answers with everything this deployment knows about a file."""

    def __init__(self, chain: Chain, verify_context: VerifyContext) -> None:
        self._chain = chain
        self._verify_context = verify_context

    async def Verify(self, requests: AsyncIterator[pb.VerifyRequest], context: Context) -> pb.VerifyResponse:
        """Verify one file."""
        limit = self._chain.config.server.max_request_bytes
        options = pb.VerifyOptions()
        data = bytearray()
        async for request in requests:
            if request.HasField("options"):
                options = request.options
            data += request.data
            if len(data) > limit:
                raise errors.MediaLimitExceeded(f"larger than {limit} bytes", field="data", fix="verify it locally")
        report = await offload(
            verify_bytes,
            bytes(data),
            name=options.name,
            context=self._verify_context,
            sidecar=options.sidecar or None,
            scope=caller().scope,
        )
        await offload(self._log, report)
        response = convert.report_to_pb(report)
        if options.crjson:
            response.crjson = report.crjson
        return response

    def _log(self, report: VerificationReport) -> None:
        """Log that somebody asked and what was concluded: not who, not the file."""
        outcomes = {check.name: check.outcome.value for check in report.checks}
        self._chain.log.append(entries.verify_performed(conclusion=report.conclusion.value, checks=outcomes))

    async def Resolve(self, request: pb.ResolveRequest, context: Context) -> pb.ResolveResponse:
        """Find a record of the caller by id, digest or payload."""
        record = await offload(self._find, request, caller().scope)
        manifest = self._chain.registry.get_blob(record.manifest_digest)
        return pb.ResolveResponse(
            record_id=ids.record_id_text(record.record_id),
            modality=convert.MODALITIES[record.modality],
            media_type=record.media_type,
            digest=record.digest,
            manifest_label=record.manifest_label,
            manifest=manifest or b"",
            log_index=record.log_index,
            leaf_hash=record.leaf_hash,
            created=iso(record.created_ms),
        )

    def _find(self, request: pb.ResolveRequest, scope: Scope) -> Record:
        kind = request.WhichOneof("key")
        registry = self._chain.registry
        if kind == "record_id":
            record = registry.by_record_id(ids.parse_record_id(request.record_id))
        elif kind == "digest":
            record = registry.by_digest(request.digest)
        elif kind == "payload_hex":
            record = registry.by_record_id(_payload_record(request.payload_hex))
        else:
            raise errors.InvalidRequest("give record_id, digest or payload_hex", field="key")
        if record is None or not scope.sees(record.tenant):
            raise errors.NotFound("no such record", field=kind)
        return record


def _payload_record(text: str) -> int:
    try:
        return ids.unpack_payload(bytes.fromhex(text))[0]
    except ValueError:
        raise errors.InvalidRequest("a payload is 14 hex digits", field="payload_hex") from None
