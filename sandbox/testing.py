"""The sandbox inside a test process: `app` for clients that speak ASGI, `running` for a server on a port of its own.

What both do with a request is the engine's business, and what a test does with its org the client's.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from sandbox.app import App
from sandbox.client import Sandbox
from sandbox.config import Config
from sandbox.errors import SandboxError
from sandbox.server import Server, listen

_PATIENCE = 10.0  # seconds for a server to start or to stop


def app(**settings: Any) -> App:
    """The whole sandbox as an ASGI application, without a port: for `httpx2.ASGITransport` or Starlette's `TestClient`.

    `settings` are those of `running`. A reply that is cut off raises `ConnectionAbortedError`, since there is no
    connection to lose.
    """
    return App(_config(settings))


@contextmanager
def running(**settings: Any) -> Iterator[Sandbox]:
    """A server in a thread of this process, on a free port of 127.0.0.1, and its client; it ends with the `with`.

    There may be several. `settings` are the options of `promo-sandbox serve` by their names in `sandbox.config.Config`:
    `strict=True`, `scenarios="tests/scenarios"`, `settings={"vendor.member": "value"}`, `seeds={org: …}`, ….
    Raises `SandboxError` for one that there is not, or that does not work.
    """
    configuration = _config(settings)
    listener = listen("127.0.0.1", 0)
    try:
        server = Server(App(configuration), guest=True)
    except BaseException:
        listener.close()
        raise
    up = threading.Event()
    server.started_hook = up.set
    thread = threading.Thread(target=_serve, args=(server, listener, up), name="promo-sandbox", daemon=True)
    thread.start()
    try:
        if not up.wait(_PATIENCE) or not server.started:
            raise SandboxError("the server of the sandbox did not start; its thread has said why")
        yield Sandbox(f"http://127.0.0.1:{listener.getsockname()[1]}", configuration.admin_token)
    finally:
        server.stop()
        thread.join(_PATIENCE)
        listener.close()


def _serve(server: Server, listener: Any, up: threading.Event) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        up.set()  # also where it failed, so that nobody waits for it


def _config(settings: Mapping[str, Any]) -> Config:
    given = dict(settings)
    known = {field.name for field in fields(Config)}
    for name in given.keys() - known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        raise SandboxError(f"the sandbox has no setting {name!r}; {hint}")
    if isinstance(given.get("settings"), Mapping):
        given["settings"] = tuple(given["settings"].items())
    for name in ("scenarios", "specs"):
        if isinstance(given.get(name), str):
            given[name] = Path(given[name])
    return Config(**given)
