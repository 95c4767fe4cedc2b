"""Every operation of Emporix's coupons answers its success, and every rejection its spec declares, over HTTP.

The cases come from the spec: a rejection that is declared tomorrow and staged nowhere fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import httpx2
import pytest

from promo_sandbox.base.config import Config
from promo_sandbox.openapi.operation import Operation, Rejection
from tests.serving import Json, OrgClient
from tests.vendors import rejections
from tests.vendors.emporix_coupons_support import (
    LATER,
    MANAGE,
    ON_BEHALF,
    PAST,
    REDEEM,
    SOON,
    customer,
    document,
    money,
    neighbour,
    new_coupon,
    order,
    tenant,
    token,
)

DOCUMENT = document()
OPERATIONS = [(operation,) for operation in DOCUMENT.operations]
# The pages list them without a condition, so no rule answers them.
ONLY_ON_REQUEST = {"internal-error", "redemption-conflict", "unknown-customer"}

each_operation = rejections.each_operation(OPERATIONS)
each_rejection = rejections.each_rejection(OPERATIONS)

_BODY: dict[str, Json] = {
    "createCoupon": new_coupon(code="NEW"),
    "updateCoupon": {"discountAbsolute": money(6)},
    "patchCoupon": {"name": "Six"},
    "validateCoupon": order(customerNumber="C1"),
    "redeemCoupon": order(customerNumber="C1"),
}


@pytest.fixture
def shop(org_client: OrgClient) -> OrgClient:
    """One of everything, under names that say what it is."""
    shop = tenant(org_client)
    shop.seed(
        "emporix",
        coupons=[
            new_coupon(),
            new_coupon(code="FOR-C9", restrictions={"validFor": ["C9"]}),
            new_coupon(code="SEGMENT", segmentRestricted=True, restrictions={"segments": ["s"]}),
            new_coupon(code="FUTURE", restrictions={"validFrom": SOON}),
            new_coupon(code="EXPIRED", restrictions={"validUntil": PAST}),
            new_coupon(code="USED", maxRedemptions=0),
            new_coupon(code="FROM-50", restrictions={"minOrderValue": money(50)}),
        ],
        coupon_redemptions=[
            {"id": "r1", "code": "FIVE", "customerNumber": "C1", "orderTotal": money(100), "discount": money(5)}
        ],
    )
    return shop


class Attempt(NamedTuple):
    """A request in the making; it succeeds unless it is staged to be rejected."""

    shop: OrgClient
    operation: Operation
    path: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Json]  # `json` is sent as JSON, `raw` as it is

    def send(self) -> httpx2.Response:
        url = rejections.filled(self.operation.template, self.path)
        sent = {"content": self.body["raw"]} if "raw" in self.body else {"json": self.body.get("json")}
        headers = {"Content-Type": "application/json", **self.headers} if "raw" in self.body else self.headers
        return self.shop.http.request(
            self.operation.method,
            self.shop.url + url,
            params=self.query,
            headers=headers,
            **(sent if self.body else {}),
        )


def prepared(shop: OrgClient, operation: Operation) -> Attempt:
    names = {"tenant": shop.org, "code": "FIVE", "id": "r1", "customerNumber": "C1"}
    body = {"json": _BODY[operation.id]} if operation.body is not None else {}
    path = {name: names[name] for name in operation.path_names}
    return Attempt(shop, operation, path, {}, {"Authorization": "Bearer any"}, body)


# How each rejection is brought about: what is changed of a request that would succeed

Staging = Callable[[Attempt], None]


def bears(bearer: Callable[[OrgClient], str]) -> Staging:
    return rejections.shows(lambda attempt: bearer(attempt.shop))


def issued(shop: OrgClient, **terms: Json) -> str:
    response = shop.admin("POST", "/tokens", {"vendor": "emporix", "tenant": shop.org, **terms})
    assert response.status_code == 201, response.text
    access_token: str = response.json()["access_token"]
    return access_token


def outlived(shop: OrgClient) -> str:
    access_token = issued(shop, expires_in=60)
    shop.advance("PT60S")
    return access_token


def breaks_the_contract(attempt: Attempt) -> None:
    if attempt.body:
        attempt.body["json"] = []
    elif "pageSize" in {parameter.name for parameter in attempt.operation.parameters}:
        attempt.query["pageSize"] = "0"
    else:
        attempt.headers["Emporix-Tenant"] = "ACME"


def sends_nothing(attempt: Attempt) -> None:
    attempt.body.clear()
    attempt.body["raw"] = b""


def names(code: str) -> Staging:
    def stage(attempt: Attempt) -> None:
        attempt.path["code"] = code

    return stage


def acts_for_another(attempt: Attempt) -> None:
    bears(customer)(attempt)
    if attempt.body:
        attempt.body["json"] = order(customerNumber="C1")
    else:
        attempt.query["customerNumber"] = "C1"


def reads_what_is_for_another(attempt: Attempt) -> None:
    attempt.path["code"] = "FOR-C9"
    bears(customer)(attempt)


def names_a_redemption_that_is_none(attempt: Attempt) -> None:
    attempt.path["id"] = "nowhere"


def says(**members: Json) -> Staging:
    """Of a coupon whose other members are sound."""

    def stage(attempt: Attempt) -> None:
        sound = new_coupon(code="NEW", discountAbsolute=members.get("discountAbsolute", money(5)))
        attempt.body["json"] = {name: value for name, value in {**sound, **members}.items() if value is not None}

    return stage


def has_no_amount(attempt: Attempt) -> None:
    """A change that leaves the amount out keeps that of before, so the coupon must not have one."""
    free = {"discountType": "FREE_SHIPPING"}
    assert attempt.shop.request("PUT", f"/coupon/{attempt.shop.org}/coupons/FIVE", free).status_code == 200
    says(discountAbsolute=None)(attempt)


def orders(**members: Json) -> Staging:
    def stage(attempt: Attempt) -> None:
        attempt.body["json"] = {**order(customerNumber="C1"), **members}

    return stage


def orders_too_little(attempt: Attempt) -> None:
    attempt.path["code"] = "FROM-50"
    orders(orderTotal=money(49.99))(attempt)


STAGED: dict[str, Staging] = {
    "missing-credentials": rejections.shows_nothing,
    "invalid-credentials": bears(lambda _: "invalid"),
    "expired-credentials": bears(outlived),
    "foreign-credentials": bears(lambda shop: issued(neighbour(shop))),
    "insufficient-scope": bears(lambda shop: token(shop, "other.scope", customer="C1")),
    "invalid-request": breaks_the_contract,
    "missing-body": sends_nothing,
    "invalid-query": lambda attempt: attempt.query.update(q="code"),
    "unknown-coupon": names("nowhere"),
    "coupon-exists": says(code="FIVE"),
    "stale-version": says(metadata={"version": 1}),
    "coupon-not-readable": reads_what_is_for_another,
    "on-behalf-forbidden": acts_for_another,
    "unknown-redemption": names_a_redemption_that_is_none,
    "redemption-of-another": bears(lambda shop: token(shop, REDEEM, customer="C2")),
    "percent-needs-percentage": says(discountType="PERCENT"),
    "absolute-needs-amount": has_no_amount,
    "anonymous-with-customers": says(allowAnonymous=True, restrictions={"validFor": ["C1"]}),
    "anonymous-with-customer-limit": says(allowAnonymous=True, maxRedemptionsPerCustomer=0),
    "segments-missing": says(segmentRestricted=True),
    "segments-without-flag": says(restrictions={"segments": ["s"]}),
    "segments-with-categories": says(
        segmentRestricted=True,
        categoryRestricted=True,
        restrictions={"segments": ["s"], "includedCategories": ["c"]},
    ),
    "segments-with-customers": says(segmentRestricted=True, restrictions={"segments": ["s"], "validFor": ["C1"]}),
    "categories-missing": says(categoryRestricted=True),
    "categories-without-flag": says(restrictions={"includedCategories": ["c"]}),
    "categories-overlap": says(
        categoryRestricted=True, restrictions={"includedCategories": ["c"], "excludedCategories": ["c"]}
    ),
    "free-shipping-with-categories": says(
        discountType="FREE_SHIPPING", categoryRestricted=True, restrictions={"includedCategories": ["c"]}
    ),
    "validity-reversed": says(restrictions={"validFrom": LATER, "validUntil": SOON}),
    "coupon-redemption-forbidden": names("FOR-C9"),
    "coupon-segment-customer-not-assigned": names("SEGMENT"),
    "coupon-not-active": names("FUTURE"),
    "coupon-expired": names("EXPIRED"),
    "coupon-redemptions-exceeded": names("USED"),
    "coupon-currency-incorrect": orders(orderTotal=money(100, "CHF")),
    "coupon-order-total-too-low": orders_too_little,
    "coupon-discount-currency-incorrect": orders(discount=money(5, "CHF")),
    "coupon-discount-amount-incorrect": orders(discount=money(5.01)),
}


@each_rejection
def test_every_declared_rejection_is_answered_where_it_is_due(
    shop: OrgClient, operation: Operation, rejection: Rejection
) -> None:
    attempt = prepared(shop, operation)
    if rejection.name in ONLY_ON_REQUEST:
        rejections.prefer(attempt, rejection.name)
    else:
        rejections.stage(attempt, rejection.name, STAGED)

    with rejections.unchanged(shop):
        response = attempt.send()

    body = rejections.assert_rejected(shop, response, operation, rejection)
    assert rejection.media == "application/json"
    assert body.keys() == rejection.value.keys()
    if "fault" not in body:
        assert (body["status"], body["type"]) == (rejection.status, rejection.value["type"])
        assert body["message"]


def test_nothing_is_staged_that_the_spec_does_not_declare() -> None:
    declared = {rejection.name for _, rejection in rejections.declared(OPERATIONS)}

    assert STAGED.keys() == declared - ONLY_ON_REQUEST


@each_rejection
def test_prefer_example_yields_a_rejection_exactly_as_the_spec_has_it(
    shop: OrgClient, operation: Operation, rejection: Rejection
) -> None:
    rejections.assert_prefers_the_example(shop, prepared(shop, operation), rejection)


@each_operation
def test_prefer_code_yields_every_declared_status(shop: OrgClient, operation: Operation) -> None:
    rejections.assert_prefers_every_status(shop, prepared(shop, operation), operation)


@each_operation
def test_every_operation_answers_its_success(shop: OrgClient, operation: Operation) -> None:
    response = prepared(shop, operation).send()

    rejections.assert_succeeded(shop, response, operation, {status for status in operation.responses if status < 300})


@each_operation
def test_the_header_of_the_tenant_is_taken(shop: OrgClient, operation: Operation) -> None:
    attempt = prepared(shop, operation)
    attempt.headers.update({"Emporix-Tenant": shop.org, "Accept-Language": "en", "X-Version": "v2"})

    assert attempt.send().status_code < 300


@each_operation
def test_an_issued_token_with_the_scopes_of_the_operation_will_do(shop: OrgClient, operation: Operation) -> None:
    attempt = prepared(shop, operation)
    attempt.headers["Authorization"] = f"Bearer {issued(shop, scopes=[MANAGE, ON_BEHALF])}"

    assert attempt.send().status_code < 300


# Answers outside the lists of the operations


def assert_outside(shop: OrgClient, response: httpx2.Response, status: int) -> None:
    body = rejections.assert_transport(shop, response, DOCUMENT, status)
    assert response.headers["content-type"] == "application/json"
    assert body.keys() == DOCUMENT.transport_rejections[status].value.keys()


def test_a_path_that_no_operation_has_is_unknown(shop: OrgClient) -> None:
    for path in (f"/coupon/{shop.org}/vouchers", f"/coupon/{shop.org}/coupons/FIVE/redemptions/r1/more"):
        assert_outside(shop, shop.request("GET", path, headers={"Sandbox-Org": shop.org}), 404)


def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(shop: OrgClient) -> None:
    response = shop.request("PATCH", f"/coupon/{shop.org}/coupons", {}, headers={"Sandbox-Org": shop.org})

    assert response.headers["allow"] == "GET, HEAD, POST"
    assert_outside(shop, response, 405)


@pytest.mark.parametrize("operation", [it for it in DOCUMENT.operations if it.body], ids=lambda it: it.id)
def test_a_body_of_another_media_type_is_not_read(shop: OrgClient, operation: Operation) -> None:
    attempt = prepared(shop, operation)
    attempt.headers["Content-Type"] = "application/xml"

    with rejections.unchanged(shop):
        response = attempt.send()

    assert_outside(shop, response, 415)


def test_a_body_beyond_the_limit_is_rejected(shop: OrgClient) -> None:
    response = shop.request("POST", f"/coupon/{shop.org}/coupons", raw=b" " * (Config().max_body + 1))

    assert_outside(shop, response, 413)


def test_every_transport_answer_that_is_declared_can_occur() -> None:
    assert DOCUMENT.transport_rejections.keys() == {404, 405, 413, 415}
