"""What the server looks after while it runs. A watcher survives what its step raises: it says so and tries again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from grpc_health.v1 import health, health_pb2

from gensafe.audit.retention import expire
from gensafe.core.errors import GensafeError
from gensafe.pipeline import Chain
from gensafe.server.health import NEEDS_EVERYTHING, NEEDS_THE_LOG, Health, probe
from gensafe.server.limits import Limits
from gensafe.server.memory import give_back
from gensafe.server.slots import FairSlots
from gensafe.server.work import WorkPool

log = logging.getLogger("gensafe.server")

WATCH_S = 2.0  # how soon a changed policy or a decision is taken up; each look costs some stat calls. Chosen
DAY_S = 86_400.0  # retention is counted in days
RETRY_S = 60.0  # a daily step that failed
TRIM_STEPS = (
    15  # of WATCH_S: giving back 300 MiB took 0.2 s on a busy machine, so under load not more than twice a minute
)
STEP_S = 3600.0  # a step that takes longer hangs; its thread is left behind


def start(
    chain: Chain,
    limits: Limits,
    told: health.aio.HealthServicer,
    stop: asyncio.Event,
    *more: tuple[str, Callable[[], None]],
) -> list[asyncio.Task[None]]:
    """Start all watchers, of ``more`` too: names and steps; they end after ``stop``."""
    watched = 6 + len(more)  # those below and that of health: none waits for another
    pool = WorkPool("watching", FairSlots(watched, watched), STEP_S)
    steps: list[tuple[str, float, float, Callable[[], None]]] = [
        ("policy", WATCH_S, WATCH_S, lambda: _policy(chain)),
        ("keys", WATCH_S, WATCH_S, chain.refresh_keys),
        ("retention", DAY_S, RETRY_S, lambda: _retention(chain)),
        ("memory", WATCH_S, WATCH_S, Trimmer(limits).step),
        ("refusals", WATCH_S, WATCH_S, lambda: _refusals(chain, limits)),
    ]
    steps += [(name, WATCH_S, WATCH_S, step) for name, step in more]
    tasks = [asyncio.create_task(_watch(pool, stop, *step)) for step in steps]
    return [*tasks, asyncio.create_task(_watch_health(pool, stop, chain, limits.health, told))]


async def _watch(
    pool: WorkPool, stop: asyncio.Event, name: str, every_s: float, retry_s: float, step: Callable[[], None]
) -> None:
    said = ""
    while not stop.is_set():
        pause = every_s
        try:
            await pool.run(name, step)
            said = ""
        except Exception as error:
            pause = retry_s
            if str(error) != said:  # once, not every two seconds
                said = str(error)
                known = isinstance(error, GensafeError)
                log.warning("watching %s failed and is tried again: %s", name, error, exc_info=None if known else error)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


class Trimmer:
    """Gives memory back once the work that took it is over, and now and then while it goes on."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps = 1  # with work, since the last time; starting takes memory too

    def step(self) -> None:
        """Look whether there is work, or was."""
        busy = self._limits.busy
        if self._steps >= TRIM_STEPS or (self._steps and not busy):
            give_back()
            self._steps = 0
        self._steps += busy


def _policy(chain: Chain) -> None:
    """Take over a changed policy file without a gap; a broken one is refused, logged, and the old one stays."""
    change = chain.refresh_policy()
    if change is None:
        return
    if change.refused:
        log.error("policy file refused, %s stays in force: %s", change.old_digest, change.error)
    else:
        log.info("policy file changed: %s is in force", change.new_digest)


def _refusals(chain: Chain, limits: Limits) -> None:
    """Log what was refused."""
    limits.refusals.write(chain.log.append)


def _retention(chain: Chain) -> None:
    """Forget the contents of log entries that are older than the configuration keeps them, and sums by minute."""
    chain.registry.usage.forget_minutes()
    held, now_ms = bool(chain.registry.holds()), chain.clock.now_ms()
    done = expire(chain.log, chain.config.audit.keep_days, now_ms, held=held)
    if done.entries:
        log.info("pruned %d log entries before %d", done.entries, done.before_index)


async def _watch_health(
    pool: WorkPool, stop: asyncio.Event, chain: Chain, state: Health, told: health.aio.HealthServicer
) -> None:
    while not stop.is_set():
        try:
            state.probed(await pool.run("health", lambda: probe(chain)))
        except Exception:
            log.exception("the health probe failed and is tried again")
        for names, works in ((NEEDS_EVERYTHING, state.ready), (NEEDS_THE_LOG, state.can_log)):
            for name in names:
                status = health_pb2.HealthCheckResponse
                await told.set(name, status.SERVING if works else status.NOT_SERVING)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), WATCH_S)
