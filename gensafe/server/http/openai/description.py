"""OpenAPI 3.0 description of the front as it is served here; a fuzzer drives the front with it on every test run."""

from __future__ import annotations

from typing import Any, Final

from gensafe.core.ids import MAX_SUBJECT
from gensafe.server.http.openai.fields import MAX_NUMBER
from gensafe.server.http.openai.moderations import MAX_ITEMS
from gensafe.server.http.openai.wishes import MAX_TOKENS

Schema = dict[str, Any]

PATH: Final = "/gensafe/v1/openapi.json"


def _nullable(schema: Schema) -> Schema:
    return schema | {"nullable": True} | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


_TEXT: Final[Schema] = {"type": "string"}
_OPTIONAL: Final = _nullable(_TEXT)
_NUMBER: Final = _nullable({"type": "number"})
_FLAG: Final = _nullable({"type": "boolean"})
_WHOLE: Final = _nullable({"type": "integer", "minimum": 0, "maximum": MAX_NUMBER})  # a seed is not negative
_BUDGET: Final = _nullable({"type": "integer", "minimum": 1, "maximum": MAX_TOKENS})  # at least one token
_ONE: Final = _nullable({"type": "integer", "enum": [1]})  # one output a request
_SIZE: Final = _nullable({"type": "string", "pattern": "^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"})


def _object(required: tuple[str, ...] = (), **members: Schema) -> Schema:
    shape: Schema = {"type": "object", "properties": members, "additionalProperties": False}
    return shape | ({"required": list(required)} if required else {})


def _list(items: Schema, **more: int) -> Schema:
    return {"type": "array", "items": items, **more}


_LABELS: Final = _nullable(_object(visible_label=_FLAG, label_profile=_OPTIONAL))
# an empty list says nothing
_PARTS: Final = _list(_object(("type", "text"), type={"type": "string", "enum": ["text"]}, text=_TEXT), minItems=1)
# at least one message
_MESSAGES: Final = _list(
    _object(
        ("role", "content"),
        role={"type": "string", "enum": ["system", "developer", "user", "assistant"]},
        content={"oneOf": [_TEXT, _PARTS]},
    ),
    minItems=1,
)
_TEXTS: Final = _nullable({"oneOf": [_TEXT, _list(_TEXT)]})
_WHO: Final = {n: _nullable({"type": "string", "maxLength": MAX_SUBJECT}) for n in ("user", "safety_identifier")}
_SAMPLING: Final = {
    **{n: _NUMBER for n in ("temperature", "top_p", "min_p", "presence_penalty")},
    **{n: _NUMBER for n in ("frequency_penalty", "repetition_penalty")},
    "top_k": _WHOLE,
    "seed": _WHOLE,
    "stop": _TEXTS,
    "model": _OPTIONAL,
    "stream": _FLAG,
    **_WHO,
    "gensafe": _LABELS,
}
_CHAT: Final = _object(
    ("messages",), messages=_MESSAGES, n=_ONE, max_tokens=_BUDGET, max_completion_tokens=_BUDGET, **_SAMPLING
)
_COMPLETION: Final = _object(("prompt",), prompt=_TEXT, n=_ONE, max_tokens=_BUDGET, **_SAMPLING)
_RESPONSE: Final = _object(
    ("input",),
    input={"oneOf": [_TEXT, _MESSAGES]},
    instructions=_OPTIONAL,
    max_output_tokens=_BUDGET,
    **_SAMPLING,
)
# an empty prompt asks for nothing
_PICTURE: Final = {
    "prompt": {"type": "string", "minLength": 1},
    "model": _OPTIONAL,
    "n": _ONE,
    "size": _SIZE,
    "seed": _WHOLE,
    "response_format": _nullable({"type": "string", "enum": ["b64_json", "url"]}),
    "output_format": _nullable({"type": "string", "enum": ["png", "jpeg", "webp"]}),
    "negative_prompt": _OPTIONAL,
    "num_inference_steps": _WHOLE,
    "guidance_scale": _NUMBER,
    **_WHO,
    "gensafe": _LABELS,
}
_IMAGE: Final = _object(("prompt",), **_PICTURE)
# at least one image to change
_EDIT: Final = _object(
    ("prompt", "images"), images=_list(_object(("image_url",), image_url=_TEXT), minItems=1), **_PICTURE
)
# OpenAI's bounds of this call
_SPEECH: Final = _object(
    ("input",),
    input={"type": "string", "minLength": 1},
    model=_OPTIONAL,
    voice=_OPTIONAL,
    language=_OPTIONAL,
    speed=_NUMBER,
    seed=_WHOLE,
    response_format=_nullable({"type": "string", "enum": ["mp3", "opus", "flac", "wav"]}),
    gensafe=_LABELS,
    **_WHO,
)
# an empty prompt asks for nothing
_VIDEO: Final = _object(
    ("prompt",),
    prompt={"type": "string", "minLength": 1},
    model=_OPTIONAL,
    size=_SIZE,
    seconds=_NUMBER,
    fps=_NUMBER,
    seed=_WHOLE,
    negative_prompt=_OPTIONAL,
    num_inference_steps=_WHOLE,
    guidance_scale=_NUMBER,
    gensafe=_LABELS,
    **_WHO,
)
# at least one item
_MODERATION: Final = _object(
    ("input",), input={"oneOf": [_TEXT, _list(_TEXT, minItems=1, maxItems=MAX_ITEMS)]}, model=_OPTIONAL
)
_LITELLM: Final = _object(
    ("input_type",),
    input_type={"type": "string", "enum": ["request", "response"]},
    texts=_nullable(_list(_TEXT)),
    images=_nullable(_list(_TEXT)),
    tools=_nullable(_list({"type": "object"})),
    tool_calls=_nullable(_list({"type": "object"})),
    structured_messages=_nullable(_list({"type": "object"})),
) | {"additionalProperties": True}
_KONG: Final = _object(
    ("source", "content"),
    source={"type": "string", "enum": ["INPUT", "OUTPUT"]},
    content=_TEXT,
    images=_nullable(_list(_TEXT)),
    allow_masking=_FLAG,
)
_FORM: Final = _object(
    ("file",), file={"type": "string", "format": "binary"}, model=_TEXT, prompt=_TEXT, language=_TEXT
)
_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {"message": _TEXT, "type": _TEXT, "param": _OPTIONAL, "code": _OPTIONAL},
        }
    },
}
# status codes: RFC 9110, RFC 6585 (429)
_REASONS: Final = {
    400: "invalid request, or stopped by the content policy",
    401: "no key, or one that is not known",
    403: "the key lacks the role",
    404: "no such model, record, request or video",
    408: "the request took too long to arrive",
    409: "the same id came before with another request",
    412: "another version was asked for",
    413: "larger than allowed",
    416: "the range is outside of the file",
    422: "the output cannot be marked",
    429: "too many requests",
    500: "a fault of the engine or of ours",
    503: "a part of the service does not work now, or the deadline passed",
}
_ANSWER: Final[Schema] = {"type": "object"}
_HELD: Final = {
    "description": "a person must see the output first",
    "content": {"application/json": {"schema": _ANSWER}},
}
_ALWAYS: Final = (400, 401, 403, 408, 413, 429, 500, 503)  # what any call may answer


def description() -> Schema:
    """The document that ``PATH`` answers with."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "GenSafe: OpenAI-compatible front",
            "version": "1",
            "description": "Everything that is generated here is checked, marked, signed and logged before it leaves.",
        },
        "servers": [{"url": "/"}],
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
        "paths": {
            "/v1/chat/completions": {"post": _make("createChat", _CHAT, "text/event-stream")},
            "/v1/completions": {"post": _make("createCompletion", _COMPLETION, "text/event-stream")},
            "/v1/responses": {"post": _make("createResponse", _RESPONSE, "text/event-stream")},
            "/v1/images/generations": {"post": _make("createImage", _IMAGE)},
            "/v1/images/edits": {"post": _make("editImage", _EDIT)},
            "/v1/audio/speech": {
                "post": _make("createSpeech", _SPEECH, "audio/mpeg", "audio/ogg", "audio/flac", "audio/wav")
            },
            "/v1/audio/transcriptions": {"post": _make("createTranscription", _FORM, kind="multipart/form-data")},
            "/v1/moderations": {"post": _operation("createModeration", body=_body(_MODERATION))},
            "/beta/litellm_basic_guardrail_api": {"post": _operation("litellmGuardrail", body=_body(_LITELLM))},
            "/gensafe/v1/guards/kong": {"post": _operation("kongGuardrail", body=_body(_KONG))},
            "/v1/models": {"get": _operation("listModels")},
            "/v1/models/{model}": {"get": _operation("getModel", "model", errors=(404,))},
            "/v1/videos": {
                "post": _operation("createVideo", body=_body(_VIDEO), errors=(404, 409)),
                "get": _operation("listVideos", query=("limit", "order", "after"), errors=(404,)),
            },
            "/v1/videos/{video_id}": {
                "get": _operation("getVideo", "video_id", errors=(404,)),
                "delete": _operation("deleteVideo", "video_id", errors=(404,)),
            },
            "/v1/videos/{video_id}/content": {
                "get": _file("getVideoContent", "video_id", "video/mp4", query=("variant",)),
            },
            "/v1/videos/{video_id}/remix": {"post": _operation("remixVideo", "video_id", answers=False)},
            "/gensafe/v1/requests/{request_id}": {"get": _operation("getRequest", "request_id", errors=(404,))},
            "/gensafe/v1/records/{record_id}": {"get": _operation("getRecord", "record_id", errors=(404,))},
            "/gensafe/v1/records/{record_id}/manifest": {"get": _file("getManifest", "record_id", "application/c2pa")},
            "/gensafe/v1/records/{record_id}/proof": {"get": _file("getProof", "record_id", "text/plain")},
            "/gensafe/v1/records/{record_id}/file": {"get": _file("getFile", "record_id", "*/*")},
        },
    }


def _make(name: str, schema: Schema, *kinds: str, kind: str = "application/json") -> Schema:
    """An operation that generates."""
    shown = _operation(name, body=_body(schema, kind), errors=(404, 409, 422))
    shown["responses"]["200"]["content"] |= {k: {"schema": {"type": "string", "format": "binary"}} for k in kinds}
    return shown | {"responses": shown["responses"] | {"202": _HELD}}


def _file(name: str, path: str, kind: str, query: tuple[str, ...] = ()) -> Schema:
    shown = _operation(name, path, query=query, errors=(404, 412, 416))
    content = {kind: {"schema": {"type": "string", "format": "binary"}}}
    shown["responses"] |= {
        "200": {"description": "ok", "content": content},
        "206": {"description": "a part", "content": content},
        "304": {"description": "not changed"},
    }
    return shown


def _operation(
    name: str,
    path: str = "",
    *,
    query: tuple[str, ...] = (),
    body: Schema | None = None,
    errors: tuple[int, ...] = (),
    answers: bool = True,
) -> Schema:
    responses: Schema = {}
    if answers:
        responses["200"] = {"description": "ok", "content": {"application/json": {"schema": _ANSWER}}}
    for status in sorted({*_ALWAYS, *errors}):
        content = {"application/json": {"schema": _ERROR}} if status not in (412, 416) else None
        responses[str(status)] = {"description": _REASONS[status]} | ({"content": content} if content else {})
    parameters = [{"name": n, "in": "query", "required": False, "schema": _TEXT} for n in query]
    if path:
        parameters.append({"name": path, "in": "path", "required": True, "schema": _TEXT})
    shown: Schema = {"operationId": name, "responses": responses}
    return shown | ({"parameters": parameters} if parameters else {}) | ({"requestBody": body} if body else {})


def _body(schema: Schema, kind: str = "application/json") -> Schema:
    return {"required": True, "content": {kind: {"schema": schema}}}
