"""Sends deliveries over HTTP, beside the requests of the same event loop and without ever keeping one waiting.

What is sent, when and in which order is the business of `webhooks` and `outbox`; where it may go that of `targets`.
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
from promo_sandbox.webhooks.dispatch import Sending, Webhooks
from promo_sandbox.webhooks.outbox import MAX_REPLY_KEPT
from promo_sandbox.webhooks.resolver import Resolver, trusting

if TYPE_CHECKING:
    import aiohttp

MAX_IN_FLIGHT = 700
MAX_QUICK = 16  # attempts in flight that may soon be answered, so that a turn of the event loop stays short
TICK = 0.05  # seconds between looks at what has fallen due
_STARTS = 4  # attempts begun in one turn
_SLOW = 50_000_000  # nanoseconds after which an attempt is no longer among the quick ones
_MAX_READ = 65_536  # bytes of an answer
_TIME_TO_READ = 1.0  # seconds for the body of an answer
_KEPT_ALIVE = 2.0  # seconds; less than what servers usually grant an idle connection
_AT_ONCE = 1_048_576  # bytes that are sent in one piece
_HEADERS = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"promo-sandbox/{__version__}",
}


class Sender:
    """Makes the attempts that are due. It works in one event loop at a time."""

    def __init__(self, webhooks: Webhooks, config: CallbackConfig) -> None:
        self._webhooks = webhooks
        self._config = config
        self._loop: asyncio.AbstractEventLoop | None = None
        self._users = 0
        self._woken = False
        self._begun: dict[asyncio.Task[None], int] = {}
        self._quick: set[asyncio.Task[None]] = set()
        self._session: asyncio.Task[aiohttp.ClientSession] | None = None

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Send what is due until the block ends, and finish what was begun. For callers that have no server."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # another kind of event loop, in which nothing can be sent
            yield
            return
        if not self._users:
            self.start()
            self._ticking = asyncio.create_task(self._tick())
        self._users += 1
        try:
            yield
            self._webhooks.tick()
            await asyncio.sleep(0)  # what was told is begun
            while self._users == 1 and (self._begun or self._woken):
                if self._begun:
                    await asyncio.wait(self._begun)
                await asyncio.sleep(0)  # what an attempt made ready begins
        finally:
            self._users -= 1
            if not self._users:
                self._ticking.cancel()
                await self.stop(0.0)

    def start(self) -> None:
        """Work in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._webhooks.wake = self._wake
        self._wake()  # what is due since nobody worked

    async def stop(self, grace: float) -> None:
        """Begin nothing more; what is in flight has so many seconds left."""
        self._loop = None
        if self._begun and grace:
            await asyncio.wait(self._begun, timeout=grace)
        for task in list(self._begun):
            task.cancel()
        if self._begun:
            await asyncio.wait(self._begun, timeout=1.0)
        if self._session is not None:
            opening, self._session = self._session, None
            with contextlib.suppress(Exception):  # it never opened, so there is nothing to close
                await (await opening).close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._webhooks.tick()
            self.tick()

    def tick(self) -> None:
        """Let attempts that take long no longer hold up others. To be called now and then."""
        if self._quick:
            before = perf_counter_ns() - _SLOW
            self._quick = {task for task in self._quick if self._begun.get(task, 0) > before}
            self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._woken:
            self._woken = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._woken = False
        if self._loop is None:
            return
        if self._webhooks.work():
            self._wake()
        for _ in range(_STARTS):
            if len(self._quick) >= MAX_QUICK or len(self._begun) >= MAX_IN_FLIGHT:
                return  # the end of one of them wakes us
            sending = self._webhooks.take()
            if sending is None:
                return
            task = self._loop.create_task(self._attempt(sending))
            self._begun[task] = perf_counter_ns()
            self._quick.add(task)
            task.add_done_callback(self._ended)
        self._wake()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._begun.pop(task, None)
        self._quick.discard(task)
        self._wake()
        if not task.cancelled():
            task.result()  # an attempt catches what can go wrong; anything else is told by the event loop

    async def _attempt(self, sending: Sending) -> None:
        delivery, started = sending.delivery, perf_counter_ns()
        status, body, error = None, b"", None
        try:
            target = self._config.policy.target(delivery.url, sending.org.rewrites)
            payload = delivery.event.payload if delivery.sent is None else delivery.sent
            session = await self._opened()
            if sending.outbox.closed or sending.lane.lost:
                self._webhooks.abandon(sending)
                return
            started = perf_counter_ns()
            async with asyncio.timeout(self._config.timeout):
                response = await self._posted(session, target, payload, sending)
            status, body = response.status, await _beginning(response)
        except asyncio.CancelledError:
            self._webhooks.abandon(sending)
            raise
        except NotAllowed as refused:
            self._webhooks.refuse(sending, str(refused))
            return
        except TimeoutError:
            error = f"No answer came within {self._config.timeout:g} s."
        except Exception as failed:  # whatever befalls one attempt, it is one that failed
            error = _said(failed)
            _untie(failed)
        self._webhooks.settle(sending, Attempt(sending.at, status, perf_counter_ns() - started, body, error))

    async def _posted(
        self, session: aiohttp.ClientSession, target: Target, payload: bytes, sending: Sending
    ) -> aiohttp.ClientResponse:
        """The answer; asked for once more where an idle connection was closed under our feet."""
        import aiohttp  # noqa: PLC0415 - the session has imported it, in another thread

        met: dict[str, bool] = {}
        started = perf_counter_ns()
        try:
            return await self._post(session, target, payload, sending.delivery.id, met)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            if not met.get("reused"):
                raise
        closed = "The connection was idle before, and was closed; it is tried again at once."
        self._webhooks.note(sending, Attempt(sending.at, None, perf_counter_ns() - started, b"", closed))
        return await self._post(session, target, payload, sending.delivery.id, met)

    async def _post(
        self, session: aiohttp.ClientSession, target: Target, payload: bytes, number: int, met: dict[str, bool]
    ) -> aiohttp.ClientResponse:
        from yarl import URL  # noqa: PLC0415 - as above

        return await session.post(
            URL(target.url, encoded=True),
            data=payload if len(payload) < _AT_ONCE else io.BytesIO(payload),
            headers={**_HEADERS, "Sandbox-Delivery": str(number)},
            allow_redirects=False,
            trace_request_ctx=met,
        )

    async def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = asyncio.create_task(self._open())
        try:
            return await asyncio.shield(self._session)
        except Exception:  # whatever it was, this attempt tells it, and the next one opens anew
            self._session = None
            raise

    async def _open(self) -> aiohttp.ClientSession:
        """The library is imported and the certificates are read in another thread: nobody waits meanwhile."""
        context = await asyncio.to_thread(self._prepared)
        import aiohttp  # noqa: PLC0415 - imported by now

        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_reused)
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

    def _prepared(self) -> ssl.SSLContext:
        import aiohttp  # noqa: F401, PLC0415 - a fifth of a second, which nobody should wait for who sends nothing

        return trusting(self._config.ca)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    body, whole = bytearray(), False
    try:
        with contextlib.suppress(TimeoutError, OSError, *_broken()):  # the status says enough
            async with asyncio.timeout(_TIME_TO_READ):
                while len(body) < _MAX_READ and not whole:
                    piece = await response.content.read(_MAX_READ)
                    body += piece
                    whole = not piece
    finally:
        response.release() if whole else response.close()
    return bytes(body[:MAX_REPLY_KEPT])


async def _reused(_: Any, request: Any, __: Any) -> None:
    request.trace_request_ctx["reused"] = True


def _broken() -> tuple[type[Exception], ...]:
    import aiohttp  # noqa: PLC0415 - imported by now

    return (aiohttp.ClientError,)


def _said(failed: Exception) -> str:
    """One sentence of what a library raised."""
    text = " ".join(str(failed).split()) or type(failed).__name__
    if "certificate verify failed" in text:
        return f"{text[:300]}; --callback-ca FILE trusts a certificate of your own"
    cause = getattr(failed, "os_error", None)
    if isinstance(cause, OSError):
        text = f"Cannot connect to {getattr(failed, 'host', '')}:{getattr(failed, 'port', '')}: {_reason(cause)}"
    return text[:300]


def _untie(failed: BaseException | None) -> None:
    """Let go of the frames that an error holds, and that hold it: else they wait for the garbage collector.

    What thousands of failed attempts leave it would take a tenth of a second, in which nobody is answered.
    """
    while failed is not None:
        traceback.clear_frames(failed.__traceback__)
        failed.__traceback__ = None
        failed = failed.__cause__ or failed.__context__


def _reason(error: OSError) -> str:
    """As the system words it; the event loop adds the address."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
