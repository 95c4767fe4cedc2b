"""What a scenario, a trigger or `Prefer: wait` does to an answer, as values; who chooses it and when is not known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from promo_sandbox.base.messages import Reply, encode

_CLOSED = (b"{", b"[", b'"')  # how JSON begins that is no longer JSON when its end is missing


class Fault:
    """What befalls a reply after it was computed and found to keep the contract."""

    __slots__ = ("corrupt", "cut", "delay", "preferred")

    def __init__(
        self, delay: float = 0.0, cut: str | None = None, corrupt: bool = False, preferred: str | None = None
    ) -> None:
        self.delay = delay  # seconds
        self.cut = cut  # `before` the rule, `after` it, `midway` through the reply
        self.corrupt = corrupt
        self.preferred = preferred  # the preference that asked for the delay, for `Preference-Applied`

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
    """So many calls in so long a time by the org's clock; the window begins with the first call that comes in it."""

    limit: int
    per: int  # nanoseconds


class Written(NamedTuple):
    """A reply as a script has it, sent as it is."""

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
            as_it_is = isinstance(self.content, str) and not media.endswith("json")
            reply.body = self.content.encode() if as_it_is else encode(self.content)
        return reply


class Emission(NamedTuple):
    """An event that is told without a rule."""

    vendor: str
    callback: str
    payload: bytes


class DeliveryFault(NamedTuple):
    """What befalls the deliveries of the events that a call tells."""

    shown: Any  # as it was written
    kind: str
    late: int = 0  # nanoseconds by the org's clock
    status: int = 0  # what the first attempts count as answered with
    times: int = 0  # how many do


class Effects(NamedTuple):
    """What happens when a step is taken: at most one answer, a delay, and trouble for what is told besides.

    All absent: the rule answers.
    """

    shown: dict[str, Any]  # as it was written
    fault: Fault | None = None
    reject: str | None = None
    written: Written | None = None
    throttle: Throttle | None = None
    pause: int | None = None  # nanoseconds by the org's clock, of a step that waits for no call
    advance: str | None = None  # ISO 8601
    emission: Emission | None = None
    webhook: DeliveryFault | None = None

    @property
    def lost_before(self) -> bool:
        """Whether the connection is lost before the rule runs."""
        return self.fault is not None and self.fault.cut == "before"

    def __str__(self) -> str:
        """In a line of the journal: a rejection by its name alone."""
        said = (name if name in ("reply", "corrupt") else f"{name} {value}" for name, value in self.shown.items())
        return self.reject or ", ".join(said)


def _corrupted(body: bytes) -> bytes:
    """No JSON any more, whatever it was: the second half is missing, or a bracket is closed that nothing opened."""
    if not body:
        return body
    return body[: (len(body) + 1) // 2] if len(body) > 1 and body.startswith(_CLOSED) else body + b"}"
