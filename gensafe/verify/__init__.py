"""Verification: every layer of evidence about a file, and one conclusion. See docs/verification.md."""

from gensafe.verify.conclusion import EXIT_CODES, worst_exit
from gensafe.verify.context import VerifyContext, open_context
from gensafe.verify.resolve import Resolution, resolve_bytes
from gensafe.verify.verifier import verify_bytes

__all__ = [
    "EXIT_CODES",
    "Resolution",
    "VerifyContext",
    "open_context",
    "resolve_bytes",
    "verify_bytes",
    "worst_exit",
]
