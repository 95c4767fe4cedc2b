"""How an application gets enfore's organisation token, and what opens the promotions and what does not."""

from __future__ import annotations

import httpx2
import pytest

from promo_sandbox.base.config import Config
from tests.serving import World, running
from tests.vendors.enfore_support import EVER, NOW, assert_refused, basic, cards, issue_token, neighbour

SHOP = basic("shop", "secret")
HOUR = "PT1H"


@pytest.fixture(autouse=True)
def _frozen(world: World) -> None:
    world.freeze(NOW)


def send(world: World, path: str, authorization: str | None) -> httpx2.Response:
    """`/auth/login` names no org, so the sandbox is told by its own header which clock is meant."""
    headers = {"Sandbox-Org": world.org}
    if authorization is not None:
        headers["Authorization"] = authorization
    return world.http.get(world.url + path, headers=headers)


def authorize(world: World, authorization: str | None = SHOP) -> httpx2.Response:
    return send(world, f"/auth/authorize/{world.org}", authorization)


def login(world: World, authorization: str | None = SHOP) -> httpx2.Response:
    return send(world, "/auth/login", authorization)


def token(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    body = response.json()
    assert body.keys() == {"accessToken"}
    return f"Bearer {body['accessToken']}"


def use(world: World, authorization: str | None) -> httpx2.Response:
    return send(world, cards(world) + EVER, authorization)


# Getting a token


def test_an_application_gets_an_organisation_token_for_its_secret(world: World) -> None:
    assert use(world, token(authorize(world))).status_code == 200


def test_in_the_older_flow_a_login_token_gets_the_organisation_token(world: World) -> None:
    organisation_token = token(authorize(world, token(login(world))))

    assert use(world, organisation_token).status_code == 200


def test_a_login_token_gets_the_token_of_any_organisation(world: World) -> None:
    other = neighbour(world)

    assert use(other, token(authorize(other, token(login(world))))).status_code == 200


def test_a_new_token_leaves_those_before_it_valid(world: World) -> None:
    first, second = token(authorize(world)), token(authorize(world))

    assert first != second
    assert use(world, first).status_code == use(world, second).status_code == 200


def test_a_client_may_say_that_it_sends_json_when_it_authorizes(world: World) -> None:
    headers = {"Authorization": SHOP, "Content-Type": "application/json", "Accept": "*/*"}

    assert world.http.get(f"{world.url}/auth/authorize/{world.org}", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (None, "missing-credentials"),
        (basic("shop", "invalid"), "invalid-credentials"),
        (basic("", "secret"), "invalid-credentials"),
        ("Basic !", "invalid-credentials"),
        ("Basic c2hvcA==", "invalid-credentials"),
        ("Digest x", "invalid-credentials"),
        ("Bearer invalid", "invalid-credentials"),
        ("Bearer expired", "expired-credentials"),
        ("Bearer sandbox;tenant=another", "foreign-credentials"),
    ],
)
def test_what_does_not_authorize_is_401(world: World, authorization: str | None, name: str) -> None:
    response = authorize(world, authorization)

    assert_refused(world, response, 401, name)
    assert response.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (None, "missing-credentials"),
        (basic("shop", "invalid"), "invalid-credentials"),
        ("Bearer any", "invalid-credentials"),
    ],
)
def test_what_does_not_log_in_is_401(world: World, authorization: str | None, name: str) -> None:
    assert_refused(world, login(world, authorization), 401, name)


def test_an_organisation_token_does_not_get_another_one(world: World) -> None:
    assert_refused(world, authorize(world, token(authorize(world))), 401, "invalid-credentials")


@pytest.mark.parametrize("now", ["1970-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "9999-01-01T00:00:00Z"])
def test_the_two_steps_lead_to_a_token_whatever_the_clock_of_the_organisation_says(world: World, now: str) -> None:
    first = world.http.get(f"{world.url}/auth/login", headers={"Authorization": SHOP})  # names no organisation
    world.freeze(now)

    assert use(world, token(authorize(world, token(first)))).status_code == 200


def test_a_login_token_has_no_clock_to_expire_by(world: World) -> None:
    login_token = token(login(world))
    world.advance("P10Y")

    assert use(world, token(authorize(world, login_token))).status_code == 200


# Using it


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (None, "missing-credentials"),
        ("", "missing-credentials"),
        ("Bearer", "invalid-credentials"),
        ("Bearer invalid-token", "invalid-credentials"),
        (SHOP, "invalid-credentials"),
        ("Bearer expired-token", "expired-credentials"),
        ("Bearer sandbox;tenant=another", "foreign-credentials"),
    ],
)
def test_what_does_not_open_the_promotions_is_403_and_never_401(
    world: World, authorization: str | None, name: str
) -> None:
    response = use(world, authorization)

    assert_refused(world, response, 403, name)
    assert "www-authenticate" not in response.headers


def test_a_login_token_does_not_open_the_promotions(world: World) -> None:
    assert_refused(world, use(world, token(login(world))), 403, "invalid-credentials")


def test_a_token_opens_its_own_organisation_only(world: World) -> None:
    other = neighbour(world)

    response = use(world, token(authorize(other)))

    assert_refused(world, response, 403, "foreign-credentials")


def test_a_token_expires_by_the_clock_of_its_organisation(world: World) -> None:
    organisation_token = token(authorize(world))
    world.advance("PT59M59S")
    assert use(world, organisation_token).status_code == 200

    world.advance("PT1S")

    assert_refused(world, use(world, organisation_token), 403, "expired-credentials")
    assert use(world, token(authorize(world))).status_code == 200


def test_a_token_that_names_another_organisation_is_held_to_it(world: World) -> None:
    assert use(world, f"Bearer {issue_token(world)}").status_code == 200

    response = use(world, f"Bearer {issue_token(world, tenant='another')}")

    assert_refused(world, response, 403, "foreign-credentials")


def test_a_token_that_was_tampered_with_is_a_strangers_which_opens_everything_unless_strict(world: World) -> None:
    signed, _, signature = issue_token(world, tenant="another").rpartition(".")

    assert use(world, f"Bearer {signed}.x{signature[1:]}").status_code == 200


def test_the_scheme_is_the_same_in_any_case(world: World) -> None:
    assert use(world, token(authorize(world)).replace("Bearer", "bearer")).status_code == 200


# Strictly


def test_in_strict_mode_only_configured_applications_and_issued_tokens_are_taken(http: httpx2.Client) -> None:
    with running(Config(strict=True, clients={"shop": "secret"})) as (_, url):
        world = World(url, "strict", http)
        world.freeze(NOW)

        assert_refused(world, authorize(world, basic("shop", "guess")), 401, "invalid-credentials")
        assert_refused(world, login(world, basic("thief", "secret")), 401, "invalid-credentials")
        assert_refused(world, use(world, "Bearer any"), 403, "invalid-credentials")
        assert_refused(world, use(world, "Bearer sandbox;tenant=strict"), 403, "invalid-credentials")
        assert use(world, token(authorize(world))).status_code == 200
        assert use(world, token(authorize(world, token(login(world))))).status_code == 200
