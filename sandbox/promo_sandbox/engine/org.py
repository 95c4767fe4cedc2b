"""One isolated org, and the error for too many of them."""

from __future__ import annotations

from promo_sandbox.base.callback_policy import Rewrite
from promo_sandbox.base.clock import Clock
from promo_sandbox.engine.snapshots import Snapshot
from promo_sandbox.model.coverage import Counts
from promo_sandbox.model.journal import Journal, Occurrence
from promo_sandbox.model.state import State
from promo_sandbox.scenarios.run import Run
from promo_sandbox.webhooks.outbox import Outbox
from promo_sandbox.webhooks.queues import ChangeSignal


class TooManyOrgs(Exception):
    """The limit of orgs is reached."""


class Org:
    """The state, clock, journal and deliveries of one org."""

    __slots__ = (
        "clock", "collectors", "covered", "delivery_changes", "initializing", "journal", "name", "outbox",
        "processed_until", "rewrites", "scenario", "snapshots", "state",
    )  # fmt: skip

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.initializing = False  # its first objects are being stored; they send no webhooks
        self.clock = Clock()
        self.state = State()
        self.journal = journal
        self.covered: Counts | None = None  # the parts of the contracts that its clients have covered
        self.processed_until = 0  # all timers up to this moment have run
        self.scenario: Run | None = None
        self.snapshots: dict[str, Snapshot] = {}
        self.outbox: Outbox | None = None  # made for the first delivery
        self.delivery_changes = ChangeSignal()
        self.rewrites: tuple[Rewrite, ...] = ()  # of callback URLs
        self.collectors: tuple[list[Occurrence], ...] = ()  # each new occurrence is appended to these lists

    @property
    def has_pending_work(self) -> bool:
        """Whether a timer is due, or a request still writes in steps."""
        return self.state.active_writers > 0 or self.state.next_due <= self.clock.now()
