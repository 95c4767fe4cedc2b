"""Headers of all vendors' replies: challenges, what may be kept, what browsers may read; and the path a 404 names."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from promo_sandbox.base.config import Config, data_folder
from promo_sandbox.openapi.document import Document
from promo_sandbox.server.app import App
from tests.serving import OrgClient, running
from tests.vendors import emporix_identity_support as emporix
from tests.vendors import norce_support as norce

DOCUMENTS = [document for path in sorted(data_folder("specs").glob("*/*.yaml")) for document in Document.load(path)]
OF_VENDORS = [document for document in DOCUMENTS if document.vendor != "sandbox"]
TOKEN_OPERATIONS = {
    "requestToken", "anonymousLogin", "anonymousRefresh", "logIn", "refreshAuthToken", "authorize", "login",
    "norceConnectToken",
}  # fmt: skip
BASIC = f"Basic {b64encode(b'shop:secret').decode()}"
WRONG_BASIC = f"Basic {b64encode(b'shop:invalid').decode()}"
BROWSER = {"Origin": "https://shop.example"}
PREFLIGHT = {**BROWSER, "Access-Control-Request-Method": "GET"}
LONG = "x" * 257


@pytest.fixture
def tenant(org_client: OrgClient) -> OrgClient:
    return emporix.as_tenant(org_client)


@pytest.fixture(scope="module")
def full() -> Iterator[str]:
    """A server that takes no org but the default one, and has an admin token."""
    with running(app=App(Config(max_orgs=1, admin_token="secret"))) as (_, url):
        httpx2.get(f"{url}/coupon/default/coupons", headers={"Authorization": "Bearer any"})
        yield url


# Challenges


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.label)
def test_each_401_that_is_declared_declares_a_challenge_that_fits(document: Document) -> None:
    for operation in document.operations:
        for rejection in operation.rejections.values():
            if rejection.status != 401:
                continue
            challenges = [value for name, value in rejection.headers if name == "WWW-Authenticate"]
            assert len(challenges) == 1, operation.id
            assert "WWW-Authenticate" in dict(operation.responses[401].headers), operation.id
            schemes = {scheme.lower() for scheme in re.findall(r"(?:^|, )(\w+)(?= |$)", challenges[0])}
            assert schemes == ({way.scheme for way in operation.security} or schemes), operation.id


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, 'Bearer realm="emporix"'),
        ("Bearer invalid", 'Bearer realm="emporix", error="invalid_token"'),
        ("bearer expired", 'Bearer realm="emporix", error="invalid_token"'),
        (BASIC, 'Bearer realm="emporix"'),
    ],
)
def test_emporix_says_how_to_be_admitted(tenant: OrgClient, authorization: str | None, challenge: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    of_points = f"/reward-points/{tenant.org}/redeemOptions"
    for path in (f"/coupon/{tenant.org}/coupons", f"/customer/{tenant.org}/me", of_points):
        response = tenant.http.get(tenant.url + path, headers=headers)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, challenge)


def test_what_is_wrong_with_no_token_says_nothing_of_the_token(tenant: OrgClient) -> None:
    visitor = emporix.visitor(tenant)["access_token"]
    emporix.sign_up(tenant)

    wrong_password = emporix.log_in(tenant, password="wrong", bearer=visitor)
    wrong_secret = emporix.request_token(tenant, client_secret="invalid")
    wrong_refresh = emporix.anonymous_refresh(tenant, refresh_token="invalid")

    assert [response.status_code for response in (wrong_password, wrong_secret, wrong_refresh)] == [401] * 3
    assert wrong_password.headers["www-authenticate"] == 'Bearer realm="emporix"'
    assert wrong_secret.headers["www-authenticate"] == 'Basic realm="emporix"'
    assert wrong_refresh.headers["www-authenticate"] == 'Bearer realm="emporix"'


@pytest.mark.parametrize(
    ("path", "authorization", "challenge"),
    [
        ("login", None, 'Basic realm="enfore"'),
        ("login", WRONG_BASIC, 'Basic realm="enfore"'),
        ("login", "Bearer any", 'Basic realm="enfore"'),
        ("authorize/acme", None, 'Basic realm="enfore", Bearer realm="enfore"'),
        ("authorize/acme", WRONG_BASIC, 'Basic realm="enfore", Bearer realm="enfore"'),
        ("authorize/acme", "Bearer invalid", 'Basic realm="enfore", Bearer realm="enfore", error="invalid_token"'),
        (
            "authorize/acme",
            "Bearer sandbox;tenant=other",
            'Basic realm="enfore", Bearer realm="enfore", error="invalid_token"',
        ),
    ],
)
def test_enfore_says_how_to_be_admitted(
    org_client: OrgClient, path: str, authorization: str | None, challenge: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}

    response = org_client.http.get(f"{org_client.url}/auth/{path}", headers=headers)

    assert (response.status_code, response.headers["www-authenticate"]) == (401, challenge)


def test_the_admin_api_says_how_to_be_admitted(full: str, http: httpx2.Client) -> None:
    def challenge(*bearer: str) -> str:
        response = http.get(f"{full}/__admin/orgs", headers=[("Authorization", said) for said in bearer])
        assert response.status_code == 401
        return response.headers["www-authenticate"]

    assert challenge() == 'Bearer realm="promo-sandbox"'
    assert challenge("Bearer wrong") == 'Bearer realm="promo-sandbox", error="invalid_token"'


def test_a_forced_401_has_its_challenge_however_it_is_forced(tenant: OrgClient) -> None:
    path = f"/coupon/{tenant.org}/coupons"

    def forced(name: str, **headers: str) -> str:
        response = tenant.request("GET", path, headers=headers)
        assert (response.status_code, tenant.last()["rejection"]) == (401, name)
        return response.headers["www-authenticate"]

    expired = 'Bearer realm="emporix", error="invalid_token"'
    assert forced("expired-credentials", Prefer="example=expired-credentials") == expired
    assert forced("missing-credentials", Prefer="code=401") == 'Bearer realm="emporix"'
    reject = {"operation": "listCoupons", "then": {"reject": "expired-credentials"}}
    assert tenant.admin("POST", "/next", reject).status_code < 300
    assert forced("expired-credentials") == expired
    assert tenant.admin("PUT", "/scenario", {"steps": [reject]}).status_code == 200
    assert forced("expired-credentials") == expired


# What may be kept


@pytest.mark.parametrize("document", OF_VENDORS, ids=lambda document: document.label)
def test_only_replies_with_a_token_are_declared_as_not_to_be_kept(document: Document) -> None:
    for operation in document.operations:
        declared = dict(operation.success.headers).get("Cache-Control")
        assert declared == ("no-store" if operation.id in TOKEN_OPERATIONS else None), operation.id


def assert_not_kept(response: httpx2.Response) -> Any:
    assert response.status_code == 200, response.text
    assert (response.headers["cache-control"], response.headers["pragma"]) == ("no-store", "no-cache")
    return response.json()


@pytest.mark.parametrize("vendor", ["emporix", "enfore", "norce"])
def test_no_token_of_the_admin_api_may_be_kept(tenant: OrgClient, vendor: str) -> None:
    issued = tenant.admin("POST", "/tokens", {"vendor": vendor})

    assert (issued.status_code, issued.headers["cache-control"]) == (201, "no-store")


def test_no_token_of_emporix_may_be_kept(tenant: OrgClient) -> None:
    assert_not_kept(emporix.request_token(tenant))
    visitor = assert_not_kept(emporix.anonymous_login(tenant))
    assert_not_kept(emporix.anonymous_refresh(tenant, refresh_token=visitor["refresh_token"]))
    emporix.sign_up(tenant, bearer=visitor["access_token"])
    customer = assert_not_kept(emporix.log_in(tenant, bearer=visitor["access_token"]))
    assert_not_kept(emporix.refresh(tenant, customer["refresh_token"], bearer=visitor["access_token"]))


def test_no_token_of_enfore_may_be_kept(org_client: OrgClient) -> None:
    login = assert_not_kept(org_client.http.get(f"{org_client.url}/auth/login", headers={"Authorization": BASIC}))
    for shown in (BASIC, f"Bearer {login['accessToken']}"):
        authorized = org_client.http.get(
            f"{org_client.url}/auth/authorize/{org_client.org}", headers={"Authorization": shown}
        )
        assert_not_kept(authorized)


def test_no_token_of_norce_may_be_kept(org_client: OrgClient) -> None:
    assert_not_kept(norce.request_token(org_client))
    assert_not_kept(norce.request_token(org_client, headers={"Sandbox-Org": org_client.org, "Prefer": "code=200"}))


def test_other_replies_say_nothing_of_being_kept(tenant: OrgClient) -> None:
    coupons = tenant.request("GET", f"/coupon/{tenant.org}/coupons")

    assert (coupons.status_code, "cache-control" in coupons.headers) == (200, False)


# What browsers may read


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/coupon/default/coupons", 200),
        ("GET", "/coupon/default/coupons?pageSize=x", 400),
        ("GET", "/coupon/default/coupons/none", 404),
        ("GET", "/coupon/default/nothing", 404),
        ("PUT", "/coupon/default/coupons", 405),
        ("GET", "/coupon/another/coupons", 503),
        ("GET", f"/coupon/{LONG}/coupons", 400),
        ("GET", f"/~{LONG}/coupon/default/coupons", 400),
        ("PUT", f"/~{LONG}/coupon/default/nothing", 400),
    ],
)
def test_every_reply_of_emporix_can_be_read_and_varies_by_origin(
    full: str, http: httpx2.Client, method: str, path: str, status: int
) -> None:
    token = {"Authorization": "Bearer any"}

    of_browser = http.request(method, full + path, headers={**token, **BROWSER})
    of_server = http.request(method, full + path, headers=token)

    assert (of_browser.status_code, of_server.status_code) == (status, status)
    assert (of_browser.headers["access-control-allow-origin"], of_browser.headers["vary"]) == ("*", "Origin")
    assert of_browser.headers["access-control-expose-headers"] == "*"
    assert "access-control-allow-origin" not in of_server.headers
    assert of_server.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("path", "status"), [("/coupon/default/coupons", 204), ("/coupon/another/coupons", 503), ("/coupon/a/nothing", 503)]
)
def test_a_preflight_can_be_read_too(full: str, http: httpx2.Client, path: str, status: int) -> None:
    response = http.options(full + path, headers=PREFLIGHT)

    assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, "*")
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", ["/promotions/org/default/sales-vouchers/gift-cards/none", "/identity/1.0/connect"])
def test_who_is_not_called_by_browsers_says_nothing_to_them(full: str, http: httpx2.Client, path: str) -> None:
    response = http.get(full + path, headers={"Authorization": "Bearer any", **BROWSER})

    assert response.status_code == 404
    assert {"vary", "access-control-allow-origin"}.isdisjoint(response.headers)


# What a 404 names


@pytest.mark.parametrize("document", OF_VENDORS, ids=lambda document: document.label)
def test_a_path_that_is_not_there_is_named_as_it_was_called(document: Document) -> None:
    path = "/".join(document.operations[0].template.split("/")[:2]) + "/tokn/y%20z"
    settings = (f"{document.vendor}.{document.setting}", document.version or "")
    with running(Config(settings=(settings,) if document.setting else ())) as (_, url):
        response = httpx2.get(f"{url}/~acme{path}?q=1", headers={"Authorization": "Bearer any"})

    example = document.transport_rejections[404].value
    assert response.status_code == 404
    named = re.findall(r"/[\w/%.~-]+", str({**example, "type": ""}))
    if named or "Message" in example or "title" in example:
        assert path in response.text
    for other in named:
        assert other not in response.text.replace(path, "")


# The methods of a path


def paths_by_methods(document: Document) -> dict[str, str]:
    """A path for each set of methods that paths of the document have, as `Allow` names them."""
    methods: dict[str, set[str]] = {}
    for operation in document.operations:
        both = {"GET", "HEAD"} if operation.method == "GET" else {operation.method}
        methods.setdefault(re.sub(r"{[^}]+}", "x", operation.template), set()).update(both)
    return {", ".join(sorted(found)): path for path, found in methods.items()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.label)
def test_a_405_names_the_methods_as_its_example_does(org_client: OrgClient, document: Document) -> None:
    paths = paths_by_methods(document)
    example = dict(document.transport_rejections[405].headers)["Allow"]

    response = org_client.http.request(
        "TRACE", org_client.url + paths[example], headers={"Sandbox-Org": org_client.org}
    )

    assert (response.status_code, response.headers["allow"]) == (405, example)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.label)
def test_the_methods_that_a_405_names_are_served(org_client: OrgClient, document: Document) -> None:
    for path in paths_by_methods(document).values():
        response = org_client.http.request("TRACE", org_client.url + path, headers={"Sandbox-Org": org_client.org})
        for method in response.headers["allow"].split(", "):
            served = org_client.http.request(method, org_client.url + path, headers={"Sandbox-Org": org_client.org})
            assert served.status_code != 405, (method, path)
