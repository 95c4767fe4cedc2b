"""Header fields (RFC 9110, RFC 7240): lists in several lines, `Prefer`, percent-encoded paths."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from promo_sandbox.base.field_values import list_elements, parse_prefer
from promo_sandbox.server.app import App
from tests.acme import new_app, write_specs
from tests.serving import OrgClient, running
from tests.vendors.enfore_support import cards, seed_card

BEARER = ("Authorization", "Bearer any")
THINGS = "/acme/shop/things"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return new_app(write_specs(tmp_path_factory.mktemp("http") / "specs"))


@pytest.fixture(scope="module")
def server(app: App) -> Iterator[str]:
    with running(app=app) as (_, url):
        yield url


@pytest.fixture
def shop(server: str, http: httpx2.Client) -> OrgClient:
    """The empty org `shop`."""
    found = OrgClient(server, "shop", http)
    assert found.admin("POST", "/reset").status_code in (200, 204, 404)
    return found


def ask(shop: OrgClient, method: str, path: str, *lines: tuple[str, str], body: Any = None) -> httpx2.Response:
    """A request with these lines as header fields."""
    return shop.http.request(method, shop.url + path, json=body, headers=[BEARER, *lines])


def add(shop: OrgClient, *lines: tuple[str, str]) -> httpx2.Response:
    return ask(shop, "POST", THINGS, *lines, body={"name": "Lamp"})


# Several lines


def test_preferences_in_several_lines_are_all_read(shop: OrgClient) -> None:
    response = add(shop, ("Prefer", "respond-async"), ("Prefer", "code=409"), ("prefer", "return=minimal"))

    assert response.status_code == 409
    assert shop.last()["preference"] == "respond-async, code=409, return=minimal"


def test_of_a_preference_in_several_lines_the_first_counts(shop: OrgClient) -> None:
    assert add(shop, ("Prefer", "code=403"), ("Prefer", "code=409")).status_code == 403


def test_a_step_sees_the_lines_of_a_header_as_one_list(shop: OrgClient) -> None:
    when = {"headers": {"X-Channel": "web, app"}}
    step = {"operation": "addThing", "when": when, "then": {"reject": "code-taken"}}
    assert shop.admin("PUT", "/scenario", {"steps": [step]}).status_code == 200

    first = add(shop, ("X-Channel", "app"))
    second = add(shop, ("X-Channel", "web"), ("x-channel", "app"))

    assert (first.status_code, second.status_code) == (201, 409)


def test_a_repeated_header_that_is_not_a_list_is_validated_as_a_list(shop: OrgClient) -> None:
    response = ask(shop, "GET", THINGS, ("Acme-Trace", "abc"), ("Acme-Trace", "def"))

    assert (response.status_code, shop.last()["violations"][0]["where"]) == (400, "header.Acme-Trace")


def test_the_last_of_repeated_single_headers_counts(shop: OrgClient) -> None:
    lines = [("Content-Type", "text/plain"), ("Content-Type", "application/json")]
    response = shop.http.post(
        shop.url + THINGS, content=b'{"name":"Lamp"}', headers=[("Authorization", "Bearer invalid"), BEARER, *lines]
    )

    assert response.status_code == 201


def test_the_last_named_org_is_used(shop: OrgClient) -> None:
    by_us = ask(shop, "GET", "/acme/greeting", ("Sandbox-Org", "a"), ("Sandbox-Org", "b"))
    by_the_vendor = ask(shop, "GET", "/acme/greeting", ("Acme-Shop", "a"), ("Acme-Shop", "b"))

    assert (by_us.json()["org"], by_the_vendor.json()["org"]) == ("b", "b")


def test_the_journal_keeps_the_lines_apart(shop: OrgClient) -> None:
    add(shop, ("Accept-Language", "de"), ("Accept-Language", "sv"))

    lines = [value for name, value in shop.last()["request"]["headers"] if name == "accept-language"]
    assert lines == ["de", "sv"]


def test_an_asgi_server_s_lines_are_one_list_too(app: App) -> None:
    async def asked() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as client:
            headers = [BEARER, ("Prefer", "respond-async"), ("Prefer", "code=409")]
            return await client.post(THINGS, json={"name": "Lamp"}, headers=headers)

    assert asyncio.run(asked()).status_code == 409


def test_a_success_is_in_the_media_type_that_weighs_most(org_client: OrgClient) -> None:
    def media(*lines: str) -> str:
        headers = [("Sandbox-Org", org_client.org), BEARER, *(("Accept", line) for line in lines)]
        response = org_client.http.get(f"{org_client.url}/commerce/management/1.0/api/promotion", headers=headers)
        assert response.status_code == 200
        return response.headers["content-type"]

    assert media("application/json;q=0.3, text/json") == "text/json"
    assert media("image/png", "text/json") == "text/json"
    assert media("application/json;q=0, */*;q=0.1") == "text/json"
    assert media("text/json;q=0.2", "*/*;q=0.3") == "application/json"
    assert media("image/png", "application/json;q=0", "text/json;q=0") == "application/json"


# Prefer


@pytest.mark.parametrize(
    ("preference", "status"),
    [
        ("Code=409", 409),
        ("EXAMPLE=code-taken", 409),
        ('code="409"', 409),
        (r'example="code\-taken"', 409),
        ('foo="a, code=403, b", code=409', 409),
        ('foo="a; \\"b", code=409', 409),
        ("code=409, code=403", 409),
        ("code=409, CODE=403", 409),
        ("code=409; foo=bar", 409),
        ("code = 409", 409),
        (", ,code=409,,", 409),
        ("code=409;", 409),
        ("foo; code=409", 201),
        ("respond-async; example=code-taken; wait=1", 201),
        ('foo="code=409"', 201),
        ('foo="code=409', 201),
        ("xcode=409", 201),
        ("respond-async, wait=0, return=representation, handling=strict", 201),
        ("code", 400),
        ('example=""', 400),
        ("example=code taken", 400),
        ("wait", 400),
        ('wait="0"', 201),
    ],
)
def test_a_preference_is_read_as_in_rfc_7240(shop: OrgClient, preference: str, status: int) -> None:
    assert add(shop, ("Prefer", preference)).status_code == status


def test_applied_preferences_are_a_list(shop: OrgClient) -> None:
    response = add(shop, ("Prefer", 'CODE="403", example=insufficient-scope, wait=0'))

    assert response.headers.get_list("Preference-Applied", split_commas=True) == [
        "code=403", "example=insufficient-scope", "wait=0",
    ]  # fmt: skip


def test_a_long_list_is_read_in_a_time_that_grows_with_its_length() -> None:
    assert len(list(list_elements("a," * 30_000))) == 30_000
    assert parse_prefer('"' + '\\"' * 30_000) == {'"' + '\\"' * 30_000: ""}
    assert parse_prefer("a=" + '"' * 30_001).keys() == {"a"}


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/%61cme/shop/things",
        "/acme/shop/%74hing%73",
        "/%7Eshop/acme/shop/things",
        "/%7eshop/acme/shop/things",
        "/~%73hop/acme/shop/things",
        "/~shop/%61cme/shop/%74hings",
    ],
)
def test_an_unreserved_character_is_the_same_percent_encoded(shop: OrgClient, path: str) -> None:
    added = ask(shop, "POST", path, body={"name": "Lamp"})

    assert added.status_code == 201
    assert ask(shop, "GET", THINGS).json()["items"] == [added.json()]
    assert shop.admin("GET", "/requests").json()["requests"][-1]["request"]["target"] == path


@pytest.mark.parametrize("path", ["/acme%2Fshop/things", "/acme/shop%2fthings", "/%2Fshop", "/acme/shop/things%3F"])
def test_a_reserved_character_is_another_one_percent_encoded(shop: OrgClient, path: str) -> None:
    assert ask(shop, "GET", path).status_code == 404


def test_a_path_that_is_encoded_twice_is_decoded_once(shop: OrgClient) -> None:
    seeded = [{"id": id, "name": id} for id in ("a%41", "aA", "a/b")]
    assert shop.admin("POST", "/seed", {"acme": {"things": seeded}}).status_code == 200

    found = [ask(shop, "GET", f"{THINGS}/{written}").json()["name"] for written in ("a%2541", "a%41", "a%2fb", "a%2Fb")]

    assert found == ["a%41", "aA", "a/b", "a/b"]


def test_an_invalid_percent_sign_is_not_an_internal_error(shop: OrgClient) -> None:
    assert {ask(shop, "GET", f"{THINGS}/{odd}").status_code for odd in ("%25", "%E9")} == {404}


def test_the_admin_api_knows_its_path_in_either_spelling(shop: OrgClient) -> None:
    response = shop.http.get(f"{shop.url}/%5F%5Fadmin/%68ealth")

    assert (response.status_code, response.json()["status"]) == (200, "healthy")


def test_the_links_of_a_reply_go_on_in_the_org_of_the_prefix(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    body = {"redeemed_amount": {"unit": "EUR", "value": 9000}, "external_reference": "order 1"}

    response = org_client.request("POST", f"/%7E{org_client.org}{cards(org_client, card, 'redemptions')}", body)

    assert response.json()["on_resource"] == f"{org_client.url}/~{org_client.org}{cards(org_client, card)}"
