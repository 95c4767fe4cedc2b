"""Snapshots: the present named, gone back to and dropped, over HTTP; what they cost, on the orgs themselves."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from promo_sandbox.base.slices import run_to_end
from promo_sandbox.engine.snapshots import Snapshot
from tests.acme import Acme
from tests.admin.conftest import Refused
from tests.serving import World

THING = {"id": "a", "name": "A", "status": "NEW"}
OVERDUE = {**THING, "expires": "2029-01-01T00:00:00Z"}


def add(world: World, **thing: Any) -> Any:
    response = world.request("POST", f"/acme/{world.org}/things", {"name": "Lamp", **thing})
    assert response.status_code == 201, response.text
    return response.json()


def take(world: World, name: str = "before") -> Any:
    response = world.admin("PUT", f"/snapshots/{quote(name, safe='')}")
    assert response.status_code in (200, 201), response.text
    return response.json()


def restore(world: World, name: str = "before") -> Any:
    response = world.admin("POST", f"/snapshots/{quote(name, safe='')}/restore")
    assert response.status_code == 200, response.text
    return response.json()


def test_an_org_goes_back_to_what_it_was(world: World) -> None:
    world.freeze("2030-01-01T00:00:00Z")
    world.seed("acme", things=[{**THING, "code": "c", "expires": "2030-01-10T00:00:00Z"}])
    before = world.admin("GET", "/state").json()

    taken = take(world)
    world.request("DELETE", f"/acme/{world.org}/things/a")
    add(world, code="c")
    world.advance("P30D")
    restored = restore(world)

    assert taken == {"name": "before", "at": "2030-01-01T00:00:00.000Z", "frozen": True, "documents": 1}
    assert world.admin("GET", "/state").json() == before
    assert restored == world.admin("GET").json()
    assert (restored["now"], restored["frozen"]) == ("2030-01-01T00:00:00.000Z", True)


def test_what_falls_due_falls_due_again_after_going_back(world: World) -> None:
    world.freeze("2030-01-01T00:00:00Z")
    world.seed("acme", things=[{**THING, "expires": "2030-01-10T00:00:00Z"}])
    take(world)

    first = world.advance("P30D")
    restore(world)
    again = world.advance("P30D")

    assert [what["id"] for what in first] == ["a"]
    assert again == first


def test_the_same_calls_get_the_same_answers_after_going_back(world: World) -> None:
    world.freeze("2030-01-01T00:00:00Z")
    add(world)
    take(world)

    first = [add(world), world.admin("POST", "/tokens", {"vendor": "acme"}).json(), add(world)]
    restore(world)
    again = [add(world), world.admin("POST", "/tokens", {"vendor": "acme"}).json(), add(world)]

    assert again == first


def test_what_was_unique_then_is_unique_again(world: World) -> None:
    add(world, code="c")
    take(world)
    add(world, code="d")

    restore(world)

    assert world.request("POST", f"/acme/{world.org}/things", {"name": "x", "code": "c"}).status_code == 409
    add(world, code="d")


def test_what_was_armed_is_armed_again_and_what_was_not_is_not(world: World) -> None:
    armed = world.admin("POST", "/next", {"operation": "addThing", "then": {"reject": "code-taken"}, "times": 2}).json()
    take(world)
    world.request("POST", f"/acme/{world.org}/things", {"name": "Lamp"})
    world.admin("POST", "/next", {"operation": "getThing", "then": {"reject": "unknown-thing"}})

    restore(world)

    assert world.admin("GET", "/next").json() == armed


def test_a_snapshot_is_gone_back_to_as_often_as_one_likes(world: World) -> None:
    add(world)
    take(world)

    for _ in range(3):
        add(world)
        assert restore(world)["documents"] == 1
        world.request("DELETE", f"/acme/{world.org}/things/{add(world)['id']}")


def test_a_clock_that_ran_goes_on_as_if_it_had_not_been_touched(world: World) -> None:
    world.admin("PUT", "/clock", {"now": "2030-01-01T12:00:00Z"})
    take(world)
    world.freeze("2040-01-01T00:00:00Z")

    restored = restore(world)

    assert (restored["now"][:15], restored["frozen"]) == ("2030-01-01T12:0", False)


def test_the_journal_stays_and_its_ids_go_on(world: World) -> None:
    add(world)
    take(world)
    add(world)

    restore(world)
    add(world)

    journal = world.admin("GET", "/requests").json()["requests"]
    assert [exchange["id"] for exchange in journal] == [3, 2, 1]


def test_what_is_due_has_happened_before_the_present_is_named(world: World) -> None:
    world.freeze("2030-01-01T00:00:00Z")
    world.admin("PUT", "/state", {"documents": {"acme": {"things": [{"document": OVERDUE}]}}})

    take(world)
    restore(world)

    assert world.state()["acme"]["things"][0]["document"]["status"] == "EXPIRED"
    assert [event["cause"] for event in world.events()] == ["expire-thing"]


SCENARIO = {
    "given": {"clock": "2030-01-01T00:00:00Z"},
    "steps": [
        {"operation": "addThing", "times": 2, "then": {"reject": "code-taken"}},
        {"operation": "addThing", "then": {"reject": "insufficient-scope"}},
    ],
}


def test_a_scenario_goes_on_from_where_it_was(world: World) -> None:
    def statuses(times: int) -> list[int]:
        path = f"/acme/{world.org}/things"
        return [world.request("POST", path, {"name": "Lamp"}).status_code for _ in range(times)]

    assert world.admin("PUT", "/scenario", SCENARIO).status_code == 200
    begun = statuses(1)
    take(world)
    first = statuses(3)
    restore(world)
    again = statuses(3)
    world.admin("DELETE", "/scenario")
    restore(world)

    assert (begun, first, again) == ([409], [409, 403, 201], [409, 403, 201])
    assert world.admin("GET", "/scenario").json()["unmet"] == [1, 2]


def test_an_org_that_had_no_scenario_then_has_none_again(world: World) -> None:
    take(world)
    world.admin("PUT", "/snapshots/other")
    world.admin("PUT", "/scenario", SCENARIO)

    assert world.admin("GET", "/snapshots").json() == {"snapshots": []}
    take(world)
    world.admin("DELETE", "/scenario")
    take(world, "without")
    restore(world)
    restore(world, "without")
    assert world.admin("GET", "/scenario").status_code == 404


def test_snapshots_are_listed_oldest_first_and_one_taken_again_is_the_newest(world: World) -> None:
    world.freeze("2030-01-01T00:00:00Z")
    statuses = [world.admin("PUT", f"/snapshots/{name}").status_code for name in ("a", "b", "a")]

    names = [snapshot["name"] for snapshot in world.admin("GET", "/snapshots").json()["snapshots"]]

    assert statuses == [201, 201, 200]
    assert names == ["b", "a"]


def test_a_name_may_have_any_characters_and_100_of_them(world: World) -> None:
    take(world, "a b/é")
    take(world, "é" * 100)

    assert restore(world, "a b/é")["name"] == world.org
    assert restore(world, "é" * 100)["name"] == world.org


def test_a_name_has_at_most_100_characters(world: World, is_refused: Refused) -> None:
    body = is_refused(world.admin("PUT", f"/snapshots/{'x' * 101}"), "invalid-request")

    assert [error["pointer"] for error in body["errors"]] == ["path.name"]
    assert world.admin("GET").status_code == 404


def test_an_unknown_snapshot_is_refused_with_the_name_near_it(world: World, is_refused: Refused) -> None:
    take(world, "before-checkout")

    for method, path in (("POST", "/snapshots/befor-checkout/restore"), ("DELETE", "/snapshots/befor-checkout")):
        body = is_refused(world.admin(method, path), "unknown-snapshot")
        assert body["detail"] == f"{world.org} has no snapshot befor-checkout; did you mean before-checkout?"
    far = is_refused(world.admin("POST", "/snapshots/zzz/restore"), "unknown-snapshot")
    assert far["detail"] == f"{world.org} has no snapshot zzz."


def test_a_dropped_snapshot_is_unknown(world: World, is_refused: Refused) -> None:
    take(world)

    assert world.admin("DELETE", "/snapshots/before").status_code == 204

    is_refused(world.admin("POST", "/snapshots/before/restore"), "unknown-snapshot")
    assert world.admin("GET", "/snapshots").json() == {"snapshots": []}


def test_an_org_has_at_most_100_snapshots(world: World, is_refused: Refused) -> None:
    for number in range(100):
        take(world, f"s{number}")

    is_refused(world.admin("PUT", "/snapshots/one-more"), "too-many-snapshots")

    assert world.admin("PUT", "/snapshots/s99").status_code == 200
    world.admin("DELETE", "/snapshots/s0")
    assert world.admin("PUT", "/snapshots/one-more").status_code == 201


@pytest.mark.parametrize(("method", "path"), [("POST", "/reset"), ("DELETE", "")])
def test_a_reset_and_forgetting_drop_them(world: World, method: str, path: str) -> None:
    take(world)

    world.admin(method, path)
    world.admin("PUT", "/clock", {"frozen": True})

    assert world.admin("GET", "/snapshots").json() == {"snapshots": []}


def test_they_stay_when_a_state_is_put(world: World) -> None:
    add(world)
    take(world)

    world.admin("PUT", "/state", {"documents": {}})

    assert restore(world)["documents"] == 1


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
