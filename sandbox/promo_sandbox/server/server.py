"""The socket server: uvicorn with the sandbox's protocol. A housekeeping task runs due timers and frees memory."""

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

_BUSY_INTERVAL = 0.002  # seconds between slices of housekeeping
_LAST_ATTEMPTS = 0.5  # seconds for deliveries in flight at shutdown
_SHUTDOWN = 1  # seconds for requests in flight at shutdown


class _LogFormatter(EscapingFormatter, DefaultFormatter):
    """uvicorn's format, escaped."""


# For `serve`: uvicorn's logging, and the messages of the sandbox and the event loop. Everything is escaped.
_LOG_CONFIG = {
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
    """Serves an `App` in a process of its own; `embedded` serves inside another process."""

    def __init__(
        self, app: App, *, log_level: str = "warning", log_config: dict[str, Any] | None = LOGGING_CONFIG
    ) -> None:
        header_cache = HeaderCache(min(app.max_body(""), app.max_body(BASE)))
        protocol = type("SandboxProtocol", (Protocol,), {"sandbox": app, "header_cache": header_cache})
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
        self.after_startup()
        self.app.sender.start()
        self._housekeeper = asyncio.create_task(self._housekeeping())
        if self.started_hook is not None:
            self.started_hook()

    async def main_loop(self) -> None:
        self._stop_requested = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        running = asyncio.create_task(super().main_loop())  # polls for signals
        stopped = asyncio.create_task(self._stop_requested.wait())
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        stopped.cancel()

    def stop(self) -> None:
        """Stop soon. Other threads may call this."""
        self.should_exit = True
        with suppress(AttributeError, RuntimeError):  # not started, or ended
            self._loop.call_soon_threadsafe(self._stop_requested.set)

    def after_startup(self) -> None:
        """Exclude all objects of the startup from garbage collection, and enable it again."""
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)
        gc.enable()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._housekeeper.cancel()
        await self.disconnect(sockets)
        await self.app.sender.stop(_LAST_ATTEMPTS)
        self.after_shutdown()

    async def disconnect(self, sockets: list[socket.socket] | None) -> None:
        await super().shutdown(sockets)

    def after_shutdown(self) -> None:
        """Warn about undelivered webhooks."""
        for org, url, count in self.app.orgs.webhooks.undelivered():
            logging.getLogger("sandbox").warning(
                "%s: %d deliveries to %s were left", escaped(org), count, escaped(mask_url(url))
            )

    async def _housekeeping(self) -> None:
        while True:
            busy = False
            try:
                self.app.memory.check()
                busy = self.app.orgs.free_slice()
                busy |= self.app.orgs.tick()
                self.app.sender.tick()
            except Exception:  # an error in one org must not stop the clocks of the others
                logging.getLogger("sandbox").exception("housekeeping failed")
            await asyncio.sleep(_BUSY_INTERVAL if busy else TICK)


def serve(app: App, listeners: list[socket.socket], *, log_level: str, started: Callable[[], None]) -> None:
    """Serve on the sockets until SIGINT or SIGTERM."""
    server = Server(app, log_level=log_level, log_config=_LOG_CONFIG)
    server.started_hook = started
    server.run(sockets=listeners)
