"""Refusals and errors in the shape that clients of this API read: ``{"error": {message, type, param, code}}``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import JSONResponse

from gensafe.core import errors
from gensafe.core.hazards import CATEGORIES
from gensafe.core.languages import ENGLISH, Words
from gensafe.core.stopped import stopped_sentence
from gensafe.pipeline import Stopped

RETRY_S: Final = 2.0  # as gRPC's RetryInfo for what may work again in a moment

_INVALID: Final = "invalid_request_error"
# First match wins, so subclasses come before their bases. Type -> status, type, code.
_TABLE: Final[tuple[tuple[type[errors.GensafeError], int, str, str], ...]] = (
    (errors.Conflict, 409, _INVALID, "idempotency_conflict"),
    (errors.NotFound, 404, _INVALID, "not_found"),
    (errors.PromptNotUnderstood, 400, _INVALID, "prompt_not_understood"),
    (errors.InvalidRequest, 400, _INVALID, "invalid_value"),
    (errors.MediaError, 400, _INVALID, "invalid_media"),
    (errors.Unauthenticated, 401, _INVALID, "invalid_api_key"),
    (errors.PermissionDenied, 403, _INVALID, "permission_denied"),
    (errors.IdentityUnavailable, 503, "server_error", "identity_unavailable"),
    (errors.QuotaExceeded, 429, "insufficient_quota", "insufficient_quota"),  # as the service that this API is from
    (errors.Overloaded, 429, "rate_limit_error", "rate_limit_exceeded"),
    (errors.SafetyUnavailable, 503, "server_error", "safety_unavailable"),
    (errors.BackendUnavailable, 503, "server_error", "engine_unavailable"),
    (errors.LogUnavailable, 503, "server_error", "log_unavailable"),
    (errors.RegistryUnavailable, 503, "server_error", "registry_unavailable"),
    (errors.Cancelled, 503, "server_error", "cancelled"),
    (errors.DeadlineExceeded, 503, "server_error", "deadline_exceeded"),
    (errors.CannotCarry, 422, _INVALID, "cannot_be_marked"),
    (errors.BackendError, 500, "server_error", "engine_failed"),
    (errors.GensafeError, 500, "server_error", "internal_error"),
)
# 413 comes from the reader of bodies, before any of our errors
STATUSES: Final = tuple(sorted({status for _, status, _, _ in _TABLE} | {413}))

# Names of ours that callers of this API never wrote -> the parameter that they did write. ``"": name`` is the rest.
Params = Mapping[str, str]
_PARAMS: Final[Params] = {
    "request_id": "Idempotency-Key",
    "parameters.json_schema": "response_format",
    "parameters.width": "size",
    "parameters.height": "size",
    "parameters.steps": "num_inference_steps",
    "parameters.guidance": "guidance_scale",
    "modality": "model",
}


class Refused(Exception):
    """An answer other than the one that was asked for."""

    def __init__(self, response: JSONResponse) -> None:
        super().__init__(response.status_code)
        self.response = response


def error_body(
    message: str, kind: str = _INVALID, *, code: str | None = None, param: str | None = None, **more: object
) -> dict[str, Any]:
    """The error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code, **more}}


def error_response(error: errors.GensafeError, params: Params | None = None) -> JSONResponse:
    """An error of ours as an answer.

    Args:
        error: Our own errors are safe to show.
        params: Further names, as ``_PARAMS``.
    """
    status, body, headers = error_parts(error, params)
    return JSONResponse(body, status, headers)


def error_parts(error: errors.GensafeError, params: Params | None = None) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of an error."""
    status, kind, code = next((s, k, c) for t, s, k, c in _TABLE if isinstance(error, t))
    param = _param(error.field, {**_PARAMS, **(params or {})})
    if status == 404 and param == "model":
        code = "model_not_found"
    message = f"{error.message} ({error.fix})" if error.fix else error.message
    headers: dict[str, str] = {}
    if isinstance(error, errors.Overloaded):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif status == 503 and not isinstance(error, errors.DeadlineExceeded):
        headers["Retry-After"] = str(math.ceil(RETRY_S))
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    shown = f"{param}: {message}" if param else message
    return status, error_body(shown, kind, code=code, param=param, reason=error.reason), headers


def _param(field: str | None, params: Params) -> str | None:
    if not field:
        return None
    if field in params:
        return params[field]
    root = re.split(r"[.\[]", field, maxsplit=1)[0]
    if root in params:
        return params[root]
    return field.removeprefix("parameters.")


def stopped_error(stopped: Stopped, code: str, param: str, words: Words = ENGLISH) -> tuple[int, dict[str, Any]]:
    """A policy stop as status and error object.

    Args:
        stopped: What ended the request.
        code: As clients of the endpoint know it: "content_filter" or "content_policy_violation".
        param: What holds the prompt.
        words: The language of its sentence; codes and names of categories stay English.
    """
    verdict = stopped.verdict
    if verdict.errors:
        return 503, error_body(stopped_sentence(verdict, words), "server_error", code="safety_unavailable")
    return 400, error_body(
        stopped_sentence(verdict, words),
        code=code,
        param=param if verdict.stage.value in ("prompt", "input") else None,
        gensafe={
            "request_id": stopped.request_id,
            "stage": verdict.stage.value,
            "categories": [{"id": c, "name": CATEGORIES.get(c, c)} for c in verdict.categories],
            "policy": {"id": verdict.policy_id, "digest": verdict.policy_digest},
            "log_index": stopped.log_index,
        },
    )
