"""AdminService: the desk over gRPC and Connect. Who may: ``access.roles_for``; what is done: ``pipeline.desk``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from gensafe.core import errors, ids
from gensafe.core.clock import iso
from gensafe.core.hazards import in_words
from gensafe.pipeline import desk as acts
from gensafe.registry import HeldOutput, ReviewDecision
from gensafe.server import cases
from gensafe.server.convert import MODALITIES
from gensafe.server.deciding import Deciding, looking, person_of
from gensafe.server.identity import caller
from gensafe.server.limits import Limits
from gensafe.server.work import offload
from gensafe.v1 import admin_pb2 as pb
from gensafe.v1 import admin_pb2_grpc
from gensafe.verify import VerifyContext

CHUNK: Final = 256 * 1024  # as server.audit.CHUNK
Context = grpc.aio.ServicerContext[Any, Any]
_DECISIONS: Final = {
    pb.REVIEW_DECISION_RELEASED: ReviewDecision.RELEASED,
    pb.REVIEW_DECISION_REJECTED: ReviewDecision.REJECTED,
}


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """Serves the desk of one chain."""

    def __init__(self, deciding: Deciding, limits: Limits, verify_context: VerifyContext) -> None:
        self._desk, self._chain = deciding.desk, deciding.chain
        self._limits = limits
        self._verify_context = verify_context

    async def ListReviews(self, request: pb.ListReviewsRequest, context: Context) -> pb.ListReviewsResponse:
        """Held outputs, oldest first."""
        found = await offload(acts.reviews, self._desk, looking(caller()), decided=request.all)
        return pb.ListReviewsResponse(reviews=[review_to_pb(item) for item in found])

    async def GetReview(self, request: pb.GetReviewRequest, context: Context) -> pb.GetReviewResponse:
        """One of them, with a coarse preview."""
        person = looking(caller())
        item = await offload(acts.review, self._desk, person, request.review_id)
        preview = b""
        if not request.without_preview:
            preview = await offload(acts.preview, self._desk, person, request.review_id)
        return pb.GetReviewResponse(review=review_to_pb(item), preview=preview)

    async def CopyReview(self, request: pb.CopyReviewRequest, context: Context) -> AsyncIterator[pb.CopyReviewResponse]:
        """A marked copy, after the log has who takes it."""
        person = person_of(caller(), request.actor)
        copy = await offload(acts.copy_review, self._desk, person, request.review_id)
        with self._limits.deliveries.lease() as lease:
            lease.grow(len(copy.data))
            for start in range(0, max(len(copy.data), 1), CHUNK):
                piece = pb.CopyReviewResponse(data=copy.data[start : start + CHUNK])
                if start == 0:
                    piece.copy_id, piece.marked, piece.note = copy.copy_id, copy.marked, copy.note
                    piece.log_index, piece.media_type = copy.log_index, copy.media_type
                yield piece

    async def DecideReview(self, request: pb.DecideReviewRequest, context: Context) -> pb.DecideReviewResponse:
        """Release or reject."""
        decision = _DECISIONS.get(request.decision)
        if decision is None:
            fix = "REVIEW_DECISION_RELEASED or REVIEW_DECISION_REJECTED"
            raise errors.InvalidRequest("say what is decided", field="decision", fix=fix)
        person = person_of(caller(), request.actor)
        item = await offload(acts.decide_review, self._desk, person, request.review_id, decision, request.reason)
        record = await offload(self._desk.registry.by_record_id, item.record_id)
        return pb.DecideReviewResponse(review=review_to_pb(item), log_index=record.log_index if record else -1)

    async def ListHolds(self, request: pb.ListHoldsRequest, context: Context) -> pb.ListHoldsResponse:
        """Legal holds in force."""
        found = await offload(acts.holds, self._desk, looking(caller()))
        return pb.ListHoldsResponse(holds=[_hold_to_pb(each) for each in found])

    async def PlaceHold(self, request: pb.PlaceHoldRequest, context: Context) -> pb.PlaceHoldResponse:
        """Place a legal hold."""
        person = person_of(caller(), request.actor)
        done = await offload(
            acts.place_hold,
            self._desk,
            person,
            request.hold_id,
            request.scope,
            request.reason,
            tenant=request.tenant,
        )
        return pb.PlaceHoldResponse(logged_as=done["logged_as"], scope=done["scope"], log_index=done["log_index"])

    async def ReleaseHold(self, request: pb.ReleaseHoldRequest, context: Context) -> pb.ReleaseHoldResponse:
        """Lift a legal hold."""
        person = person_of(caller(), request.actor)
        done = await offload(acts.lift_hold, self._desk, person, request.hold_id, request.reason)
        return pb.ReleaseHoldResponse(logged_as=done["logged_as"], scope=done["scope"], log_index=done["log_index"])

    async def Erase(self, request: pb.EraseRequest, context: Context) -> pb.EraseResponse:
        """Erase a subject, or say what that would erase."""
        person = looking(caller()) if request.dry_run else person_of(caller(), request.actor)
        done = await offload(
            acts.erase,
            self._desk,
            person,
            request.reason or acts.REASONS[0],
            tenant=request.tenant,
            subject=request.subject,
            dry_run=request.dry_run,
        )
        counts = {"prompts": done.erased["prompts"], "blobs": done.erased["blobs"]}
        return pb.EraseResponse(subject=done.subject, log_index=done.log_index, **counts)

    async def ReportMisuse(self, request: pb.ReportMisuseRequest, context: Context) -> pb.ReportMisuseResponse:
        """Take in a report of misuse."""
        person = person_of(caller(), request.actor)
        opened = await offload(cases.report, self._desk, person, self._verify_context, request)
        return pb.ReportMisuseResponse(case=cases.case_to_pb(opened, self._desk.clock.now_ms()))

    async def ListCases(self, request: pb.ListCasesRequest, context: Context) -> pb.ListCasesResponse:
        """Cases, the most urgent first."""
        found = await offload(acts.cases, self._desk, looking(caller()), decided=request.all)
        now_ms = self._desk.clock.now_ms()
        return pb.ListCasesResponse(cases=[cases.case_to_pb(one, now_ms) for one in found])

    async def GetCase(self, request: pb.GetCaseRequest, context: Context) -> pb.GetCaseResponse:
        """One case with its words."""
        return await offload(cases.got, self._desk, looking(caller()), request.ticket)

    async def DecideCase(self, request: pb.DecideCaseRequest, context: Context) -> pb.DecideCaseResponse:
        """Decide a case."""
        decided = await offload(cases.decide, self._desk, person_of(caller(), request.actor), request)
        return pb.DecideCaseResponse(case=cases.case_to_pb(decided, self._desk.clock.now_ms()))

    async def PerformDrill(self, request: pb.PerformDrillRequest, context: Context) -> pb.PerformDrillResponse:
        """Drill the installation."""
        return await offload(cases.drill, self._chain, self._verify_context, person_of(caller(), request.actor))


def review_to_pb(item: HeldOutput) -> pb.Review:
    """A held output as the wire has it."""
    hits = dict.fromkeys(d["category"] for d in item.verdict["decisions"] if d["action"] != "allow")
    return pb.Review(
        review_id=item.review_id,
        request_id=item.request_id,
        record_id=ids.record_id_text(item.record_id),
        tenant=item.tenant,
        modality=MODALITIES[item.modality],
        held=iso(item.held_ms),
        categories=[in_words(category) for category in hits],
        decision=item.decision.value if item.decision else "",
        reviewer=item.reviewer,
        reason=item.reason,
        decided=iso(item.decided_ms) if item.decision else "",
        done=item.done,
    )


def _hold_to_pb(each: acts.HoldWords) -> pb.Hold:
    return pb.Hold(
        hold_id=each.hold.hold_id,
        scope=each.hold.scope,
        placed=iso(each.hold.created_ms),
        logged_as=each.logged_as,
        actor=each.placed.actor if each.placed else "",
        reason=each.placed.reason if each.placed else "",
    )
