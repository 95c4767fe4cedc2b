"""What is over already when it is stored comes to its end there and then, with no tick of the clock in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from promo_sandbox.base import clock
from promo_sandbox.server.app import App
from tests.acme import documents_of, new_app
from tests.serving import OrgClient

NOW = "2030-01-01T00:00:00.000Z"
OVER = {"name": "Lamp", "expires": "2029-06-01T00:00:00Z"}


@pytest.fixture
def app(specs: Path) -> App:
    """One that no server runs, so nothing in it happens by itself."""
    return new_app(specs)


@pytest.fixture
def quiet(app: App) -> OrgClient:
    org_client = OrgClient("http://testserver", "quiet", TestClient(app))
    org_client.freeze(NOW)
    return org_client


def _seeded(org_client: OrgClient) -> None:
    org_client.seed("acme", things=[OVER])


def _put(org_client: OrgClient) -> None:
    assert (
        org_client.admin("PUT", "/state", {"documents": {"acme": {"things": [{"document": OVER}]}}}).status_code == 200
    )


def _imported(org_client: OrgClient) -> None:
    org = {
        "clock": {"now": NOW, "frozen": True, "real": False},
        "sequence": 0,
        "documents": {"acme": {"things": [{"document": OVER}]}},
    }
    assert org_client.admin("POST", "/import", {"promo_sandbox_export": 1, "org": org}).status_code == 200


def _created(org_client: OrgClient) -> None:
    assert org_client.request("POST", f"/acme/{org_client.org}/things", OVER).status_code == 201


def _given(org_client: OrgClient) -> None:
    given = {"clock": NOW, "seed": {"acme": {"things": [OVER]}}}
    script = {"given": given, "steps": [{"operation": "getThing", "then": {"reject": "unknown-thing"}}]}
    assert org_client.admin("PUT", "/scenario", script).status_code == 200


each_way = pytest.mark.parametrize("stored", [_seeded, _put, _imported, _created, _given])


@each_way
def test_it_is_over_at_once(app: App, quiet: OrgClient, stored: Callable[[OrgClient], None]) -> None:
    stored(quiet)

    org = app.orgs.find("quiet")
    assert org is not None
    documents = documents_of(app.orgs, org)["acme"]["things"]
    assert [doc["status"] for doc, _, _ in documents] == ["EXPIRED"]


@each_way
@pytest.mark.parametrize("ticks", [0, 1])
def test_advance_does_not_tell_of_it(
    app: App, quiet: OrgClient, stored: Callable[[OrgClient], None], ticks: int
) -> None:
    stored(quiet)
    for _ in range(ticks):
        app.orgs.tick()

    assert quiet.advance("P1D") == []


@pytest.mark.parametrize("ticks", [0, 1])
def test_advance_tells_the_same_whether_a_tick_came_between_or_not(app: App, quiet: OrgClient, ticks: int) -> None:
    quiet.seed(
        "acme",
        things=[
            {**OVER, "id": "a", "expires": "2030-01-01T00:00:01Z"},
            {**OVER, "id": "b", "expires": "2030-01-02T00:00:00Z"},
        ],
    )
    org = app.orgs.find("quiet")
    assert org is not None
    org.clock.set(org.clock.now() + 2 * clock.SECOND)  # as a running clock goes on by itself
    for _ in range(ticks):
        app.orgs.tick()

    assert [what["id"] for what in quiet.advance("P1D")] == ["b"]


@pytest.mark.parametrize("door", ["/state", "/import"])
def test_a_frozen_clock_shows_the_very_time_that_comes_in(quiet: OrgClient, door: str) -> None:
    exported = quiet.admin("GET", "/export").json()
    moment = "2031-05-06T07:08:09.123Z"
    exported["org"]["clock"]["now"] = moment

    for number in range(20):
        other = OrgClient(quiet.url, f"other-{number}", quiet.http)
        if door == "/state":
            answered = other.admin("PUT", door, {"now": moment, "frozen": True, "documents": {}})
        else:
            answered = other.admin("POST", door, exported)
        assert answered.json()["now"] == other.admin("GET", "/clock").json()["now"] == moment


def test_what_ends_between_a_snapshot_and_going_back_to_it_has_ended_then(app: App, quiet: OrgClient) -> None:
    quiet.seed("acme", things=[{**OVER, "expires": "2030-01-01T00:00:01Z"}])
    org = app.orgs.find("quiet")
    assert org is not None
    org.clock.run()
    quiet.admin("PUT", "/snapshots/s")
    org.snapshots["s"].clock.set(org.clock.now() + 10 * clock.SECOND)  # as time passes

    quiet.admin("POST", "/snapshots/s/restore")

    assert [doc["status"] for doc, _, _ in documents_of(app.orgs, org)["acme"]["things"]] == ["EXPIRED"]
