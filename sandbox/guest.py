"""The server in a process of somebody else: a thread of it, which the others may ask without a connection.

Signals, logging and the garbage collector stay as they are. What a test does with it is the business of others.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future
from contextvars import Context
from typing import TypeVarTuple, Unpack

from sandbox.app import App
from sandbox.messages import Reply, Request
from sandbox.server import Server

_Ts = TypeVarTuple("_Ts")


class Guest(Server):
    """A server that runs in the thread which calls `run`, and answers other threads itself, by `ask`."""

    def __init__(self, app: App) -> None:
        super().__init__(app, log_config=None)
        self._turn = threading.Lock()
        self._serving = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        with self._turn, asyncio.Runner(loop_factory=lambda: _Loop(self._turn)) as runner:
            runner.run(self.serve(sockets))

    def ask(self, request: Request) -> Reply | None:
        """The whole reply, made in the calling thread while the loop waits: to hand over takes longer than to answer.

        What only comes with time is waited for. None once the server stops, as over a connection nobody would answer.
        """
        coming: Future[bytes] | None = None
        with self._turn:
            if not self._serving:
                return None
            request.oversized = len(request.body) > self.app.max_body(request.target)
            reply = self.app.handle(request)
            stream = reply.stream
            if isinstance(stream, AsyncIterator):
                coming = asyncio.run_coroutine_threadsafe(_whole(stream), self._loop)
            elif stream is not None:
                reply.body = b"".join(stream)
        if coming is not None:
            try:
                reply.body = coming.result()
            except CancelledError:
                return None
            finally:
                coming.cancel()
        return reply

    def settle(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._serving = True

    async def disconnect(self, sockets: list[socket.socket] | None) -> None:
        """Whoever is asked nothing goes at once; uvicorn would wait a tenth of a second for them."""
        self._serving = False
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        if self.server_state.connections:
            await super().disconnect(sockets)
        for server in self.servers:
            server.close()

    def leave(self) -> None:
        """What is left is left: the test that wanted it has ended."""


async def _whole(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


class _Loop(asyncio.SelectorEventLoop):
    """An event loop of which another thread may take a turn whenever it waits."""

    def __init__(self, turn: threading.Lock) -> None:
        super().__init__(_Turns(turn))
        self._thread = threading.get_ident()

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """From whoever has the turn, too: what there is to do then must wake the loop."""
        if threading.get_ident() == self._thread:
            return super().call_soon(callback, *args, context=context)
        return self.call_soon_threadsafe(callback, *args, context=context)


class _Turns(selectors.DefaultSelector):
    """Gives its turn, a lock that the loop's thread holds otherwise, away while it waits for something to happen."""

    def __init__(self, turn: threading.Lock) -> None:
        super().__init__()
        self._turn = turn

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turn.release()
        try:
            return super().select(timeout)
        finally:
            self._turn.acquire()
