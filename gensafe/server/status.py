"""Errors as rich gRPC statuses: canonical code + ErrorInfo{reason, domain} and the detail that fits."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from gensafe.core import errors

DOMAIN = "gensafe.v1"

# First match wins, so subclasses come before their bases.
_CODES: tuple[tuple[type[errors.GensafeError], int], ...] = (
    (errors.Conflict, code_pb2.ALREADY_EXISTS),
    (errors.NotFound, code_pb2.NOT_FOUND),
    (errors.InvalidRequest, code_pb2.INVALID_ARGUMENT),
    (errors.MediaError, code_pb2.INVALID_ARGUMENT),
    (errors.Unauthenticated, code_pb2.UNAUTHENTICATED),
    (errors.PermissionDenied, code_pb2.PERMISSION_DENIED),
    (errors.IdentityUnavailable, code_pb2.UNAVAILABLE),
    (errors.Overloaded, code_pb2.RESOURCE_EXHAUSTED),
    (errors.SafetyBlocked, code_pb2.FAILED_PRECONDITION),
    (errors.SafetyUnavailable, code_pb2.UNAVAILABLE),
    (errors.BackendUnavailable, code_pb2.UNAVAILABLE),
    (errors.LogUnavailable, code_pb2.UNAVAILABLE),
    (errors.RegistryUnavailable, code_pb2.UNAVAILABLE),
    (errors.RegistryRefused, code_pb2.FAILED_PRECONDITION),
    (errors.LogCorrupt, code_pb2.DATA_LOSS),
    (errors.CannotCarry, code_pb2.FAILED_PRECONDITION),
    (errors.CredentialsLost, code_pb2.FAILED_PRECONDITION),
    (errors.Cancelled, code_pb2.CANCELLED),
    (errors.DeadlineExceeded, code_pb2.DEADLINE_EXCEEDED),
    (errors.GensafeError, code_pb2.INTERNAL),
)
_RETRYABLE = (
    errors.IdentityUnavailable,
    errors.SafetyUnavailable,
    errors.BackendUnavailable,
    errors.LogUnavailable,
    errors.RegistryUnavailable,
)
_RETRY_AFTER_S = 2.0  # chosen, not measured
_ABORT_S = 2.0  # for the status to be taken over; a call whose reader stands still is dropped then
_DETAIL_LIMIT = 1000  # status details above 8 KiB are dropped by peers


def to_status(error: errors.GensafeError) -> status_pb2.Status:
    """Render ``error`` as google.rpc.Status."""
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    details: list[Any] = [info]
    if isinstance(error, errors.PromptNotUnderstood) and error.unknown:
        info.metadata["unknown_words"] = " ".join(error.unknown)[:_DETAIL_LIMIT]
    if error.field:
        info.metadata["field"] = error.field[:_DETAIL_LIMIT]
    if error.fix:
        info.metadata["fix"] = error.fix[:_DETAIL_LIMIT]
    if code == code_pb2.INVALID_ARGUMENT and error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=str(error)[:_DETAIL_LIMIT]
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, errors.Overloaded):
        quota = error_details_pb2.QuotaFailure.Violation(subject=error.subject, description=error.message)
        details.append(error_details_pb2.QuotaFailure(violations=[quota]))
        details.append(_retry(error.retry_after_s))
    elif isinstance(error, _RETRYABLE):
        details.append(_retry(_RETRY_AFTER_S))
    packed = []
    for detail in details:
        item = any_pb2.Any()
        item.Pack(detail)
        packed.append(item)
    return status_pb2.Status(code=code, message=str(error)[:_DETAIL_LIMIT], details=packed)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: errors.GensafeError) -> None:
    """End the call with ``error``. A caller that does not read gets it when it reads, or its call is dropped."""
    await asyncio.wait_for(context.abort_with_status(rpc_status.to_status(to_status(error))), _ABORT_S)


def _retry(seconds: float) -> error_details_pb2.RetryInfo:
    whole = int(seconds)
    delay = duration_pb2.Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)
