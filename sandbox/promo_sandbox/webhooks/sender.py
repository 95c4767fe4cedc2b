"""Sends deliveries over HTTP, in the server's event loop, without blocking its requests.

`dispatch` and `outbox` decide what is sent, when and in which order; `callback_policy` decides which URLs are allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import ssl
import traceback
from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from promo_sandbox import __version__
from promo_sandbox.base.callback_policy import NotAllowed, Target
from promo_sandbox.base.config import CallbackConfig
from promo_sandbox.webhooks.delivery import Attempt
from promo_sandbox.webhooks.dispatch import PendingAttempt, Webhooks
from promo_sandbox.webhooks.outbox import MAX_REPLY_KEPT
from promo_sandbox.webhooks.resolver import Resolver, tls_context

if TYPE_CHECKING:
    import aiohttp

MAX_IN_FLIGHT = 700
MAX_QUICK = 16  # attempts in flight that started recently: answers cost time in the event loop
TICK = 0.05  # seconds between checks for due work
_STARTS_PER_TURN = 4  # attempts that start in one turn of the event loop
_SLOW = 50_000_000  # nanoseconds after which an attempt no longer counts towards MAX_QUICK
_MAX_READ = 65_536  # bytes of an answer
_TIME_TO_READ = 1.0  # seconds for the body of an answer
_KEPT_ALIVE = 2.0  # seconds; servers usually keep an idle connection for longer
_AT_ONCE = 1_048_576  # bytes; a longer payload is sent in pieces
_HEADERS = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"promo-sandbox/{__version__}",
}


class Sender:
    """Makes the due attempts, in one event loop at a time."""

    def __init__(self, webhooks: Webhooks, config: CallbackConfig) -> None:
        self._webhooks = webhooks
        self._config = config
        self._loop: asyncio.AbstractEventLoop | None = None
        self._users = 0
        self._pump_scheduled = False
        self._in_flight: dict[asyncio.Task[None], int] = {}
        self._quick: set[asyncio.Task[None]] = set()
        self._session: asyncio.Task[aiohttp.ClientSession] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send due deliveries until the block ends, then finish the attempts in flight. For use without a server."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # not an asyncio event loop: nothing can be sent
            yield
            return
        if not self._users:
            self.start()
            self._ticking = asyncio.create_task(self._tick())
        self._users += 1
        try:
            yield
            self._webhooks.tick()
            await asyncio.sleep(0)  # new deliveries start
            while self._users == 1 and (self._in_flight or self._pump_scheduled):
                if self._in_flight:
                    await asyncio.wait(self._in_flight)
                await asyncio.sleep(0)  # deliveries behind the finished attempts start
        finally:
            self._users -= 1
            if not self._users:
                self._ticking.cancel()
                await self.stop(0.0)

    def start(self) -> None:
        """Send deliveries in the running event loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._webhooks.wake = self._wake
        self._wake()  # deliveries may have become due before

    async def stop(self, grace: float) -> None:
        """Start no more attempts, and cancel those that are still in flight after `grace` seconds."""
        self._loop = None
        if self._in_flight and grace:
            await asyncio.wait(self._in_flight, timeout=grace)
        for task in list(self._in_flight):
            task.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=1.0)
        if self._session is not None:
            opening, self._session = self._session, None
            with contextlib.suppress(Exception):  # the session failed to open
                await (await opening).close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._webhooks.tick()
            self.tick()

    def tick(self) -> None:
        """Stop counting slow attempts towards MAX_QUICK. Called regularly."""
        if self._quick:
            before = perf_counter_ns() - _SLOW
            self._quick = {task for task in self._quick if self._in_flight.get(task, 0) > before}
            self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        if self._loop is None:
            return
        if self._webhooks.run_tasks():
            self._wake()
        for _ in range(_STARTS_PER_TURN):
            if len(self._quick) >= MAX_QUICK or len(self._in_flight) >= MAX_IN_FLIGHT:
                return  # `_ended` continues
            pending = self._webhooks.next_attempt()
            if pending is None:
                return
            task = self._loop.create_task(self._attempt(pending))
            self._in_flight[task] = perf_counter_ns()
            self._quick.add(task)
            task.add_done_callback(self._ended)
        self._wake()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.pop(task, None)
        self._quick.discard(task)
        self._wake()
        if not task.cancelled():
            task.result()  # an unexpected error goes to the event loop's handler

    async def _attempt(self, pending: PendingAttempt) -> None:
        delivery, started = pending.delivery, perf_counter_ns()
        status, body, error = None, b"", None
        try:
            target = self._config.policy.target(delivery.url, pending.org.rewrites)
            payload = delivery.event.payload if delivery.sent is None else delivery.sent
            session = await self._get_session()
            if pending.outbox.closed or pending.queue.removed:
                self._webhooks.abandon(pending)
                return
            started = perf_counter_ns()
            async with asyncio.timeout(self._config.timeout):
                response = await self._post_with_retry(session, target, payload, pending)
            status, body = response.status, await _read_beginning(response)
        except asyncio.CancelledError:
            self._webhooks.abandon(pending)
            raise
        except NotAllowed as not_allowed:
            self._webhooks.forbid(pending, str(not_allowed))
            return
        except TimeoutError:
            error = f"No answer came within {self._config.timeout:g} s."
        except Exception as failed:  # any other error makes the attempt fail
            error = _describe(failed)
            _clear_frames(failed)
        self._webhooks.finish_attempt(pending, Attempt(pending.at, status, perf_counter_ns() - started, body, error))

    async def _post_with_retry(
        self, session: aiohttp.ClientSession, target: Target, payload: bytes, pending: PendingAttempt
    ) -> aiohttp.ClientResponse:
        """The answer. If an idle connection was closed by the receiver, the request is sent once more."""
        import aiohttp  # noqa: PLC0415 - the session has imported it, in another thread

        trace: dict[str, bool] = {}
        started = perf_counter_ns()
        try:
            return await self._post(session, target, payload, pending.delivery.id, trace)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            if not trace.get("reused"):
                raise
        closed = "The receiver closed the idle connection; the request is sent again at once."
        self._webhooks.record_attempt(pending, Attempt(pending.at, None, perf_counter_ns() - started, b"", closed))
        return await self._post(session, target, payload, pending.delivery.id, trace)

    async def _post(
        self, session: aiohttp.ClientSession, target: Target, payload: bytes, number: int, trace: dict[str, bool]
    ) -> aiohttp.ClientResponse:
        from yarl import URL  # noqa: PLC0415 - as above

        return await session.post(
            URL(target.url, encoded=True),
            data=payload if len(payload) < _AT_ONCE else io.BytesIO(payload),
            headers={**_HEADERS, "Sandbox-Delivery": str(number)},
            allow_redirects=False,
            trace_request_ctx=trace,
        )

    async def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = asyncio.create_task(self._open_session())
        try:
            return await asyncio.shield(self._session)
        except Exception:  # this attempt fails; the next one opens a new session
            self._session = None
            raise

    async def _open_session(self) -> aiohttp.ClientSession:
        """Import aiohttp and read the certificates in another thread, so that the event loop is not blocked."""
        context = await asyncio.to_thread(self._prepare)
        import aiohttp  # noqa: PLC0415 - imported by now

        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_note_reuse)
        connector = aiohttp.TCPConnector(
            limit=0,
            ssl=context,
            resolver=Resolver(self._config.policy),
            use_dns_cache=False,
            keepalive_timeout=_KEPT_ALIVE,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trace_configs=[tracing],
        )

    def _prepare(self) -> ssl.SSLContext:
        import aiohttp  # noqa: F401, PLC0415 - takes 0.2 s, and is only needed to send

        return tls_context(self._config.ca)


async def _read_beginning(response: aiohttp.ClientResponse) -> bytes:
    body, whole = bytearray(), False
    try:
        with contextlib.suppress(TimeoutError, OSError, *_client_errors()):  # the status says enough
            async with asyncio.timeout(_TIME_TO_READ):
                while len(body) < _MAX_READ and not whole:
                    piece = await response.content.read(_MAX_READ)
                    body += piece
                    whole = not piece
    finally:
        response.release() if whole else response.close()
    return bytes(body[:MAX_REPLY_KEPT])


async def _note_reuse(_: Any, request: Any, __: Any) -> None:
    request.trace_request_ctx["reused"] = True


def _client_errors() -> tuple[type[Exception], ...]:
    import aiohttp  # noqa: PLC0415 - imported by now

    return (aiohttp.ClientError,)


def _describe(failed: Exception) -> str:
    """An error of the HTTP client as one sentence."""
    text = " ".join(str(failed).split()) or type(failed).__name__
    if "certificate verify failed" in text:
        return f"{text[:300]}; to trust your own certificate, start with --callback-ca FILE"
    cause = getattr(failed, "os_error", None)
    if isinstance(cause, OSError):
        text = f"Cannot connect to {getattr(failed, 'host', '')}:{getattr(failed, 'port', '')}: {_reason(cause)}"
    return text[:300]


def _clear_frames(failed: BaseException | None) -> None:
    """Break the reference cycles between an error and its frames, so that no garbage collection is needed.

    After thousands of failed attempts a collection would block the event loop for 0.1 s.
    """
    while failed is not None:
        traceback.clear_frames(failed.__traceback__)
        failed.__traceback__ = None
        failed = failed.__cause__ or failed.__context__


def _reason(error: OSError) -> str:
    """The system's text of an error; the event loop's text has the address, too."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
