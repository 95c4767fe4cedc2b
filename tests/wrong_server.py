"""Our server with faults put into it on purpose, for contract tests to find."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from promo_sandbox.base.config import Config
from promo_sandbox.base.messages import Reply, Request, decode
from promo_sandbox.server.app import App


class Fault(NamedTuple):
    """What is done to the replies of one operation."""

    method: str
    path: str  # a regular expression for the whole path
    spoil: Callable[[Reply], Reply]


class WrongApp(App):
    """Keeps the methods that it was asked with, too."""

    def __init__(self, *faults: Fault, config: Config | None = None) -> None:
        super().__init__(config)
        self.faults = faults
        self.methods: set[str] = set()

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        self.methods.add(request.method)
        for fault in self.faults:
            if request.method == fault.method and re.fullmatch(fault.path, request.path):
                return fault.spoil(reply)
        return reply


def success(change: Callable[[Any], Any]) -> Callable[[Reply], Reply]:
    """Another body in successes."""
    return lambda reply: (
        reply if reply.status >= 300 else Reply(reply.status, change(decode(reply.body)), reply.media, reply.headers)
    )


def without(name: str) -> Callable[[Reply], Reply]:
    return success(lambda body: {member: value for member, value in body.items() if member != name})


def status(number: int) -> Callable[[Reply], Reply]:
    """Another status in successes."""
    return lambda reply: reply if reply.status >= 300 else Reply(number, decode(reply.body), reply.media)


def always(reply: Reply) -> Callable[[Reply], Reply]:
    return lambda _: reply


def bare(reply: Reply) -> Reply:
    """A reply without any header of its own."""
    return Reply(reply.status, decode(reply.body) if reply.body else None, reply.media)
