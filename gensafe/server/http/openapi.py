"""OpenAPI 3.0 description of the Soft Binding Resolution API as it is served here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gensafe.provenance.types import SPEC_VERSION

Schema = dict[str, Any]

PREFIX: Final = "/softbinding/v1"
MAX_NAME: Final = 200  # characters of an algorithm's name. A round number, not measured
MAX_VALUE: Final = 1024  # characters of base64. A round number, not measured
_STRING: Final[Schema] = {"type": "string"}
_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}  # at least one character
_BASE64: Final[Schema] = {
    "type": "string",
    "pattern": "^([A-Za-z0-9+/]{4}){1,255}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
# similarityScore is 0 to 100: C2PA Soft Binding Resolution API
_MATCHES: Final[Schema] = {
    "type": "object",
    "required": ["matches"],
    "properties": {
        "matches": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["manifestId"],
                "properties": {
                    "manifestId": _STRING,
                    "similarityScore": {"type": "integer", "minimum": 0, "maximum": 100},
                },
            },
        }
    },
}
_RECEIPT: Final[Schema] = {
    "type": "object",
    "required": ["anchor"],
    "properties": {
        "@context": {"type": "object"},
        "@type": _STRING,
        "repository": {"type": "object", "properties": {"uri": _STRING, "manifestId": _STRING}},
        "anchor": {
            "type": "object",
            "required": ["proof"],
            "properties": {
                "uri": _STRING,
                "proof": {
                    "type": "object",
                    "required": ["alg", "value"],
                    "properties": {"alg": _STRING, "value": _STRING},
                },
            },
        },
        "verified": {"type": "boolean"},
        "error": _STRING,
    },
}
_ERROR: Final[Schema] = {"type": "object", "required": ["error"], "properties": {"error": _STRING}}
_VERSION: Final[Schema] = {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"}


def description(algorithms: Sequence[str] = ()) -> Schema:
    """The document that ``PREFIX/openapi.json`` answers with, for a deployment that searches these watermarks."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "C2PA Soft Binding Resolution API",
            "version": SPEC_VERSION,
            "description": "Finds the manifests of this deployment's own outputs. Nothing is stored for others, "
            "nothing is fetched. Whoever has a file gets its manifest; finding records by a binding or by likeness "
            "alone needs an API key of their tenant.",
        },
        "servers": [{"url": PREFIX}],
        "paths": {
            "/matches/byBinding": {
                "get": _operation(
                    "getMatchesByBinding",
                    _MATCHES,
                    (400, 401, 403, 414),
                    [_query("alg", _NAME, True), _query("value", _BASE64, True), _max_results()],
                ),
                "post": _operation(
                    "postMatchesByBinding",
                    _MATCHES,
                    (400, 401, 403, 413),
                    [_max_results()],
                    _body("application/json", _object({"alg": _NAME, "value": _BASE64})),
                ),
            },
            "/matches/byContent": {
                "post": _operation(
                    "getMatchesByContent",
                    _MATCHES,
                    (400, 401, 413, 415),
                    [_query("alg", _one_of(algorithms)), _query("hintAlg"), _query("hintValue"), _max_results()],
                    _body("*/*", {"type": "string", "format": "binary"}),
                )
            },
            "/matches/byReference": {"post": _operation("getMatchesByReference", None, (403,))},
            "/manifests": {"post": _operation("postManifest", None, (403,))},
            "/bindings": {
                "post": _operation("createBinding", None, (403,)),
                "put": _operation("updateBinding", None, (403,)),
            },
            "/manifests/{manifestId}": {
                "get": _operation(
                    "getManifest", {"type": "string", "format": "binary"}, (404,), [_path()], answer="application/c2pa"
                ),
                "delete": _operation("deleteManifest", None, (403,), [_path()]),
            },
            "/manifests/{manifestId}/receipts": {
                "get": _operation("getManifestReceipt", _RECEIPT, (404,), [_path()]),
                "post": _operation(
                    "verifyManifestReceipt", _RECEIPT, (400, 404, 413), [_path()], _body("application/json", _RECEIPT)
                ),
            },
            "/services/supportedAlgorithms": {
                "get": _operation(
                    "getSupportedAlgorithms", _object({"watermarks": _algorithms(), "fingerprints": _algorithms()})
                )
            },
            "/services/capabilities": {
                "get": _operation(
                    "getServiceCapabilities",
                    _object(
                        {
                            "c2paSpecificationVersion": _VERSION,
                            "supportedCapabilities": {"type": "array", "items": _STRING},
                        }
                    ),
                    (401,),
                )
            },
            "/services/status": {
                "get": _operation(
                    "getServiceStatus",
                    _object(
                        {
                            "status": {"type": "string", "enum": ["ok", "degraded", "down"]},
                            "timestamp": {"type": "string", "format": "date-time"},
                        }
                    ),
                )
            },
        },
    }


def _operation(
    name: str,
    schema: Schema | None,
    errors: tuple[int, ...] = (),
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    *,
    answer: str = "application/json",
) -> Schema:
    responses: dict[str, Schema] = {}
    if schema is not None:
        responses["200"] = {"description": "ok", "content": {answer: {"schema": schema}}}
    limited = (*errors, 429) if name.startswith(("get", "post", "create", "update", "delete", "verify")) else errors
    for status in (*limited, 500):
        content = {"application/json": {"schema": _ERROR}}
        responses[str(status)] = {"description": _REASONS[status], "content": content}
    operation: Schema = {"operationId": name, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


# status codes: RFC 9110, RFC 6585 (429)
_REASONS: Final = {
    400: "invalid request",
    401: "the key is not known",
    403: "not offered by this deployment, or not to this asker",
    404: "not found",
    413: "body too large",
    414: "query too long",
    415: "asset type not handled",
    429: "too many requests",
    500: "internal error",
}


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _algorithms() -> Schema:
    return {"type": "array", "items": _object({"alg": _STRING})}


def _body(kind: str, schema: Schema) -> Schema:
    return {"required": True, "content": {kind: {"schema": schema}}}


def _query(name: str, schema: Schema | None = None, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "schema": schema or _STRING}


def _one_of(names: Sequence[str]) -> Schema:
    return {"type": "string", "enum": list(names)} if names else _STRING


def _max_results() -> Schema:
    schema = {"type": "integer", "minimum": 1, "default": 10}
    return {"name": "maxResults", "in": "query", "required": False, "schema": schema}


def _path() -> Schema:
    return {"name": "manifestId", "in": "path", "required": True, "schema": _STRING}
