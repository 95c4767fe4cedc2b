"""Every operation of Emporix's reward points answers its success and every rejection declared, in both versions.

The cases come from the spec: a rejection that is declared tomorrow and staged nowhere fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import httpx2
import pytest

from promo_sandbox.base import config
from promo_sandbox.base.config import Config
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, Rejection
from promo_sandbox.server.app import load_contracts
from tests.serving import Json, OrgClient
from tests.vendors import rejections
from tests.vendors.emporix_points_support import (
    BASE,
    IMPOSSIBLE,
    VERSIONS,
    choose,
    customer_token,
    option,
    restrict,
    template,
    tenant,
)


def _documents() -> dict[str | None, Document]:
    """The document whole, as each version has it."""
    contract = next(found for found in load_contracts(config.data_folder("specs")) if found.vendor == "emporix")
    return {document.version: document for document in contract.documents if document.base_path == BASE}


DOCUMENTS = _documents()
OPERATIONS = [(version, operation) for version in VERSIONS for operation in DOCUMENTS[version].operations]

each_operation = rejections.each_operation(OPERATIONS, "version")
each_rejection = rejections.each_rejection(OPERATIONS, "version")

_CUSTOMERS_OWN = ("getMyPoints", "getMySummary", "redeemMyPoints")
_BODY: dict[str, Json] = {
    "createCustomerPoints": {"startPoints": {"points": 5}},
    "addPoints": {"points": 5},
    "redeemPoints": {"points": 5},
    "redeemMyPoints": {"id": "option"},
}


class Attempt(NamedTuple):
    """A request in the making; it succeeds in a furnished tenant unless it is staged to be rejected."""

    shop: OrgClient
    version: str
    operation: Operation
    path: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Json]  # `json` is sent as JSON, `raw` as it is

    def send(self) -> httpx2.Response:
        url = rejections.filled(self.operation.template, self.path)
        sent = {"content": self.body["raw"]} if "raw" in self.body else {"json": self.body.get("json")}
        return self.shop.http.request(
            self.operation.method, self.shop.url + url, headers=self.headers, **(sent if self.body else {})
        )


def prepared(org_client: OrgClient, version: str, operation: Operation) -> Attempt:
    shop = tenant(org_client, version)
    shop.seed(
        "emporix",
        reward_points=[{"customerId": "C1", "activePoints": 100}],
        redeem_options=[
            option(90, id="option"),
            option(1000, id="dear"),
            option(90, IMPOSSIBLE, id="impossible"),
            option(90, template(discountType="FREE_SHIPPING"), id="free"),
        ],
    )
    names = {
        "customerId": "C9" if operation.id == "createCustomerPoints" else "C1",
        "tenant": shop.org,
        "redeemOptionId": "option",
    }
    bearer = customer_token(shop) if operation.id in _CUSTOMERS_OWN else "any"
    # The header of the sandbox's own says whose journal it is, whatever the request gets wrong.
    headers = {"Authorization": f"Bearer {bearer}", "Emporix-Tenant": shop.org, "Sandbox-Org": shop.org}
    body = {"json": _BODY.get(operation.id, option())} if operation.body is not None else {}
    path = {name: names[name] for name in operation.path_names}
    return Attempt(shop, version, operation, path, headers, body)


# How each rejection is brought about: what is changed of a request that would succeed

Staging = Callable[[Attempt], None]


def issued(shop: OrgClient, **terms: Json) -> str:
    response = shop.admin("POST", "/tokens", {"vendor": "emporix", "tenant": shop.org, **terms})
    assert response.status_code == 201, response.text
    token: str = response.json()["access_token"]
    return token


def outlived(attempt: Attempt) -> str:
    token = issued(attempt.shop, expires_in=60)
    attempt.shop.advance("PT60S")
    return token


def of_a_neighbour(attempt: Attempt) -> str:
    return issued(tenant(OrgClient(attempt.shop.url, f"{attempt.shop.org}x", attempt.shop.http)))


def breaks_the_contract(attempt: Attempt) -> None:
    if attempt.body:
        attempt.body["json"] = []
    else:
        attempt.headers["Emporix-Tenant"] = "Ac"


def sends_nothing(attempt: Attempt) -> None:
    attempt.body["raw"] = b""


def is_unknown(attempt: Attempt) -> None:
    if "customerId" in attempt.path:
        attempt.path["customerId"] = "C9"
    else:
        attempt.headers["Authorization"] = f"Bearer {customer_token(attempt.shop, 'C9')}"


def is_known(attempt: Attempt) -> None:
    attempt.path["customerId"] = "C1"


def is_about_no_points(attempt: Attempt) -> None:
    json = attempt.body["json"]
    attempt.body["json"] = {"startPoints": {"points": 0}} if "startPoints" in json else {**json, "points": 0}


def wants_too_much(attempt: Attempt) -> None:
    attempt.body["json"] = {"points": 101} if "points" in attempt.body["json"] else {"id": "dear"}


def names_no_option(attempt: Attempt) -> None:
    if "redeemOptionId" in attempt.path:
        attempt.path["redeemOptionId"] = "nowhere"
    else:
        attempt.body["json"] = {"id": "nowhere"}


def exchanges(id: str) -> Staging:
    def stage(attempt: Attempt) -> None:
        attempt.body["json"] = {"id": id}

    return stage


def comes_too_late(attempt: Attempt) -> None:
    attempt.body["json"] = option(metadata={"version": 7})


def is_disabled(attempt: Attempt) -> None:
    restrict(attempt.shop, attempt.version, enabled=False)


STAGED: dict[str, Staging] = {
    "missing-credentials": rejections.shows_nothing,
    "invalid-credentials": rejections.shows(lambda _: "invalid"),
    "expired-credentials": rejections.shows(outlived),
    "foreign-credentials": rejections.shows(of_a_neighbour),
    "insufficient-scope": rejections.shows(lambda attempt: customer_token(attempt.shop)),
    "not-a-customer": rejections.shows(lambda _: "any"),
    "invalid-request": breaks_the_contract,
    "missing-body": sends_nothing,
    "unknown-customer": is_unknown,
    "entry-exists": is_known,
    "points-not-positive": is_about_no_points,
    "not-enough-points": wants_too_much,
    "unknown-redeem-option": names_no_option,
    "stale-redeem-option": comes_too_late,
    "discount-type-not-exchangeable": exchanges("free"),
    "reward-points-disabled": is_disabled,
    "coupon-not-created": exchanges("impossible"),
}
ONLY_ON_REQUEST = ("internal-error",)


@each_rejection
def test_every_declared_rejection_is_answered_where_it_is_due(
    org_client: OrgClient, version: str, operation: Operation, rejection: Rejection
) -> None:
    attempt = prepared(org_client, version, operation)
    if rejection.name in ONLY_ON_REQUEST:
        rejections.prefer(attempt, rejection.name)
    else:
        rejections.stage(attempt, rejection.name, STAGED)
    keeps = rejection.name == "coupon-not-created"  # which books a redemption and gives the points back

    with nullcontext() if keeps else rejections.unchanged(attempt.shop):
        response = attempt.send()

    body = rejections.assert_rejected(attempt.shop, response, operation, rejection, changes=keeps)
    assert rejection.media == "application/json"
    assert body.keys() == rejection.value.keys()
    assert body.get("type") == rejection.value.get("type")


def test_the_tests_know_every_version() -> None:
    assert DOCUMENTS.keys() == set(VERSIONS)


def test_nothing_is_staged_that_no_spec_declares() -> None:
    assert STAGED.keys() | set(ONLY_ON_REQUEST) == {
        rejection.name for _, _, rejection in rejections.declared(OPERATIONS)
    }


@each_rejection
def test_prefer_example_yields_a_rejection_exactly_as_the_spec_has_it(
    org_client: OrgClient, version: str, operation: Operation, rejection: Rejection
) -> None:
    attempt = prepared(org_client, version, operation)

    rejections.assert_prefers_the_example(attempt.shop, attempt, rejection)


@each_operation
def test_prefer_code_yields_every_declared_status(org_client: OrgClient, version: str, operation: Operation) -> None:
    attempt = prepared(org_client, version, operation)

    rejections.assert_prefers_every_status(attempt.shop, attempt, operation)


@each_operation
def test_every_operation_answers_its_success(org_client: OrgClient, version: str, operation: Operation) -> None:
    attempt = prepared(org_client, version, operation)

    response = attempt.send()

    rejections.assert_succeeded(attempt.shop, response, operation)


def test_the_versions_differ_in_these_successes_and_in_no_others() -> None:
    successes = {(version, operation.id): operation.success.status for version, operation in OPERATIONS}

    assert {
        id: (successes["2021", id], successes["current", id])
        for version, id in successes
        if successes["2021", id] != successes["current", id]
    } == {"createCustomerPoints": (201, 200), "deleteCustomerPoints": (204, 200), "redeemMyPoints": (201, 200)}


# Answers outside the lists of the operations


def assert_outside(shop: OrgClient, response: httpx2.Response, status: int) -> None:
    document = DOCUMENTS[VERSIONS[0]]
    body = rejections.assert_transport(shop, response, document, status)
    assert response.headers["content-type"] == "application/json"
    assert body.keys() == document.transport_rejections[status].value.keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_path_that_no_operation_has_is_unknown(org_client: OrgClient, version: str) -> None:
    shop = tenant(org_client, version)

    response = shop.request("GET", f"{BASE}/nothing", headers={"Sandbox-Org": shop.org})

    assert_outside(shop, response, 404)
    assert response.json()["fault"]["detail"]["errorcode"] == "messaging.adaptors.http.flow.ApplicationNotFound"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/customer/C1", "GET, HEAD, POST, DELETE"),
        ("/customer/C1/addPoints", "POST"),
        ("/public/customer/redeem", "GET, HEAD, POST"),
        ("/acme/redeemOptions/x", "PUT, DELETE"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(
    org_client: OrgClient, version: str, path: str, allow: str
) -> None:
    shop = tenant(org_client, version)

    response = shop.request("PATCH", BASE + path, headers={"Sandbox-Org": shop.org})

    assert set(response.headers["allow"].split(", ")) >= set(allow.split(", "))
    assert_outside(shop, response, 405)


each_body = rejections.each_operation((case for case in OPERATIONS if case[-1].body), "version")


@each_body
def test_a_body_of_another_media_type_is_not_read(org_client: OrgClient, version: str, operation: Operation) -> None:
    attempt = prepared(org_client, version, operation)
    attempt.headers["Content-Type"] = "application/xml"

    with rejections.unchanged(attempt.shop):
        response = attempt.send()

    assert_outside(attempt.shop, response, 415)


@each_body
def test_a_body_beyond_the_limit_is_rejected(org_client: OrgClient, version: str, operation: Operation) -> None:
    attempt = prepared(org_client, version, operation)
    attempt.body["raw"] = b" " * (Config().max_body + 1)

    with rejections.unchanged(attempt.shop):
        response = attempt.send()

    assert_outside(attempt.shop, response, 413)


@each_body
@pytest.mark.parametrize("raw", [b"{", b"nothing", b'{"points": NaN}', b"\xff", b"[" * 200 + b"]" * 200])
def test_a_body_that_is_not_json_is_invalid(
    org_client: OrgClient, version: str, operation: Operation, raw: bytes
) -> None:
    attempt = prepared(org_client, version, operation)
    attempt.body["raw"] = raw

    with rejections.unchanged(attempt.shop):
        response = attempt.send()

    assert response.status_code == 400
    assert attempt.shop.last()["rejection"] == "invalid-request"


def test_the_version_is_one_tenant_s_own(org_client: OrgClient) -> None:
    shop = tenant(org_client, "current")
    other = tenant(OrgClient(shop.url, f"{shop.org}x", shop.http), "2021")
    choose(shop, "current")

    def opens(at: OrgClient) -> int:
        return at.request("POST", f"{BASE}/customer/C1", {}, headers={"Emporix-Tenant": at.org}).status_code

    assert (opens(shop), opens(other)) == (200, 201)
