"""The admin API over HTTP, on a real server whose only vendor is the made-up one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from promo_sandbox import __version__
from promo_sandbox.openapi.document import Document
from tests.acme import new_app
from tests.admin.conftest import NOTHING_WRONG
from tests.serving import OrgClient, running

THING = {"id": "a", "name": "A", "status": "NEW"}
_numbers = itertools.count()


def add(org_client: OrgClient, **thing: Any) -> httpx2.Response:
    return org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp", **thing})


# The server


def test_health(url: str, http: httpx2.Client) -> None:
    assert http.get(f"{url}/__admin/health").json() == {"status": "healthy", "version": __version__}


def test_version_tells_the_specs_that_are_served(url: str, http: httpx2.Client) -> None:
    assert http.get(f"{url}/__admin/version").json() == {
        "version": __version__,
        "specs": [
            {
                "name": "acme/things.yaml",
                "title": "Acme Things API",
                "version": version,
                "base": "/acme",
                "operations": 12,
            }
            for version in ("7", "8")
        ],
    }


@pytest.mark.parametrize("path", ["", "/", "/org", "/orgs/a/nothing", "/orgs/a/clock/advance/x", "x"])
def test_an_unknown_path(url: str, http: httpx2.Client, is_rejected: Any, path: str) -> None:
    body = is_rejected(http.get(f"{url}/__admin{path}"), "unknown-path")

    assert body["detail"] == f"There is no /__admin{path}."


def test_another_method(url: str, http: httpx2.Client, is_rejected: Any) -> None:
    response = http.patch(f"{url}/__admin/orgs/a/clock")

    is_rejected(response, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD, PUT"


def test_another_media_type(org_client: OrgClient, url: str, is_rejected: Any) -> None:
    response = org_client.http.post(
        f"{url}/__admin/orgs/{org_client.org}/seed", content="{}", headers={"Content-Type": "text/plain"}
    )

    is_rejected(response, "unsupported-media-type")


# Orgs


def test_orgs_are_listed_by_name_in_pages(url: str, http: httpx2.Client) -> None:
    base = f"list-{next(_numbers)}-"
    for letter in "cab":
        http.put(f"{url}/__admin/orgs/{base}{letter}/clock", json={"now": "2030-01-01T00:00:00Z", "frozen": True})

    body = http.get(f"{url}/__admin/orgs", params={"after": base, "limit": 2}).json()

    assert [org["name"] for org in body["orgs"]] == [f"{base}a", f"{base}b"]
    assert body["total"] >= 3
    assert body["orgs"][0] == {
        "name": f"{base}a",
        "now": "2030-01-01T00:00:00.000Z",
        "frozen": True,
        "documents": 0,
        "requests": 0,
        **NOTHING_WRONG,
    }


@pytest.mark.parametrize("limit", ["0", "1001", "many", ""])
def test_a_page_has_bounds(url: str, http: httpx2.Client, is_rejected: Any, limit: str) -> None:
    body = is_rejected(http.get(f"{url}/__admin/orgs", params={"limit": limit}), "invalid-request")

    assert [error["pointer"] for error in body["errors"]] == ["query.limit"]


def test_one_org(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    add(org_client)

    assert org_client.admin("GET").json() == {
        "name": org_client.org,
        "now": "2030-01-01T00:00:00.000Z",
        "frozen": True,
        "documents": 1,
        "requests": 1,
        **NOTHING_WRONG,
    }


def test_an_org_s_name_may_have_any_characters(url: str, http: httpx2.Client) -> None:
    http.put(f"{url}/__admin/orgs/a%20b%2F%C3%A9/clock", json={"frozen": True})

    assert http.get(f"{url}/__admin/orgs/a%20b%2F%C3%A9").json()["name"] == "a b/é"


def test_a_forgotten_org_is_unknown(org_client: OrgClient, is_rejected: Any) -> None:
    add(org_client)

    assert org_client.admin("DELETE").status_code == 204

    is_rejected(org_client.admin("GET"), "unknown-org")
    is_rejected(org_client.admin("DELETE"), "unknown-org")


def test_a_reset_org_starts_anew_and_its_tokens_stay_valid(org_client: OrgClient) -> None:
    token = org_client.admin("POST", "/tokens", {"vendor": "acme"}).json()["access_token"]
    org_client.freeze("2030-01-01T00:00:00Z")
    add(org_client)

    assert org_client.admin("POST", "/reset").status_code == 204

    org = org_client.admin("GET").json()
    assert (org["documents"], org["requests"], org["frozen"]) == (0, 0, False)
    response = org_client.request("GET", f"/acme/{org_client.org}/things", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    assert response.headers["sandbox-exchange"] == "1"


UNKNOWN: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("GET", "/clock", None),
    ("GET", "/state", None),
    ("GET", "/requests", None),
    ("DELETE", "/requests", None),
    ("GET", "/requests.har", None),
    ("GET", "/requests/stream", None),
    ("GET", "/export", None),
    ("GET", "/snapshots", None),
    ("DELETE", "/snapshots/s", None),
    ("POST", "/snapshots/s/restore", None),
    ("POST", "/requests/count", {}),
    ("GET", "/requests/1", None),
    ("GET", "/events", None),
    ("GET", "/next", None),
    ("DELETE", "/next", None),
    ("GET", "/scenario", None),
    ("DELETE", "/scenario", None),
    ("GET", "/webhooks", None),
    ("GET", "/webhooks/1", None),
    ("POST", "/webhooks/flush", None),
    ("POST", "/webhooks/1/redeliver", None),
    ("GET", "/webhooks/rewrites", None),
]


@pytest.mark.parametrize(("method", "path", "body"), UNKNOWN)
def test_an_unknown_org_is_rejected_with_the_names_near_it(
    url: str, http: httpx2.Client, is_rejected: Any, method: str, path: str, body: Any
) -> None:
    http.put(f"{url}/__admin/orgs/payments/clock", json={"frozen": True})

    near = is_rejected(http.request(method, f"{url}/__admin/orgs/paymens{path}", json=body), "unknown-org")
    far = is_rejected(http.request(method, f"{url}/__admin/orgs/zzzzzzzzzz{path}", json=body), "unknown-org")

    assert near["detail"] == "There is no org paymens; did you mean payments?"
    assert far["detail"] == "There is no org zzzzzzzzzz."


MADE: list[tuple[str, str, Any]] = [
    ("POST", "/reset", None),
    ("PUT", "/clock", {"frozen": True}),
    ("POST", "/clock/advance", {"by": "P1D"}),
    ("PUT", "/state", {"documents": {}}),
    ("POST", "/seed", {}),
    (
        "POST",
        "/import",
        {
            "promo_sandbox_export": 1,
            "org": {
                "clock": {"now": "2030-01-01T00:00:00Z", "frozen": True, "real": False},
                "sequence": 0,
                "documents": {},
            },
        },
    ),
    ("PUT", "/snapshots/s", None),
    ("POST", "/tokens", {"vendor": "acme"}),
    ("POST", "/next", {"operation": "addThing", "then": {"reject": "code-taken"}}),
    ("PUT", "/scenario", {"steps": []}),
    ("PUT", "/webhooks/rewrites", {"rewrites": []}),
]


@pytest.mark.parametrize(("method", "path", "body"), MADE)
def test_what_changes_an_org_makes_it(org_client: OrgClient, method: str, path: str, body: Any) -> None:
    assert org_client.admin(method, path, body).is_success

    assert org_client.admin("GET").status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), [*UNKNOWN, *MADE])
def test_an_org_s_name_has_a_longest_length(
    url: str, http: httpx2.Client, is_rejected: Any, method: str, path: str, body: Any
) -> None:
    is_rejected(http.request(method, f"{url}/__admin/orgs/{'x' * 257}{path}", json=body), "org-name-too-long")


def test_no_more_orgs_than_admitted(specs: Path, http: httpx2.Client, is_rejected: Any) -> None:
    with running(app=new_app(specs, max_orgs=1)) as (_, url):
        assert http.post(f"{url}/__admin/orgs/one/reset").status_code == 204
        for method, path, body in MADE:
            is_rejected(http.request(method, f"{url}/__admin/orgs/two{path}", json=body), "too-many-orgs")


# The clock


def test_the_clock_is_real_until_it_is_set(org_client: OrgClient) -> None:
    add(org_client)

    shown = org_client.admin("GET", "/clock").json()

    assert shown["now"][:13] in {
        time.strftime("%Y-%m-%dT%H", time.gmtime(at)) for at in (time.time() - 60, time.time())
    }
    assert shown["frozen"] is False


def test_the_clock_is_set_frozen_and_let_go(org_client: OrgClient) -> None:
    set_running = org_client.admin("PUT", "/clock", {"now": "2030-01-01T12:00:00+02:00"}).json()
    frozen = org_client.admin("PUT", "/clock", {"frozen": True}).json()
    set_frozen = org_client.admin("PUT", "/clock", {"now": "2031-01-01T00:00:00.123456Z"}).json()
    let_go = org_client.admin("PUT", "/clock", {"frozen": False}).json()

    assert (set_running["now"][:16], set_running["frozen"]) == ("2030-01-01T10:00", False)
    assert (frozen["now"][:16], frozen["frozen"]) == ("2030-01-01T10:00", True)
    assert set_frozen == {"now": "2031-01-01T00:00:00.123Z", "frozen": True}
    assert (let_go["now"][:16], let_go["frozen"]) == ("2031-01-01T00:00", False)


def test_a_frozen_clock_shows_the_same_time_until_it_is_advanced(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-31T00:00:00Z")

    assert org_client.admin("GET", "/clock").json() == org_client.admin("GET", "/clock").json()
    advanced = org_client.admin("POST", "/clock/advance", {"by": "P1M"}).json()

    assert advanced == {"now": "2030-02-28T00:00:00.000Z", "frozen": True, "happened": []}
    assert org_client.admin("GET", "/clock").json()["now"] == "2030-02-28T00:00:00.000Z"


def test_advancing_tells_what_happened_in_order(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed(
        "acme",
        things=[
            {**THING, "id": "late", "expires": "2030-02-01T00:00:00Z"},
            {**THING, "id": "broken", "name": "B", "breaks": "2030-01-20T00:00:00Z"},
            {**THING, "id": "early", "expires": "2030-01-10T00:00:00Z"},
            {**THING, "id": "after", "expires": "2030-02-01T00:00:00.001Z"},
        ],
    )

    happened = org_client.advance("P31D")

    assert happened == [
        {
            "at": "2030-01-10T00:00:00.000Z",
            "event": "expire-thing",
            "id": "early",
            "notified": ["thing-changed"],
            "internal_error": None,
        },
        {
            "at": "2030-01-20T00:00:00.000Z",
            "event": "break-thing",
            "id": "broken",
            "notified": [],
            "internal_error": "RuntimeError: B breaks",
        },
        {
            "at": "2030-02-01T00:00:00.000Z",
            "event": "expire-thing",
            "id": "late",
            "notified": ["thing-changed"],
            "internal_error": None,
        },
    ]
    to = org_client.admin("POST", "/clock/advance", {"to": "2030-03-01T00:00:00Z"}).json()
    assert [what["id"] for what in to["happened"]] == ["after"]


def test_setting_the_clock_forward_lets_things_happen_and_back_undoes_nothing(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed("acme", things=[{**THING, "expires": "2030-01-10T00:00:00Z"}])

    org_client.freeze("2030-02-01T00:00:00Z")
    expired = org_client.state()
    org_client.freeze("2029-01-01T00:00:00Z")

    assert expired["acme"]["things"][0]["document"]["status"] == "EXPIRED"
    assert org_client.state() == expired


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"now": "tomorrow"},
        {"now": "2030-01-01"},
        {"frozen": "yes"},
        {"frozen": 1},
        {"frozen": True, "other": 1},
        {"now": "1969-12-31T23:59:59Z"},
        {"now": "9999-12-31T23:59:59-01:00"},
        [],
        None,
    ],
)
def test_a_clock_is_not_set_to_nonsense(org_client: OrgClient, is_rejected: Any, body: Any) -> None:
    is_rejected(org_client.admin("PUT", "/clock", body), "invalid-request")


@pytest.mark.parametrize(
    "body", [{}, {"by": "1 day"}, {"by": "P1D", "to": "2031-01-01T00:00:00Z"}, {"by": "-P1D"}, {"to": "x"}]
)
def test_a_clock_is_not_advanced_by_nonsense(org_client: OrgClient, is_rejected: Any, body: Any) -> None:
    is_rejected(org_client.admin("POST", "/clock/advance", body), "invalid-request")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            {"to": "2029-12-31T23:59:59Z"},
            "The clock shows 2030-01-01T00:00:00.000Z and cannot advance to an earlier time; set it.",
        ),
        ({"by": "P9000Y"}, "P9000Y from now is after the year 9999"),
        ({"by": "P"}, "'P' is not an ISO 8601 duration such as P30D or PT1H30M"),
    ],
)
def test_a_clock_is_not_advanced_to_a_time_that_cannot_be(
    org_client: OrgClient, is_rejected: Any, body: Any, detail: str
) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")

    assert is_rejected(org_client.admin("POST", "/clock/advance", body), "no-such-time")["detail"] == detail
    assert org_client.admin("GET", "/clock").json()["now"] == "2030-01-01T00:00:00.000Z"


# State and seeds


def test_a_seed_answers_what_it_stored_with_numbers_as_they_were(org_client: OrgClient, url: str) -> None:
    response = org_client.http.post(
        f"{url}/__admin/orgs/{org_client.org}/seed",
        content='{"acme":{"things":[{"name":"Lamp","price":{"unit":"EUR","value":50.00},"secret":"s"}],"notes":[]}}',
        headers={"Content-Type": "application/json"},
    )

    [lamp] = response.json()["acme"]["things"]
    assert b'"value":50.00' in response.content
    assert (lamp["status"], lamp["secret"]) == ("NEW", "s")
    assert org_client.request("GET", f"/acme/{org_client.org}/things/{lamp['id']}").json()["name"] == "Lamp"


def test_a_seed_that_does_not_fit_is_rejected_whole_with_every_place(org_client: OrgClient, is_rejected: Any) -> None:
    body = is_rejected(
        org_client.admin("POST", "/seed", {"acme": {"things": [THING, {"id": 7}], "thingies": []}, "acne": {}}),
        "unacceptable-documents",
    )

    assert {error["pointer"] for error in body["errors"]} == {
        "acme.things[1].id",
        "acme.things[1].name",
        "acme.thingies",
        "acne",
    }
    assert all(error["detail"] in body["detail"] for error in body["errors"])
    assert org_client.admin("GET", "/state").status_code == 404  # what is rejected makes no org


@pytest.mark.parametrize("body", [[], {"acme": []}, {"acme": {"things": {}}}, {"acme": {"things": [1]}}, None])
def test_a_seed_has_a_form(org_client: OrgClient, is_rejected: Any, body: Any) -> None:
    is_rejected(org_client.admin("POST", "/seed", body), "invalid-request")


def test_a_state_can_be_read_and_put_back(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed(
        "acme",
        things=[{**THING, "id": "b", "price": {"unit": "EUR", "value": 7}}, THING],
        notes=[{"id": "n", "text": "x"}],
    )
    add(org_client)
    before = org_client.admin("GET", "/state")
    assert org_client.request("DELETE", f"/acme/{org_client.org}/things/b").status_code == 204
    org_client.advance("P1D")
    add(org_client)

    put = org_client.admin("PUT", "/state", before.json())

    assert put.status_code == 200
    assert put.json() == before.json() == org_client.admin("GET", "/state").json()
    listed = org_client.request("GET", f"/acme/{org_client.org}/things").json()["items"]
    assert [thing["id"] for thing in listed][:2] == ["b", "a"]


def test_a_state_can_be_put_into_another_org(org_client: OrgClient, url: str) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed("acme", things=[{**THING, "expires": "2030-01-02T00:00:00Z"}])
    other = OrgClient(url, f"{org_client.org}-other", org_client.http)

    assert other.admin("PUT", "/state", org_client.admin("GET", "/state").json()).status_code == 200

    assert other.state() == org_client.state()
    assert [what["id"] for what in other.advance("P1D")] == ["a"]
    assert org_client.state()["acme"]["things"][0]["document"]["status"] == "NEW"


def test_a_state_may_leave_out_everything_but_documents(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    add(org_client)

    put = org_client.admin("PUT", "/state", {"documents": {"acme": {"things": [{"document": THING}]}}}).json()

    assert put == {
        "now": "2030-01-01T00:00:00.000Z",
        "frozen": True,
        "sequence": 0,
        "documents": {"acme": {"things": [{"document": THING, "created": "2030-01-01T00:00:00.000Z", "place": 0}]}},
    }


def test_a_state_can_let_the_clock_go(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")

    put = org_client.admin("PUT", "/state", {"now": "2031-01-01T00:00:00Z", "frozen": False, "documents": {}}).json()

    assert (put["now"][:16], put["frozen"]) == ("2031-01-01T00:00", False)


def test_what_falls_due_after_a_state_was_put_happens_at_its_own_instant(org_client: OrgClient) -> None:
    documents = {"acme": {"things": [{"document": {**THING, "expires": "2020-02-01T00:00:00Z"}}]}}
    add(org_client)  # by which the org has come to the present

    org_client.admin("PUT", "/state", {"now": "2020-01-01T00:00:00Z", "frozen": True, "documents": documents})

    assert [what["at"] for what in org_client.advance("P1Y")] == ["2020-02-01T00:00:00.000Z"]


def test_a_state_that_does_not_fit_is_rejected_and_nothing_is_changed(org_client: OrgClient, is_rejected: Any) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    add(org_client)
    before = org_client.admin("GET", "/state").json()

    body = is_rejected(
        org_client.admin(
            "PUT", "/state", {"documents": {"acme": {"things": [{"document": {}}]}}, "now": "2031-01-01T00:00:00Z"}
        ),
        "unacceptable-documents",
    )

    assert {error["pointer"] for error in body["errors"]} == {"acme.things[0].name"}
    assert org_client.admin("GET", "/state").json() == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"documents": []},
        {"documents": {"acme": {"things": [{}]}}},
        {"documents": {"acme": {"things": [{"document": {}, "extra": 1}]}}},
        {"documents": {}, "sequence": -1},
        {"documents": {}, "now": "1960-01-01T00:00:00Z"},
        {"documents": {"acme": {"things": [{"document": THING, "created": "1960-01-01T00:00:00Z"}]}}},
        {"documents": {"acme": {"things": [{"document": THING, "place": -1}]}}},
    ],
)
def test_a_state_has_a_form(org_client: OrgClient, is_rejected: Any, body: Any) -> None:
    is_rejected(org_client.admin("PUT", "/state", body), "invalid-request")


# The journal


@pytest.fixture
def asked(org_client: OrgClient) -> OrgClient:
    """An org that was asked five times: added, rejected twice, not matched, broken."""
    org_client.freeze("2030-01-01T00:00:00Z")
    add(org_client, code="1", price={"unit": "EUR", "value": 5})
    add(org_client, code="1")
    add(org_client, code=1)
    org_client.request("GET", f"/acme/{org_client.org}/nothing")
    org_client.request("POST", f"/acme/{org_client.org}/failures/raise")
    return org_client


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("limit=2", [5, 4]),
        ("operation=addThing", [3, 2, 1]),
        ("operation=greet", []),
        ("status=409", [2]),
        ("rejection=invalid-request", [3]),
        ("rejection=unknown-path", [4]),
        ("unmatched=true", [4]),
        ("unmatched=false", [5, 3, 2, 1]),
        ("internal_error=true", [5]),
        ("internal_error=false&unmatched=false", [3, 2, 1]),
        ("since=3", [5, 4]),
        ("since=99", []),
        ("operation=addThing&status=400&since=1", [3]),
    ],
)
def test_requests_are_listed_newest_first_by_criteria(asked: OrgClient, query: str, ids: list[int]) -> None:
    body = asked.admin("GET", f"/requests?{query}").json()

    assert [exchange["id"] for exchange in body["requests"]] == ids
    assert body["total"] == (5 if query == "limit=2" else len(ids))
    assert body["dropped"] == 0


@pytest.mark.parametrize("query", ["limit=0", "status=99", "status=x", "unmatched=1", "internal_error=x", "since=-1"])
def test_criteria_have_types(asked: OrgClient, is_rejected: Any, query: str) -> None:
    body = is_rejected(asked.admin("GET", f"/requests?{query}"), "invalid-request")

    assert [error["pointer"] for error in body["errors"]] == [f"query.{query.partition('=')[0]}"]


@pytest.mark.parametrize(
    ("criteria", "count"),
    [
        ({}, 5),
        ({"operation": "addThing"}, 3),
        ({"operation": "addThing", "status": 201}, 1),
        ({"rejection": "code-taken"}, 1),
        ({"unmatched": True}, 1),
        ({"internal_error": True}, 1),
        ({"since": 4}, 1),
        ({"body": {}}, 3),
        ({"body": {"name": "Lamp"}}, 3),
        ({"body": {"price": {"unit": "EUR"}}}, 1),
        ({"body": {"price": {"value": 5.0}}}, 1),
        ({"body": {"price": {"value": True}}}, 0),
        ({"body": {"price": {}}}, 1),
        ({"body": {"code": "1"}}, 2),
        ({"body": {"code": 1}}, 1),
        ({"body": {"code": True}}, 0),
        ({"body": {"other": None}}, 0),
        ({"body": None}, 0),
        ({"body": {"name": "Lamp"}, "status": 409}, 1),
    ],
)
def test_requests_are_counted_by_criteria_and_by_part_of_their_body(
    asked: OrgClient, criteria: Any, count: int
) -> None:
    assert asked.admin("POST", "/requests/count", criteria).json() == {"count": count}


def test_a_body_that_is_no_json_is_counted_by_its_text(org_client: OrgClient) -> None:
    org_client.request("POST", f"/acme/{org_client.org}/things", raw=b"{broken")

    assert org_client.admin("POST", "/requests/count", {"body": "{broken"}).json() == {"count": 1}
    assert org_client.admin("POST", "/requests/count", {"body": {}}).json() == {"count": 0}


@pytest.mark.parametrize("body", [{"statuses": 1}, {"status": "x"}, {"internal_error": 1}, []])
def test_criteria_of_a_count_have_types_too(asked: OrgClient, is_rejected: Any, body: Any) -> None:
    is_rejected(asked.admin("POST", "/requests/count", body), "invalid-request")


def test_one_request_whole(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    response = org_client.request("POST", f"/acme/{org_client.org}/things?x=1", {"name": "Lamp"})
    thing = response.json()

    exchange = org_client.admin("GET", f"/requests/{response.headers['sandbox-exchange']}").json()

    headers = dict(exchange["request"].pop("headers"))
    assert headers["authorization"] == "Bearer ***"
    assert exchange.pop("microseconds") >= 0
    assert exchange == {
        "id": 1,
        "org": org_client.org,
        "at": "2030-01-01T00:00:00.000Z",
        "vendor": "acme",
        "operation": "addThing",
        "version": "7",
        "request": {
            "method": "POST",
            "target": f"/acme/{org_client.org}/things?x=1",
            "body": '{"name":"Lamp"}',
            "size": 15,
        },
        "reply": {
            "status": 201,
            "headers": [["vary", "Origin"], ["sandbox-exchange", "1"]],
            "media": "application/json",
            "body": response.text,
            "size": len(response.content),
        },
        "rejection": None,
        "source": None,
        "violations": [],
        "nearest": [],
        "preference": None,
        "step": None,
        "unexpected": None,
        "fault": None,
        "internal_error": None,
        "changes": [{"collection": "acme.things", "id": thing["id"], "before": None, "after": thing}],
        "events": [
            {"at": "2030-01-01T00:00:00.000Z", "event": "thing-changed", "payload": {"thing": thing}, "cause": "1"},
        ],
    }


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer secret-token", "Bearer ***"),
        ("Authorization", "Basic YTpiOmM=", "Basic ***"),
        ("Authorization", "secret", "***"),
        ("Proxy-Authorization", "Basic YTpi", "Basic ***"),
        ("X-Other", "not secret", "not secret"),
    ],
)
def test_secrets_are_masked_in_the_journal(org_client: OrgClient, name: str, value: str, shown: str) -> None:
    org_client.request("GET", f"/acme/{org_client.org}/things", headers={name: value})

    assert [name.lower(), shown] in org_client.last()["request"]["headers"]


def test_a_rejected_request_tells_its_name_source_and_violations(asked: OrgClient) -> None:
    taken = asked.admin("GET", "/requests/2").json()
    invalid = asked.admin("GET", "/requests/3").json()
    internal_error = asked.admin("GET", "/requests/5").json()

    assert (taken["rejection"], taken["source"], taken["violations"]) == ("code-taken", "documented: test", [])
    assert invalid["violations"] == [
        {
            "where": "body.code",
            "message": '1 is not of type "string"',
            "kind": "type",
            "spec": "acme/things.yaml#/components/schemas/NewThing/properties/code/type",
        }
    ]
    assert (internal_error["internal_error"], internal_error["rejection"], internal_error["reply"]["status"]) == (
        "RuntimeError: the rule broke",
        None,
        500,
    )


@pytest.mark.parametrize("id", ["0", "6", "x", "-1", "1.0", "%D9%A1", "9" * 30])
def test_an_unknown_request(asked: OrgClient, is_rejected: Any, id: str) -> None:
    body = is_rejected(asked.admin("GET", f"/requests/{id}"), "unknown-request")

    assert body["detail"].startswith(f"The journal of {asked.org} has no exchange ")


def test_cleared_requests_are_forgotten_and_ids_go_on(asked: OrgClient, is_rejected: Any) -> None:
    assert asked.admin("DELETE", "/requests").status_code == 204

    assert asked.admin("GET", "/requests").json() == {"total": 0, "dropped": 0, "requests": []}
    is_rejected(asked.admin("GET", "/requests/1"), "unknown-request")
    assert add(asked).headers["sandbox-exchange"] == "6"
    assert len(asked.state()["acme"]["things"]) == 2


def test_admin_calls_are_not_journalled(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.admin("GET", "/requests")

    assert org_client.admin("GET", "/requests").json()["total"] == 0


def test_dropped_requests_are_counted(specs: Path, http: httpx2.Client) -> None:
    with running(app=new_app(specs, journal_limit=3)) as (_, url):
        org_client = OrgClient(url, "small", http)
        for _ in range(5):
            add(org_client)

        body = org_client.admin("GET", "/requests").json()

    assert ([exchange["id"] for exchange in body["requests"]], body["total"], body["dropped"]) == ([5, 4, 3], 3, 2)


def test_events_tell_their_cause_oldest_first(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed("acme", things=[{**THING, "expires": "2030-01-02T00:00:00Z"}])
    add(org_client)
    org_client.advance("P1D")

    events = org_client.events()

    assert [(event["at"], event["event"], event["cause"]) for event in events] == [
        ("2030-01-01T00:00:00.000Z", "thing-changed", "seed"),
        ("2030-01-01T00:00:00.000Z", "thing-changed", "2"),
        ("2030-01-02T00:00:00.000Z", "thing-changed", "expire-thing"),
    ]
    assert events[2]["payload"]["thing"]["status"] == "EXPIRED"
    assert len(org_client.admin("GET", "/events?name=thing-changed").json()["events"]) == 3


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/requests?operation=addThings", "There is no operation addThings; did you mean addThing?"),
        ("/requests?rejection=unknown-pat", "There is no rejection unknown-pat; did you mean unknown-path?"),
        ("/requests.har?operation=zzz", "There is no operation zzz."),
        ("/requests/stream?rejection=zzz", "There is no rejection zzz."),
        ("/events?name=thing-change", "There is no callback thing-change; did you mean thing-changed?"),
        ("/webhooks?event=thing-change", "There is no callback thing-change; did you mean thing-changed?"),
        ("/requests?operatoin=addThing", "query.operatoin: is no parameter of listRequests; there is operation"),
        ("/webhooks?a=1", "query.a: is no parameter of listWebhooks; there is count, event, limit, since"),
    ],
)
def test_a_filter_that_is_misspelt_is_rejected(org_client: OrgClient, is_rejected: Any, path: str, said: str) -> None:
    add(org_client)

    rejected = is_rejected(org_client.admin("GET", path), "invalid-request")

    assert rejected["detail"].startswith(said)


def test_what_takes_no_parameters_is_not_done_to_all_where_one_is_given(
    org_client: OrgClient, is_rejected: Any
) -> None:
    add(org_client)

    rejected = is_rejected(org_client.admin("DELETE", "/requests?operation=addThing"), "invalid-request")

    assert rejected["detail"] == "query.operation: is no parameter of clearRequests; there is none"
    assert org_client.admin("GET", "/requests").json()["total"] == 1


def test_a_count_of_what_there_cannot_be_is_rejected(org_client: OrgClient, is_rejected: Any) -> None:
    add(org_client)

    rejected = is_rejected(org_client.admin("POST", "/requests/count", {"operation": "addThings"}), "invalid-request")

    assert rejected["detail"] == "There is no operation addThings; did you mean addThing?"


def test_what_was_overdue_when_it_was_stored_happens_then(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.seed("acme", things=[{**THING, "expires": "0000-01-01T00:00:00Z"}])

    assert [(event["at"], event["cause"]) for event in org_client.events()][1:] == [
        ("2030-01-01T00:00:00.000Z", "expire-thing")
    ]


# Tokens


def test_a_token_is_held_to_what_was_asked_for(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    asked = {"vendor": "acme", "tenant": org_client.org, "customer": "C1", "scopes": ["things.write"], "expires_in": 60}
    issued = org_client.admin("POST", "/tokens", asked)
    bearer = {"Authorization": f"Bearer {issued.json()['access_token']}"}

    def status(org: str) -> int:
        return org_client.request("POST", f"/acme/{org}/things", {"name": "Lamp"}, headers=bearer).status_code

    assert (issued.status_code, issued.json()["expires_in"]) == (201, 60)
    assert (status(org_client.org), status("another")) == (201, 403)
    org_client.advance("PT1M")
    assert status(org_client.org) == 401
    assert org_client.last()["rejection"] == "expired-credentials"


def test_a_token_without_wishes_is_good_for_an_hour_and_everything(org_client: OrgClient) -> None:
    issued = org_client.admin("POST", "/tokens", {"vendor": "acme"}).json()
    bearer = {"Authorization": f"Bearer {issued['access_token']}"}

    assert issued["expires_in"] == 3600
    assert (
        org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp"}, headers=bearer).status_code
        == 201
    )


def test_a_token_without_scopes_admits_to_none(org_client: OrgClient) -> None:
    token = org_client.admin("POST", "/tokens", {"vendor": "acme", "scopes": []}).json()["access_token"]

    response = org_client.request(
        "POST", f"/acme/{org_client.org}/things", {"name": "x"}, headers={"Authorization": f"Bearer {token}"}
    )

    assert (response.status_code, org_client.last()["rejection"]) == (403, "insufficient-scope")


def test_a_token_says_what_it_was_asked_to_claim(org_client: OrgClient) -> None:
    asked = {"vendor": "acme", "customer": "C1", "claims": {"session": "S1"}}
    token = org_client.admin("POST", "/tokens", asked).json()["access_token"]

    form = f"client=app&secret=s&shop={org_client.org}&token={token}"
    said = org_client.http.post(
        f"{org_client.url}/acme/session", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    ).json()

    assert (said["org"], said["customer"], said["session"]) == (org_client.org, "C1", "S1")


def test_a_token_whose_claims_the_vendor_s_rules_do_not_like_is_rejected_by_them(org_client: OrgClient) -> None:
    token = org_client.admin("POST", "/tokens", {"vendor": "acme", "claims": {"state": "banned"}}).json()[
        "access_token"
    ]

    response = org_client.request("GET", f"/acme/{org_client.org}/things", headers={"Authorization": f"Bearer {token}"})

    assert (response.status_code, response.json()["detail"]) == (401, "Banned.")


def test_tokens_differ(org_client: OrgClient) -> None:
    tokens = {org_client.admin("POST", "/tokens", {"vendor": "acme"}).json()["access_token"] for _ in range(3)}

    assert len(tokens) == 3


def test_a_token_of_an_unknown_vendor(org_client: OrgClient, is_rejected: Any) -> None:
    body = is_rejected(org_client.admin("POST", "/tokens", {"vendor": "acne"}), "unknown-vendor")

    assert body["detail"] == "There is no vendor acne; did you mean acme?"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"vendor": 7},
        {"vendor": "acme", "expires_in": -1},
        {"vendor": "acme", "scopes": "a"},
        {"vendor": "acme", "claims": "a"},
        {"vendor": "acme", "claims": ["a"]},
        {"vendor": "acme", "claims": {"entity": 7}},
        {"vendor": "acme", "claims": {"entity": None}},
        {"vendor": "acme", "claims": {"entity": {"id": "E1"}}},
        {"vendor": "acme", "x": 1},
    ],
)
def test_a_token_has_wishes_of_a_form(org_client: OrgClient, is_rejected: Any, body: Any) -> None:
    is_rejected(org_client.admin("POST", "/tokens", body), "invalid-request")


# What the next calls meet


def arm(org_client: OrgClient, operation: str, reject: str, **more: Any) -> httpx2.Response:
    return org_client.admin("POST", "/next", {"operation": operation, "then": {"reject": reject}, **more})


def armed_json(operation: str, reject: str, times: int = 1) -> Any:
    return {"operation": operation, "then": {"reject": reject}, "times": times}


def test_the_next_call_of_an_operation_is_rejected_as_asked_and_the_one_after_is_not(org_client: OrgClient) -> None:
    armed = arm(org_client, "addThing", "code-taken")
    responses = [add(org_client), add(org_client)]

    assert (armed.status_code, armed.json()) == (200, {"armed": [armed_json("addThing", "code-taken")]})
    assert [response.status_code for response in responses] == [409, 201]
    assert responses[0].json() == {"error": "conflict", "detail": "The code is taken."}
    met = org_client.admin("GET", "/requests/1").json()
    assert (met["rejection"], met["preference"], met["changes"]) == ("code-taken", "next: code-taken", [])
    assert org_client.admin("GET", "/next").json() == {"armed": []}


def test_what_is_armed_adds_up_in_its_order(org_client: OrgClient) -> None:
    arm(org_client, "addThing", "code-taken", times=2)
    arm(org_client, "getThing", "unknown-thing")
    all_of_it = arm(org_client, "addThing", "invalid-request").json()

    assert all_of_it["armed"] == [
        armed_json("addThing", "code-taken", 2),
        armed_json("addThing", "invalid-request"),
        armed_json("getThing", "unknown-thing"),
    ]
    assert org_client.admin("GET", "/next").json() == all_of_it
    assert [add(org_client).status_code for _ in range(4)] == [409, 409, 400, 201]
    assert [each["operation"] for each in org_client.admin("GET", "/next").json()["armed"]] == ["getThing"]


def test_what_is_armed_is_taken_back_all_at_once(org_client: OrgClient) -> None:
    arm(org_client, "addThing", "code-taken", times=1000)
    arm(org_client, "getThing", "unknown-thing")

    taken_back = org_client.admin("DELETE", "/next")

    assert (taken_back.status_code, taken_back.content) == (204, b"")
    assert org_client.admin("GET", "/next").json() == {"armed": []}
    assert add(org_client).status_code == 201
    assert org_client.admin("DELETE", "/next").status_code == 204


def test_what_is_armed_goes_with_a_reset(org_client: OrgClient) -> None:
    arm(org_client, "addThing", "code-taken")

    org_client.admin("POST", "/reset")

    assert org_client.admin("GET", "/next").json() == {"armed": []}


def test_what_is_armed_stays_when_the_state_is_put(org_client: OrgClient) -> None:
    arm(org_client, "addThing", "code-taken")

    org_client.admin("PUT", "/state", {"documents": {}})

    assert org_client.admin("GET", "/next").json() == {"armed": [armed_json("addThing", "code-taken")]}


def test_what_is_armed_is_met_by_what_another_operation_asks_for(org_client: OrgClient) -> None:
    arm(org_client, "addThing", "code-taken")

    response = org_client.request("POST", f"/acme/{org_client.org}/orders", {"name": "Lamp"})

    assert (response.status_code, response.json()["holder"]) == (409, "code-taken")
    assert [note["document"]["text"] for note in org_client.state()["acme"]["notes"]] == ["rejected code-taken!"]


@pytest.mark.parametrize(
    ("operation", "detail"),
    [
        ("addThign", "There is no operation addThign; did you mean addThing?"),
        ("addthing", "There is no operation addthing; did you mean addThing?"),
        ("zzzzzzzzzz", "There is no operation zzzzzzzzzz."),
        ("", "There is no operation ."),
        ("armNext", "There is no operation armNext."),
        ("x" * 1000, f"There is no operation {'x' * 100}."),
    ],
)
def test_an_unknown_operation_is_not_armed_and_the_nearest_is_reported(
    org_client: OrgClient, is_rejected: Any, operation: str, detail: str
) -> None:
    assert is_rejected(arm(org_client, operation, "code-taken"), "unknown-operation")["detail"] == detail


@pytest.mark.parametrize(
    ("reject", "detail"),
    [
        ("code-takn", "addThing has no rejection code-takn; did you mean code-taken?"),
        ("unknown-thing", "addThing has no rejection unknown-thing."),
        ("", "addThing has no rejection ."),
        ("y" * 1000, f"addThing has no rejection {'y' * 100}."),
    ],
)
def test_an_unknown_rejection_is_not_armed_and_the_nearest_is_reported(
    org_client: OrgClient, is_rejected: Any, reject: str, detail: str
) -> None:
    assert is_rejected(arm(org_client, "addThing", reject), "unknown-rejection")["detail"] == detail


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"operation": "addThing"},
        {"operation": "addThing", "then": {}},
        {"operation": "addThing", "then": "code-taken"},
        {"operation": "addThing", "then": {"reject": 7}},
        {"operation": "addThing", "then": {"reject": "code-taken", "x": 1}},
        {"operation": 7, "then": {"reject": "code-taken"}},
        {"operation": "addThing", "then": {"reject": "code-taken"}, "times": 0},
        {"operation": "addThing", "then": {"reject": "code-taken"}, "times": 1001},
        {"operation": "addThing", "then": {"reject": "code-taken"}, "times": 1.5},
        {"operation": "addThing", "then": {"reject": "code-taken"}, "x": 1},
    ],
)
def test_what_is_to_be_armed_has_a_form(org_client: OrgClient, is_rejected: Any, body: Any) -> None:
    is_rejected(org_client.admin("POST", "/next", body), "invalid-request")

    assert org_client.admin("GET", "/next").status_code == 404


def test_what_is_rejected_makes_no_org(org_client: OrgClient) -> None:
    arm(org_client, "nothing", "nothing")
    arm(org_client, "addThing", "nothing")

    assert org_client.admin("GET").status_code == 404


# Browsers


def test_a_browser_of_another_site_may_not_read_the_admin_api(url: str, http: httpx2.Client) -> None:
    headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "DELETE"}

    preflight = http.request("OPTIONS", f"{url}/__admin/orgs/a", headers=headers)
    health = http.get(f"{url}/__admin/health", headers=headers)

    assert (preflight.status_code, health.status_code) == (403, 403)
    for response in (preflight, health):
        assert not [name for name in response.headers if name.startswith("access-control-")]


# The admin token


@pytest.fixture(scope="module")
def closed(specs: Path) -> Iterator[str]:
    """The URL of the orgs on a server that has an admin token."""
    with running(app=new_app(specs, admin_token="s3cret")) as (_, base):
        yield f"{base}/__admin"


EVERYTHING = [
    ("GET", "/version", None),
    ("GET", "/orgs", None),
    ("GET", "/requests/stream", None),
    ("GET", "/coverage", None),
    ("DELETE", "/coverage", None),
    ("GET", "/scenarios", None),
    ("GET", "/scenarios/schema", None),
    *((method, f"/orgs/a{path}", body) for method, path, body in (*UNKNOWN, *MADE)),
]


@pytest.mark.parametrize(("method", "path", "body"), EVERYTHING)
def test_an_admin_token_closes_everything_but_health(
    closed: str, http: httpx2.Client, is_rejected: Any, method: str, path: str, body: Any
) -> None:
    def sent(authorization: bytes) -> httpx2.Response:
        return http.request(method, closed + path, json=body, headers={b"Authorization": authorization})

    is_rejected(http.request(method, closed + path, json=body), "missing-credentials")
    for wrong in (b"Bearer s3cre", b"Bearer", b"Basic s3cret", b"s3cret", b"Bearer \xff", "Bearer s3crét".encode()):
        is_rejected(sent(wrong), "invalid-credentials")
    assert http.get(f"{closed}/health").status_code == 200


def test_the_admin_token_opens(closed: str, http: httpx2.Client) -> None:
    right = {"Authorization": "Bearer s3cret"}

    assert http.put(f"{closed}/orgs/b/clock", json={"frozen": True}, headers=right).status_code == 200
    assert http.get(f"{closed}/orgs/b", headers={"Authorization": "bearer  s3cret"}).status_code == 200


def test_the_admin_token_does_not_close_the_vendors(closed: str, http: httpx2.Client) -> None:
    response = http.get(f"{closed.removesuffix('/__admin')}/acme/a/things", headers={"Authorization": "Bearer any"})

    assert response.status_code == 200


# The spec and the tests


def test_every_operation_is_tested_above(specs: Path) -> None:
    tested = {f"{method} {path}" for method, path, _ in EVERYTHING} | {"GET /health"}

    declared = {
        f"{operation.method} {operation.template.removeprefix('/__admin').format(org='a', id='1', name='s')}"
        for operation in Document(specs / "sandbox" / "admin.yaml").operations
    }

    assert tested == declared
