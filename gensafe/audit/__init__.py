"""The tamper-evident log: RFC 6962 tree, C2SP checkpoints, tiles and proofs, exports that can be checked alone."""

from gensafe.audit.fsck import FsckReport, fsck
from gensafe.audit.log import Appended, AuditLog, LoggedEntry, LogReader

__all__ = ["Appended", "AuditLog", "FsckReport", "LogReader", "LoggedEntry", "fsck"]
