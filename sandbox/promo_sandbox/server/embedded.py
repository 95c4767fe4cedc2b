"""The server in a thread of the process that uses it. The other threads can send requests without a connection.

Signals, logging and the garbage collector stay as they are. `promo_sandbox.testing` starts it for tests.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import TOO_LARGE, Reply, Request
from promo_sandbox.server.app import App, paced
from promo_sandbox.server.server import Server

_LOOP_TURNS = 4  # until a connection that was just accepted is set up
_POLL_INTERVAL = 1.0  # seconds between checks whether the server still runs

_ReplyQueue = SimpleQueue[Reply | None]  # receives one reply, or None


class EmbeddedServer(Server):
    """A server that runs in the thread that calls `run`. Other threads call `send`."""

    def __init__(self, app: App) -> None:
        super().__init__(app, log_config=None)
        self._process = os.getpid()
        self._serving = False
        self._stopped = threading.Event()
        self._tasks: dict[_ReplyQueue, asyncio.Task[None]] = {}  # replies that are not complete yet

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        self._thread = threading.get_ident()
        try:
            super().run(sockets)
        finally:
            self._stopped.set()

    def send(self, request: Request) -> Reply | None:
        """The whole reply. It is made in the server's thread: signals and the caller's decimal context have no effect.

        Returns None if the server has stopped, if an error was raised, or in a forked copy of the process. Raises
        `SandboxError` in the server's own thread, which cannot wait for itself.
        """
        if os.getpid() != self._process:
            return None
        if threading.get_ident() == self._thread:
            raise SandboxError("the server's own thread cannot send it a request; send it from another thread")
        replies: _ReplyQueue = SimpleQueue()  # reentrant: a signal handler may send a request, too
        try:
            self._loop.call_soon_threadsafe(self._handle, request, replies)
        except RuntimeError:
            if self._loop.is_closed():
                return None
            raise
        try:
            while not self._stopped.is_set():
                with suppress(Empty):
                    return replies.get(timeout=_POLL_INTERVAL)
        except BaseException:  # a time limit or an interrupt
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._cancel, replies)
            raise
        with suppress(Empty):
            return replies.get_nowait()
        return None

    def _handle(self, request: Request, replies: _ReplyQueue) -> None:
        if not self._serving:
            replies.put(None)
            return
        if len(request.body) > self.app.max_body(request.target):
            request.body_problem = TOO_LARGE
        try:
            reply = self.app.handle(request)
        except BaseException:  # `handle` never raises, but a log handler may
            replies.put(None)
            raise
        if reply.work is None and reply.stream is None:
            replies.put(reply)
        else:
            self._tasks[replies] = self._loop.create_task(self._finish_reply(reply, replies))
            self._tasks[replies].add_done_callback(lambda _: self._tasks.pop(replies, None))

    async def _finish_reply(self, reply: Reply, replies: _ReplyQueue) -> None:
        try:
            reply = await self.app.finish(reply)
            if reply.stream is not None:
                reply.body = b"".join([piece async for piece in paced(reply.stream)])
        except BaseException:
            replies.put(None)
            raise
        replies.put(reply)

    def _cancel(self, replies: _ReplyQueue) -> None:
        task = self._tasks.get(replies)
        if task is not None:
            task.cancel()

    def after_startup(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._serving = True

    async def disconnect(self, sockets: list[socket.socket] | None) -> None:
        """Close idle connections at once; uvicorn would wait 0.1 s for them."""
        self._serving = False
        for task in self._tasks.values():
            task.cancel()
        for server in self.servers:
            server.close()
        for _ in range(_LOOP_TURNS):
            await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        if self.server_state.connections:
            await super().disconnect(sockets)

    def after_shutdown(self) -> None:
        """No warning about undelivered webhooks: the tests have ended."""
