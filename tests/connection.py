"""A connection without a socket, to test the requests and the answers of a protocol."""

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
    """A transport that records the written bytes."""

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
    """A loop with a stopped clock and timers that never fire. `turn` runs the ready callbacks."""

    def __init__(self) -> None:
        self._ready: deque[Callable[[], None]] = deque()

    def time(self) -> float:
        return 0.0

    def call_later(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(cancel=lambda: None)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._ready.append(callback)

    def turn(self) -> bool:
        """Run the ready callbacks. Return whether there were any."""
        ready = list(self._ready)
        self._ready.clear()
        for callback in ready:
            callback()
        return bool(ready)


class Connection:
    """A connection that records its requests and its answers."""

    def __init__(self, known: HeaderCache | None = None, room: int = 10 * MAX_BODY) -> None:
        """room: the longest body for which there is memory."""
        self._room = room
        self.requests: list[Request] = []
        self.header_cache = known or HeaderCache(MAX_BODY)
        self.loop = Loop()
        config = SimpleNamespace(max_body=MAX_BODY, request_timeout=30)
        sandbox = SimpleNamespace(
            config=config, handle=self._handle, max_body=lambda _: MAX_BODY, check_body_size=self._check_body_size
        )
        kind = type("Recording", (Protocol,), {"sandbox": sandbox, "header_cache": self.header_cache})
        state = ServerState()
        state.default_headers = [(b"date", b"now")]
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.protocol = kind(Config(app=None, http="httptools"), state, {}, loop)  # type: ignore[arg-type]  # no app
        self._transport = Transport()
        self.protocol.connection_made(self._transport)

    def receive(self, data: bytes) -> list[dict[str, Any]]:
        """The requests in the data, with all their attributes."""
        self.requests.clear()
        self.protocol.data_received(data)
        while self.loop.turn():
            pass
        return [{name: getattr(request, name) for name in Request.__slots__} for request in self.requests]

    @property
    def answered(self) -> bytes:
        return self._transport.written

    def _check_body_size(self, size: int, limit: int, _: int | None) -> BodyProblem | None:
        if size > self._room:
            return BodyProblem(507, "full")
        return TOO_LARGE if size > limit else None

    def _handle(self, request: Request) -> Reply:
        self.requests.append(request)
        return Reply(204)
