"""A delivery: one event on its way to one subscription, and the attempts at it, as values."""

from __future__ import annotations

import msgspec

from promo_sandbox.base import clock
from promo_sandbox.model.effects import DeliveryFault
from promo_sandbox.model.journal import Event

SINK = "sink.sandbox"  # the host that answers 202 without being anywhere
_OVERHEAD = 500  # bytes of a delivery besides its payload, measured

WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"
CANCELED, DROPPED, NOT_ALLOWED = "canceled", "dropped", "not_allowed"


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One try. Without a status nothing was answered, and `error` says why."""

    at: int
    status: int | None
    nanoseconds: int
    body: bytes
    error: str | None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110: 2xx is success


class Delivery(msgspec.Struct):
    """One event on its way to one subscription."""

    id: int
    event: Event
    cause: str  # the exchange's id, or what happened without one
    subscription: str
    url: str
    due: int  # the moment of the next attempt
    status: str = WAITING
    delivery_fault: DeliveryFault | None = None
    sent: bytes | None = None  # instead of the payload
    answers: int = 0  # attempts that still count as answered by the trouble's status
    detail: str | None = None  # why it ended
    redelivery_of: int | None = None
    not_before: float = 0.0  # by the monotonic clock: the reply that told it is sent first
    failures: int = 0
    attempted: int = 0
    attempts: tuple[Attempt, ...] = ()

    @property
    def size(self) -> int:
        """Bytes, about."""
        answers = sum([len(attempt.body) for attempt in self.attempts])
        return _OVERHEAD + len(self.event.payload) + len(self.sent or b"") + answers


class Limits(msgspec.Struct, frozen=True):
    """How often and how long is tried; moments' differences."""

    attempts: int = 0  # 0: until the subscription is deleted
    longest_retry: int = 3600 * clock.SECOND


def answered(delivery: Delivery, attempt: Attempt) -> Attempt:
    """The attempt, with the answer that a script wants it to have had."""
    if delivery.answers == 0 or delivery.delivery_fault is None:
        return attempt
    delivery.answers -= 1
    came = "nothing" if attempt.status is None else attempt.status
    note = f"The answer was {came}; a script has it be {delivery.delivery_fault.status}."
    return Attempt(attempt.at, delivery.delivery_fault.status, attempt.nanoseconds, attempt.body, note)


def is_sink(url: str) -> bool:
    """Whether nobody is to be called."""
    _, _, rest = url.partition("://")
    return rest.partition("/")[0].partition("?")[0].partition(":")[0].lower() == SINK
