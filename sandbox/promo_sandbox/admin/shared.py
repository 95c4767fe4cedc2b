"""The base class of the admin API's operations, with helpers that find the org and check names."""

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

_MAX_DIGITS = 18


class Operations(ABC):
    """Some operations of the admin API. `bind` registers their rules by operationId."""

    def __init__(
        self, contracts: list[Contract], orgs: Orgs, authenticator: Authenticator, catalogue: ScenarioCatalogue
    ) -> None:
        self.contracts = contracts
        self.orgs = orgs
        self.authenticator = authenticator
        self.catalogue = catalogue

    @abstractmethod
    def bind(self, rules: Rules) -> None: ...

    def org_name(self, call: Call) -> str:
        """The name in the path. Rejects the call if it is too long."""
        name = call.path["org"]
        if len(name) > MAX_NAME:
            call.reject("org-name-too-long")
        return name

    def existing_org(self, call: Call, name: str | None = None) -> Org:
        """The org with this name, or the one in the path. Rejects the call if there is none."""
        name = self.org_name(call) if name is None else name
        org = self.orgs.find(name)
        if org is None:
            call.reject("unknown-org", f"There is no org {name}{did_you_mean(self.orgs.similar_names(name))}")
        return org

    def get_org(self, call: Call, *, storing: bool = True) -> Org:
        """The org in the path, created if it does not exist. `storing`: the operation uses more memory."""
        try:
            org = self.orgs.get(self.org_name(call))
        except TooManyOrgs:
            call.reject("too-many-orgs")
        except NotEnoughMemory:
            call.reject("not-enough-memory", self.orgs.memory.reason)
        if storing and self.orgs.memory.full:
            call.reject("not-enough-memory", self.orgs.memory.reason)
        return org

    @contextmanager
    def new_org_on_success(self, call: Call, *, storing: bool = True) -> Iterator[Org]:
        """`get_org`, but an org that was created for this call is removed again if the block fails."""
        existed = self.orgs.find(self.org_name(call)) is not None
        org = self.get_org(call, storing=storing)
        try:
            yield org
        except BaseException:
            if not existed and self.orgs.find(org.name) is org and not org.journal.last_id and not org.state.count:
                self.orgs.delete(org.name)
            raise

    def reply_caught_up(self, call: Call, org: Org, reply: Callable[[Org], Reply]) -> Reply:
        """The result of `reply`, once everything that is due in the org has happened."""

        def work() -> Work[Reply]:
            yield from self.orgs.catch_up(org)
            return reply(org)

        return call.reply_later(work())

    def checked_criteria(self, call: Call, criteria: Doc) -> Doc:
        """The criteria of a filter. Rejects the call if they name an unknown operation or rejection."""
        for kind, known in (("operation", self._operations), ("rejection", self._rejections)):
            self.check_name(call, kind, criteria.get(kind), known)
        return criteria

    def check_name(self, call: Call, kind: str, name: str | None, known: Collection[str]) -> None:
        if name is not None and name not in known:
            call.reject("invalid-request", f"There is no {kind} {name[:100]}{hint(name, sorted(known))}")

    @cached_property
    def callbacks(self) -> list[str]:
        return [name for contract in self.contracts for name in contract.callbacks]

    @cached_property
    def _operations(self) -> set[str]:
        return {route.operation.id for contract in self.contracts for route in contract.routes()}

    @cached_property
    def _rejections(self) -> set[str]:
        """The names of rejections: of all operations in all versions, and of requests that match no operation."""
        documents = [it for contract in self.contracts for it in contract.documents]
        found = {rejection.name for it in documents for rejection in it.transport_rejections.values()}
        return found | {name for it in documents for operation in it.operations for name in operation.rejections}

    def contract(self, call: Call, vendor: str) -> Contract:
        """The vendor's contract. Rejects the call if the vendor does not exist."""
        known = {contract.vendor: contract for contract in self.contracts}
        if vendor not in known:
            near = nearest(vendor, known)[:1]
            names = did_you_mean(near) if near else f"; use one of {', '.join(known)}."
            call.reject("unknown-vendor", f"There is no vendor {vendor[:100]}{names}")
        return known[vendor]

    def parse_time(self, call: Call, text: str) -> int:
        moment = clock.parse(text)
        if not 0 <= moment <= clock.LATEST:
            call.reject("invalid-request", f"{text} is not between 1970 and 9999.")
        return moment


def errors_json(violations: list[Violation]) -> list[Doc]:
    return [{"detail": violation.message, "pointer": violation.where} for violation in violations]


def did_you_mean(names: list[str]) -> str:
    """The end of an error message about an unknown name, with names that the caller may have meant."""
    return f"; did you mean {' or '.join(names)}?" if names else "."


def hint(name: str, known: Iterable[str]) -> str:
    """`did_you_mean` with the nearest known name."""
    return did_you_mean(nearest(name, known)[:1])


def parse_id(text: str) -> int | None:
    """A decimal number of at most 18 digits; None for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def clock_json(org: Org) -> Doc:
    return {"now": clock.text(org.clock.now()), "frozen": org.clock.frozen}
