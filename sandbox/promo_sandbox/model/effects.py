"""The effects of a scenario, a trigger or `Prefer: wait` on a reply, as values. When they apply is left to others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from promo_sandbox.base.messages import Reply, encode

_OPENING = (b"{", b"[", b'"')  # the first byte of JSON that is invalid without its end


class Fault:
    """A change of how a reply is sent, after it was validated: late, cut off, or with invalid JSON."""

    __slots__ = ("corrupt", "cut", "delay", "preferred")

    def __init__(
        self, delay: float = 0.0, cut: str | None = None, corrupt: bool = False, preferred: str | None = None
    ) -> None:
        self.delay = delay  # seconds
        self.cut = cut  # the connection is dropped: `before` the rule, `after` it, or `midway` through the reply
        self.corrupt = corrupt
        self.preferred = preferred  # the `Prefer` that requested the delay, for `Preference-Applied`

    def __add__(self, other: Fault) -> Fault:
        return Fault(
            self.delay + other.delay,
            self.cut or other.cut,
            self.corrupt or other.corrupt,
            self.preferred or other.preferred,
        )

    def apply(self, reply: Reply) -> None:
        if self.delay:
            reply.delay += self.delay
        if self.cut is not None:
            reply.cut = "midway" if self.cut == "midway" else "unsent"
        if self.corrupt and isinstance(reply.stream, Iterator):
            reply.stream = chain(reply.stream, (b"}",))
        elif self.corrupt:
            reply.body = _corrupted(reply.body)
        if self.preferred is not None:
            reply.headers += (("preference-applied", self.preferred),)

    def json(self) -> dict[str, Any]:
        return {"delay": self.delay, "cut": self.cut, "corrupt": self.corrupt}


class Throttle(NamedTuple):
    """At most `limit` calls in `per` nanoseconds by the org's clock. A window begins with its first call."""

    limit: int
    per: int


class ScriptedReply(NamedTuple):
    """A reply from a scenario or a trigger, sent unchanged."""

    status: int
    headers: tuple[tuple[str, str], ...]
    media: str | None
    content: Any
    off_contract: bool

    def reply(self) -> Reply:
        reply = Reply(self.status, None, None, self.headers)
        reply.media, reply.content = self.media, self.content
        if self.media is not None:
            media = self.media.partition(";")[0].strip().lower()
            is_text = isinstance(self.content, str) and not media.endswith("json")
            reply.body = self.content.encode() if is_text else encode(self.content)
        return reply


class ScriptedEvent(NamedTuple):
    """An event from a scenario, without a rule."""

    vendor: str
    callback: str
    payload: bytes


class DeliveryFault(NamedTuple):
    """A fault in the deliveries of a call's events."""

    source: Any  # as in the document
    kind: str
    late: int = 0  # nanoseconds by the org's clock
    status: int = 0  # the assumed answer to the first attempts
    times: int = 0  # the number of these attempts


class Effects(NamedTuple):
    """The effects on a call: at most one reply, a delay, and a delivery fault. Without a reply, the rule answers."""

    source: dict[str, Any]  # as in the document
    fault: Fault | None = None
    reject: str | None = None
    scripted_reply: ScriptedReply | None = None
    throttle: Throttle | None = None
    pause: int | None = None  # nanoseconds by the org's clock, in a step without operation
    advance: str | None = None  # ISO 8601
    scripted_event: ScriptedEvent | None = None
    delivery_fault: DeliveryFault | None = None

    @property
    def drops_before_rule(self) -> bool:
        """Whether the connection is dropped before the rule runs."""
        return self.fault is not None and self.fault.cut == "before"

    def __str__(self) -> str:
        """A short form for the journal: a rejection is its name only."""
        parts = (name if name in ("reply", "corrupt") else f"{name} {value}" for name, value in self.source.items())
        return self.reject or ", ".join(parts)


def _corrupted(body: bytes) -> bytes:
    """The body as invalid JSON: without its second half, or with an additional closing brace."""
    if not body:
        return body
    return body[: (len(body) + 1) // 2] if len(body) > 1 and body.startswith(_OPENING) else body + b"}"
