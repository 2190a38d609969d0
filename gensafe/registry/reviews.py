"""Held outputs: which wait for a person, and what was decided. The drafts themselves are sealed blobs.

A decision is taken once and is durable before anything acts on it; acting on it (mark, sign, log, release) is the
server's work, and ``done`` says that it has happened. Reviewers and reasons stay here; the log gets commitments.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from gensafe.core.errors import Conflict, InvalidRequest, NotFound, RegistryError
from gensafe.core.ports import Clock
from gensafe.core.types import Modality, RequestKey
from gensafe.registry.database import Database
from gensafe.registry.model import HeldOutput, IntentState, ReviewDecision
from gensafe.registry.tables import intents, of_request, reviews

MAX_REVIEWER: Final = 200  # characters of a name; a round number
MAX_REASON: Final = 2000  # characters, about a page; a round number
_ID: Final = re.compile(r"[0-9a-f]{16}")


def new_review_id() -> str:
    """16 random hex digits."""
    return secrets.token_hex(8)


class Reviews:
    """The queue of one registry, oldest first. Safe between threads and processes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def hold(
        self,
        *,
        review_id: str,
        key: RequestKey,
        record_id: int,
        modality: Modality,
        draft: str,
        verdict: Mapping[str, Any],
        held_index: int,
        retract_from: int = -1,
    ) -> HeldOutput:
        """Queue an output and mark its request as held, both or neither. Doing it twice changes nothing.

        Raises:
            RegistryError: not stored, or the request is not open.
        """
        row: dict[str, Any] = {
            "review_id": review_id,
            "request_id": key.request_id,
            "record_id": record_id,
            "tenant": key.tenant,
            "modality": modality.value,
            "draft": draft,
            "verdict": json.dumps(dict(verdict), sort_keys=True),
            "retract_from": retract_from,
            "held_index": held_index,
            "held_ms": self._clock.now_ms(),
            "done": False,
        }
        waits = sa.update(intents).where(of_request(intents, key), intents.c.state == IntentState.OPEN.value)

        def both(connection: sa.Connection) -> None:
            if connection.execute(sa.select(reviews.c.done).where(reviews.c.review_id == review_id)).first():
                return
            connection.execute(sa.insert(reviews).values(**row))
            if connection.execute(waits.values(state=IntentState.HELD.value)).rowcount != 1:
                raise RegistryError(f"request {key.request_id} has no open intent")

        self._db.write("hold an output", both)
        return self.get(review_id)

    def get(self, review_id: str) -> HeldOutput:
        """One held output.

        Raises:
            NotFound: none of that id.
        """
        if not _ID.fullmatch(review_id):
            raise NotFound("a review id is 16 hex digits", field="id")
        found = self._select(reviews.c.review_id == review_id)
        if not found:
            raise NotFound(f"no held output {review_id}", field="id")
        return found[0]

    def of_request(self, key: RequestKey) -> HeldOutput | None:
        """The newest held output of a request."""
        found = self._select(of_request(reviews, key))
        return found[-1] if found else None

    def waiting(self) -> list[HeldOutput]:
        """Those nobody has decided about."""
        return self._select(reviews.c.decision.is_(None))

    def decided(self) -> list[HeldOutput]:
        """Those with a decision that has not been carried out yet."""
        return self._select(reviews.c.decision.is_not(None), reviews.c.done.is_(False))

    def all(self) -> list[HeldOutput]:
        """Every one, also those long done."""
        return self._select()

    def decide(self, review_id: str, decision: ReviewDecision, reviewer: str, reason: str) -> HeldOutput:
        """Take a decision. The first one counts.

        Raises:
            NotFound: none of that id.
            InvalidRequest: no reviewer or reason, or too long.
            Conflict: decided before.
        """
        self.get(review_id)
        if not reviewer.strip() or len(reviewer) > MAX_REVIEWER:
            raise InvalidRequest("say who decides", field="reviewer", fix=f"1 to {MAX_REVIEWER} characters")
        if not reason.strip() or len(reason) > MAX_REASON:
            raise InvalidRequest("a decision needs a reason", field="reason", fix=f"1 to {MAX_REASON} characters")
        values = {
            "decision": decision.value,
            "reviewer": reviewer,
            "reason": reason,
            "decided_ms": self._clock.now_ms(),
        }
        query = sa.update(reviews).where(reviews.c.review_id == review_id, reviews.c.decision.is_(None))

        def first_counts(connection: sa.Connection) -> None:
            if connection.execute(query.values(**values)).rowcount != 1:
                raise Conflict("was decided before", field="id")

        self._db.write("decide about a held output", first_counts)
        return self.get(review_id)

    def finish(self, review_id: str) -> None:
        """Note that the decision was carried out."""
        query = sa.update(reviews).where(reviews.c.review_id == review_id).values(done=True)
        self._db.write("finish a review", lambda connection: connection.execute(query))

    def _select(self, *where: sa.ColumnElement[bool]) -> list[HeldOutput]:
        query = sa.select(reviews).where(*where).order_by(reviews.c.held_ms, reviews.c.review_id)
        with self._db.reading("read the review queue") as connection:
            return [_held(row) for row in connection.execute(query).mappings()]


def _held(row: sa.RowMapping) -> HeldOutput:
    values: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
    values["modality"] = Modality(values["modality"])
    values["verdict"] = json.loads(values["verdict"])
    if "decision" in values:
        values["decision"] = ReviewDecision(values["decision"])
    return HeldOutput(**values)
