"""Combines specs, rules, orgs and the admin API into one app, and serves it over ASGI.

The socket server is `server`; ASGI is for tests in the same process and for other servers.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from promo_sandbox.admin.api import BASE, Admin
from promo_sandbox.admin.guard import Guard
from promo_sandbox.base import config as configuration
from promo_sandbox.base.clock import MILLISECOND, SECOND
from promo_sandbox.base.config import Config
from promo_sandbox.base.content_codings import decode_body
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.memory import Memory, default_limit
from promo_sandbox.base.messages import TOO_LARGE, BodyProblem, Http10Request, Reply, Request, Stream
from promo_sandbox.base.printable import escaped
from promo_sandbox.base.slices import Work, finish, slice_lock
from promo_sandbox.engine.execution import OUT_OF_MEMORY, out_of_memory, problem
from promo_sandbox.engine.orgs import Orgs
from promo_sandbox.engine.pipeline import Pipeline
from promo_sandbox.engine.scenario_catalogue import ScenarioCatalogue
from promo_sandbox.model.auth import Authenticator
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.rules import Rules
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.paths import normalise_path
from promo_sandbox.scenarios.document import ScenarioReader
from promo_sandbox.webhooks.delivery import Limits
from promo_sandbox.webhooks.dispatch import Webhooks
from promo_sandbox.webhooks.sender import Sender

MAX_ADMIN_BODY = 64 * configuration.MEBIBYTE
_LARGE = 262_144  # bytes; a longer body is only read if there is enough memory
_DECODED_FACTOR = 24  # memory that a body takes while it is read, in the worst case: `[{},{},…]`
_ADMIN_SPECS = "sandbox"  # the folder of the admin API's spec
_NO_CONTENT, _NOT_MODIFIED = 204, 304

Message = MutableMapping[str, Any]


def load_contracts(specs: Path) -> list[Contract]:
    """All vendors: each is a folder of specs and the module of the same name below `promo_sandbox.vendors`."""
    contracts = []
    for folder in sorted(path for path in specs.iterdir() if path.is_dir() and path.name != _ADMIN_SPECS):
        documents = [document for path in sorted(folder.glob("*.yaml")) for document in Document.load(path)]
        try:
            rules = importlib.import_module(f"promo_sandbox.vendors.{folder.name}").rules
        except ModuleNotFoundError:
            raise SandboxError(f"{folder.name} has specs but no rules in promo_sandbox/vendors/{folder.name}") from None
        if not isinstance(rules, Rules):
            raise SandboxError(f"promo_sandbox.vendors.{folder.name}.rules is not a Rules")
        contracts.append(Contract(documents, rules))
    return contracts


class App:
    """The whole sandbox. `handle` answers a request; `__call__` does so over ASGI."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        specs = self.config.specs or configuration.data_folder("specs")
        self.contracts = load_contracts(specs)
        for name, text in self.config.settings:
            vendor, *place = name.split(".")
            contract = next((contract for contract in self.contracts if contract.vendor == vendor), None)
            if contract is None or not place:
                raise SandboxError(f"there is no setting {name}")
            contract.set_default(place, text)
        self.memory = Memory(self.config.max_memory or default_limit())
        authenticator = Authenticator(
            strict=self.config.strict, clients=self.config.clients, key=self.config.signing_key
        )
        callbacks = self.config.callbacks
        limits = Limits(callbacks.attempts, max(int(callbacks.longest_retry * SECOND), MILLISECOND))
        for contract in self.contracts:
            contract.admits_http = callbacks.policy.allows_http
        webhooks = Webhooks(self.contracts, limits=limits, policy=callbacks.policy, kept=self.config.journal_limit)
        self.sender = Sender(webhooks, callbacks)
        self.orgs = Orgs(
            self.contracts,
            authenticator,
            limit=self.config.max_orgs,
            journal_limit=self.config.journal_limit,
            journal_bytes=self.config.journal_bytes,
            webhooks=webhooks,
            seeds=self.config.seeds,
            memory=self.memory,
        )
        self._running: set[asyncio.Task[Reply]] = set()
        self._pipeline = Pipeline(self.contracts, self.orgs, authenticator)
        reader = ScenarioReader(specs / _ADMIN_SPECS / "scenario.schema.json", self.contracts)
        self.catalogue = ScenarioCatalogue(
            reader, self.orgs, configuration.data_folder("scenarios"), self.config.scenarios
        )
        spec = specs / _ADMIN_SPECS / "admin.yaml"
        guard = Guard(self.config.admin_hosts)
        token = self.config.admin_token
        self.admin = Admin(spec, self.contracts, self.orgs, authenticator, token, self.catalogue, guard=guard)

    def handle(self, request: Request) -> Reply:
        """The reply to a request. Synchronous, so that each request is atomic. Never raises."""
        try:
            if "%" in request.path:
                request.path = normalise_path(request.path)
            if b"content-encoding" in request.fields and request.body and request.body_problem is None:
                decode_body(request, self._max_decoded(request))
            if request.path.startswith(BASE):
                if len(request.body) > _LARGE and not self.memory.has_room(_DECODED_FACTOR * len(request.body)):
                    return out_of_memory(self.memory)
                return self.admin.handle(request)
            return self._pipeline.handle(request)
        except Exception as error:  # the client gets a reply in any case
            logging.getLogger("sandbox").exception("%s %s", escaped(request.method), escaped(request.path))
            return _internal_error(error)

    async def finish(self, reply: Reply) -> Reply:
        """Do the work of a reply, in slices between other requests. The work goes on if the client disconnects."""
        if reply.work is None:
            return reply
        task = asyncio.ensure_future(_finish_work(reply.work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    def _max_decoded(self, request: Request) -> int:
        """How many bytes a decoded body may have: a short encoded body must not become a long one."""
        limit = self.config.max_body
        return self.max_body(request.target) if len(request.body) > limit else limit

    def max_body(self, target: str) -> int:
        """How many bytes the body of a request to this target may have."""
        path = normalise_path(target) if "%" in target else target
        return MAX_ADMIN_BODY if path.startswith(BASE) else self.config.max_body

    def check_body_size(self, size: int, limit: int, length: int | None = None) -> BodyProblem | None:
        """Why the rest of a body is not read, or None. size: bytes so far; limit: allowed; length: Content-Length."""
        if size > limit:
            return TOO_LARGE
        if size != length:  # a complete body is handled as any other: its changes are checked later
            self.memory.check()
            if self.memory.full:
                return BodyProblem(507, self.memory.reason, title=OUT_OF_MEMORY)
        return None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            self.memory.check()
            request = await self._request(scope, receive)
            async with self.sender.running():
                reply = await self.finish(self.handle(request))
                await _send(reply, send, head_only=request.method == "HEAD")
        while self.orgs.free_slice():
            await asyncio.sleep(0)  # the socket server does this between requests, too

    async def _request(self, scope: Message, receive: Callable[[], Awaitable[Message]]) -> Request:
        query: bytes = scope["query_string"]
        target = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
        body = bytearray()
        limit, more = self.max_body(target), True
        body_problem: BodyProblem | None = None
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if body_problem is None and (more or len(body) > limit):
                body_problem = self.check_body_size(len(body), limit)
            if body_problem is not None:
                body.clear()
        request_class = Http10Request if scope.get("http_version") == "1.0" else Request
        return request_class(scope["method"], target, list(scope["headers"]), bytes(body), body_problem=body_problem)


def _internal_error(error: Exception) -> Reply:
    return problem(500, "Internal error of the sandbox", f"{type(error).__name__}: {error}"[:1000])


def head_text(reply: Reply) -> str:
    """The header lines of a reply, without those of the connection."""
    media, length = reply.media, f"content-length: {len(reply.body)}\r\n"
    if reply.status == _NO_CONTENT or (reply.transmission is not None and reply.transmission.stream is not None):
        length = ""  # RFC 9110: no Content-Length with No Content
    text = f"content-type: {media}\r\n{length}" if media else length
    for name, value in reply.headers:
        text += f"{name}: {value}\r\n"
    return text


def is_truncation_visible(reply: Reply) -> bool:
    """Whether Content-Length shows a client that a part of the body is missing."""
    return bool(reply.body) and reply.status not in (_NO_CONTENT, _NOT_MODIFIED)


async def _send(reply: Reply, send: Callable[[Message], Awaitable[None]], *, head_only: bool) -> None:
    """Send a reply over ASGI. If an error follows a part of the body, a server closes the connection."""
    if reply.delay:
        await asyncio.sleep(reply.delay)
    if reply.cut == "unsent":
        raise ConnectionAbortedError("a fault drops the connection before the reply")
    lines = head_text(reply).encode("latin-1").splitlines()
    headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
    start = {"type": "http.response.start", "status": reply.status, "headers": headers}
    if reply.cut is not None:
        if is_truncation_visible(reply) and not head_only:
            await send(start)
            await send({"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True})
        # Without a body, a client would take the head alone for the whole reply.
        raise ConnectionAbortedError("a fault drops the connection in the middle of the reply")
    await send(start)
    if reply.stream is not None and not head_only:
        async for piece in paced(reply.stream):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if head_only else reply.body})


async def paced(stream: Stream) -> AsyncGenerator[bytes, None]:
    """The pieces of a reply; other requests run between them. Closing the generator closes the stream."""
    try:
        if isinstance(stream, AsyncIterator):
            async for piece in stream:
                yield piece
        else:
            async for piece in _take_turns(stream):
                yield piece
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


async def _finish_work(work: Work[Reply]) -> Reply:
    try:
        return await finish(work)
    except Exception as error:  # as in `App.handle`
        logging.getLogger("sandbox").exception("the work of a long request failed")
        return _internal_error(error)


async def _take_turns(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces of a reply. In each turn of the event loop, all replies together make one piece."""
    turn = slice_lock()
    while True:
        async with turn:
            piece = next(pieces, None)
            await asyncio.sleep(0)
        if piece is None:
            return
        yield piece


async def _lifespan(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
