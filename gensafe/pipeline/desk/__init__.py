"""The desk of those who answer for an installation: the review queue, reports of misuse, legal holds, erasures.

The acts are functions here, and nowhere else: the command line calls them beside or without a server, the server's
AdminService calls them for callers with the roles ``review`` and ``admin``. Each leaves an entry that says who and why.
"""

from gensafe.pipeline.desk.base import Desk, Person
from gensafe.pipeline.desk.cases import (
    CATEGORIES,
    CaseWords,
    case,
    cases,
    decide_case,
    report_misuse,
)
from gensafe.pipeline.desk.holds import REASONS, Erasure, HoldWords, erase, holds, lift_hold, place_hold
from gensafe.pipeline.desk.reviews import Copy, copy_review, decide_review, preview, review, reviews

__all__ = [
    "CATEGORIES",
    "REASONS",
    "CaseWords",
    "Copy",
    "Desk",
    "Erasure",
    "HoldWords",
    "Person",
    "case",
    "cases",
    "copy_review",
    "decide_case",
    "decide_review",
    "erase",
    "holds",
    "lift_hold",
    "place_hold",
    "preview",
    "report_misuse",
    "review",
    "reviews",
]
