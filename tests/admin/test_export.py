"""An org goes to another server and is the same there; what does not fit is refused whole."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from promo_sandbox import __version__
from tests.acme import new_app
from tests.admin.conftest import NOTHING_WRONG, Refused
from tests.serving import World, running

THING = {"id": "a", "name": "A", "status": "NEW"}


@pytest.fixture(scope="module")
def other_url(specs: Path) -> Iterator[str]:
    with running(app=new_app(specs)) as (_, base):
        yield base


@pytest.fixture
def other(other_url: str, world: World) -> World:
    """The org of the same name on another server."""
    return World(other_url, world.org, world.http)


@pytest.fixture
def full(world: World) -> World:
    world.freeze("2030-01-01T00:00:00Z")
    world.seed(
        "acme",
        things=[{**THING, "id": "b", "code": "c", "secret": "s"}, {**THING, "expires": "2030-02-01T00:00:00Z"}],
        settings=[{"house": "Acme"}],
    )
    world.advance("P1D")
    world.request("POST", f"/acme/{world.org}/things", {"name": "Lamp"})
    return world


def export(world: World) -> Any:
    response = world.admin("GET", "/export")
    assert response.status_code == 200, response.text
    return response.json()


def put_in(world: World, exported: Any) -> Any:
    response = world.admin("POST", "/import", exported)
    assert response.status_code == 200, response.text
    return response.json()


def test_an_export_says_what_it_is(full: World) -> None:
    exported = export(full)

    assert (exported["promo_sandbox_export"], exported["version"]) == (1, __version__)
    assert exported["exported"] > "2020"
    assert exported["org"]["name"] == full.org
    assert exported["org"]["clock"] == {"now": "2030-01-02T00:00:00.000Z", "frozen": True, "real": False}


def test_an_org_is_the_same_on_another_server(full: World, other: World) -> None:
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


def test_it_goes_on_there_as_it_would_have_here(full: World, other: World) -> None:
    put_in(other, export(full))

    answers = [
        (
            world.request("POST", f"/acme/{world.org}/things", {"name": "Chair"}).content,
            world.advance("P60D"),
            world.request("GET", f"/acme/{world.org}/things").content,
            world.admin("POST", "/tokens", {"vendor": "acme"}).content,
        )
        for world in (full, other)
    ]

    assert answers[0] == answers[1]
    assert [what["id"] for what in answers[0][1]] == ["a"]
    assert answers[0][1][0]["at"] == "2030-02-01T00:00:00.000Z"


def test_a_token_of_one_server_holds_on_another_in_the_org_of_its_name(full: World, other: World) -> None:
    token = full.admin("POST", "/tokens", {"vendor": "acme"}).json()["access_token"]
    elsewhere = World(other.url, f"{other.org}-renamed", other.http)
    for world in (other, elsewhere):
        put_in(world, export(full))

    statuses = [
        world.request("GET", f"/acme/{world.org}/things", headers={"Authorization": f"Bearer {token}"}).status_code
        for world in (other, elsewhere)
    ]

    assert statuses == [200, 403]


def test_numbers_are_as_they_were_written(world: World, other: World) -> None:
    number = "9000000000000.000001"
    body = f'{{"name":"Lamp","price":{{"unit":"EUR","value":{number}}}}}'.encode()
    world.request("POST", f"/acme/{world.org}/things", raw=body)
    exported = world.admin("GET", "/export").content

    response = other.http.post(
        f"{other.url}/__admin/orgs/{other.org}/import", content=exported, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 200
    assert number.encode() in other.admin("GET", "/export").content


def test_a_clock_that_showed_the_real_time_shows_it_again(world: World, other: World) -> None:
    world.request("POST", f"/acme/{world.org}/things", {"name": "Lamp"})
    exported = export(world)
    assert exported["org"]["clock"]["real"]
    exported["org"]["clock"]["now"] = "2020-01-01T00:00:00Z"

    answered = put_in(other, exported)

    assert (answered["frozen"], answered["now"] > "2026") == (False, True)


def test_a_clock_that_ran_ahead_runs_on_from_where_it_was(world: World, other: World) -> None:
    world.admin("PUT", "/clock", {"now": "2040-05-05T12:00:00Z"})

    answered = put_in(other, export(world))

    assert (answered["now"][:15], answered["frozen"]) == ("2040-05-05T12:0", False)


def test_what_was_there_is_replaced_and_journal_and_snapshots_stay(full: World, other: World) -> None:
    other.request("POST", f"/acme/{other.org}/things", {"name": "Old"})
    other.admin("PUT", "/snapshots/before")

    put_in(other, export(full))

    assert "Old" not in {each["document"].get("name") for each in other.state()["acme"]["things"]}
    assert other.admin("GET", "/requests").json()["total"] == 1
    assert other.admin("POST", "/snapshots/before/restore").json()["documents"] == 1


def test_what_does_not_fit_is_refused_whole_with_every_place(full: World, other: World, is_refused: Refused) -> None:
    other.freeze("2031-01-01T00:00:00Z")
    other.request("POST", f"/acme/{other.org}/things", {"name": "Old"})
    before = export(other)["org"]
    exported = export(full)
    exported["org"]["documents"]["acme"]["things"][0]["document"]["name"] = 7
    exported["org"]["documents"]["acme"]["thingies"] = []
    exported["org"]["documents"]["acne"] = {}

    body = is_refused(other.admin("POST", "/import", exported), "unacceptable-documents")

    assert {error["pointer"] for error in body["errors"]} == {"acme.things[0].name", "acme.thingies", "acne"}
    assert export(other)["org"] == before


def test_a_document_of_another_form_is_refused(full: World, other: World, is_refused: Refused) -> None:
    body = is_refused(other.admin("POST", "/import", export(full) | {"promo_sandbox_export": 2}), "invalid-request")

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
    full: World, other: World, is_refused: Refused, place: tuple[str, ...], value: Any
) -> None:
    exported = deepcopy(export(full))
    node = exported
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value

    is_refused(other.admin("POST", "/import", exported), "invalid-request")

    assert other.admin("GET").status_code == 404
