"""What the operations of the admin API share: finding the org that the path names, and what several of them answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property

from promo_sandbox.base import clock
from promo_sandbox.base.memory import NotEnoughMemory
from promo_sandbox.base.messages import Reply, Violation
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.orgs import MAX_NAME, Org, Orgs, TooManyOrgs
from promo_sandbox.engine.scenario_catalogue import ScenarioCatalogue
from promo_sandbox.model.auth import Authenticator
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc


class Operations(ABC):
    """A part of the admin API: the rules of its operations, bound by their operationIds."""

    def __init__(
        self, contracts: list[Contract], orgs: Orgs, authenticator: Authenticator, library: ScenarioCatalogue
    ) -> None:
        self.contracts = contracts
        self.orgs = orgs
        self.authenticator = authenticator
        self.library = library

    @abstractmethod
    def bind(self, rules: Rules) -> None: ...

    def name(self, call: Call) -> str:
        name = call.path["org"]
        if len(name) > MAX_NAME:
            call.reject("org-name-too-long")
        return name

    def known(self, call: Call) -> Org:
        return self.called(call, self.name(call))

    def called(self, call: Call, name: str) -> Org:
        """The org of this name, which must exist."""
        org = self.orgs.find(name)
        if org is None:
            near = self.orgs.similar_names(name)
            hint = f"; did you mean {' or '.join(near)}?" if near else "."
            call.reject("unknown-org", f"No request has named an org {name}{hint}")
        return org

    def made(self, call: Call, *, storing: bool = True) -> Org:
        """The org that the path names, whether it exists or not. storing: the operation makes it larger."""
        try:
            org = self.orgs.get(self.name(call))
        except TooManyOrgs:
            call.reject("too-many-orgs")
        except NotEnoughMemory:
            call.reject("not-enough-memory", self.orgs.memory.reason)
        if storing and self.orgs.memory.full:
            call.reject("not-enough-memory", self.orgs.memory.reason)
        return org

    @contextmanager
    def making(self, call: Call, *, storing: bool = True) -> Iterator[Org]:
        """The same, but an org that did not exist does not exist afterwards either if what is done with it fails."""
        existed = self.orgs.find(self.name(call)) is not None
        org = self.made(call, storing=storing)
        try:
            yield org
        except BaseException:  # whatever it was goes on after this
            if not existed and self.orgs.find(org.name) is org and not org.journal.last_id and not org.state.count:
                self.orgs.delete(org.name)
            raise

    def caught_up(self, call: Call, org: Org, reply: Callable[[Org], Reply]) -> Reply:
        """The reply of an org in which everything that has fallen due has happened."""

        def work() -> Work[Reply]:
            yield from self.orgs.catch_up(org)
            return reply(org)

        return call.reply_later(work())

    def criteria(self, call: Call, given: Doc) -> Doc:
        """Those of a filter, whose names must be there: whoever misspells one must not think that there was nothing."""
        for criterion, names in (("operation", self._operations), ("rejection", self._rejections)):
            self.meant(call, criterion, given.get(criterion), names)
        return given

    def meant(self, call: Call, kind: str, name: str | None, names: Collection[str]) -> None:
        if name is not None and name not in names:
            call.reject("invalid-request", f"There is no {kind} {name[:100]}{near(name, sorted(names))}")

    @cached_property
    def callbacks(self) -> list[str]:
        return [name for contract in self.contracts for name in contract.callbacks]

    @cached_property
    def _operations(self) -> set[str]:
        return {route.operation.id for contract in self.contracts for route in contract.routes()}

    @cached_property
    def _rejections(self) -> set[str]:
        """Of every operation in every version, and of what comes before an operation is found."""
        documents = [it for contract in self.contracts for it in contract.documents]
        found = {rejection.name for it in documents for rejection in it.transport_rejections.values()}
        return found | {name for it in documents for operation in it.operations for name in operation.rejections}

    def moment(self, call: Call, text: str) -> int:
        moment = clock.parse(text)
        if not 0 <= moment <= clock.LATEST:
            call.reject("invalid-request", f"{text} is not between 1970 and 9999.")
        return moment


def errors_json(violations: list[Violation]) -> list[Doc]:
    return [{"detail": violation.message, "pointer": violation.where} for violation in violations]


def near(name: str, known: Iterable[str]) -> str:
    found = nearest(name, known)
    return f"; did you mean {found[0]}?" if found else "."


def clock_json(org: Org) -> Doc:
    return {"now": clock.text(org.clock.now()), "frozen": org.clock.frozen}
