"""HTTP to one engine: kept connections, three time limits, cancelling that closes the socket, errors without content.

Requests run as tasks of one event loop in a thread of its own. The backend's blocking iterator takes what they make
from a queue and asks every ``POLL_S`` whether the caller is gone; then it cancels the task, which closes the socket,
and that is what makes vLLM, llama.cpp and SGLang stop computing.
"""

from __future__ import annotations

import asyncio
import json
import queue
import random
import re
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import httpx

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, ConfigError, GensafeError
from gensafe.core.ports import CancelCheck
from gensafe_backends.openai_http.options import Options

T = TypeVar("T")

POLL_S: Final = 0.1  # a cancelled caller is noticed within this, and the socket closed
MAX_RESPONSE: Final = 512 << 20  # bytes of one answer: a minute of film fits, a flood does not
TOO_MANY: Final = 429  # RFC 6585
MAX_ERROR: Final = 64 << 10  # bytes of an error's body: only its names are read from it. A round number, not measured
# too many requests (RFC 6585), bad gateway, unavailable, gateway time-out (RFC 9110)
TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
BACKOFF_S: Final = 0.5  # doubled at every try, with up to as much again at random
_WORD: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}\Z")  # what of an engine's error is repeated: names, never sentences

NO_SUCH_PAGE: Final = frozenset({401, 403, 404, 405})  # a server that lives but does not tell its health here
SERVER_ERROR: Final = 500  # this status and above: the fault is the server's (RFC 9110)

Emit = Callable[[T], None]
Work = Callable[[Emit[T]], Coroutine[Any, Any, None]]


class NotTaken(BackendUnavailable):
    """The engine did not take the request, so another one may be asked without doing anything twice.

    ``sent``: it may have read the request before it hung up. ``busy``: it works, but has too much to do.
    """

    def __init__(self, message: str, *, fix: str | None = None, sent: bool = False, busy: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.sent, self.busy = sent, busy


class Wire:
    """The connection to one engine."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: list[httpx.AsyncClient] = []  # one, once it is needed
        self._tls = _tls(options)

    # --- from the backend's thread --------------------------------------------------------------------------------

    def run(self, work: Work[T], cancelled: CancelCheck) -> Iterator[T]:
        """Run ``work`` in the loop and yield what it emits; closing the iterator early cancels it.

        Raises:
            Cancelled: ``cancelled()`` became true.
            BackendError, BackendUnavailable: what ``work`` raised, or the total time limit.
        """
        items: queue.SimpleQueue[T | None] = queue.SimpleQueue()

        async def bounded() -> None:
            try:
                async with asyncio.timeout(self._options.total_s):
                    await work(items.put)
            except TimeoutError:
                raise BackendError(f"the engine took longer than {self._options.total_s:g} s") from None
            finally:
                items.put(None)

        future = asyncio.run_coroutine_threadsafe(bounded(), self._started())
        try:
            while True:
                try:
                    item = items.get(timeout=POLL_S)
                except queue.Empty:
                    if not future.done() and cancelled():
                        raise Cancelled("the request was cancelled while the engine was working") from None
                    if not future.done() or not items.empty():  # the last pieces may have come since the wait ended
                        continue
                    item = None
                if item is None:
                    future.result()
                    return
                if cancelled():
                    raise Cancelled("the request was cancelled while the engine was working")
                yield item
        finally:
            future.cancel()

    def alive(self, within_s: float) -> bool:
        """Whether the server says that it works: ``/health`` beside ``/v1``, or where that is not known ``/models``."""

        async def ask() -> bool:
            for address in (self._options.base.rpartition("/")[0] + "/health", self._options.base + "/models"):
                async with self._http().stream("GET", address, timeout=within_s) as response:
                    if response.status_code not in NO_SUCH_PAGE:
                        return response.status_code < SERVER_ERROR
            return True

        future = asyncio.run_coroutine_threadsafe(ask(), self._started())
        try:
            return future.result(2 * within_s)
        except (httpx.HTTPError, TimeoutError):
            future.cancel()
            return False

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_turn, args=(self._loop,), name="engine-http", daemon=True).start()
                weakref.finalize(self, _end, self._loop, self._clients)
            return self._loop

    # --- in the loop ----------------------------------------------------------------------------------------------

    def _http(self) -> httpx.AsyncClient:
        if not self._clients:
            options = self._options
            client = httpx.AsyncClient(
                timeout=httpx.Timeout(options.idle_s, connect=options.connect_s),
                follow_redirects=False,  # where a prompt goes is configured, not negotiated
                trust_env=False,  # proxies too
                proxy=options.proxy or None,
                verify=self._tls,
                headers={"Authorization": f"Bearer {options.key}"} if options.key else {},
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=30),
            )
            self._clients.append(client)
        return self._clients[0]

    @asynccontextmanager
    async def answer(
        self,
        method: str,
        path: str,
        *,
        retry: bool = True,
        **content: Any,  # noqa: ANN401 - httpx: json=, data=, files=
    ) -> AsyncIterator[httpx.Response]:
        """One exchange up to the headers of a good answer; the body is read by the caller.

        Tries again before the first byte of an answer only, on ``TRY_AGAIN`` and on connections that cannot be made,
        after ``Retry-After`` if the engine says so.

        Raises:
            NotTaken: the engine is not reached, overloaded, or hung up before it answered.
            BackendUnavailable: it did not answer in time, or broke off.
            BackendError: any other status than 2xx; the engine's error type and code are named, never its words.
        """
        tries = self._options.retries if retry else 0
        for attempt in range(tries + 1):
            request = self._http().build_request(method, self._options.base + path, **content)
            try:
                response = await self._http().send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if attempt < tries:
                    await asyncio.sleep(_pause(attempt))
                    continue
                raise NotTaken(f"the engine cannot be reached: {type(error).__name__}") from error
            except httpx.TimeoutException as error:  # it has the request and may be working on it
                raise BackendUnavailable(f"the engine did not answer: {type(error).__name__}") from error
            except httpx.HTTPError as error:
                raise NotTaken(f"the engine did not answer: {type(error).__name__}", sent=True) from error
            try:
                if response.is_success:
                    with _broken_off():
                        yield response
                    return
                failure = await _refusal(response)
                wait = _retry_after(response)
            finally:
                with suppress(httpx.HTTPError):
                    await response.aclose()
            if response.status_code not in TRY_AGAIN or attempt == tries or (wait or 0) > self._options.idle_s:
                raise failure
            await asyncio.sleep(_pause(attempt) if wait is None else wait)

    async def body(self, response: httpx.Response) -> bytes:
        """The whole body of an answer, bounded.

        Raises:
            BackendError: larger than ``MAX_RESPONSE``.
        """
        pieces = bytearray()
        async for piece in response.aiter_bytes():
            pieces += piece
            if len(pieces) > MAX_RESPONSE:
                raise BackendError("the engine's answer is too large")
        return bytes(pieces)

    async def json(
        self,
        method: str,
        path: str,
        *,
        retry: bool = True,
        job: bool = False,
        **content: Any,  # noqa: ANN401 - httpx: json=, data=, files=
    ) -> Mapping[str, Any]:
        """One exchange whose answer is a JSON object; that of a ``job`` may tell of the job's own error."""
        async with self.answer(method, path, retry=retry, **content) as response:
            return json_object(await self.body(response), job=job)


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    """The loop's thread."""
    try:
        loop.run_forever()
    finally:
        loop.close()


def _end(loop: asyncio.AbstractEventLoop, clients: list[httpx.AsyncClient]) -> None:
    """Close the kept connections and end the loop's thread, once nobody holds the ``Wire``."""

    async def close() -> None:
        for client in clients:
            await client.aclose()

    def stop(_: object) -> None:
        loop.call_soon_threadsafe(loop.stop)

    asyncio.run_coroutine_threadsafe(close(), loop).add_done_callback(stop)


def json_object(data: bytes | str, *, job: bool = False) -> Mapping[str, Any]:
    """``data`` as a JSON object without an ``error`` in it, unless it is the state of a ``job``.

    Raises:
        BackendError: it is not one, or it is an error object.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BackendError("the engine's answer is not JSON") from error
    if not isinstance(value, dict):
        raise BackendError("the engine's answer is not a JSON object")
    if value.get("error") and not job:
        raise BackendError(f"the engine reported an error{error_names(value['error'])}")
    return value


def error_names(error: Any) -> str:  # noqa: ANN401 - JSON from outside
    """`` (type T, code C, param P)`` of an error object: names only, since its words may repeat the prompt."""
    if not isinstance(error, Mapping):
        return ""
    named = [
        f"{key} {error[key]}" for key in ("type", "code", "param") if key in error and _WORD.match(str(error[key]))
    ]
    return f" ({', '.join(named)})" if named else ""


async def _refusal(response: httpx.Response) -> GensafeError:
    """The error that an answer with a bad status stands for."""
    body = bytearray()
    with suppress(httpx.HTTPError):
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_ERROR:
                break
    names = ""
    with suppress(ValueError, RecursionError):
        document = json.loads(bytes(body))
        if isinstance(document, Mapping):
            names = error_names(document.get("error", document))
    said = f"the engine answered with status {response.status_code}{names}"
    wait = _retry_after(response)
    fix = f"retry after {wait:g} s" if wait is not None else None
    if response.status_code in TRY_AGAIN:
        return NotTaken(said, fix=fix, busy=response.status_code == TOO_MANY)
    return BackendError(said, fix=fix)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() and len(text) < 7 else None


def _pause(attempt: int) -> float:
    return float(BACKOFF_S * 2**attempt) * (1 + random.random())  # noqa: S311 - jitter


class _broken_off:  # noqa: N801 - used as a statement
    """Turns a failure while a body is read into BackendUnavailable."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.HTTPError | httpx.StreamError):
            raise BackendUnavailable(f"the engine broke off: {type(error).__name__}") from error


def _tls(options: Options) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if options.client_certificate:
            context.load_cert_chain(*options.client_certificate)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot be used: {error}", field="ca_file or client_certificate_file") from error
    return context
