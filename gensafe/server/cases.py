"""Reports of misuse and drills as AdminService answers them."""

from __future__ import annotations

from collections.abc import Callable

from gensafe.core import errors, ids
from gensafe.core.clock import iso
from gensafe.core.types import Conclusion
from gensafe.pipeline import Chain
from gensafe.pipeline import desk as acts
from gensafe.pipeline.desk import Desk, Person
from gensafe.pipeline.drill import perform
from gensafe.registry import Case, CaseDecision
from gensafe.v1 import admin_pb2 as pb
from gensafe.verify import VerifyContext, verify_bytes
from gensafe.verify.find import find_output

_DECISIONS = {
    pb.CASE_DECISION_UPHELD: CaseDecision.UPHELD,
    pb.CASE_DECISION_DISMISSED: CaseDecision.DISMISSED,
}


def report(desk: Desk, person: Person, context: VerifyContext, request: pb.ReportMisuseRequest) -> Case:
    """Find the output that a report is about, and open a case.

    Raises:
        InvalidRequest: the report names no output of ours that this person sees, or a field is wrong.
    """
    given = request.WhichOneof("output")
    if given == "file":
        lead = find_output(request.file, context, scope=person.scope)
        if lead is None:
            raise errors.NotFound("is no output of this service that can be found again", field="file")
        record_id, found_by = lead.record_id, lead.found_by
    elif given == "record_id":
        record_id, found_by = ids.parse_record_id(request.record_id), "record id"
    else:
        raise errors.InvalidRequest("say which output: give file or record_id", field="output")
    return acts.report_misuse(
        desk,
        person,
        record_id,
        request.words,
        category=request.category or "other",
        found_by=found_by,
        within_h=request.within_hours,
    )


def decide(desk: Desk, person: Person, request: pb.DecideCaseRequest) -> Case:
    """Decide a case.

    Raises:
        InvalidRequest, NotFound, Conflict: as ``acts.decide_case``.
    """
    decision = _DECISIONS.get(request.decision)
    if decision is None:
        fix = "CASE_DECISION_UPHELD or CASE_DECISION_DISMISSED"
        raise errors.InvalidRequest("say what is decided", field="decision", fix=fix)
    decided = acts.decide_case(desk, person, request.ticket, decision, reason=request.reason, answer=request.answer)
    return decided[0]


def got(desk: Desk, person: Person, ticket: str) -> pb.GetCaseResponse:
    """A case and its words."""
    case, words = acts.case(desk, person, ticket)
    said = {"report": words.report, "actor": words.actor, "reason": words.reason, "answer": words.answer}
    return pb.GetCaseResponse(case=case_to_pb(case, desk.clock.now_ms()), **said)


def drill(chain: Chain, context: VerifyContext, person: Person) -> pb.PerformDrillResponse:
    """Drill the chain that serves."""
    done = perform(chain, conclusion_by(context), actor=chain.registry.pseudonym(f"operator:{person.name}"))
    steps = [pb.DrillStep(step=one.name, outcome=one.outcome.value, said=one.said) for one in done.steps]
    return pb.PerformDrillResponse(passed=done.passed, steps=steps, log_index=done.log_index)


def conclusion_by(context: VerifyContext) -> Callable[[bytes], Conclusion]:
    """Verification with ``context``, cut to its conclusion."""
    return lambda data: verify_bytes(data, name="", context=context).conclusion


def case_to_pb(case: Case, now_ms: int) -> pb.Case:
    """A case as the wire has it."""
    return pb.Case(
        ticket=case.ticket,
        record_id=ids.record_id_text(case.record_id),
        tenant=case.tenant,
        category=case.category,
        found_by=case.found_by,
        reported=iso(case.reported_ms),
        due=iso(case.due_ms),
        late=case.late(now_ms),
        reported_index=case.reported_index,
        decision=case.decision.value if case.decision else "",
        decided=iso(case.decided_ms) if case.decision else "",
        decided_index=case.decided_index,
    )
