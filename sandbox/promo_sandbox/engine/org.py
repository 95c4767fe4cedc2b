"""One org: a world of its own, that shares nothing with any other; and that there may be no more of them."""

from __future__ import annotations

from promo_sandbox.base.callback_policy import Rewrite
from promo_sandbox.base.clock import Clock
from promo_sandbox.engine.snapshots import Snapshot
from promo_sandbox.model.coverage import Counts
from promo_sandbox.model.journal import Journal, Occurrence
from promo_sandbox.model.state import State
from promo_sandbox.scenarios.run import Run
from promo_sandbox.webhooks.outbox import Outbox
from promo_sandbox.webhooks.queues import News


class TooManyOrgs(Exception):
    """No further org is made."""


class Org:
    """What it stores, by which clock, and what happened in it."""

    __slots__ = (
        "begins", "clock", "journal", "met", "name", "news", "outbox", "passed", "rewrites", "scenario", "snapshots",
        "state", "witnesses",
    )  # fmt: skip

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.begins = False  # it is being given what it begins with
        self.clock = Clock()
        self.state = State()
        self.journal = journal
        self.met: Counts | None = None  # what of the contracts its clients have met
        self.passed = 0  # the moment up to which everything that falls due has happened
        self.scenario: Run | None = None
        self.snapshots: dict[str, Snapshot] = {}
        self.outbox: Outbox | None = None  # an org that tells nobody has none
        self.news = News()  # of its deliveries
        self.rewrites: tuple[Rewrite, ...] = ()  # where its callbacks really go
        self.witnesses: tuple[list[Occurrence], ...] = ()  # to which is added what falls due

    @property
    def behind(self) -> bool:
        """Whether something has fallen due and is still to happen, or a request still writes in steps."""
        return self.state.active_writers > 0 or self.state.next_due <= self.clock.now()
