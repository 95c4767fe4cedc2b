"""The sandbox inside a test process: `app` is an ASGI application, `running` a server on a free port.

`promo_sandbox.client` has the methods for a test's org.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from promo_sandbox.base.config import CallbackConfig, Config
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import Request
from promo_sandbox.base.sockets import listen
from promo_sandbox.client.calls import OPTION_NAMES, suggestion
from promo_sandbox.client.client import Sandbox
from promo_sandbox.client.http import HttpTransport
from promo_sandbox.server.app import App
from promo_sandbox.server.embedded import EmbeddedServer

__all__ = ["CallbackConfig", "Config", "app", "running"]

_TIMEOUT = 10.0  # seconds for a server to start or to stop
_TYPE_NAMES = {  # for error messages, where the type alone is not clear
    "clients": "{name: secret}, both str",
    "seeds": "{org: {vendor: {collection: [object]}}}",
    "settings": "{'vendor.field': value}, both str",
    "scenarios": "str or Path",
    "specs": "str or Path",
    "callbacks": "a promo_sandbox.testing.CallbackConfig",
}


def app(**settings: Any) -> App:
    """The sandbox as an ASGI application without a port, for `httpx2.ASGITransport` or Starlette's `TestClient`.

    Takes the same `settings` as `running`. A dropped connection raises `ConnectionAbortedError`, because ASGI has none.
    """
    return _create_app(_config(settings))


@contextmanager
def running(**settings: Any) -> Iterator[Sandbox]:
    """Runs a server in a thread of this process, on a free port of 127.0.0.1; returns its client.

    The server stops at the end of the `with` block. Several may run at once. `settings` are the options of
    `promo-sandbox serve` by their names in `Config`: `strict=True`, `scenarios="tests/scenarios"`,
    `settings={"vendor.field": "value"}`, `seeds={org: …}`, …. Raises `SandboxError` for an unknown or invalid setting.
    """
    configuration = _config(settings)
    listener = listen("127.0.0.1", 0)
    try:
        server = EmbeddedServer(_create_app(configuration))
    except BaseException:
        listener.close()
        raise
    ready = threading.Event()
    server.started_hook = ready.set
    thread = threading.Thread(target=_serve, args=(server, listener, ready), name="promo-sandbox", daemon=True)
    thread.start()
    transport: _EmbeddedTransport | None = None
    try:
        if not ready.wait(_TIMEOUT) or not server.started:
            raise SandboxError("the sandbox server did not start; see the output of its thread")
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        transport = _EmbeddedTransport(server, url, configuration.admin_token)
        yield Sandbox(url, transport=transport)
    finally:
        server.stop()
        thread.join(_TIMEOUT)
        listener.close()
        if transport is not None:
            transport.server = None


class _EmbeddedTransport(HttpTransport):
    """Passes requests to the server of this process without a connection; over HTTP once that server has stopped."""

    def __init__(self, server: EmbeddedServer, url: str, token: str | None) -> None:
        super().__init__(url, token, option_names=OPTION_NAMES)
        self.server: EmbeddedServer | None = server
        self._token = token

    def __reduce__(self) -> tuple[Callable[..., HttpTransport], tuple[str, str | None]]:
        """A copy in another process uses HTTP."""
        return partial(HttpTransport, option_names=OPTION_NAMES), (self.url, self._token)

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        request = Request(method, f"/__admin{path}", encoded, body or b"")
        reply = self.server.send(request) if self.server is not None else None
        return super().send(method, path, body, headers) if reply is None else (reply.status, reply.body)


def _create_app(configuration: Config) -> App:
    """Without garbage collection, which would take a third of the time and find nothing: all of it stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return App(configuration)
    finally:
        if was_enabled:
            gc.enable()


def _serve(server: EmbeddedServer, listener: Any, ready: threading.Event) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        ready.set()  # after a failure too, so that `running` does not wait


def _config(settings: Mapping[str, Any]) -> Config:
    given = dict(settings)
    known = {field.name: str(field.type) for field in fields(Config)}
    for name in given.keys() - known.keys():
        hint = suggestion(name, sorted(known))
        raise SandboxError(f"the sandbox has no setting {name!r}; {hint}")
    if isinstance(given.get("settings"), Mapping):
        given["settings"] = tuple(given["settings"].items())
    for name in ("scenarios", "specs"):
        if isinstance(given.get(name), str):
            given[name] = Path(given[name])
    hints = get_type_hints(Config)
    for name, value in given.items():
        if not _has_type(value, hints[name]):
            expected = _TYPE_NAMES.get(name, known[name])
            raise SandboxError(f"the sandbox's setting {name!r} must be {expected}, {_actual_type(settings[name])}")
    return Config(**given)


def _has_type(value: Any, hint: Any) -> bool:
    """Whether a value has the type of a hint in `Config`."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is UnionType:
        return any(_has_type(value, arg) for arg in args)
    if origin is dict:
        key_hint, value_hint = args
        return isinstance(value, Mapping) and all(
            _has_type(key, key_hint) and _has_type(item, value_hint) for key, item in value.items()
        )
    if origin is tuple:
        item_hints = args[:1] * len(value) if isinstance(value, tuple) and args[-1] is Ellipsis else args
        same_length = isinstance(value, tuple) and len(value) == len(item_hints)
        return same_length and all(map(_has_type, value, item_hints))
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def _actual_type(value: Any) -> str:
    """What a value is instead, without the value, which may be a secret."""
    if isinstance(value, Mapping):
        return "but an item in it is not"
    return f"not {type(value).__name__}"
