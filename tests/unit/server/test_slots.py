"""Slots, pools and quotas by themselves: turns, shares, withdrawal, and threads that never end."""

import asyncio
import threading
import time

import pytest

from gensafe.core.errors import BackendUnavailable, Cancelled, DeadlineExceeded, Overloaded
from gensafe.server.quota import ByteBudget, RateLimiter
from gensafe.server.slots import FairSlots
from gensafe.server.work import ABANDONED_PER_SLOT, WorkPool


def granted(ticket):
    return ticket._granted.done()


@pytest.mark.asyncio
async def test_turns_go_round_the_tenants():
    slots = FairSlots(1, 10)
    first = slots.enter("a")
    waiting = [slots.enter(t) for t in ("a", "a", "b", "c")]
    order = []
    first.release()
    for _ in waiting:
        ticket = next(t for t in waiting if granted(t) and t not in order)
        order.append(ticket)
        ticket.release()
    assert [t.tenant for t in order] == ["a", "b", "c", "a"]


@pytest.mark.asyncio
async def test_a_tenant_never_holds_or_queues_more_than_its_share():
    slots = FairSlots(4, 4, 0.5)
    mine = [slots.enter("a") for _ in range(4)]
    assert [granted(t) for t in mine] == [True, True, False, False]
    with pytest.raises(Overloaded):
        slots.enter("a")
    others = [slots.enter("b") for _ in range(2)]
    assert all(granted(t) for t in others)
    mine[2].withdraw(Cancelled("no longer wanted"))
    with pytest.raises(Cancelled):
        await mine[2].wait()
    mine[0].release()
    mine[0].release()  # a second time changes nothing
    assert granted(mine[3])
    for ticket in (*mine, *others):
        ticket.release()
    assert not slots._running and not slots._waiting


@pytest.mark.asyncio
async def test_a_deadline_or_a_cancelled_wait_leaves_the_queue():
    slots = FairSlots(1, 1)
    held = slots.enter("a")
    with pytest.raises(DeadlineExceeded):
        await slots.enter("b").wait(time.monotonic())
    waiter = asyncio.create_task(slots.enter("b").wait())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    held.release()
    assert not slots._running and not slots._waiting


@pytest.mark.asyncio
async def test_threads_that_never_end_are_left_behind_counted_and_bounded():
    pool = WorkPool("test", FairSlots(1, 8), 0.01)
    end = threading.Event()
    for _ in range(ABANDONED_PER_SLOT):
        with pytest.raises(DeadlineExceeded):
            await pool.run("a", end.wait)
    with pytest.raises(BackendUnavailable, match="hang"):
        await pool.run("b", lambda: 1)
    end.set()
    while pool.abandoned:
        await asyncio.sleep(0.01)
    pool.timeout_s = 60
    assert await pool.run("b", lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        await pool.run("b", lambda: 1 // 0)
    assert not pool.slots._running


def test_a_batch_larger_than_a_minutes_quota_makes_a_debt():
    now = [0.0]
    limiter = RateLimiter(60, lambda: now[0])
    assert limiter.admit("a", 90) == 0
    assert limiter.admit("a") == 31
    now[0] = 31.0
    assert limiter.admit("a") == 0
    assert limiter.admit("b") == 0


def test_what_is_spent_afterwards_is_refused_before_the_next():
    """Bad requests over HTTP cost nothing before: their bodies were read and parsed as fast as they came."""
    now = [0.0]
    rate = RateLimiter(2, clock=lambda: now[0])
    for _ in range(2):
        rate.check("a", "queries")
        rate.check("a", "queries")  # looking takes nothing
        rate.admit("a")
    with pytest.raises(Overloaded) as refused:
        rate.check("a", "queries")
    assert refused.value.retry_after_s == pytest.approx(30)
    rate.check("b", "queries")
    now[0] = 30.0
    rate.check("a", "queries")
    RateLimiter(0).check("a", "queries")


def test_bytes_come_back_however_a_transfer_ends():
    budget = ByteBudget(10, "bytes")

    def transfer():
        with budget.lease() as lease:
            lease.grow(8)
            with pytest.raises(Overloaded):
                budget.claim(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transfer()
    assert budget.used == 0
