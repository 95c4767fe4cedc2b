"""Coverage over HTTP, on a real server whose only vendor is the made-up one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acme import new_app, write_specs
from tests.patience import LONG
from tests.serving import World, running

CLIENTS = 20
EACH = 25
_numbers = itertools.count()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server of this test's own, since the total is everybody's."""
    with running(app=new_app(write_specs(tmp_path / "specs"))) as (_, base):
        yield base


@pytest.fixture
def world(url: str, http: httpx2.Client) -> World:
    return World(url, f"shop-{next(_numbers)}", http)


def add(world: World, body: Any) -> int:
    return world.request("POST", f"/acme/{world.org}/things", body).status_code


def coverage(world: World, **query: str) -> Any:
    response = world.http.get(f"{world.url}/__admin/coverage", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def added(body: Any) -> dict[str, int]:
    """Statuses and rejections met by addThing, and how often."""
    operation = next(it for it in body["vendors"][0]["operations"] if it["operation"] == "addThing")
    met = [(str(it["status"]), it["count"]) for it in operation["statuses"]]
    met += [(it["rejection"], it["count"]) for it in operation["rejections"]]
    return {name: count for name, count in met if count}


def test_coverage_tells_what_was_met_and_what_there_is(world: World) -> None:
    add(world, {"name": "Lamp", "code": "1"})
    add(world, {"name": "Lamp", "code": "1"})

    body = coverage(world)

    assert body["org"] is None
    assert [vendor["vendor"] for vendor in body["vendors"]] == ["acme"]
    assert body["totals"] == body["vendors"][0]["totals"]
    assert body["totals"]["operations"] == {"covered": 1, "all": 12, "percent": 8.3}
    assert body["totals"]["callbacks"] == {"covered": 1, "all": 1, "percent": 100.0}
    assert added(body) == {"201": 1, "409": 1, "code-taken": 1}


def test_coverage_of_one_org(world: World) -> None:
    other = World(world.url, f"{world.org}-other", world.http)
    add(world, {"name": "Lamp"})
    add(other, {})

    assert coverage(world, org=other.org)["org"] == other.org
    assert added(coverage(world, org=other.org)) == {"400": 1, "invalid-request": 1}
    assert added(coverage(world, org=world.org)) == {"201": 1}
    assert added(coverage(world)) == {"201": 1, "400": 1, "invalid-request": 1}


def test_a_forgotten_org_and_a_reset_stay_in_the_total(world: World) -> None:
    add(world, {"name": "Lamp"})
    assert world.admin("POST", "/reset").status_code == 204
    add(world, {})
    assert world.admin("DELETE").status_code == 204

    assert added(coverage(world)) == {"201": 1, "400": 1, "invalid-request": 1}
    assert world.http.get(f"{world.url}/__admin/coverage", params={"org": world.org}).status_code == 404


def test_coverage_of_one_vendor(world: World) -> None:
    assert [vendor["vendor"] for vendor in coverage(world, vendor="acme")["vendors"]] == ["acme"]


@pytest.mark.parametrize(
    ("vendor", "hint"), [("acmee", "; did you mean acme?"), ("zzz", "; use one of acme.")], ids=["near", "far"]
)
def test_an_unknown_vendor(world: World, vendor: str, hint: str) -> None:
    response = world.http.get(f"{world.url}/__admin/coverage", params={"vendor": vendor})

    assert (response.status_code, response.json()["title"]) == (400, "Unknown vendor")
    assert response.json()["detail"] == f"There is no vendor {vendor}{hint}"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_org_is_answered_with_the_names_near_it(world: World, method: str) -> None:
    add(world, {})

    response = world.http.request(method, f"{world.url}/__admin/coverage", params={"org": f"{world.org}x"})

    assert (response.status_code, response.json()["title"]) == (404, "Unknown org")
    assert world.org in response.json()["detail"]


@pytest.mark.parametrize("query", ["org=", f"org={'x' * 257}", "vendor="])
def test_an_org_or_a_vendor_that_cannot_be(world: World, query: str) -> None:
    response = world.http.get(f"{world.url}/__admin/coverage?{query}")

    assert (response.status_code, response.json()["title"]) == (400, "Bad request")
    assert response.json()["errors"][0]["pointer"] == f"query.{query.partition('=')[0]}"


def test_counting_begins_anew(world: World) -> None:
    add(world, {"name": "Lamp"})

    assert world.http.delete(f"{world.url}/__admin/coverage").status_code == 204

    assert added(coverage(world)) == added(coverage(world, org=world.org)) == {}
    assert world.admin("GET", "/requests").json()["total"] == 1


def test_counting_begins_anew_in_one_org(world: World) -> None:
    add(world, {"name": "Lamp"})

    assert world.http.delete(f"{world.url}/__admin/coverage", params={"org": world.org}).status_code == 204

    assert added(coverage(world, org=world.org)) == {}
    assert added(coverage(world)) == {"201": 1}


def test_an_admin_token_closes_it(tmp_path: Path, http: httpx2.Client) -> None:
    with running(app=new_app(write_specs(tmp_path / "closed"), admin_token="secret")) as (_, base):
        refused = http.get(f"{base}/__admin/coverage")
        admitted = http.get(f"{base}/__admin/coverage", headers={"Authorization": "Bearer secret"})

    assert (refused.status_code, admitted.status_code) == (401, 200)


def test_of_many_clients_none_is_counted_twice_or_not_at_all(world: World) -> None:
    def call(number: int) -> None:
        with httpx2.Client(timeout=LONG) as client:
            mine = World(world.url, f"{world.org}-{number}", client)
            for at in range(EACH):
                add(mine, {"name": "Lamp"} if at % 5 else {})

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(call, range(CLIENTS)))

    refused = EACH // 5
    assert added(coverage(world)) == {
        "201": CLIENTS * (EACH - refused),
        "400": CLIENTS * refused,
        "invalid-request": CLIENTS * refused,
    }
    for number in range(CLIENTS):
        assert added(coverage(world, org=f"{world.org}-{number}")) == {
            "201": EACH - refused,
            "400": refused,
            "invalid-request": refused,
        }
