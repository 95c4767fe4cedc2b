"""A delivery: one event for one subscription, with its attempts, as values."""

from __future__ import annotations

import msgspec

from promo_sandbox.base import clock
from promo_sandbox.model.effects import DeliveryFault
from promo_sandbox.model.journal import Event

SINK = "sink.sandbox"  # a host that answers 202 without a network call
_OVERHEAD = 500  # bytes of a delivery besides its payload, measured

WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"
CANCELED, DROPPED, NOT_ALLOWED = "canceled", "dropped", "not_allowed"


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One attempt. If `status` is None, there was no answer, and `error` says why."""

    at: int
    status: int | None
    nanoseconds: int
    body: bytes
    error: str | None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110: 2xx is success


class Delivery(msgspec.Struct):
    """One event for one subscription."""

    id: int
    event: Event
    cause: str  # the exchange's id, or the name of the occurrence
    subscription: str
    url: str
    due: int  # the moment of the next attempt
    status: str = WAITING
    delivery_fault: DeliveryFault | None = None
    sent: bytes | None = None  # instead of the payload
    scripted_answers: int = 0  # further attempts that get the status of the delivery fault
    detail: str | None = None  # why it ended
    redelivery_of: int | None = None
    not_before: float = 0.0  # by the monotonic clock: the reply to the call that caused it is sent first
    failures: int = 0
    attempted: int = 0
    attempts: tuple[Attempt, ...] = ()

    @property
    def size(self) -> int:
        """Approximate size in bytes."""
        answers = sum([len(attempt.body) for attempt in self.attempts])
        return _OVERHEAD + len(self.event.payload) + len(self.sent or b"") + answers


class Limits(msgspec.Struct, frozen=True):
    """How many attempts are made, and the longest time between two of them in nanoseconds."""

    attempts: int = 0  # 0: until the subscription is deleted
    longest_retry: int = 3600 * clock.SECOND


def with_scripted_answer(delivery: Delivery, attempt: Attempt) -> Attempt:
    """The attempt, with the status of the delivery fault in place of the real answer."""
    if delivery.scripted_answers == 0 or delivery.delivery_fault is None:
        return attempt
    delivery.scripted_answers -= 1
    real = "no answer" if attempt.status is None else attempt.status
    note = f"A delivery fault replaced the receiver's answer ({real}) with {delivery.delivery_fault.status}."
    return Attempt(attempt.at, delivery.delivery_fault.status, attempt.nanoseconds, attempt.body, note)


def is_sink(url: str) -> bool:
    """Whether the URL is the sink's, so that no network call is made."""
    _, _, rest = url.partition("://")
    return rest.partition("/")[0].partition("?")[0].partition(":")[0].lower() == SINK
