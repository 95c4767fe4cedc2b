"""The server in a process of somebody else: a thread of it, which the others may ask without a connection.

Signals, logging and the garbage collector stay as they are. What a test does with it is the business of others.
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

_TURNS = 4  # of the loop
_LOOK = 1.0  # seconds between looks at whether there is still somebody to answer

_Answered = SimpleQueue[Reply | None]  # where the reply comes, or that there is none


class EmbeddedServer(Server):
    """A server that runs in the thread which calls `run`, and is asked by others with `ask`."""

    def __init__(self, app: App) -> None:
        super().__init__(app, log_config=None)
        self._process = os.getpid()
        self._serving = False
        self._ended = threading.Event()
        self._waiting: dict[_Answered, asyncio.Task[None]] = {}  # for what only comes with time

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        self._thread = threading.get_ident()
        try:
            super().run(sockets)
        finally:
            self._ended.set()

    def ask(self, request: Request) -> Reply | None:
        """The whole reply, made in the server's thread: no signal breaks into it, no setting of the caller's counts.

        What only comes with time is waited for. None where nobody answers: the server has stopped, something broke, or
        this is a copy of it in a forked process. Raises `SandboxError` in the server's own thread, which cannot wait
        for itself.
        """
        if os.getpid() != self._process:
            return None
        if threading.get_ident() == self._thread:
            raise SandboxError("the thread of the sandbox's server cannot ask it anything")
        answered: _Answered = SimpleQueue()  # which a signal's handler may ask by, too, whatever it interrupts
        try:
            self._loop.call_soon_threadsafe(self._answer, request, answered)
        except RuntimeError:
            if self._loop.is_closed():
                return None
            raise
        try:
            while not self._ended.is_set():
                with suppress(Empty):
                    return answered.get(timeout=_LOOK)
        except BaseException:  # a test's time is over, or somebody interrupts it
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._give_up, answered)
            raise
        with suppress(Empty):
            return answered.get_nowait()
        return None

    def _answer(self, request: Request, answered: _Answered) -> None:
        if not self._serving:
            answered.put(None)
            return
        if len(request.body) > self.app.max_body(request.target):
            request.body_problem = TOO_LARGE
        try:
            reply = self.app.handle(request)
        except BaseException:  # it never raises, but somebody's logging may
            answered.put(None)
            raise
        if reply.work is None and reply.stream is None:
            answered.put(reply)
        else:
            self._waiting[answered] = self._loop.create_task(self._answer_whole(reply, answered))
            self._waiting[answered].add_done_callback(lambda _: self._waiting.pop(answered, None))

    async def _answer_whole(self, reply: Reply, answered: _Answered) -> None:
        try:
            reply = await self.app.finish(reply)
            if reply.stream is not None:
                reply.body = b"".join([piece async for piece in paced(reply.stream)])
        except BaseException:
            answered.put(None)
            raise
        answered.put(reply)

    def _give_up(self, answered: _Answered) -> None:
        task = self._waiting.get(answered)
        if task is not None:
            task.cancel()

    def settle(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._serving = True

    async def disconnect(self, sockets: list[socket.socket] | None) -> None:
        """Whoever is asked nothing goes at once; uvicorn would wait a tenth of a second for them."""
        self._serving = False
        for task in self._waiting.values():
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
