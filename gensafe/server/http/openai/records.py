"""``/gensafe/v1``: what became of a request, and the record, manifest, proof and file of an output, for its tenant."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import JSONResponse, Response

from gensafe.core import ids
from gensafe.core.clock import iso
from gensafe.core.errors import NotFound
from gensafe.core.types import RequestKey
from gensafe.pipeline.replay import load_output
from gensafe.registry import IntentState, Record
from gensafe.server.http.openai.front import Call
from gensafe.server.http.openai.provenance import RECORDS
from gensafe.server.work import offload

_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\Z")


async def get_record(call: Call) -> Response:
    """What the registry knows of an output."""
    record = await _record(call)
    record_id = ids.record_id_text(record.record_id)
    return JSONResponse(
        {
            "object": "gensafe.record",
            "record_id": record_id,
            "request_id": record.request_id,
            "modality": record.modality.value,
            "media_type": record.media_type,
            "digest": record.digest,
            "manifest": {"label": record.manifest_label, "digest": record.manifest_digest},
            "mark": {"scheme": record.watermark_scheme},
            "log": {
                "origin": call.front.chain.log.origin,
                "index": record.log_index,
                "leaf_hash": record.leaf_hash,
            },
            "created": iso(record.created_ms),
            **{f"{part}_url": f"{RECORDS}/{record_id}/{part}" for part in ("file", "manifest", "proof")},
        }
    )


async def get_manifest(call: Call) -> Response:
    """The C2PA manifest store, which is also in the file where its format can carry one."""
    record = await _record(call)
    data = await offload(call.front.chain.registry.get_blob, record.manifest_digest)
    if data is None:
        raise NotFound("the manifest is not kept any longer", field="record_id")
    return Response(data, media_type="application/c2pa", headers={"ETag": f'"{record.manifest_digest}"'})


async def get_proof(call: Call) -> Response:
    """The log's proof (C2SP tlog-proof) that the output is in it."""
    record = await _record(call)
    proof = await offload(call.front.chain.log.tlog_proof, record.log_index)
    return Response(proof, media_type="text/plain; charset=utf-8")


async def get_file(call: Call) -> Response:
    """The signed file, byte for byte, whole or in part (RFC 9110, 14)."""
    record = await _record(call)
    record, data = await offload(load_output, call.front.chain, record.record_id, call.identity.tenant)
    return file_response(call, data, record.media_type, record.digest)


def file_response(call: Call, data: bytes, media_type: str, digest: str) -> Response:
    """A file with its digest as ETag: 200, 206, 304 or 416.

    One range is served; several, or one in another unit, get the whole file, as RFC 9110, 14.2 allows.
    """
    asked = call.request.headers
    tag = f'"{digest}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "X-GenSafe-Digest": digest, "Cache-Control": "private, no-cache"}
    if "if-match" in asked and not _names(asked["if-match"], tag):
        return Response(status_code=412, headers=headers)
    if "if-none-match" in asked and _names(asked["if-none-match"], tag):
        return Response(status_code=304, headers=headers)
    found = _RANGE.match(asked.get("range", "").replace(" ", ""))
    if found is None or asked.get("if-range", tag) != tag:
        return Response(data, media_type=media_type, headers=headers)
    size = len(data)
    if found[3] is not None:  # the last N bytes
        begin, end = max(0, size - int(found[3])), size - 1
    else:
        begin, end = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if found[2] and int(found[2]) < int(found[1]):  # not a valid range: ignored
        return Response(data, media_type=media_type, headers=headers)
    if begin > end:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {begin}-{end}/{size}"
    return Response(data[begin : end + 1], 206, headers, media_type)


async def get_request(call: Call) -> Response:
    """How a request stands or ended; for outputs that wait for a person, and after a broken connection."""
    chain = call.front.chain
    request_id = ids.check_request_id(call.request.path_params["request_id"])
    key = RequestKey(call.identity.tenant, request_id)
    await offload(chain.ledger.settle, key)
    intent = await offload(chain.registry.intent, key)
    if intent is None:
        raise NotFound(f"no request {request_id}", field="request_id")
    state = "running" if intent.state is IntentState.OPEN else intent.state.value
    answer: dict[str, object] = {"object": "gensafe.request", "request_id": request_id, "state": state}
    record_id = ids.record_id_text(intent.record_id)
    if intent.state is IntentState.RELEASED:
        answer |= {"record_id": record_id, "record_url": f"{RECORDS}/{record_id}"}
    if intent.state is IntentState.HELD:
        held = await offload(chain.registry.reviews.of_request, key)
        answer |= {"review_id": held.review_id} if held else {}
    if intent.final_index >= 0:
        answer["log_index"] = intent.final_index
    return JSONResponse(answer)


async def _record(call: Call) -> Record:
    record_id = ids.parse_record_id(call.request.path_params["record_id"])
    record = await offload(call.front.chain.registry.by_record_id, record_id)
    if record is None or not call.identity.scope.sees(record.tenant):
        raise NotFound(f"no record {ids.record_id_text(record_id)}", field="record_id")
    return record


def _names(header: str, tag: str) -> bool:
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in header.split(","))
