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
from tests.serving import OrgClient, running

CLIENTS = 20
EACH = 25
_numbers = itertools.count()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server of this test's own, since the total is everybody's."""
    with running(app=new_app(write_specs(tmp_path / "specs"))) as (_, base):
        yield base


@pytest.fixture
def org_client(url: str, http: httpx2.Client) -> OrgClient:
    return OrgClient(url, f"shop-{next(_numbers)}", http)


def add(org_client: OrgClient, body: Any) -> int:
    return org_client.request("POST", f"/acme/{org_client.org}/things", body).status_code


def coverage(org_client: OrgClient, **query: str) -> Any:
    response = org_client.http.get(f"{org_client.url}/__admin/coverage", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def added(body: Any) -> dict[str, int]:
    """Statuses and rejections met by addThing, and how often."""
    operation = next(it for it in body["vendors"][0]["operations"] if it["operation"] == "addThing")
    met = [(str(it["status"]), it["count"]) for it in operation["statuses"]]
    met += [(it["rejection"], it["count"]) for it in operation["rejections"]]
    return {name: count for name, count in met if count}


def test_coverage_tells_what_was_met_and_what_there_is(org_client: OrgClient) -> None:
    add(org_client, {"name": "Lamp", "code": "1"})
    add(org_client, {"name": "Lamp", "code": "1"})

    body = coverage(org_client)

    assert body["org"] is None
    assert [vendor["vendor"] for vendor in body["vendors"]] == ["acme"]
    assert body["totals"] == body["vendors"][0]["totals"]
    assert body["totals"]["operations"] == {"covered": 1, "all": 12, "percent": 8.3}
    assert body["totals"]["callbacks"] == {"covered": 1, "all": 1, "percent": 100.0}
    assert added(body) == {"201": 1, "409": 1, "code-taken": 1}


def test_coverage_of_one_org(org_client: OrgClient) -> None:
    other = OrgClient(org_client.url, f"{org_client.org}-other", org_client.http)
    add(org_client, {"name": "Lamp"})
    add(other, {})

    assert coverage(org_client, org=other.org)["org"] == other.org
    assert added(coverage(org_client, org=other.org)) == {"400": 1, "invalid-request": 1}
    assert added(coverage(org_client, org=org_client.org)) == {"201": 1}
    assert added(coverage(org_client)) == {"201": 1, "400": 1, "invalid-request": 1}


def test_a_forgotten_org_and_a_reset_stay_in_the_total(org_client: OrgClient) -> None:
    add(org_client, {"name": "Lamp"})
    assert org_client.admin("POST", "/reset").status_code == 204
    add(org_client, {})
    assert org_client.admin("DELETE").status_code == 204

    assert added(coverage(org_client)) == {"201": 1, "400": 1, "invalid-request": 1}
    assert org_client.http.get(f"{org_client.url}/__admin/coverage", params={"org": org_client.org}).status_code == 404


def test_coverage_of_one_vendor(org_client: OrgClient) -> None:
    assert [vendor["vendor"] for vendor in coverage(org_client, vendor="acme")["vendors"]] == ["acme"]


@pytest.mark.parametrize(
    ("vendor", "hint"), [("acmee", "; did you mean acme?"), ("zzz", "; use one of acme.")], ids=["near", "far"]
)
def test_an_unknown_vendor(org_client: OrgClient, vendor: str, hint: str) -> None:
    response = org_client.http.get(f"{org_client.url}/__admin/coverage", params={"vendor": vendor})

    assert (response.status_code, response.json()["title"]) == (400, "Unknown vendor")
    assert response.json()["detail"] == f"There is no vendor {vendor}{hint}"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_org_is_answered_with_the_names_near_it(org_client: OrgClient, method: str) -> None:
    add(org_client, {})

    response = org_client.http.request(
        method, f"{org_client.url}/__admin/coverage", params={"org": f"{org_client.org}x"}
    )

    assert (response.status_code, response.json()["title"]) == (404, "Unknown org")
    assert org_client.org in response.json()["detail"]


@pytest.mark.parametrize("query", ["org=", f"org={'x' * 257}", "vendor="])
def test_an_org_or_a_vendor_that_cannot_be(org_client: OrgClient, query: str) -> None:
    response = org_client.http.get(f"{org_client.url}/__admin/coverage?{query}")

    assert (response.status_code, response.json()["title"]) == (400, "Bad request")
    assert response.json()["errors"][0]["pointer"] == f"query.{query.partition('=')[0]}"


def test_counting_begins_anew(org_client: OrgClient) -> None:
    add(org_client, {"name": "Lamp"})

    assert org_client.http.delete(f"{org_client.url}/__admin/coverage").status_code == 204

    assert added(coverage(org_client)) == added(coverage(org_client, org=org_client.org)) == {}
    assert org_client.admin("GET", "/requests").json()["total"] == 1


def test_counting_begins_anew_in_one_org(org_client: OrgClient) -> None:
    add(org_client, {"name": "Lamp"})

    assert (
        org_client.http.delete(f"{org_client.url}/__admin/coverage", params={"org": org_client.org}).status_code == 204
    )

    assert added(coverage(org_client, org=org_client.org)) == {}
    assert added(coverage(org_client)) == {"201": 1}


def test_an_admin_token_closes_it(tmp_path: Path, http: httpx2.Client) -> None:
    with running(app=new_app(write_specs(tmp_path / "closed"), admin_token="secret")) as (_, base):
        rejected = http.get(f"{base}/__admin/coverage")
        admitted = http.get(f"{base}/__admin/coverage", headers={"Authorization": "Bearer secret"})

    assert (rejected.status_code, admitted.status_code) == (401, 200)


def test_of_many_clients_none_is_counted_twice_or_not_at_all(org_client: OrgClient) -> None:
    def call(number: int) -> None:
        with httpx2.Client(timeout=LONG) as client:
            mine = OrgClient(org_client.url, f"{org_client.org}-{number}", client)
            for at in range(EACH):
                add(mine, {"name": "Lamp"} if at % 5 else {})

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(call, range(CLIENTS)))

    rejected = EACH // 5
    assert added(coverage(org_client)) == {
        "201": CLIENTS * (EACH - rejected),
        "400": CLIENTS * rejected,
        "invalid-request": CLIENTS * rejected,
    }
    for number in range(CLIENTS):
        assert added(coverage(org_client, org=f"{org_client.org}-{number}")) == {
            "201": EACH - rejected,
            "400": rejected,
            "invalid-request": rejected,
        }
