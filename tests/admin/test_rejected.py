"""Whatever comes in from outside and is rejected leaves the org as it was, to the last byte of its export."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving import OrgClient

NAMELESS = {"status": "NEW"}
THINGS = [{"name": "A"}, {"name": "B"}, NAMELESS]  # the first two are stored, with ids of the sequence, then taken back
ENTRIES = [{"document": thing} for thing in THINGS]
EXPORT = {
    "promo_sandbox_export": 1,
    "org": {
        "clock": {"now": "2040-01-01T00:00:00Z", "frozen": True, "real": False},
        "sequence": 77,
        "documents": {"acme": {"things": ENTRIES}},
    },
}
SCENARIO = {
    "given": {"clock": "2040-01-01T00:00:00Z", "seed": {"acme": {"things": THINGS}}},
    "steps": [{"operation": "getThing", "then": {"reject": "unknown-thing"}}],
}
DOORS = {
    "seed": ("POST", "/seed", {"acme": {"things": THINGS}}),
    "a seed of an unknown vendor": ("POST", "/seed", {"acme": {"things": THINGS[:2]}, "acne": {"things": []}}),
    "state": ("PUT", "/state", {"documents": {"acme": {"things": ENTRIES}}, "now": "2040-01-01T00:00:00Z"}),
    "import": ("POST", "/import", EXPORT),
    "scenario": ("PUT", "/scenario", SCENARIO),
    "an unknown scenario": ("PUT", "/scenario", {"name": "acme/none"}),
    "clock": ("PUT", "/clock", {"now": "1969-01-01T00:00:00Z"}),
    "advance": ("POST", "/clock/advance", {"to": "1999-01-01T00:00:00Z"}),
    "snapshot": ("POST", "/snapshots/none/restore", None),
}
each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())


def _exported(org_client: OrgClient) -> Any:
    response = org_client.admin("GET", "/export")
    assert response.status_code == 200, response.text
    return response.json()["org"]


@pytest.fixture
def full(org_client: OrgClient) -> OrgClient:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed("acme", things=[{"name": "Lamp", "expires": "2031-01-01T00:00:00Z"}])
    return org_client


@each_door
def test_an_org_is_as_it_was(full: OrgClient, door: tuple[str, str, Any]) -> None:
    before = _exported(full)

    response = full.admin(*door)

    assert response.status_code in (400, 404), response.text
    assert _exported(full) == before


@each_door
def test_what_comes_next_is_as_if_nothing_had_been_rejected(full: OrgClient, door: tuple[str, str, Any]) -> None:
    twin = OrgClient(full.url, f"{full.org}-twin", full.http)
    twin.admin("POST", "/import", {"promo_sandbox_export": 1, "org": _exported(full)})

    full.admin(*door)
    for org_client in (full, twin):
        org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Chair"})

    assert {**_exported(full), "name": ""} == {**_exported(twin), "name": ""}


@each_door
def test_no_org_is_made(org_client: OrgClient, door: tuple[str, str, Any]) -> None:
    if door[1] == "/clock":
        assert org_client.admin(*door).status_code == 400
    else:
        assert org_client.admin(*door).status_code in (400, 404)

    assert org_client.admin("GET").status_code == 404


def test_two_documents_with_one_place_are_rejected(org_client: OrgClient) -> None:
    entries = [{"document": {"name": name}, "place": 5, "created": "2030-01-01T00:00:00Z"} for name in "AB"]

    response = org_client.admin("PUT", "/state", {"documents": {"acme": {"things": entries}}})

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == ["acme.things[1].place"]
