"""What the tests of Norce share: short ways to ask, and to be rejected."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx2

from tests.serving import Json, OrgClient

NOW = "2030-01-01T12:00:00.000Z"
PROMOTIONS = "/commerce/management/1.0/api/promotion"
TOKEN = "/identity/1.0/connect/token"
SECRET = {"grant_type": "client_credentials", "client_id": "integration", "client_secret": "geheim"}
TEXTS = ("Name", "SubHeader", "SubDescription", "DescriptionHeader", "Description")


def standing_still(org_client: OrgClient) -> OrgClient:
    org_client.freeze(NOW)
    return org_client


def neighbour(slug: OrgClient) -> OrgClient:
    """Another customer of Norce's, whose clock stands at `NOW` too."""
    return standing_still(OrgClient(slug.url, f"{slug.org}-x", slug.http))


# Requests


def ask(
    slug: OrgClient,
    method: str,
    path: str = "",
    body: Json = None,
    *,
    application: int | None = None,
    account: int | None = None,
    bearer: str = "any",
    headers: dict[str, str] | None = None,
) -> httpx2.Response:
    """A request to the promotions; `path` is what follows their own, as `/7`."""
    sent = {"Sandbox-Org": slug.org, "Authorization": f"Bearer {bearer}", **(headers or {})}
    for name, number in (("application-id", application), ("account-id", account)):
        if number is not None:
            sent[name] = str(number)
    return slug.request(method, PROMOTIONS + path, body, headers=sent)


def codes_path(promotion: Json) -> str:
    return f"/{promotion['Id']}/unique-codes"


def request_token(slug: OrgClient, headers: dict[str, str] | None = None, **form: str | None) -> httpx2.Response:
    """POST of the token's form; a member given as None is left out."""
    sent = {name: value for name, value in {**SECRET, **form}.items() if value is not None}
    named = {"Sandbox-Org": slug.org} if headers is None else headers
    return slug.http.post(
        slug.url + TOKEN,
        content=urlencode(sent),
        headers={"Content-Type": "application/x-www-form-urlencoded", **named},
    )


# Steps that succeed


def answered(response: httpx2.Response, status: int = 200) -> Json:
    assert response.status_code == status, response.text
    return response.json()


def inserted(slug: OrgClient, application: Json = None, account: Json = None, **members: Json) -> Json:
    return answered(ask(slug, "POST", "", members, application=application, account=account))


def updated(slug: OrgClient, promotion: Json, account: Json = None, **members: Json) -> Json:
    """What a PUT of exactly these members makes of a promotion."""
    return answered(ask(slug, "PUT", f"/{promotion['Id']}", members, account=account))


def read(slug: OrgClient, promotion: Json, application: int | None = None) -> Json:
    return answered(ask(slug, "GET", f"/{promotion['Id']}", application=application))


def insert_codes(slug: OrgClient, promotion: Json, *codes: Json) -> int:
    """How many were new; a text is a code of which nothing else is said."""
    count: int = answered(ask(slug, "POST", codes_path(promotion), [_code(code) for code in codes]))
    return count


def put_codes(slug: OrgClient, promotion: Json, *codes: Json) -> None:
    assert answered(ask(slug, "PUT", codes_path(promotion), [_code(code) for code in codes])) == {}


def codes(slug: OrgClient, promotion: Json) -> list[Json]:
    found: list[Json] = answered(ask(slug, "GET", codes_path(promotion)))
    return found


def used(slug: OrgClient, promotion: Json, **members: Json) -> None:
    """Say by the admin API how often a promotion was used."""
    slug.seed("norce", promotions=[{**read(slug, promotion), **members}])


def choose(slug: OrgClient, **settings: Json) -> None:
    slug.seed("norce", settings=[settings])


def _code(code: Json) -> Json:
    return {"DiscountCode": code} if isinstance(code, str) else code


# Refusals


def rejected(slug: OrgClient, response: httpx2.Response, status: int, name: str) -> Json:
    """The newest answer is this rejection, and nothing came of it; the body."""
    assert response.status_code == status, response.text
    exchange = slug.last()
    assert exchange["rejection"] == name
    assert (exchange["internal_error"], exchange["changes"], exchange["events"]) == (None, [], [])
    return response.json()


def wrong(slug: OrgClient, response: httpx2.Response, name: str = "invalid-request") -> set[str]:
    """The members that a 400 complains of, by the framework's keys."""
    body = rejected(slug, response, 400, name)
    assert body["Message"] == "The request is invalid."
    return set(body["ModelState"])
