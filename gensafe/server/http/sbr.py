"""C2PA Soft Binding Resolution API 2.4, for the outputs of this deployment.

It answers queries and hands out manifests. It stores nothing for others (storing and deleting are answered with 403,
and ``/services/capabilities`` does not list them), and it fetches nothing (``byReference`` is 403). A receipt is the
log's own proof for the record (C2SP tlog-proof).

Who sees what (docs/adr/0008): a stranger gets the manifest of a file that he shows he has, by its exact bytes or by its
mark on like content, or whose manifest he can name (a name is 122 random bits and stands in the file alone). An id or a
mere likeness shows nothing, so ``byBinding`` and matches by likeness are for the record's tenant, known by its API key.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gensafe.core.errors import AuditError, MediaError, Unauthenticated, UnsupportedMedia
from gensafe.core.ids import unpack_payload
from gensafe.core.softbinding import known, payload_of
from gensafe.core.types import PAYLOAD_BYTES, Everything, Public, Scope
from gensafe.provenance.types import SPEC_VERSION
from gensafe.registry.model import Record
from gensafe.server.http.openapi import MAX_NAME, MAX_VALUE, PREFIX, description
from gensafe.server.work import offload
from gensafe.verify import VerifyContext, resolve_bytes

MANIFEST_TYPE: Final = "application/c2pa"
RECEIPT_ALG: Final = "c2sp.org/tlog-proof@v1"
BY_BINDING: Final = "queryByBinding"
CAPABILITIES: Final = (BY_BINDING, "queryByContent", "fetchManifests", "manifestReceipts")
MAX_QUERY: Final = 2048  # characters: name and value at their longest, percent-encoded in part. A round number
MAX_RESULTS: Final = 100  # matches that one answer lists. A round number, not measured
_SHOWN_TO_HOLDERS: Final = ("exact bytes", "watermark")
_MOVED: Final = ("matches/{rest:path}", "manifests", "manifests/{rest:path}", "bindings", "services/{rest:path}")
_PUBLIC_STEP: Final = 10  # similarity scores for strangers are rounded down to tens

Handler = Callable[[Request], Awaitable[Response]]
Asker = Callable[[Request], Scope]


class _Refused(Exception):
    """An answer other than 200, with the API's error shape."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


def routes(context: VerifyContext, asker: Asker) -> list[Route]:
    """Routes below ``PREFIX``; ``asker`` says what a request's sender may see."""
    service = SoftBindingService(context, asker)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/matches/byBinding", service.by_binding_get),
        ("POST", "/matches/byBinding", service.by_binding_post),
        ("POST", "/matches/byContent", service.by_content),
        ("POST", "/matches/byReference", service.refused("this service fetches nothing; send the content itself")),
        ("POST", "/manifests", service.refused("this service keeps only manifests of its own outputs")),
        ("POST", "/bindings", service.refused("this service keeps only bindings of its own outputs")),
        ("PUT", "/bindings", service.refused("this service keeps only bindings of its own outputs")),
        ("GET", "/manifests/{manifest_id}", service.manifest),
        ("DELETE", "/manifests/{manifest_id}", service.refused("manifests are removed by the operator only")),
        ("GET", "/manifests/{manifest_id}/receipts", service.receipt),
        ("POST", "/manifests/{manifest_id}/receipts", service.check_receipt),
        ("GET", "/services/supportedAlgorithms", service.algorithms),
        ("GET", "/services/capabilities", service.capabilities),
        ("GET", "/services/status", service.status),
        ("GET", "/openapi.json", service.openapi),
    ]
    return [Route(path, _answered(handler), methods=[method]) for method, path, handler in table]


def moved_routes() -> list[Route]:
    """Where this API was up to 0.1, below ``/v1``: 308 to where it is now. To be removed with the next release."""

    async def moved(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        raw = request.scope.get("raw_path") or request.scope["path"].encode()  # as it was written: labels have colons
        path = raw.decode("latin-1").partition("?")[0].removeprefix("/v1")
        return Response(status_code=308, headers={"Location": f"{PREFIX}{path}{query}"})

    every = ["GET", "POST", "PUT", "DELETE"]
    return [Route(f"/v1/{name}", moved, methods=every) for name in _MOVED]


def well_known_route() -> Route:
    """Discovery (RFC 8615)."""

    async def discover(_: Request) -> Response:
        return JSONResponse(
            {
                "apiEndpoint": PREFIX,
                "c2paSpecificationVersion": SPEC_VERSION,
                "capabilitiesEndpoint": f"{PREFIX}/services/capabilities",
                "statusEndpoint": f"{PREFIX}/services/status",
            }
        )

    return Route("/.well-known/c2pa-soft-binding-resolution", discover)


class SoftBindingService:
    """The handlers. Errors leave as ``_Refused``; see ``_answered``."""

    def __init__(self, context: VerifyContext, asker: Asker) -> None:
        self._context = context
        self._asker = asker

    def refused(self, reason: str) -> Handler:
        """A handler for what this deployment does not do."""

        async def handler(_: Request) -> Response:
            raise _Refused(403, reason)

        return handler

    async def by_binding_get(self, request: Request) -> Response:
        """Find manifests by a binding in the query string."""
        if len(request.url.query) > MAX_QUERY:
            raise _Refused(414, "the query is too long; use POST")
        return await self._by_binding(request.query_params.get("alg"), request.query_params.get("value"), request)

    async def by_binding_post(self, request: Request) -> Response:
        """Find manifests by a binding in the body."""
        body = await _json_object(request)
        return await self._by_binding(body.get("alg"), body.get("value"), request)

    async def by_content(self, request: Request) -> Response:
        """Find manifests for an uploaded asset: by its mark and by likeness, never by mark alone.

        By likeness alone a record is found for its tenant only: others could find out with guesses what it holds.
        """
        scope = self._asker(request)
        limit = _max_results(request)
        wanted = request.query_params.get("alg")
        if wanted is not None and known(wanted, self._context.algorithms) is None:
            raise _Refused(400, f"unknown algorithm {wanted!r}"[:200])
        data = await request.body()
        if not data:
            raise _Refused(400, "the body is empty")
        try:
            found = await offload(resolve_bytes, data, context=self._context, limit=MAX_RESULTS)
        except UnsupportedMedia as error:
            raise _Refused(415, error.message) from None
        except MediaError as error:
            raise _Refused(400, error.message) from None
        shown = [item for item in found if item.how in _SHOWN_TO_HOLDERS or scope.sees(item.record.tenant)][:limit]
        matches = [
            {"manifestId": item.record.manifest_label, "similarityScore": _score(item.similarity, scope)}
            for item in shown
        ]
        return JSONResponse({"matches": matches})

    async def manifest(self, request: Request) -> Response:
        """Hand out a manifest store."""
        record = await self._record(request)
        data = None
        if self._context.records is not None:
            data = await offload(self._context.records.get_blob, record.manifest_digest)
        if data is None:
            raise _Refused(404, "no such manifest")
        return Response(data, media_type=MANIFEST_TYPE)

    async def receipt(self, request: Request) -> Response:
        """The log's proof for a manifest."""
        record = await self._record(request)
        log = self._context.log
        if log is None:
            raise _Refused(404, "no log is attached")
        try:
            proof = await offload(log.receipt, record)
        except AuditError as error:
            raise _Refused(404, error.message) from None
        return JSONResponse(_receipt(record, proof, verified=True))

    async def check_receipt(self, request: Request) -> Response:
        """Check a receipt that the caller presents."""
        record = await self._record(request)
        log = self._context.log
        if log is None:
            raise _Refused(404, "no log is attached")
        proof = _proof_of(await _json_object(request))
        try:
            await offload(log.check_receipt, record, proof)
        except AuditError as error:
            return JSONResponse(_receipt(record, proof, verified=False, error=error.message))
        return JSONResponse(_receipt(record, proof, verified=True))

    async def algorithms(self, _: Request) -> Response:
        """What can be resolved."""
        marks = [{"alg": name} for name in self._context.algorithms]
        return JSONResponse({"watermarks": marks, "fingerprints": []})

    async def capabilities(self, request: Request) -> Response:
        """What is served to this asker."""
        offered = [c for c in CAPABILITIES if c != BY_BINDING or not isinstance(self._asker(request), Public)]
        return JSONResponse({"c2paSpecificationVersion": SPEC_VERSION, "supportedCapabilities": offered})

    async def status(self, _: Request) -> Response:
        """Whether it works: without a registry it can answer nothing."""
        state = "ok" if self._context.records is not None else "degraded"
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return JSONResponse({"status": state, "timestamp": now})

    async def openapi(self, _: Request) -> Response:
        """The description of exactly what is served here."""
        return JSONResponse(description(self._context.algorithms))

    # --- inside ---

    async def _by_binding(self, alg: object, value: object, request: Request) -> Response:
        _max_results(request)
        if not isinstance(alg, str) or not isinstance(value, str) or not alg or not value:
            raise _Refused(400, "alg and value are needed")
        if len(alg) > MAX_NAME or len(value) > MAX_VALUE:
            raise _Refused(400, f"alg has at most {MAX_NAME} characters, value {MAX_VALUE}")
        payload = payload_of(value)
        if payload is None:
            raise _Refused(400, "value is neither hexadecimal nor base64")
        if known(alg, self._context.algorithms) is None:
            return JSONResponse({"matches": []})
        if len(payload) != PAYLOAD_BYTES or self._context.records is None:
            return JSONResponse({"matches": []})
        scope = self._asker(request)
        if isinstance(scope, Public):
            raise _Refused(403, "a binding alone does not show that you have the file: send it to byContent, or a key")
        record_id, _ = unpack_payload(payload)
        record = await offload(self._context.records.by_record_id, record_id)
        matches = [{"manifestId": record.manifest_label}] if record is not None and scope.sees(record.tenant) else []
        return JSONResponse({"matches": matches})

    async def _record(self, request: Request) -> Record:
        record = None
        if self._context.records is not None:
            label = request.path_params["manifest_id"]
            record = await offload(self._context.records.by_manifest_label, label)
        if record is None:
            raise _Refused(404, "no such manifest")
        return record


def _score(similarity: float, scope: Scope) -> int:
    score = int(similarity * 100)
    return score if isinstance(scope, Everything) else score - score % _PUBLIC_STEP


def _answered(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except _Refused as refusal:
            return JSONResponse({"error": refusal.error}, refusal.status)
        except Unauthenticated as error:
            return JSONResponse({"error": error.message}, 401, {"WWW-Authenticate": "Bearer"})

    return answer


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, UnicodeDecodeError, RecursionError):
        raise _Refused(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise _Refused(400, "the body is not a JSON object")
    return body


def _max_results(request: Request) -> int:
    text = request.query_params.get("maxResults", "10")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]):
        raise _Refused(400, "maxResults is a number from 1")
    return min(int(text[:9]), MAX_RESULTS)


def _receipt(record: Record, proof: bytes, *, verified: bool, error: str = "") -> dict[str, Any]:
    shape: dict[str, Any] = {
        "@context": {"c2pa": "https://c2pa.org/", "receipt": "https://c2pa.org/receipt/"},
        "@type": "org.c2pa.manifest-receipt",
        "repository": {"uri": PREFIX, "manifestId": record.manifest_label},
        "anchor": {
            "uri": f"urn:gensafe:log:{record.log_index}",
            "proof": {"alg": RECEIPT_ALG, "value": base64.b64encode(proof).decode()},
        },
        "verified": verified,
    }
    return shape | ({"error": error} if error else {})


def _proof_of(body: dict[str, Any]) -> bytes:
    try:
        proof = body["anchor"]["proof"]
        if proof["alg"] != RECEIPT_ALG:
            raise _Refused(400, f"the proof's alg must be {RECEIPT_ALG}")
        return base64.b64decode(proof["value"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise _Refused(400, "not a receipt") from None
