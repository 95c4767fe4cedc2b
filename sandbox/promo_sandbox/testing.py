"""The sandbox inside a test process: `app` for clients that speak ASGI, `running` for a server on a port of its own.

What both do with a request is the engine's business, and what a test does with its org the client's.
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
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.sockets import listen
from promo_sandbox.client.calls import NAMES
from promo_sandbox.client.client import Sandbox
from promo_sandbox.client.http import Remote
from promo_sandbox.server.app import App
from promo_sandbox.server.embedded import EmbeddedServer

__all__ = ["CallbackConfig", "Config", "app", "running"]

_PATIENCE = 10.0  # seconds for a server to start or to stop
_SHAPES = {  # of settings whose types alone do not say what they hold
    "clients": "{name: secret}, both str",
    "seeds": "{org: {vendor: {collection: [object]}}}",
    "settings": "{'vendor.member': text}, both str",
    "scenarios": "str or Path",
    "specs": "str or Path",
    "callbacks": "a promo_sandbox.testing.CallbackConfig",
}


def app(**settings: Any) -> App:
    """The whole sandbox as an ASGI application, without a port: for `httpx2.ASGITransport` or Starlette's `TestClient`.

    `settings` are those of `running`. A reply that is cut off raises `ConnectionAbortedError`, since there is no
    connection to lose.
    """
    return _made(_config(settings))


@contextmanager
def running(**settings: Any) -> Iterator[Sandbox]:
    """A server in a thread of this process, on a free port of 127.0.0.1, and its client; it ends with the `with`.

    There may be several. `settings` are the options of `promo-sandbox serve` by their names in `Config`:
    `strict=True`, `scenarios="tests/scenarios"`, `settings={"vendor.member": "value"}`, `seeds={org: …}`, ….
    Raises `SandboxError` for one that there is not, or that does not work.
    """
    configuration = _config(settings)
    listener = listen("127.0.0.1", 0)
    try:
        server = EmbeddedServer(_made(configuration))
    except BaseException:
        listener.close()
        raise
    up = threading.Event()
    server.started_hook = up.set
    thread = threading.Thread(target=_serve, args=(server, listener, up), name="promo-sandbox", daemon=True)
    thread.start()
    within: _Within | None = None
    try:
        if not up.wait(_PATIENCE) or not server.started:
            raise SandboxError("the server of the sandbox did not start; its thread has said why")
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        within = _Within(server, url, configuration.admin_token)
        yield Sandbox(url, remote=within)
    finally:
        server.stop()
        thread.join(_PATIENCE)
        listener.close()
        if within is not None:
            within.server = None


class _Within(Remote):
    """The server of this process, which is asked without a connection; any other once that has ended."""

    def __init__(self, server: EmbeddedServer, url: str, token: str | None) -> None:
        super().__init__(url, token, names=NAMES)
        self.server: EmbeddedServer | None = server
        self._token = token

    def __reduce__(self) -> tuple[Callable[..., Remote], tuple[str, str | None]]:
        """In another process it is a server like any other."""
        return partial(Remote, names=NAMES), (self.url, self._token)

    def said(self, method: str, path: str, body: bytes | None, fields: dict[str, str]) -> tuple[int, bytes]:
        sent = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        request = Request(method, f"/__admin{path}", sent, body or b"")
        reply = self.server.send(request) if self.server is not None else None
        return super().said(method, path, body, fields) if reply is None else (reply.status, reply.body)


def _made(configuration: Config) -> App:
    """What is made all stays: to look through it for garbage, again and again, would take a third of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return App(configuration)
    finally:
        if collecting:
            gc.enable()


def _serve(server: EmbeddedServer, listener: Any, up: threading.Event) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        up.set()  # also where it failed, so that nobody waits for it


def _config(settings: Mapping[str, Any]) -> Config:
    given = dict(settings)
    known = {field.name: str(field.type) for field in fields(Config)}
    for name in given.keys() - known.keys():
        near = nearest(name, known)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        raise SandboxError(f"the sandbox has no setting {name!r}; {hint}")
    if isinstance(given.get("settings"), Mapping):
        given["settings"] = tuple(given["settings"].items())
    for name in ("scenarios", "specs"):
        if isinstance(given.get(name), str):
            given[name] = Path(given[name])
    kinds = get_type_hints(Config)
    for name, value in given.items():
        if not _is(value, kinds[name]):
            kind = _SHAPES.get(name, known[name])
            raise SandboxError(f"the sandbox's setting {name!r} must be {kind}, {_not_so(settings[name])}")
    return Config(**given)


def _is(value: Any, kind: Any) -> bool:
    """Is a value of a type as `Config` has them?"""
    origin, of = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is UnionType:
        return any(_is(value, one) for one in of)
    if origin is dict:
        return isinstance(value, Mapping) and all(_is(key, of[0]) and _is(it, of[1]) for key, it in value.items())
    if origin is tuple:
        each = of[:1] * len(value) if isinstance(value, tuple) and of[-1] is Ellipsis else of
        return isinstance(value, tuple) and len(value) == len(each) and all(map(_is, value, each))
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, kind)


def _not_so(value: Any) -> str:
    """What a value is instead; not the value itself, which may be a secret."""
    if isinstance(value, Mapping):
        return "and something in it is not"
    return f"not {type(value).__name__}"
