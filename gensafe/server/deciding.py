"""The desk of a running server: the same acts as the command line's, carried out at once by the log's one writer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from gensafe.core.errors import InvalidRequest, RegistryRefused
from gensafe.core.types import Everything, Scope
from gensafe.pipeline import Chain, carry_out_decisions
from gensafe.pipeline.desk import Desk, Person
from gensafe.registry import HeldOutput, OrderKind
from gensafe.server.identity import ADMIN, LOCAL, Identity

log = logging.getLogger("gensafe.server")


class Deciding:
    """Carries out what people decide and order: when the watcher looks, and when an act here waits for it."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._one = threading.Lock()  # carrying out is for one thread at a time
        self.desk = Desk(chain.config, chain.keys, chain.registry, self._have_done, self._decided, chain.clock)

    def step(self) -> None:
        """Carry out all that waits."""
        with self._one:
            count = carry_out_decisions(self.chain)
        if count:
            log.info("carried out %d decisions about held outputs", count)

    def _have_done(self, kind: OrderKind, body: Mapping[str, Any]) -> dict[str, Any]:
        order_id = self.chain.registry.orders.place(kind, body)
        self.step()
        result = self.chain.registry.orders.get(order_id).result
        assert result is not None  # a step carries every order out, or raises
        if "error" in result:
            raise RegistryRefused(str(result["error"]), fix=str(result.get("fix") or ""))
        return dict(result)

    def _decided(self, item: HeldOutput) -> HeldOutput:
        self.step()
        return self.chain.registry.reviews.get(item.review_id)


def person_of(identity: Identity, actor: str) -> Person:
    """Who acts: what the credential names, and beside it the name that the caller gives.

    Args:
        identity: The caller. With the role ``admin`` it sees all tenants.
        actor: A name; needed where the credential names nobody.

    Raises:
        InvalidRequest: nobody is named.
    """
    named = f"user {identity.subject}" if identity.subject else f"key {identity.key_id}" if identity.key_id else ""
    if not named and not actor.strip():
        raise InvalidRequest("say who acts: this credential names nobody", field="actor", fix="give a name")
    credential = "" if identity == LOCAL else named or f"tenant {identity.tenant}"
    return Person(
        " ".join(part for part in (actor.strip(), credential and f"[{credential}]") if part), _scope(identity)
    )


def looking(identity: Identity) -> Person:
    """A caller who only reads."""
    return Person("", _scope(identity))


def _scope(identity: Identity) -> Scope:
    return Everything() if ADMIN in identity.roles else identity.scope
