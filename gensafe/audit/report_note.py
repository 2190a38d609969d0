"""The signature beside a report: a C2SP signed note over the digest of the file, by the key that signs exports."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gensafe.audit.note import sign_note
from gensafe.core.digest import sha256
from gensafe.core.errors import OutputFailed
from gensafe.core.outfile import write_file

FORM: Final = "gensafe.compliance.report.signature/1"
SUFFIX: Final = ".note"


def note_of(report: Path) -> Path:
    """Where the signature of a report lies."""
    return report.with_name(report.name + SUFFIX)


def statement(report: bytes) -> str:
    """The two lines that are signed: the form, and "sha256:<hex>" of the file."""
    return f"{FORM}\n{sha256(report)}\n"


def sign_report(report: Path, origin: str, key: Ed25519PrivateKey) -> str:
    """Write the signature beside a report; returns the report's digest.

    Args:
        report: The file as it was written.
        origin: The log that it is about.
        key: The active checkpoint key of that log.

    Raises:
        OutputFailed: it cannot be written; the report is then removed.
    """
    data = report.read_bytes()
    try:
        write_file(note_of(report), sign_note(statement(data), origin, key), "out")
    except OutputFailed:
        report.unlink(missing_ok=True)
        raise
    return sha256(data)
