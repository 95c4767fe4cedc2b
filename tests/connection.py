"""A connection without a socket: what a protocol makes of the bytes that it receives, and what it answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from uvicorn import Config
from uvicorn.server import ServerState

from promo_sandbox.base.messages import TOO_LARGE, BodyProblem, Reply, Request
from promo_sandbox.server.header_cache import HeaderCache
from promo_sandbox.server.protocol import Protocol

MAX_BODY = 1000  # bytes


class Transport(asyncio.Transport):
    """Notes what is written; nobody is at the other end."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class Loop:
    """A clock that stands, timers that never ring, and turns that are taken when somebody asks for them."""

    def __init__(self) -> None:
        self._ready: deque[Callable[[], None]] = deque()

    def time(self) -> float:
        return 0.0

    def call_later(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(cancel=lambda: None)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._ready.append(callback)

    def turn(self) -> bool:
        """Run what is ready; whether there was anything."""
        ready = list(self._ready)
        self._ready.clear()
        for callback in ready:
            callback()
        return bool(ready)


class Connection:
    """A connection of its own world: what requests it made of what it received, and what it answered."""

    def __init__(self, known: HeaderCache | None = None, room: int = 10 * MAX_BODY) -> None:
        """room: how long a body may be so that there is memory for it."""
        self._room = room
        self.requests: list[Request] = []
        self.known = known or HeaderCache(MAX_BODY)
        self.loop = Loop()
        config = SimpleNamespace(max_body=MAX_BODY, request_timeout=30)
        sandbox = SimpleNamespace(
            config=config, handle=self._handle, max_body=lambda _: MAX_BODY, body_problem=self._unread
        )
        kind = type("Recording", (Protocol,), {"sandbox": sandbox, "known": self.known})
        state = ServerState()
        state.default_headers = [(b"date", b"now")]
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.protocol = kind(Config(app=None, http="httptools"), state, {}, loop)  # type: ignore[arg-type]  # no app
        self._transport = Transport()
        self.protocol.connection_made(self._transport)

    def receive(self, data: bytes) -> list[dict[str, Any]]:
        """The requests that this came to, each with all that it says."""
        self.requests.clear()
        self.protocol.data_received(data)
        while self.loop.turn():
            pass
        return [{name: getattr(request, name) for name in Request.__slots__} for request in self.requests]

    @property
    def answered(self) -> bytes:
        return self._transport.written

    def _unread(self, size: int, limit: int, _: int | None) -> BodyProblem | None:
        if size > self._room:
            return BodyProblem(507, "full")
        return TOO_LARGE if size > limit else None

    def _handle(self, request: Request) -> Reply:
        self.requests.append(request)
        return Reply(204)
