"""An org goes to another server and is the same there; what does not fit is rejected whole."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from promo_sandbox import __version__
from tests.acme import new_app
from tests.admin.conftest import NOTHING_WRONG, AssertRejected
from tests.serving import OrgClient, running

THING = {"id": "a", "name": "A", "status": "NEW"}


@pytest.fixture(scope="module")
def other_url(specs: Path) -> Iterator[str]:
    with running(app=new_app(specs)) as (_, base):
        yield base


@pytest.fixture
def other(other_url: str, org_client: OrgClient) -> OrgClient:
    """The org of the same name on another server."""
    return OrgClient(other_url, org_client.org, org_client.http)


@pytest.fixture
def full(org_client: OrgClient) -> OrgClient:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed(
        "acme",
        things=[{**THING, "id": "b", "code": "c", "secret": "s"}, {**THING, "expires": "2030-02-01T00:00:00Z"}],
        settings=[{"house": "Acme"}],
    )
    org_client.advance("P1D")
    org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp"})
    return org_client


def export(org_client: OrgClient) -> Any:
    response = org_client.admin("GET", "/export")
    assert response.status_code == 200, response.text
    return response.json()


def put_in(org_client: OrgClient, exported: Any) -> Any:
    response = org_client.admin("POST", "/import", exported)
    assert response.status_code == 200, response.text
    return response.json()


def test_an_export_says_what_it_is(full: OrgClient) -> None:
    exported = export(full)

    assert (exported["promo_sandbox_export"], exported["version"]) == (1, __version__)
    assert exported["exported"] > "2020"
    assert exported["org"]["name"] == full.org
    assert exported["org"]["clock"] == {"now": "2030-01-02T00:00:00.000Z", "frozen": True, "real": False}


def test_an_org_is_the_same_on_another_server(full: OrgClient, other: OrgClient) -> None:
    exported = export(full)

    answered = put_in(other, exported)

    assert answered == other.admin("GET").json()
    assert answered == {
        "name": other.org,
        "now": "2030-01-02T00:00:00.000Z",
        "frozen": True,
        "documents": 4,
        "requests": 0,
        **NOTHING_WRONG,
    }
    assert export(other)["org"] == exported["org"]
    assert other.admin("GET", "/state").json() == full.admin("GET", "/state").json()


def test_it_goes_on_there_as_it_would_have_here(full: OrgClient, other: OrgClient) -> None:
    put_in(other, export(full))

    answers = [
        (
            org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Chair"}).content,
            org_client.advance("P60D"),
            org_client.request("GET", f"/acme/{org_client.org}/things").content,
            org_client.admin("POST", "/tokens", {"vendor": "acme"}).content,
        )
        for org_client in (full, other)
    ]

    assert answers[0] == answers[1]
    assert [what["id"] for what in answers[0][1]] == ["a"]
    assert answers[0][1][0]["at"] == "2030-02-01T00:00:00.000Z"


def test_a_token_of_one_server_holds_on_another_in_the_org_of_its_name(full: OrgClient, other: OrgClient) -> None:
    token = full.admin("POST", "/tokens", {"vendor": "acme"}).json()["access_token"]
    elsewhere = OrgClient(other.url, f"{other.org}-renamed", other.http)
    for org_client in (other, elsewhere):
        put_in(org_client, export(full))

    statuses = [
        org_client.request(
            "GET", f"/acme/{org_client.org}/things", headers={"Authorization": f"Bearer {token}"}
        ).status_code
        for org_client in (other, elsewhere)
    ]

    assert statuses == [200, 403]


def test_numbers_are_as_they_were_written(org_client: OrgClient, other: OrgClient) -> None:
    number = "9000000000000.000001"
    body = f'{{"name":"Lamp","price":{{"unit":"EUR","value":{number}}}}}'.encode()
    org_client.request("POST", f"/acme/{org_client.org}/things", raw=body)
    exported = org_client.admin("GET", "/export").content

    response = other.http.post(
        f"{other.url}/__admin/orgs/{other.org}/import", content=exported, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 200
    assert number.encode() in other.admin("GET", "/export").content


def test_a_clock_that_showed_the_real_time_shows_it_again(org_client: OrgClient, other: OrgClient) -> None:
    org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp"})
    exported = export(org_client)
    assert exported["org"]["clock"]["real"]
    exported["org"]["clock"]["now"] = "2020-01-01T00:00:00Z"

    answered = put_in(other, exported)

    assert (answered["frozen"], answered["now"] > "2026") == (False, True)


def test_a_clock_that_ran_ahead_runs_on_from_where_it_was(org_client: OrgClient, other: OrgClient) -> None:
    org_client.admin("PUT", "/clock", {"now": "2040-05-05T12:00:00Z"})

    answered = put_in(other, export(org_client))

    assert (answered["now"][:15], answered["frozen"]) == ("2040-05-05T12:0", False)


def test_what_was_there_is_replaced_and_journal_and_snapshots_stay(full: OrgClient, other: OrgClient) -> None:
    other.request("POST", f"/acme/{other.org}/things", {"name": "Old"})
    other.admin("PUT", "/snapshots/before")

    put_in(other, export(full))

    assert "Old" not in {each["document"].get("name") for each in other.state()["acme"]["things"]}
    assert other.admin("GET", "/requests").json()["total"] == 1
    assert other.admin("POST", "/snapshots/before/restore").json()["documents"] == 1


def test_what_does_not_fit_is_rejected_whole_with_every_place(
    full: OrgClient, other: OrgClient, is_rejected: AssertRejected
) -> None:
    other.freeze("2031-01-01T00:00:00Z")
    other.request("POST", f"/acme/{other.org}/things", {"name": "Old"})
    before = export(other)["org"]
    exported = export(full)
    exported["org"]["documents"]["acme"]["things"][0]["document"]["name"] = 7
    exported["org"]["documents"]["acme"]["thingies"] = []
    exported["org"]["documents"]["acne"] = {}

    body = is_rejected(other.admin("POST", "/import", exported), "unacceptable-documents")

    assert {error["pointer"] for error in body["errors"]} == {"acme.things[0].name", "acme.thingies", "acne"}
    assert export(other)["org"] == before


def test_a_document_of_another_form_is_rejected(full: OrgClient, other: OrgClient, is_rejected: AssertRejected) -> None:
    body = is_rejected(other.admin("POST", "/import", export(full) | {"promo_sandbox_export": 2}), "invalid-request")

    assert body["errors"] == [{"detail": "1 was expected", "pointer": "body.promo_sandbox_export"}]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("org",), None),
        (("org", "clock"), None),
        (("org", "clock", "now"), "yesterday"),
        (("org", "clock", "now"), "1960-01-01T00:00:00Z"),
        (("org", "clock", "real"), "yes"),
        (("org", "clock", "other"), 1),
        (("org", "sequence"), -1),
        (("org", "documents"), []),
        (("org", "scenery"), {}),
        (("other",), 1),
    ],
)
def test_an_export_has_a_form(
    full: OrgClient, other: OrgClient, is_rejected: AssertRejected, place: tuple[str, ...], value: Any
) -> None:
    exported = deepcopy(export(full))
    node = exported
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value

    is_rejected(other.admin("POST", "/import", exported), "invalid-request")

    assert other.admin("GET").status_code == 404
