"""Use is counted once: reserved with the intent, settled or taken back with the sums, and never over a bound.

New mechanism: before, requests a minute were counted in memory, and nothing else.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from gensafe.core.clock import FixedClock
from gensafe.core.errors import QuotaExceeded
from gensafe.core.types import RequestKey
from gensafe.core.types.usage import Amounts, Limit, Reservation
from gensafe.registry import IntentState, Registry
from gensafe.registry.usage import window

NOON = int(datetime(2026, 12, 31, 12, 0, 30, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def registry(tmp_path):
    clock = FixedClock(NOON)
    with Registry.open(tmp_path / "registry", clock=clock) as opened:
        opened.clock = clock
        yield opened


def wanted(tenant: str = "acme", key_id: str = "", *limits: Limit, **amounts: int) -> Reservation:
    return Reservation(tenant, "m", "text", Amounts(**{"requests": 1, **amounts}), key_id, limits)


def begin(registry: Registry, number: int, reservation: Reservation, name: str = "") -> None:
    key = RequestKey(reservation.tenant, name or f"r{number}")
    registry.open_intent(key, f"d{number}", number, reservation=reservation)


def total(registry: Registry, tenant: str = "acme", key_id: str = "") -> Amounts:
    found = [d.spent for d in registry.usage.days(0, NOON * 2, tenant) if d.key_id == key_id]
    return sum(found, Amounts())


def test_what_is_reserved_counts_until_it_is_settled_and_then_what_was_used(registry):
    begin(registry, 1, wanted(tokens=100, micros=50))
    assert total(registry) == Amounts(requests=1, tokens=100, micros=50)
    for _ in range(2):  # a repeated call changes nothing
        registry.usage.settle(1, Amounts(requests=1, tokens=30, micros=15, engine_ms=7))
        assert total(registry) == Amounts(requests=1, tokens=30, micros=15, engine_ms=7)
    row = registry.usage.of(1)
    assert (row.state, row.forecast.tokens, row.spent.tokens) == ("settled", 100, 30)


@pytest.mark.parametrize("settled", [False, True])
def test_what_a_crash_cut_off_counts_for_nothing(registry, settled):
    begin(registry, 1, wanted(tokens=100))
    begin(registry, 2, wanted(tokens=5))
    if settled:
        registry.usage.settle(1, Amounts(requests=1, tokens=30))
    for _ in range(2):
        registry.close_intent(RequestKey("acme", "r1"), IntentState.ABORTED, 7)
        assert total(registry) == Amounts(requests=1, tokens=5)
    registry.usage.settle(1, Amounts(requests=1, tokens=30))  # too late
    assert total(registry) == Amounts(requests=1, tokens=5)


def test_a_retry_under_the_same_id_is_counted_as_what_it_is(registry):
    begin(registry, 1, wanted(tokens=100))
    registry.usage.settle(1, Amounts(requests=1))
    registry.close_intent(RequestKey("acme", "r1"), IntentState.FAILED, 7)
    registry.reopen_intent(RequestKey("acme", "r1"), 2, wanted(tokens=40))
    assert total(registry) == Amounts(requests=2, tokens=40)
    _, fresh = registry.open_intent(RequestKey("acme", "r1"), "d1", 3, reservation=wanted(tokens=9))
    assert not fresh  # a repeat: nothing is reserved for it
    assert total(registry) == Amounts(requests=2, tokens=40)


@pytest.mark.parametrize("period", ["minute", "day", "month"])
def test_a_request_that_does_not_fit_is_not_opened_and_counts_nothing(registry, period):
    bound = Limit(period, "tokens", 100)
    begin(registry, 1, wanted("acme", "", bound, tokens=60))
    with pytest.raises(QuotaExceeded, match=rf"100 tokens a {period}: 60 used or reserved.* take 41") as caught:
        begin(registry, 2, wanted("acme", "", bound, tokens=41))
    assert registry.intent(RequestKey("acme", "r2")) is None and registry.usage.of(2) is None
    assert total(registry) == Amounts(requests=1, tokens=60)
    assert caught.value.retry_after_s == {"minute": 30, "day": 43170, "month": 43170}[period]
    begin(registry, 3, wanted("acme", "", bound, tokens=40))  # to the last token
    begin(registry, 4, wanted("beta", "", bound, tokens=100))  # another tenant
    registry.clock.advance(int(caught.value.retry_after_s * 1000))
    begin(registry, 5, wanted("acme", "", bound, tokens=100))


def test_a_reopened_request_that_does_not_fit_stays_as_it_was(registry):
    begin(registry, 1, wanted(tokens=60))
    registry.usage.settle(1, Amounts(requests=1))
    registry.close_intent(RequestKey("acme", "r1"), IntentState.FAILED, 7)
    with pytest.raises(QuotaExceeded):
        registry.reopen_intent(RequestKey("acme", "r1"), 2, wanted("acme", "", Limit("day", "requests", 1)))
    assert registry.intent(RequestKey("acme", "r1")).state is IntentState.FAILED
    assert total(registry) == Amounts(requests=1)


def test_a_key_has_bounds_of_its_own_within_its_tenant(registry):
    of_key = Limit("day", "requests", 1, "k1")
    begin(registry, 1, wanted("acme", "k1", of_key))
    with pytest.raises(QuotaExceeded, match="key k1 of tenant acme"):
        begin(registry, 2, wanted("acme", "k1", of_key))
    begin(registry, 3, wanted("acme", "k2"))
    assert [total(registry, key_id=key).requests for key in ("", "k1", "k2")] == [2, 1, 1]


def test_costs_are_refused_by_the_budget_in_the_currency(registry):
    bound = Limit("day", "micros", 2_000_000)
    begin(registry, 1, wanted("acme", "", bound, micros=1_500_000))
    with pytest.raises(QuotaExceeded, match=r"2 budget a day: 1.5 used or reserved.* take 0.75") as caught:
        begin(registry, 2, wanted("acme", "", bound, micros=750_000))
    assert caught.value.budget


def test_many_at_once_never_pass_a_bound_and_lose_nothing(registry):
    bound, refused = Limit("day", "tokens", 1000), []

    def ask(first: int) -> None:
        for number in range(first, first + 25):
            try:
                begin(registry, number, wanted("acme", "", bound, tokens=17))
                registry.usage.settle(number, Amounts(requests=1, tokens=13))
            except QuotaExceeded:
                refused.append(number)

    threads = [threading.Thread(target=ask, args=(n * 25 + 1,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = 200 - len(refused)
    assert refused and total(registry) == Amounts(requests=done, tokens=13 * done)
    assert 1000 - 17 * 8 <= 13 * done <= 1000


def test_use_stays_in_the_day_and_minute_it_was_reserved_in(registry):
    begin(registry, 1, wanted(tokens=100))
    registry.clock.advance(24 * 3600 * 1000)
    registry.usage.settle(1, Amounts(requests=1, tokens=30))
    begin(registry, 2, wanted(tokens=7))
    days = [(day.day, day.spent.tokens) for day in registry.usage.days(0, NOON * 2)]
    assert days == [("2026-12-31", 30), ("2027-01-01", 7)]
    registry.usage.forget_minutes()
    begin(registry, 3, wanted("acme", "", Limit("day", "tokens", 10), tokens=3))


def test_months_end_where_the_calendar_says():
    def span(*day: int) -> tuple[str, str]:
        begin, end = window("month", int(datetime(*day, tzinfo=UTC).timestamp() * 1000))
        return tuple(datetime.fromtimestamp(at / 1000, UTC).date().isoformat() for at in (begin, end))

    assert span(2026, 12, 31) == ("2026-12-01", "2027-01-01")
    assert span(2028, 2, 29) == ("2028-02-01", "2028-03-01")
