"""Our errors as HTTP answers."""

from __future__ import annotations

import math
from typing import Final

from starlette.responses import JSONResponse, Response

from gensafe.core import errors

# First match wins, so subclasses come before their bases.
_CODES: Final[tuple[tuple[type[errors.GensafeError], int], ...]] = (
    (errors.NotFound, 404),
    (errors.InvalidRequest, 400),
    (errors.MediaError, 422),
    (errors.Unauthenticated, 401),
    (errors.PermissionDenied, 403),
    (errors.IdentityUnavailable, 503),
    (errors.Overloaded, 429),
    (errors.SafetyUnavailable, 503),
    (errors.BackendUnavailable, 503),
    (errors.LogUnavailable, 503),
    (errors.RegistryError, 503),
    (errors.DeadlineExceeded, 503),
)
_RETRY_S: Final = 2  # as over gRPC: server.status


def answer(error: errors.GensafeError) -> Response:
    """The code that fits, the reason and the sentence; Retry-After where a retry may work."""
    status = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
    headers = {}
    if isinstance(error, errors.Overloaded):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    elif status == 503:
        headers["Retry-After"] = str(_RETRY_S)
    return JSONResponse({"error": error.message, "reason": error.reason}, status, headers)
