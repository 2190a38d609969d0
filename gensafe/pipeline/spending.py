"""Count what requests used: once, whatever ends them (see ``gensafe.registry.usage``)."""

from __future__ import annotations

from gensafe.core.observer import Used
from gensafe.core.types.usage import Amounts, Usage
from gensafe.pipeline.admit import Claimed
from gensafe.pipeline.chain import Chain


def settle(chain: Chain, claimed: Claimed, spent: Amounts) -> Usage:
    """Count what an attempt used instead of what was reserved for it.

    Raises:
        RegistryUnavailable: not counted, so its output must not leave.
    """
    chain.registry.usage.settle(claimed.record_id, spent)
    chain.observe(Used(claimed.request.modality.value, claimed.request.tenant, spent))
    return Usage(claimed.forecast, spent, chain.config.usage.currency)


def usage_of(chain: Chain, record_id: int) -> Usage | None:
    """What an earlier attempt used; None where it was before usage was counted."""
    row = chain.registry.usage.of(record_id)
    return None if row is None else Usage(row.forecast, row.spent, chain.config.usage.currency)


def settle_what_is_left(chain: Chain) -> None:
    """At a start, after ``recover``: count what ended and could not be counted then: as a request, no more."""
    for row in chain.registry.usage.reserved():
        chain.registry.usage.settle(row.record_id, chain.meter.priced(row.model, Amounts(requests=1)))
