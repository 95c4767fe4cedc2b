"""The server in a process of somebody else: a thread of it, which the others may ask without a connection.

Signals, logging and the garbage collector stay as they are. What a test does with it is the business of others.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress

from sandbox.app import App
from sandbox.messages import Reply, Request
from sandbox.server import Server

_TURNS = 4  # of the loop
_LOOK = 1.0  # seconds between looks at whether there is still somebody to answer


class Guest(Server):
    """A server that runs in the thread which calls `run`, and is asked by others with `ask`."""

    def __init__(self, app: App) -> None:
        super().__init__(app, log_config=None)
        self._process = os.getpid()
        self._serving = False
        self._ended = threading.Event()
        self._waiting: set[asyncio.Task[None]] = set()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self._ended.set()

    def ask(self, request: Request) -> Reply | None:
        """The whole reply, made in the server's thread: no signal breaks into it, no setting of the caller's counts.

        What only comes with time is waited for. None where nobody answers: the server has stopped, something broke, or
        this is a copy of it in a forked process.
        """
        if os.getpid() != self._process:
            return None
        answered: Future[Reply] = Future()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._answer, request, answered)
            while not self._ended.is_set():
                try:
                    return answered.result(_LOOK)
                except TimeoutError:
                    continue
                except CancelledError:
                    break
        return None

    def _answer(self, request: Request, answered: Future[Reply]) -> None:
        if not self._serving:
            answered.cancel()
            return
        request.oversized = len(request.body) > self.app.max_body(request.target)
        reply = self.app.handle(request)
        if reply.stream is None:
            answered.set_result(reply)
        else:
            task = self._loop.create_task(_answer_whole(reply, answered))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    def settle(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._serving = True

    async def disconnect(self, sockets: list[socket.socket] | None) -> None:
        """Whoever is asked nothing goes at once; uvicorn would wait a tenth of a second for them."""
        self._serving = False
        for task in self._waiting:
            task.cancel()
        for server in self.servers:
            server.close()
        for _ in range(_TURNS):  # a connection that was taken before that is still being made
            await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        if self.server_state.connections:
            await super().disconnect(sockets)

    def leave(self) -> None:
        """What is left is left: the test that wanted it has ended."""


async def _answer_whole(reply: Reply, answered: Future[Reply]) -> None:
    try:
        stream = reply.stream
        if isinstance(stream, AsyncIterator):
            reply.body = b"".join([piece async for piece in stream])
        elif stream is not None:
            reply.body = b"".join(stream)
    except BaseException:
        answered.cancel()
        raise
    answered.set_result(reply)
