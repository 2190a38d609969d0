"""gRPC statuses back into the exception tree."""

from __future__ import annotations

from typing import Final

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gensafe.client.results import Refusal, Review
from gensafe.core import errors
from gensafe.core.hazards import named

_BY_REASON: dict[str, type[errors.GensafeError]] = {
    kind.reason: kind
    for kind in (
        errors.ConfigError, errors.InvalidRequest, errors.Conflict, errors.NotFound, errors.Unauthenticated,
        errors.PermissionDenied, errors.TenantStopped, errors.PluginError, errors.KeyError_, errors.UnreadableMedia,
        errors.UnsupportedMedia,
        errors.MediaLimitExceeded, errors.BackendError, errors.BackendUnavailable, errors.SafetyUnavailable,
        errors.CannotCarry, errors.WatermarkNotDetected, errors.SigningFailed, errors.LogCorrupt, errors.LogUnavailable,
        errors.RegistryError, errors.RegistryRefused, errors.Cancelled, errors.DeadlineExceeded,
    )
}  # fmt: skip
_BY_CODE: dict[grpc.StatusCode, type[errors.GensafeError]] = {
    grpc.StatusCode.UNAVAILABLE: errors.BackendUnavailable,
    grpc.StatusCode.CANCELLED: errors.Cancelled,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
}


_SPEAKS_TLS: Final = ("Socket closed", "Connection reset", "HTTP/2", "end of TCP stream", "parse")
_SPEAKS_PLAIN: Final = ("WRONG_VERSION_NUMBER", "handshake", "Handshake", "Socket closed", "Connection reset")


class Blocked(errors.SafetyError):
    """The server's policy stopped the request; ``blocked`` holds the categories and the verdict."""

    reason = "SAFETY_BLOCKED"

    def __init__(self, blocked: Refusal) -> None:
        said = blocked.message or f"stopped by the content policy: {named(blocked.categories) or blocked.reason}"
        super().__init__(said)  # servers of older versions send no sentence
        self.blocked = blocked


class HeldForReview(errors.SafetyError):
    """A person must see the output first; ask again later under the same request id. ``held`` names the review."""

    reason = "HELD_FOR_REVIEW"

    def __init__(self, held: Review) -> None:
        said = held.message or f"a person must see the output: {named(held.categories)}"
        super().__init__(f"held for review {held.review_id}: {said}")
        self.held = held


def to_error(error: grpc.RpcError, *, tls: bool | None = None) -> errors.GensafeError:
    """Turn an RpcError into the exception the server raised, as far as the status tells.

    Args:
        error: What gRPC raised.
        tls: Whether the connection was encrypted; with it a failed connection says what may be wrong.
    """
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return errors.GensafeError(str(error))
    message = error.details() or error.code().name
    status = rpc_status.from_call(error)
    reason, metadata = "", {}
    for detail in status.details if status is not None else ():
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            reason, metadata = info.reason, dict(info.metadata)
    field, fix = metadata.get("field"), metadata.get("fix")
    message = _plain(message, field, fix)
    if reason == errors.PromptNotUnderstood.reason:
        return errors.PromptNotUnderstood(message, unknown=tuple(metadata.get("unknown_words", "").split()), fix=fix)
    if reason == errors.Overloaded.reason or error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return errors.Overloaded(message, retry_after_s=_retry_after(status))
    kind = _BY_REASON.get(reason) or _BY_CODE.get(error.code(), errors.GensafeError)
    return kind(message, field=field, fix=fix or (None if reason else _hint(error.code(), message, tls)))


def _plain(message: str, field: str | None, fix: str | None) -> str:
    """The message as the server's exception had it: a status renders field and fix into its text, and so do we."""
    message = message.removeprefix(f"{field}: ") if field else message
    return message.removesuffix(f" ({fix})") if fix else message


def _hint(code: grpc.StatusCode, message: str, tls: bool | None) -> str | None:
    """What may be wrong with a connection that never came about, by gRPC's own words for it."""
    if code is not grpc.StatusCode.UNAVAILABLE or tls is None:
        return None
    if not tls and any(words in message for words in _SPEAKS_TLS):
        return "does the server use TLS? give --ca (root_certificates)"
    if tls and "CERTIFICATE_VERIFY_FAILED" in message:
        return "the server's certificate is not of a CA trusted here: give --ca (root_certificates)"
    if tls and any(words in message for words in _SPEAKS_PLAIN):
        return "does the server speak TLS on this port, and does it ask for a client certificate?"
    return None


def of_reason(reason: str) -> type[errors.GensafeError]:
    """The exception that a reason names; our own base where it is not one of those."""
    return _BY_REASON.get(reason, errors.GensafeError)


def asked_wait(error: grpc.RpcError) -> float | None:
    """Seconds that the server asks to wait before the call is repeated (RetryInfo); None = it does not."""
    status = rpc_status.from_call(error) if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    return _retry_info(status)


def _retry_after(status: object) -> float:
    found = _retry_info(status)
    return 1.0 if found is None else found


def _retry_info(status: object) -> float | None:
    for detail in getattr(status, "details", ()):
        if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            info = error_details_pb2.RetryInfo()
            detail.Unpack(info)
            return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return None


__all__ = ["Blocked", "HeldForReview", "asked_wait", "of_reason", "to_error"]
