"""The one exception tree. Only these cross a GenSafe API; everything else is a bug.

GensafeError                    every error carries a stable ``reason`` and, where one exists, the field and the fix
├── ConfigError                 a configuration value is wrong or missing
├── InvalidRequest              the caller sent something that cannot be served as it stands
│   ├── PromptNotUnderstood     the prompt is outside what the chosen model was taught
│   ├── Conflict                the same request id with another body
│   └── NotFound                no such record, job or entry
├── AccessError                 the caller is unknown or may not do this
│   ├── Unauthenticated
│   ├── PermissionDenied
│   │   └── TenantStopped       the operator stopped generation for this tenant
│   └── IdentityUnavailable     who calls cannot be established now: what says so cannot be read
├── Overloaded                  queue full or quota spent; carries when to retry
│   └── QuotaExceeded           a quota or budget would be exceeded
├── PluginError                 a plugin is missing, doubled, or broke its contract
├── KeyError_                   a key is missing, unreadable, of the wrong kind, or a development key in production
├── MediaError
│   ├── UnreadableMedia         bytes are not what they claim, or are damaged
│   ├── UnsupportedMedia        a container or codec that is not handled
│   └── MediaLimitExceeded      refused before or while decoding: too large, too long, too slow
├── BackendError                generation failed
│   └── BackendUnavailable      the backend cannot run here or now
├── SafetyError
│   ├── SafetyBlocked           policy says no; carries the verdict
│   └── SafetyUnavailable       a classifier erred, timed out or is missing: closed, never open
├── WatermarkError
│   ├── CannotCarry             this medium is too small, too short or too flat for the mark
│   └── WatermarkNotDetected    the mark did not survive to the final bytes
├── ProvenanceError
│   ├── SigningFailed
│   ├── CredentialsLost         policy demands that a source's credentials are kept, and they cannot be
│   └── ManifestInvalid         a manifest is malformed or does not match its asset
├── AuditError
│   ├── LogCorrupt              stored entries and hashes disagree
│   ├── LogUnavailable          the log cannot take an entry durably
│   └── ExportInvalid           an export bundle is not valid
├── RegistryError               registry and log or request do not fit together
│   ├── RegistryRefused         not as things stand: a legal hold forbids it, or there is nothing to do it to
│   └── RegistryUnavailable     the registry cannot be read or written now
├── VerificationError           a verification policy is not met
├── OutputFailed                a result could not be written: no such folder, no right, a full disk
├── Cancelled                   the caller went away
└── DeadlineExceeded            the caller's deadline passed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from gensafe.core.types import Verdict


class GensafeError(Exception):
    """Base of all errors a user may see.

    Args:
        message: One sentence, no trailing period.
        field: The request or configuration field at fault, if one is.
        fix: What the caller can do about it.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, field: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.fix = fix

    def __str__(self) -> str:
        text = f"{self.field}: {self.message}" if self.field else self.message
        return f"{text} ({self.fix})" if self.fix else text


class ConfigError(GensafeError):
    """A configuration value is wrong or missing."""

    reason = "CONFIG_INVALID"


class InvalidRequest(GensafeError):
    """The caller sent something that cannot be served as it stands."""

    reason = "REQUEST_INVALID"


class PromptNotUnderstood(InvalidRequest):
    """The prompt is outside what the chosen model was taught; ``unknown`` lists the words it does not know."""

    reason = "PROMPT_OUTSIDE_WORLD"

    def __init__(self, message: str, *, unknown: tuple[str, ...] = (), fix: str | None = None) -> None:
        super().__init__(message, field="prompt", fix=fix)
        self.unknown = unknown


class Conflict(InvalidRequest):
    """The same request id came before with another body."""

    reason = "REQUEST_ID_REUSED"


class NotFound(InvalidRequest):
    """No such record, job or entry."""

    reason = "NOT_FOUND"


class AccessError(GensafeError):
    """The caller is unknown or may not do this."""

    reason = "ACCESS"


class Unauthenticated(AccessError):
    """No valid credential came with the call."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(AccessError):
    """The identity is known but lacks the role."""

    reason = "PERMISSION_DENIED"


class TenantStopped(PermissionDenied):
    """The operator stopped generation for this tenant."""

    reason = "TENANT_STOPPED"


class IdentityUnavailable(AccessError):
    """Nobody can tell now who the caller is: keys or the issuer's key set cannot be read."""

    reason = "IDENTITY_UNAVAILABLE"


class Overloaded(GensafeError):
    """Queue full or quota spent; ``retry_after_s`` says when to try again."""

    reason = "OVERLOADED"

    def __init__(self, message: str, *, retry_after_s: float, subject: str = "") -> None:
        super().__init__(message, fix=f"retry after {retry_after_s:g} s")
        self.retry_after_s = retry_after_s
        self.subject = subject


class QuotaExceeded(Overloaded):
    """A tenant's or key's quota or budget would be exceeded: the request was not started."""

    reason = "QUOTA_EXCEEDED"

    def __init__(self, message: str, *, retry_after_s: float, subject: str = "", budget: bool = False) -> None:
        super().__init__(message, retry_after_s=retry_after_s, subject=subject)
        self.fix = f"ask for less, or again in {retry_after_s:.0f} s"
        self.budget = budget  # it is about cost


class PluginError(GensafeError):
    """A plugin is missing, doubled, or broke its contract."""

    reason = "PLUGIN_BROKEN"


class KeyError_(GensafeError):  # noqa: N801 - the trailing underscore keeps the builtin visible
    """A key is missing, unreadable, of the wrong kind, or a development key in production."""

    reason = "KEY_UNUSABLE"


class MediaError(GensafeError):
    """Media could not be decoded or encoded."""

    reason = "MEDIA_INVALID"


class UnreadableMedia(MediaError):
    """The bytes are not what they claim to be, or are damaged."""

    reason = "MEDIA_UNREADABLE"


class UnsupportedMedia(MediaError):
    """A container or codec that is not handled."""

    reason = "MEDIA_UNSUPPORTED"


class MediaLimitExceeded(MediaError):
    """Refused before or while decoding: too large, too long or too slow."""

    reason = "MEDIA_LIMIT_EXCEEDED"


class BackendError(GensafeError):
    """Generation failed."""

    reason = "BACKEND_FAILED"


class BackendUnavailable(BackendError):
    """The backend cannot run here or now."""

    reason = "BACKEND_UNAVAILABLE"


class SafetyError(GensafeError):
    """A safety stage ended the request."""

    reason = "SAFETY"


class SafetyBlocked(SafetyError):
    """Policy says no. The verdict says which category; it never carries the content.

    ``offset``: for a text stream, the character from which what was already released is to be retracted.
    """

    reason = "SAFETY_BLOCKED"

    def __init__(self, message: str, verdict: Verdict, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.offset = offset


class SafetyUnavailable(SafetyError):
    """A classifier erred, timed out or is missing: the gate stays closed."""

    reason = "SAFETY_UNAVAILABLE"


class WatermarkError(GensafeError):
    """Marking or detection failed."""

    reason = "WATERMARK_FAILED"


class CannotCarry(WatermarkError):
    """This medium is too small, too short or too flat for the mark."""

    reason = "WATERMARK_CANNOT_CARRY"


class WatermarkNotDetected(WatermarkError):
    """The mark did not survive to the final bytes."""

    reason = "WATERMARK_NOT_DETECTED"


class ProvenanceError(GensafeError):
    """A manifest could not be made or read."""

    reason = "PROVENANCE_FAILED"


class SigningFailed(ProvenanceError):
    """The signer or the time-stamp authority refused or failed."""

    reason = "SIGNING_FAILED"


class CredentialsLost(ProvenanceError):
    """Policy demands that the credentials of every source go on into the output, and some cannot."""

    reason = "CREDENTIALS_LOST"


class ManifestInvalid(ProvenanceError):
    """A manifest is malformed or does not match its asset."""

    reason = "MANIFEST_INVALID"


class AuditError(GensafeError):
    """The tamper-evident log failed."""

    reason = "AUDIT_FAILED"


class LogCorrupt(AuditError):
    """Stored entries and hashes disagree."""

    reason = "LOG_CORRUPT"


class LogUnavailable(AuditError):
    """The log cannot take an entry durably."""

    reason = "LOG_UNAVAILABLE"


class ExportInvalid(AuditError):
    """An export bundle is not valid."""

    reason = "EXPORT_INVALID"


class RegistryError(GensafeError):
    """The record store failed."""

    reason = "REGISTRY_FAILED"


class RegistryRefused(RegistryError):
    """It is not done as things stand: a legal hold forbids it, or there is nothing to do it to."""

    reason = "REGISTRY_REFUSED"


class RegistryUnavailable(RegistryError):
    """The registry cannot be read or written now: another process holds it, the disk is full; a retry may work."""

    reason = "REGISTRY_UNAVAILABLE"


class VerificationError(GensafeError):
    """A verification policy is not met."""

    reason = "VERIFICATION_FAILED"


class OutputFailed(GensafeError):
    """A result could not be written: no such folder, no right, a full disk."""

    reason = "OUTPUT_FAILED"


class Cancelled(GensafeError):
    """The caller went away."""

    reason = "CANCELLED"


class DeadlineExceeded(GensafeError):
    """The caller's deadline passed."""

    reason = "DEADLINE_EXCEEDED"
