"""A verification report as it came over the wire, back as the core's value."""

from __future__ import annotations

import json

from gensafe.core.errors import BackendError
from gensafe.core.types import Check, Conclusion, Outcome, VerificationReport
from gensafe.v1 import provenance_pb2 as pb

_OUTCOMES = {
    pb.OUTCOME_PASS: Outcome.PASS,
    pb.OUTCOME_FAIL: Outcome.FAIL,
    pb.OUTCOME_ABSENT: Outcome.ABSENT,
    pb.OUTCOME_UNSUPPORTED: Outcome.UNSUPPORTED,
    pb.OUTCOME_ERROR: Outcome.ERROR,
}


def report_from_pb(message: pb.VerifyResponse) -> VerificationReport:
    """Read a report.

    Raises:
        BackendError: the server answered with something that is no report of this version.
    """
    try:
        conclusion = Conclusion(message.conclusion)
        checks = tuple(
            Check(c.name, _OUTCOMES.get(c.outcome, Outcome.ERROR), c.summary, json.loads(c.evidence_json or "{}"))
            for c in message.checks
        )
    except ValueError:
        answer = message.conclusion[:40]
        raise BackendError(f"the server's answer is no report known here: {answer!r}", fix="update this side") from None
    return VerificationReport(
        name=message.name,
        conclusion=conclusion,
        explanation=message.explanation,
        checks=checks,
        media_type=message.media_type,
        digest=message.digest,
        crjson=message.crjson,
    )
