"""Snapshots: the present named, gone back to and dropped, over HTTP; what they cost, on the orgs themselves."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from promo_sandbox.base.slices import run_to_end
from promo_sandbox.engine.snapshots import Snapshot
from tests.acme import Acme
from tests.admin.conftest import AssertRejected
from tests.serving import OrgClient

THING = {"id": "a", "name": "A", "status": "NEW"}
OVERDUE = {**THING, "expires": "2029-01-01T00:00:00Z"}


def add(org_client: OrgClient, **thing: Any) -> Any:
    response = org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp", **thing})
    assert response.status_code == 201, response.text
    return response.json()


def take(org_client: OrgClient, name: str = "before") -> Any:
    response = org_client.admin("PUT", f"/snapshots/{quote(name, safe='')}")
    assert response.status_code in (200, 201), response.text
    return response.json()


def restore(org_client: OrgClient, name: str = "before") -> Any:
    response = org_client.admin("POST", f"/snapshots/{quote(name, safe='')}/restore")
    assert response.status_code == 200, response.text
    return response.json()


def test_an_org_goes_back_to_what_it_was(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed("acme", things=[{**THING, "code": "c", "expires": "2030-01-10T00:00:00Z"}])
    before = org_client.admin("GET", "/state").json()

    taken = take(org_client)
    org_client.request("DELETE", f"/acme/{org_client.org}/things/a")
    add(org_client, code="c")
    org_client.advance("P30D")
    restored = restore(org_client)

    assert taken == {"name": "before", "at": "2030-01-01T00:00:00.000Z", "frozen": True, "documents": 1}
    assert org_client.admin("GET", "/state").json() == before
    assert restored == org_client.admin("GET").json()
    assert (restored["now"], restored["frozen"]) == ("2030-01-01T00:00:00.000Z", True)


def test_what_falls_due_falls_due_again_after_going_back(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed("acme", things=[{**THING, "expires": "2030-01-10T00:00:00Z"}])
    take(org_client)

    first = org_client.advance("P30D")
    restore(org_client)
    again = org_client.advance("P30D")

    assert [what["id"] for what in first] == ["a"]
    assert again == first


def test_the_same_calls_get_the_same_answers_after_going_back(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    add(org_client)
    take(org_client)

    first = [add(org_client), org_client.admin("POST", "/tokens", {"vendor": "acme"}).json(), add(org_client)]
    restore(org_client)
    again = [add(org_client), org_client.admin("POST", "/tokens", {"vendor": "acme"}).json(), add(org_client)]

    assert again == first


def test_what_was_unique_then_is_unique_again(org_client: OrgClient) -> None:
    add(org_client, code="c")
    take(org_client)
    add(org_client, code="d")

    restore(org_client)

    assert org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "x", "code": "c"}).status_code == 409
    add(org_client, code="d")


def test_what_was_armed_is_armed_again_and_what_was_not_is_not(org_client: OrgClient) -> None:
    armed = org_client.admin(
        "POST", "/next", {"operation": "addThing", "then": {"reject": "code-taken"}, "times": 2}
    ).json()
    take(org_client)
    org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp"})
    org_client.admin("POST", "/next", {"operation": "getThing", "then": {"reject": "unknown-thing"}})

    restore(org_client)

    assert org_client.admin("GET", "/next").json() == armed


def test_a_snapshot_is_gone_back_to_as_often_as_one_likes(org_client: OrgClient) -> None:
    add(org_client)
    take(org_client)

    for _ in range(3):
        add(org_client)
        assert restore(org_client)["documents"] == 1
        org_client.request("DELETE", f"/acme/{org_client.org}/things/{add(org_client)['id']}")


def test_a_clock_that_ran_goes_on_as_if_it_had_not_been_touched(org_client: OrgClient) -> None:
    org_client.admin("PUT", "/clock", {"now": "2030-01-01T12:00:00Z"})
    take(org_client)
    org_client.freeze("2040-01-01T00:00:00Z")

    restored = restore(org_client)

    assert (restored["now"][:15], restored["frozen"]) == ("2030-01-01T12:0", False)


def test_the_journal_stays_and_its_ids_go_on(org_client: OrgClient) -> None:
    add(org_client)
    take(org_client)
    add(org_client)

    restore(org_client)
    add(org_client)

    journal = org_client.admin("GET", "/requests").json()["requests"]
    assert [exchange["id"] for exchange in journal] == [3, 2, 1]


def test_what_is_due_has_happened_before_the_present_is_named(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.admin("PUT", "/state", {"documents": {"acme": {"things": [{"document": OVERDUE}]}}})

    take(org_client)
    restore(org_client)

    assert org_client.state()["acme"]["things"][0]["document"]["status"] == "EXPIRED"
    assert [event["cause"] for event in org_client.events()] == ["expire-thing"]


SCENARIO = {
    "given": {"clock": "2030-01-01T00:00:00Z"},
    "steps": [
        {"operation": "addThing", "times": 2, "then": {"reject": "code-taken"}},
        {"operation": "addThing", "then": {"reject": "insufficient-scope"}},
    ],
}


def test_a_scenario_goes_on_from_where_it_was(org_client: OrgClient) -> None:
    def statuses(times: int) -> list[int]:
        path = f"/acme/{org_client.org}/things"
        return [org_client.request("POST", path, {"name": "Lamp"}).status_code for _ in range(times)]

    assert org_client.admin("PUT", "/scenario", SCENARIO).status_code == 200
    begun = statuses(1)
    take(org_client)
    first = statuses(3)
    restore(org_client)
    again = statuses(3)
    org_client.admin("DELETE", "/scenario")
    restore(org_client)

    assert (begun, first, again) == ([409], [409, 403, 201], [409, 403, 201])
    assert org_client.admin("GET", "/scenario").json()["unmet"] == [1, 2]


def test_an_org_that_had_no_scenario_then_has_none_again(org_client: OrgClient) -> None:
    take(org_client)
    org_client.admin("PUT", "/snapshots/other")
    org_client.admin("PUT", "/scenario", SCENARIO)

    assert org_client.admin("GET", "/snapshots").json() == {"snapshots": []}
    take(org_client)
    org_client.admin("DELETE", "/scenario")
    take(org_client, "without")
    restore(org_client)
    restore(org_client, "without")
    assert org_client.admin("GET", "/scenario").status_code == 404


def test_snapshots_are_listed_oldest_first_and_one_taken_again_is_the_newest(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    statuses = [org_client.admin("PUT", f"/snapshots/{name}").status_code for name in ("a", "b", "a")]

    names = [snapshot["name"] for snapshot in org_client.admin("GET", "/snapshots").json()["snapshots"]]

    assert statuses == [201, 201, 200]
    assert names == ["b", "a"]


def test_a_name_may_have_any_characters_and_100_of_them(org_client: OrgClient) -> None:
    take(org_client, "a b/é")
    take(org_client, "é" * 100)

    assert restore(org_client, "a b/é")["name"] == org_client.org
    assert restore(org_client, "é" * 100)["name"] == org_client.org


def test_a_name_has_at_most_100_characters(org_client: OrgClient, is_rejected: AssertRejected) -> None:
    body = is_rejected(org_client.admin("PUT", f"/snapshots/{'x' * 101}"), "invalid-request")

    assert [error["pointer"] for error in body["errors"]] == ["path.name"]
    assert org_client.admin("GET").status_code == 404


def test_an_unknown_snapshot_is_rejected_with_the_name_near_it(
    org_client: OrgClient, is_rejected: AssertRejected
) -> None:
    take(org_client, "before-checkout")

    for method, path in (("POST", "/snapshots/befor-checkout/restore"), ("DELETE", "/snapshots/befor-checkout")):
        body = is_rejected(org_client.admin(method, path), "unknown-snapshot")
        assert body["detail"] == f"{org_client.org} has no snapshot befor-checkout; did you mean before-checkout?"
    far = is_rejected(org_client.admin("POST", "/snapshots/zzz/restore"), "unknown-snapshot")
    assert far["detail"] == f"{org_client.org} has no snapshot zzz."


def test_a_dropped_snapshot_is_unknown(org_client: OrgClient, is_rejected: AssertRejected) -> None:
    take(org_client)

    assert org_client.admin("DELETE", "/snapshots/before").status_code == 204

    is_rejected(org_client.admin("POST", "/snapshots/before/restore"), "unknown-snapshot")
    assert org_client.admin("GET", "/snapshots").json() == {"snapshots": []}


def test_an_org_has_at_most_100_snapshots(org_client: OrgClient, is_rejected: AssertRejected) -> None:
    for number in range(100):
        take(org_client, f"s{number}")

    is_rejected(org_client.admin("PUT", "/snapshots/one-more"), "too-many-snapshots")

    assert org_client.admin("PUT", "/snapshots/s99").status_code == 200
    org_client.admin("DELETE", "/snapshots/s0")
    assert org_client.admin("PUT", "/snapshots/one-more").status_code == 201


@pytest.mark.parametrize(("method", "path"), [("POST", "/reset"), ("DELETE", "")])
def test_a_reset_and_forgetting_drop_them(org_client: OrgClient, method: str, path: str) -> None:
    take(org_client)

    org_client.admin(method, path)
    org_client.admin("PUT", "/clock", {"frozen": True})

    assert org_client.admin("GET", "/snapshots").json() == {"snapshots": []}


def test_they_stay_when_a_state_is_put(org_client: OrgClient) -> None:
    add(org_client)
    take(org_client)

    org_client.admin("PUT", "/state", {"documents": {}})

    assert restore(org_client)["documents"] == 1


def test_a_snapshot_holds_the_documents_themselves_and_no_copies() -> None:
    acme = Acme()
    acme.seed("t", things=[{"id": str(number), "name": "x"} for number in range(10)])
    org = acme.orgs.get("t")

    snapshot = Snapshot.of(org)

    held, present = snapshot.state.records(acme.things), org.state.records(acme.things)
    assert held == present
    assert held is not present
    assert all(held[id] is present[id] for id in present)


def test_a_first_snapshot_is_made_ready_in_slices_between_which_others_write() -> None:
    acme = Acme()
    acme.seed("t", things=[{"id": str(number), "name": "x", "code": str(number)} for number in range(2000)])
    org = acme.orgs.get("t")

    slices = 0
    for _ in acme.orgs.prepare_copy(org):
        acme.seed("t", things=[{"id": str(slices), "name": "y", "code": f"new {slices}"}])
        slices += 1
    snapshot = Snapshot.of(org)
    acme.seed("t", things=[{"id": "0", "name": "z"}])

    assert slices >= 5
    held = [snapshot.state.get(acme.things, str(number)) or {} for number in range(2000)]
    assert [thing["name"] for thing in held] == ["y"] * slices + ["x"] * (2000 - slices)
    assert snapshot.state.find(acme.things, "code", "new 0") == "0"
    assert snapshot.state.find(acme.things, "code", "0") is None
    assert list(acme.orgs.prepare_copy(org)) == []


def test_the_memory_of_a_dropped_snapshot_is_freed_in_slices() -> None:
    acme = Acme()
    acme.seed("t", things=[{"id": str(number), "name": "x"} for number in range(2000)])
    org = acme.orgs.get("t")
    snapshot = Snapshot.of(org)
    run_to_end(acme.orgs.reset(org))
    while acme.orgs.free_slice():
        pass
    records = snapshot.state.records(acme.things)
    sizes = []

    acme.orgs.free_later(snapshot.state)
    while acme.orgs.free_slice():
        sizes.append(len(records))

    assert sizes[0] >= 1000
    assert len(set(sizes)) >= 4
    assert len(records) == 0
