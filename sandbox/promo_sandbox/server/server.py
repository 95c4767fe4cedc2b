"""The socket server: uvicorn's, with our protocol. Starts and stops it, lets time pass, frees what was forgotten."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.logging import DefaultFormatter

from promo_sandbox.admin.api import BASE
from promo_sandbox.base.masking import mask_url
from promo_sandbox.base.printable import EscapingFormatter, escaped
from promo_sandbox.server.app import App
from promo_sandbox.server.header_cache import HeaderCache
from promo_sandbox.server.protocol import Protocol
from promo_sandbox.webhooks.sender import TICK

_SWEEP = 0.002  # seconds between slices of forgetting
_LAST_ATTEMPTS = 0.5  # seconds that deliveries in flight may still take
_SHUTDOWN = 1  # seconds that requests in flight may still take


class _LogFormatter(EscapingFormatter, DefaultFormatter):
    """uvicorn's lines."""


# Of a process that only serves: uvicorn's own, and what the sandbox and the event loop say, all of it escaped.
_LOGS = {
    **LOGGING_CONFIG,
    "formatters": {
        **LOGGING_CONFIG["formatters"],
        "default": {**LOGGING_CONFIG["formatters"]["default"], "()": _LogFormatter},
        "plain": {"()": EscapingFormatter},
    },
    "handlers": {**LOGGING_CONFIG["handlers"], "plain": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["plain"], "level": "WARNING"},
}


class Server(uvicorn.Server):
    """Serves an `App` until it is told to stop, in a process of its own; `embedded` serves inside another process."""

    def __init__(
        self, app: App, *, log_level: str = "warning", log_config: dict[str, Any] | None = LOGGING_CONFIG
    ) -> None:
        known = HeaderCache(min(app.max_body(""), app.max_body(BASE)))
        protocol = type("SandboxProtocol", (Protocol,), {"sandbox": app, "known": known})
        settings = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=log_config,
            loop="auto",
            log_level=log_level,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_SHUTDOWN,
        )
        super().__init__(settings)
        self.app = app
        self.started_hook: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settle()
        self.app.courier.start()
        self._sweeping = asyncio.create_task(self._sweep())
        if self.started_hook is not None:
            self.started_hook()

    async def main_loop(self) -> None:
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        looking = asyncio.create_task(super().main_loop())  # now and then, whether a signal said to stop
        told = asyncio.create_task(self._told.wait())
        await asyncio.wait((looking, told), return_when=asyncio.FIRST_COMPLETED)
        looking.cancel()
        told.cancel()

    def stop(self) -> None:
        """Stop as soon as can be; for another thread to say."""
        self.should_exit = True
        with suppress(AttributeError, RuntimeError):  # it has not begun, or it has ended
            self._loop.call_soon_threadsafe(self._told.set)

    def settle(self) -> None:
        """What was made until now stays; the collector, which `serve` had rest meanwhile, need not look at it."""
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)
        gc.enable()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._sweeping.cancel()
        await self.disconnect(sockets)
        await self.app.courier.stop(_LAST_ATTEMPTS)
        self.leave()

    async def disconnect(self, sockets: list[socket.socket] | None) -> None:
        await super().shutdown(sockets)

    def leave(self) -> None:
        for org, url, count in self.app.orgs.webhooks.left():
            logging.getLogger("sandbox").warning(
                "%s: %d deliveries to %s were left", escaped(org), count, escaped(mask_url(url))
            )

    async def _sweep(self) -> None:
        while True:
            busy = False
            try:
                self.app.memory.check()
                busy = self.app.orgs.sweep()
                busy |= self.app.orgs.tick()
                self.app.courier.tick()
            except Exception:  # whatever it is, time must not stand still for the other orgs
                logging.getLogger("sandbox").exception("letting time pass")
            await asyncio.sleep(_SWEEP if busy else TICK)


def serve(app: App, listeners: list[socket.socket], *, log_level: str, started: Callable[[], None]) -> None:
    """Serve on the sockets until SIGINT or SIGTERM."""
    server = Server(app, log_level=log_level, log_config=_LOGS)
    server.started_hook = started
    server.run(sockets=listeners)
