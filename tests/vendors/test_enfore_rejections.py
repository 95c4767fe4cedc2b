"""Every operation of enfore answers its success, and every rejection its spec declares, over HTTP.

The cases come from the specs: a rejection that is declared tomorrow and staged nowhere fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import httpx2
import pytest

from promo_sandbox.base.config import Config
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, Rejection
from tests.serving import Json, OrgClient
from tests.vendors import rejections
from tests.vendors.enfore_support import (
    LATER,
    NOW,
    PAST,
    PROBLEMS,
    RECEIVER,
    SOON,
    basic,
    contract,
    draft,
    eur,
    furnish,
    issue_token,
    neighbour,
    new_card,
    unchanged,
)

OPERATIONS = [(operation,) for document in contract().documents for operation in document.operations]

each_operation = rejections.each_operation(OPERATIONS)
each_rejection = rejections.each_rejection(OPERATIONS)
each_document = pytest.mark.parametrize("document", contract().documents, ids=lambda document: document.name)

_PATH = {
    "gift-card-id": "card",
    "gift-card-redemption-id": "redemption",
    "product-voucher-id": "voucher",
    "category-voucher-id": "voucher",
    "loyalty-program-draft-id": "draft",
    "loyalty-program-id": "promotion",
    "coupon-promotion-draft-id": "draft",
    "coupon-promotion-id": "promotion",
}
_BODY = {
    "createExternalGiftCard": new_card(),
    "updateActivationStatusGiftCard": "DEACTIVATED",
    "recordGiftCardRedemption": {"redeemed_amount": eur(1), "external_reference": "order 1"},
}


class Attempt(NamedTuple):
    """A request in the making; it succeeds in a furnished org unless it is staged to be rejected."""

    org_client: OrgClient
    operation: Operation
    path: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Json]  # `json` is sent as JSON, `raw` as it is

    def send(self) -> httpx2.Response:
        url = rejections.filled(self.operation.template, self.path)
        sent = {"content": self.body["raw"]} if "raw" in self.body else {"json": self.body.get("json")}
        return self.org_client.http.request(
            self.operation.method,
            self.org_client.url + url,
            params=self.query,
            headers=self.headers,
            **(sent if self.body else {}),
        )


def prepared(org_client: OrgClient, operation: Operation) -> Attempt:
    furnish(org_client)
    names = {"org-id": org_client.org, "organisation-id": org_client.org, **_PATH}
    if "subscription-id" in operation.path_names:
        names["subscription-id"] = next(
            kind for kind in ("gift-card", "product-voucher", "category-voucher") if f"/{kind}" in operation.template
        )
    in_query = {parameter.name for parameter in operation.parameters if parameter.location == "query"}
    return Attempt(
        org_client,
        operation,
        {name: names[name] for name in operation.path_names},
        {"from": PAST, "to": LATER} if "from" in in_query else {},
        # `login` names no org; the header is the sandbox's own way to say which one is meant.
        {"Authorization": "Bearer any"}
        if operation.template.startswith("/promotions")
        else {"Authorization": basic("shop", "secret"), "Sandbox-Org": org_client.org},
        _body(operation),
    )


def _body(operation: Operation) -> dict[str, Json]:
    id = operation.id
    if operation.body is None:
        return {}
    if "text/plain" in operation.body.content:
        return {"raw": "ACTIVE"}
    if id.startswith("subscribeTo"):
        return {"json": {"callback_url": RECEIVER}}
    if id.endswith("Draft"):
        return {"json": draft()}
    of_a_promotion: Json = (
        {"updates": []} if operation.method == "PATCH" else {"draft_id": "draft", "operation": "SCHEDULE"}
    )
    return {"json": _BODY.get(id, of_a_promotion)}


# How each rejection is brought about: what is changed of a request that would succeed

Staging = Callable[[Attempt], None]


def presents(credentials: Callable[[Attempt], str]) -> Staging:
    return rejections.shows(credentials, scheme="")


def outlived(attempt: Attempt) -> str:
    token = issue_token(attempt.org_client, expires_in=60)
    attempt.org_client.advance("PT60S")
    return f"Bearer {token}"


def of_a_neighbour(attempt: Attempt) -> str:
    return f"Bearer {issue_token(neighbour(attempt.org_client))}"


def breaks_the_contract(attempt: Attempt) -> None:
    if "raw" in attempt.body:
        attempt.body["raw"] = "PAUSED"
    elif attempt.body:
        attempt.body["json"] = []
    else:
        attempt.query["limit"] = "0"


def names(id: str, parameter: str | None = None) -> Staging:
    """Of the path parameters the last, or another."""

    def stage(attempt: Attempt) -> None:
        attempt.path[parameter or attempt.operation.path_names[-1]] = id

    return stage


def says(**members: Json) -> Staging:
    def stage(attempt: Attempt) -> None:
        attempt.body["json"] = {**attempt.body["json"], **members}

    return stage


def redeems(value: float, unit: str = "EUR") -> Staging:
    return says(redeemed_amount={"unit": unit, "value": value})


def creates_from(id: str, operation: str) -> Staging:
    return says(draft_id=id, operation=operation)


def names_an_unknown_draft(attempt: Attempt) -> None:
    in_path = attempt.operation.path_names[-1].endswith("draft-id")
    stage = names("nowhere") if in_path else says(draft_id="nowhere")
    stage(attempt)


def ends_before_it_starts(attempt: Attempt) -> None:
    dates = {"start_date_and_time": SOON, "end_date_and_time": NOW}
    if attempt.operation.method == "PATCH":
        says(updates=[dates])(attempt)
    elif attempt.operation.id.endswith("Draft"):
        says(**dates)(attempt)
    else:
        creates_from("reversed", "SCHEDULE")(attempt)


def moves_a_start_that_has_been(attempt: Attempt) -> None:
    names("active")(attempt)
    says(updates=[{"start_date_and_time": SOON}])(attempt)


def asks_the_list_backwards(attempt: Attempt) -> None:
    attempt.query.update({"from": LATER, "to": PAST})


STAGED: dict[str, Staging] = {
    "missing-credentials": rejections.shows_nothing,
    "invalid-credentials": presents(lambda _: basic("shop", "invalid")),
    "expired-credentials": presents(outlived),
    "foreign-credentials": presents(of_a_neighbour),
    "invalid-request": breaks_the_contract,
    "interval-reversed": asks_the_list_backwards,
    "callback-not-https": says(callback_url="http://hooks.example/enfore"),
    "unknown-subscription": names("nowhere"),
    "unknown-gift-card": names("nowhere", "gift-card-id"),
    "unknown-redemption": names("nowhere"),
    "unknown-product-voucher": names("nowhere"),
    "unknown-category-voucher": names("nowhere"),
    "unknown-draft": names_an_unknown_draft,
    "unknown-loyalty-program": names("nowhere"),
    "unknown-coupon-promotion": names("nowhere"),
    "external-number-taken": says(external_number="X-card"),
    "negative-balance": says(current_balance=eur(-1)),
    "balance-units-differ": says(initial_balance={"unit": "CHF", "value": 50}),
    "balance-above-initial": says(initial_balance=eur(49)),
    "expiration-before-issue": says(issued_date_and_time=SOON, expiration_date_and_time=NOW),
    "internal-gift-card": names("internal"),
    "gift-card-canceled": names("canceled"),
    "gift-card-expired": names("expired"),
    "gift-card-redeemed": names("redeemed"),
    "gift-card-deactivated": names("deactivated"),
    "currency-mismatch": redeems(1, "CHF"),
    "amount-not-positive": redeems(0),
    "amount-exceeds-balance": redeems(51),
    "start-missing": creates_from("without-start", "SCHEDULE"),
    "start-not-in-future": creates_from("started", "SCHEDULE"),
    "end-in-past": creates_from("ended", "ACTIVATE"),
    "end-before-start": ends_before_it_starts,
    "loyalty-program-archived": names("archived"),
    "coupon-promotion-archived": names("archived"),
    "start-of-active-fixed": moves_a_start_that_has_been,
    "transition-not-allowed": names("archived"),
}


def only_on_request(operation: Operation, name: str) -> bool:
    """The page lists it without a condition: no rule rejects so, or nothing in the request could be wrong."""
    takes_nothing = operation.body is None and all(parameter.location == "path" for parameter in operation.parameters)
    return name in ("unprocessable", "not-implemented") or (name == "invalid-request" and takes_nothing)


@each_rejection
def test_every_declared_rejection_is_answered_where_it_is_due(
    org_client: OrgClient, operation: Operation, rejection: Rejection
) -> None:
    attempt = prepared(org_client, operation)
    if only_on_request(operation, rejection.name):
        rejections.prefer(attempt, rejection.name)
    else:
        rejections.stage(attempt, rejection.name, STAGED)

    with unchanged(org_client):
        response = attempt.send()

    problem = rejections.assert_rejected(org_client, response, operation, rejection)
    assert rejection.media == "application/problem+json"
    assert (problem["type"], problem["title"]) == (rejection.value["type"], rejection.value["title"])
    assert problem["type"] == PROBLEMS + rejection.name
    assert problem["detail"]
    assert "on_resource" in problem or "on_resource" not in rejection.value  # the example promises it


def test_nothing_is_staged_that_no_spec_declares() -> None:
    pairs = rejections.declared(OPERATIONS)
    reached = {rejection.name for operation, rejection in pairs if not only_on_request(operation, rejection.name)}

    assert STAGED.keys() == reached


@each_rejection
def test_prefer_example_yields_a_rejection_exactly_as_the_spec_has_it(
    org_client: OrgClient, operation: Operation, rejection: Rejection
) -> None:
    attempt = prepared(org_client, operation)

    with unchanged(org_client):
        rejections.assert_prefers_the_example(org_client, attempt, rejection)


@each_operation
def test_prefer_code_yields_every_declared_status(org_client: OrgClient, operation: Operation) -> None:
    attempt = prepared(org_client, operation)

    with unchanged(org_client):
        rejections.assert_prefers_every_status(org_client, attempt, operation)


@each_operation
def test_every_operation_answers_its_success(org_client: OrgClient, operation: Operation) -> None:
    response = prepared(org_client, operation).send()

    rejections.assert_succeeded(org_client, response, operation)


# Answers outside the lists of the operations


def in_org(org_client: OrgClient, document: Document) -> str:
    return f"{document.base_path}/org/{org_client.org}" if document.base_path == "/promotions" else document.base_path


def assert_outside(org_client: OrgClient, response: httpx2.Response, document: Document, status: int) -> None:
    body, rejection = (
        rejections.assert_transport(org_client, response, document, status),
        document.transport_rejections[status],
    )
    assert response.headers["content-type"] == "application/problem+json"
    assert (body["type"], body["title"]) == (rejection.value["type"], rejection.value["title"])


@each_document
def test_a_path_that_no_operation_has_is_unknown(org_client: OrgClient, document: Document) -> None:
    response = org_client.request(
        "GET", f"{in_org(org_client, document)}/nothing", headers={"Sandbox-Org": org_client.org}
    )

    assert_outside(org_client, response, document, 404)
    assert org_client.last()["operation"] is None


@each_document
@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS"])
def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(
    org_client: OrgClient, document: Document, method: str
) -> None:
    path, allow = (
        ("/login", "GET, HEAD") if document.base_path == "/auth" else ("/sales-vouchers/gift-cards", "GET, HEAD, POST")
    )
    response = org_client.request(method, in_org(org_client, document) + path, headers={"Sandbox-Org": org_client.org})

    assert response.headers["allow"] == allow
    assert_outside(org_client, response, document, 405)


def bodies() -> list[tuple[Document, Operation]]:
    return [
        (document, operation)
        for document in contract().documents
        for operation in document.operations
        if operation.body is not None
    ]


each_body = pytest.mark.parametrize(
    ("document", "operation"), bodies(), ids=[operation.id for _, operation in bodies()]
)


@each_body
def test_a_body_of_another_media_type_is_not_read(
    org_client: OrgClient, document: Document, operation: Operation
) -> None:
    attempt = prepared(org_client, operation)
    attempt.headers["Content-Type"] = "application/xml"

    with unchanged(org_client):
        response = attempt.send()

    assert_outside(org_client, response, document, 415)
    assert org_client.last()["operation"] == operation.id


@each_body
def test_a_body_beyond_the_limit_is_rejected(org_client: OrgClient, document: Document, operation: Operation) -> None:
    attempt = prepared(org_client, operation)
    attempt.body.clear()
    attempt.body["raw"] = b" " * (Config().max_body + 1)

    with unchanged(org_client):
        response = attempt.send()

    assert_outside(org_client, response, document, 413)
    assert org_client.last()["operation"] == operation.id


@each_document
def test_every_transport_answer_that_is_declared_can_occur(document: Document) -> None:
    reachable = {404, 405} | ({413, 415} if any(operation.body for operation in document.operations) else set())

    assert document.transport_rejections.keys() == reachable
