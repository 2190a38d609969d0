"""Several endpoints of one model, each an ``openai_http`` engine: who is least busy gets the next request.

Options: ``urls`` (base URLs, comma-separated), ``health_s`` (seconds between two questions about health; 0 = never) and
those of ``openai_http`` but ``url``; ``retries`` is 0 here, since another endpoint is the next try.

1. A request goes to the endpoint with the fewest requests in work; among equals, to the one that waited longest.
2. An endpoint that cannot be reached, breaks off or says that it does not work gets nothing for ``FIRST_S`` seconds,
   doubled at each failure in a row up to ``LONGEST_S``; then one request at a time until one succeeds.
3. A request that an endpoint did not take (refused, overloaded, hung up before it answered) goes to another one. After
   an endpoint began to answer it never does: text may have been shown, and a video job may have been started.
"""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from gensafe.core.errors import BackendUnavailable, ConfigError
from gensafe.core.ports import CancelCheck, SamplingMark, TextTokenizer
from gensafe.core.types import BackendCapabilities, BackendEvent, Draft, GenerationJob, Modality, TextDelta
from gensafe_backends import openai_http
from gensafe_backends.openai_http.wire import NotTaken

VERSION: Final = "1"
FIRST_S: Final = 1.0  # out after the first failure: a server that was restarted is back by then. By eye
LONGEST_S: Final = 60.0  # between two tries of an endpoint that stays down. By eye, not measured
HEALTH_S: Final = 5.0  # between two questions about health; load balancers ask every 5 to 10 s. By eye
WITHIN_S: Final = 2.0  # for an answer about health; a busy vLLM answers in tens of milliseconds. By eye
MOST_ENDPOINTS: Final = 64  # each has a thread and kept connections; more belong behind a router. By eye


def create(options: Mapping[str, str]) -> Pool:
    """Make the pool from its options, see the module's text. Nothing is contacted yet.

    Raises:
        ConfigError: an option is missing, unknown or not usable.
    """
    if "url" in options:
        raise ConfigError("a pool takes urls", field="url", fix="urls = https://a/v1, https://b/v1")
    shared = {name: value for name, value in options.items() if name not in ("urls", "health_s")}
    shared.setdefault("retries", "0")
    urls = [url.strip() for url in options.get("urls", "").split(",") if url.strip()]
    if not 1 <= len(urls) <= MOST_ENDPOINTS:
        raise ConfigError(f"names no endpoint, or more than {MOST_ENDPOINTS}", field="urls")
    try:
        health_s = float(options.get("health_s", HEALTH_S))
    except ValueError:
        health_s = -1.0
    if not 0 <= health_s <= 3600:
        raise ConfigError("is not between 0 and 3600 seconds", field="health_s")
    try:
        endpoints = [Endpoint(url, openai_http.create({**shared, "url": url})) for url in urls]
    except ConfigError as error:
        if error.field == "url":
            raise ConfigError(error.message, field="urls", fix=error.fix) from None
        raise
    if len(set(urls)) < len(urls):
        raise ConfigError("names one endpoint twice", field="urls")
    return Pool(endpoints, health_s)


@dataclass(slots=True)
class Endpoint:
    """One server of the pool and what is known of it. ``turn``: when it was last given a request, as a count."""

    url: str
    backend: openai_http.OpenAiHttpBackend
    in_work: int = 0
    turn: int = 0
    failures: int = 0  # in a row
    out_until: float = 0.0
    reason: str = ""

    def free(self, now: float) -> bool:
        """Whether it may be given a request: it is not out, and after a failure it has none."""
        return now >= self.out_until and not (self.failures and self.in_work)


class Pool:
    """See the module's text. Safe between threads.

    Args:
        endpoints: At least one.
        health_s: Seconds between two questions about health, from the first request on; 0 = never.
        clock: Seconds that only grow.
    """

    name = "pool"
    version = VERSION

    def __init__(
        self, endpoints: list[Endpoint], health_s: float = HEALTH_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.endpoints = endpoints
        self._health_s, self._clock = health_s, clock
        self._lock = threading.Lock()
        self._turns = itertools.count(1)
        self._watched = False

    def capabilities(self) -> BackendCapabilities:
        """Those of its endpoints, which are configured alike."""
        can = self.endpoints[0].backend.capabilities()
        return replace(can, description=f"{len(self.endpoints)} endpoints, each: {can.description}")

    def models(self) -> Mapping[str, str]:
        """The one model."""
        return self.endpoints[0].backend.models()

    def tokenizer(self) -> TextTokenizer | None:
        """That of its endpoints, where it is configured."""
        return self.endpoints[0].backend.tokenizer()

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``; raises BackendUnavailable when no endpoint takes the request."""
        self._watch()
        tried: list[Endpoint] = []
        refused: NotTaken | None = None
        while True:
            with self._given(tried, refused) as endpoint:
                begun = False
                try:
                    for event in endpoint.backend.generate(job, mark, cancelled):
                        begun = begun or isinstance(event, TextDelta | Draft)
                        yield self._ours(event, len(tried))
                    self._works(endpoint)
                    return
                except NotTaken as error:
                    if not error.busy:
                        self.failed(endpoint, error.message)
                    if begun or (error.sent and job.modality is Modality.VIDEO):
                        raise
                    tried.append(endpoint)
                    refused = error
                except BackendUnavailable as error:
                    self.failed(endpoint, error.message)
                    raise

    def _ours(self, event: BackendEvent, refusals: int) -> BackendEvent:
        if not isinstance(event, Draft):
            return event
        notes = event.record.notes
        if refusals:
            notes = (*notes, f"endpoints that did not take the request before: {refusals}")
        return replace(event, record=replace(event.record, backend=self.name, notes=notes))

    @contextmanager
    def _given(self, tried: list[Endpoint], refused: NotTaken | None) -> Iterator[Endpoint]:
        """The endpoint of the next try, counted as busy while the statement lasts.

        Raises:
            BackendUnavailable: none is left; what the last one said, if one was tried.
        """
        with self._lock:
            now = self._clock()
            free = [e for e in self.endpoints if e.free(now) and e not in tried]
            if not free:
                raise refused or self._none_works(now)
            endpoint = min(free, key=lambda e: (e.in_work, e.turn))
            endpoint.in_work += 1
            endpoint.turn = next(self._turns)
        try:
            yield endpoint
        finally:
            with self._lock:
                endpoint.in_work -= 1

    def _none_works(self, now: float) -> BackendUnavailable:
        model, wait = next(iter(self.models())), max(0.0, min(e.out_until for e in self.endpoints) - now)
        reason = next((e.reason for e in self.endpoints if e.reason), "")
        return BackendUnavailable(
            f"no endpoint of {model!r} works{f': {reason}' if reason else ''}", fix=f"retry after {wait:.1f} s"
        )

    # --- health ---------------------------------------------------------------------------------------------------

    def _works(self, endpoint: Endpoint) -> None:
        with self._lock:
            endpoint.failures, endpoint.out_until, endpoint.reason = 0, 0.0, ""

    def failed(self, endpoint: Endpoint, reason: str) -> None:
        """Take an endpoint out for a while, longer at each failure in a row."""
        with self._lock:
            now = self._clock()
            if now < endpoint.out_until:
                return  # one failure seen by several requests is one failure
            endpoint.out_until = now + min(LONGEST_S, FIRST_S * 2.0**endpoint.failures)
            endpoint.failures, endpoint.reason = endpoint.failures + 1, reason

    def look(self) -> None:
        """Ask every endpoint that is not out how it is."""
        for endpoint in self.endpoints:
            if self._clock() < endpoint.out_until:
                continue
            if endpoint.backend.alive(WITHIN_S):
                if endpoint.failures:
                    self._works(endpoint)
            else:
                self.failed(endpoint, "it does not say that it works")

    def _watch(self) -> None:
        """Look from time to time, from the first request on and as long as the pool is in use."""
        with self._lock:
            if self._watched or not self._health_s:
                return
            self._watched = True
        ended = threading.Event()
        weakref.finalize(self, ended.set)
        threading.Thread(target=_watching, args=(weakref.ref(self), ended, self._health_s), daemon=True).start()


def _watching(pool: weakref.ref[Pool], ended: threading.Event, health_s: float) -> None:
    while not ended.wait(health_s):
        alive = pool()
        if alive is None:
            return
        alive.look()
        del alive
