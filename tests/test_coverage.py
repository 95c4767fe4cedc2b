"""Coverage of the contracts: counted for each request, reported by operation, retained when an org is removed."""

from __future__ import annotations

from typing import Any

import pytest

from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.base.slices import run_to_end
from promo_sandbox.model.coverage import Coverage, report
from promo_sandbox.model.effects import Effects
from promo_sandbox.model.journal import Exchange
from tests.acme import Acme

DUE = {"id": "a", "name": "A", "status": "NEW", "expires": "2030-01-01T00:00:00Z"}
BEFORE_DUE = 1_893_456_000_000_000_000 - 1
NOTHING = {"covered": 0, "all": 1, "percent": 0.0}


@pytest.fixture
def acme() -> Acme:
    return Acme()


def coverage_of(acme: Acme, org: str | None = None) -> dict[str, Any]:
    """The report of the made-up vendor, of one org or of all."""
    known = acme.orgs.find(org) if org else None
    counts = acme.orgs.covered() if org is None else known.covered if known else None
    vendor: dict[str, Any] = report([acme.contract], counts)["vendors"][0]
    return vendor


def of(acme: Acme, operation: str, org: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = next(it for it in coverage_of(acme, org)["operations"] if it["operation"] == operation)
    return found


def statuses(acme: Acme, operation: str, org: str | None = None) -> dict[int, int]:
    """The covered items with their counts."""
    return {it["status"]: it["count"] for it in of(acme, operation, org)["statuses"] if it["count"]}


def rejections(acme: Acme, operation: str, org: str | None = None) -> dict[str, int]:
    """The covered items with their counts."""
    return {it["rejection"]: it["count"] for it in of(acme, operation, org)["rejections"] if it["count"]}


def callbacks(acme: Acme, org: str | None = None) -> dict[str, int]:
    return {it["callback"]: it["count"] for it in coverage_of(acme, org)["callbacks"]}


def add(acme: Acme, org: str = "shop", *, headers: dict[str, str] | None = None, **thing: Any) -> Reply:
    return acme.send("POST", f"/acme/{org}/things", {"name": "Lamp", **thing}, headers=headers)


# What counts


def test_before_any_request_nothing_is_covered_and_everything_is_listed(acme: Acme) -> None:
    document = acme.contract.documents[0]

    whole = coverage_of(acme)

    assert [it["operation"] for it in whole["operations"]] == [operation.id for operation in document.operations]
    assert {part["covered"] for part in whole["totals"].values()} == {0}
    assert whole["totals"]["operations"]["all"] == len(document.operations)
    assert whole["totals"]["statuses"]["all"] == sum(len(operation.responses) for operation in document.operations)
    assert whole["totals"]["rejections"]["all"] == sum(len(operation.rejections) for operation in document.operations)
    assert whole["totals"]["callbacks"] == NOTHING
    assert whole["totals"]["everything"]["all"] == sum(
        whole["totals"][kind]["all"] for kind in ("operations", "statuses", "rejections", "callbacks")
    )


def test_a_call_covers_its_status_and_its_events(acme: Acme) -> None:
    add(acme)
    add(acme)

    assert of(acme, "addThing")["count"] == 2
    assert statuses(acme, "addThing") == {201: 2}
    assert rejections(acme, "addThing") == {}
    assert callbacks(acme) == {"thing-changed": 2}
    assert of(acme, "getThing")["count"] == 0


def test_a_rejection_is_covered_by_name_and_by_status(acme: Acme) -> None:
    add(acme, code="1")

    add(acme, code="1")
    acme.send("POST", "/acme/shop/things", {})
    acme.send("POST", "/acme/shop/things", {"name": "x"}, token=None)

    assert rejections(acme, "addThing") == {"code-taken": 1, "invalid-request": 1, "missing-credentials": 1}
    assert statuses(acme, "addThing") == {201: 1, 400: 1, 401: 1, 409: 1}
    assert callbacks(acme) == {"thing-changed": 1}


def test_a_rejection_has_its_summary_and_its_source(acme: Acme) -> None:
    declared = acme.contract.documents[0].operations[5].rejections["code-taken"]

    taken = next(it for it in of(acme, "addThing")["rejections"] if it["rejection"] == "code-taken")

    assert taken == {
        "rejection": "code-taken",
        "status": 409,
        "count": 0,
        "source": declared.source,
        "summary": declared.summary,
    }


@pytest.mark.parametrize("forced", ["example=code-taken", "code=409"])
def test_a_forced_rejection_counts(acme: Acme, forced: str) -> None:
    add(acme, headers={"Prefer": forced})

    assert rejections(acme, "addThing") == {"code-taken": 1}
    assert statuses(acme, "addThing") == {409: 1}


def test_a_forced_success_counts(acme: Acme) -> None:
    add(acme, headers={"Prefer": "code=201"})

    assert statuses(acme, "addThing") == {201: 1}
    assert callbacks(acme) == {"thing-changed": 0}


def test_an_armed_rejection_counts(acme: Acme) -> None:
    acme.orgs.get("shop").state.arm("addThing", [Effects({"reject": "code-taken"}, reject="code-taken")])

    add(acme)

    assert rejections(acme, "addThing") == {"code-taken": 1}


def test_an_invalid_preference_does_not_count(acme: Acme) -> None:
    reply = add(acme, headers={"Prefer": "code=418"})

    assert reply.status == 400
    assert (statuses(acme, "addThing"), of(acme, "addThing")["count"]) == ({}, 0)
    assert acme.last("shop").violations[0].where == "header.Prefer"


@pytest.mark.parametrize("kind", ["raise", "misspell", "status", "body", "event", "callback"])
def test_an_internal_error_does_not_count(acme: Acme, kind: str) -> None:
    reply = acme.send("POST", f"/acme/shop/failures/{kind}")

    assert reply.status == 500
    assert coverage_of(acme)["totals"]["everything"]["covered"] == 0
    assert acme.orgs.get("shop").covered is None


@pytest.mark.parametrize(("method", "target"), [("GET", "/acme/shop/thing"), ("PATCH", "/acme/shop/things")])
def test_a_request_that_matches_no_operation_does_not_count(acme: Acme, method: str, target: str) -> None:
    acme.send(method, target)

    assert acme.orgs.get("shop").covered is None


def test_a_rejection_of_an_internal_call_counts_for_neither_operation(acme: Acme) -> None:
    add(acme, code="1")

    acme.send("POST", "/acme/shop/orders", {"name": "Lamp", "code": "1"})

    assert acme.last("shop").rejection == "order-failed"
    assert rejections(acme, "orderThing") == {"order-failed": 1}
    assert rejections(acme, "addThing") == {}
    assert of(acme, "addThing")["count"] == 1


def test_a_rejection_that_keeps_its_changes_counts_with_its_events(acme: Acme) -> None:
    acme.send("POST", "/acme/shop/failures/keep")

    assert rejections(acme, "causeFailure") == {"too-late": 1}
    assert callbacks(acme) == {"thing-changed": 1}


def test_events_of_timers_count(acme: Acme) -> None:
    org = acme.orgs.get("shop")
    org.clock.set(BEFORE_DUE)
    acme.seed("shop", things=[dict(DUE)])
    assert callbacks(acme) == {"thing-changed": 0}  # a seed is the tester's own doing

    acme.orgs.run_due_timers(org, BEFORE_DUE + 1)

    assert callbacks(acme) == {"thing-changed": 1}
    assert coverage_of(acme)["totals"]["everything"]["covered"] == 1


@pytest.mark.parametrize("cut", ["unsent", "midway"])
def test_a_dropped_connection_covers_the_operation_only(acme: Acme, cut: str) -> None:
    reply = Reply(409, {}, "application/json")
    reply.cut = cut
    exchange = Exchange(at=0, request=Request("POST", "/acme/shop/things", []))
    exchange.vendor, exchange.operation, exchange.rejection = "acme", "addThing", "code-taken"

    acme.orgs.get("shop").covered = acme.orgs.coverage.count(None, exchange, reply)

    assert of(acme, "addThing")["count"] == 1
    assert (statuses(acme, "addThing"), rejections(acme, "addThing")) == ({}, {})


def test_a_status_that_the_contract_does_not_document_is_only_a_call(acme: Acme) -> None:
    reply = acme.send(
        "POST", "/acme/shop/things", token="any", headers={"Content-Type": "text/plain"}, body={"name": "x"}
    )

    assert reply.status == 415
    assert (of(acme, "addThing")["count"], statuses(acme, "addThing")) == (1, {})


# Versions


def test_versions_of_a_contract_are_counted_as_one(acme: Acme) -> None:
    add(acme)
    acme.seed("shop", settings=[{"edition": "8"}])
    add(acme)  # without a code, which this edition wants
    add(acme, code="1")

    assert statuses(acme, "addThing") == {201: 2, 400: 1}
    assert [it["operation"] for it in coverage_of(acme)["operations"]].count("addThing") == 1


# Orgs


def test_orgs_count_for_themselves_and_together(acme: Acme) -> None:
    add(acme, "a")
    add(acme, "a")
    add(acme, "b")

    assert statuses(acme, "addThing", "a") == {201: 2}
    assert statuses(acme, "addThing", "b") == {201: 1}
    assert statuses(acme, "addThing") == {201: 3}
    assert callbacks(acme) == {"thing-changed": 3}


def test_a_reset_clears_the_counts_of_the_org_and_keeps_those_of_all(acme: Acme) -> None:
    add(acme, "a")
    run_to_end(acme.orgs.reset(acme.orgs.get("a")))
    add(acme, "a", code="1")
    add(acme, "a", code="1")

    assert statuses(acme, "addThing", "a") == {201: 1, 409: 1}
    assert statuses(acme, "addThing") == {201: 2, 409: 1}


def test_a_removed_org_stays_in_the_counts_of_all(acme: Acme) -> None:
    add(acme, "a")
    add(acme, "b")

    acme.orgs.delete("a")

    assert statuses(acme, "addThing") == {201: 2}
    assert statuses(acme, "addThing", "a") == {}


def test_dropped_journal_entries_stay_counted() -> None:
    acme = Acme(journal_limit=1)
    for _ in range(5):
        add(acme)
    acme.orgs.clear_journal(acme.orgs.get("shop"))

    assert statuses(acme, "addThing", "shop") == {201: 5}


def test_counts_can_be_cleared_in_all_orgs_or_in_one(acme: Acme) -> None:
    add(acme, "a")
    add(acme, "b")

    acme.orgs.reset_coverage(acme.orgs.get("a"))
    assert (statuses(acme, "addThing", "a"), statuses(acme, "addThing")) == ({}, {201: 2})

    acme.orgs.clear_coverage()
    assert (statuses(acme, "addThing", "b"), statuses(acme, "addThing")) == ({}, {})

    add(acme, "b")
    assert (statuses(acme, "addThing", "b"), statuses(acme, "addThing")) == ({201: 1}, {201: 1})


def test_an_org_that_was_never_called_has_no_counts(acme: Acme) -> None:
    assert acme.orgs.get("quiet").covered is None


def test_orgs_share_the_keys_by_which_they_count(acme: Acme) -> None:
    for name in "ab":
        add(acme, name)

    assert [id(key) for key in acme.orgs.get("a").covered or ()] == [
        id(key) for key in acme.orgs.get("b").covered or ()
    ]


# The figures


def test_percentages_are_rounded_down(acme: Acme) -> None:
    for org in ("a", "b"):
        acme.send("GET", "/acme/greeting", headers={"Sandbox-Org": org})

    totals = coverage_of(acme)["totals"]

    assert totals["operations"] == {"covered": 1, "all": 12, "percent": 8.3}
    assert totals["callbacks"] == NOTHING


def test_a_vendor_without_callbacks_has_full_coverage_of_callbacks() -> None:
    counts = Coverage().total([])

    assert report([], counts)["totals"]["callbacks"] == {"covered": 0, "all": 0, "percent": 100.0}
