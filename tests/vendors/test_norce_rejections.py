"""Every operation of Norce's answers its success, and every rejection its specs declare, in both forms, over HTTP.

The cases come from the specs: a rejection that is declared tomorrow and staged nowhere fails here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlencode

import httpx2
import pytest

from promo_sandbox.base import config
from promo_sandbox.base.config import Config
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, Rejection
from promo_sandbox.server.app import load_contracts
from tests.serving import Json, OrgClient, running
from tests.vendors import rejections
from tests.vendors.norce_support import (
    PROMOTIONS,
    SECRET,
    answered,
    choose,
    insert_codes,
    inserted,
    neighbour,
    request_token,
    standing_still,
)

DOCUMENTS = next(
    contract.documents for contract in load_contracts(config.data_folder("specs")) if contract.vendor == "norce"
)
OPERATIONS = [(document, operation) for document in DOCUMENTS for operation in document.operations]
REJECTIONS = rejections.declared(OPERATIONS)
FORMS = {"application/json": "Message", "application/problem+json": "title"}  # what every rejection has


def label(document: Document) -> str:
    return document.version or "identity"


each_operation = rejections.each_operation(OPERATIONS, "document", label=label)
each_rejection = rejections.each_rejection(OPERATIONS, "document", label=label)


@pytest.fixture
def slug(org_client: OrgClient) -> OrgClient:
    return standing_still(org_client)


class Attempt(NamedTuple):
    """A request in the making; it succeeds unless it is staged to be rejected."""

    slug: OrgClient
    operation: Operation
    path: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Json]  # what is sent is `sent`, a form or JSON

    def send(self) -> httpx2.Response:
        url = rejections.filled(self.operation.template, self.path)
        headers, content = {"Sandbox-Org": self.slug.org, **self.headers}, None
        if self.operation.body:
            media = next(iter(self.operation.body.content))
            content = json.dumps(self.body["sent"]) if media.endswith("json") else urlencode(self.body["sent"])
            headers = {"Content-Type": media, **headers}
        return self.slug.http.request(self.operation.method, self.slug.url + url, content=content, headers=headers)


def prepared(slug: OrgClient, document: Document, operation: Operation) -> Attempt:
    promotion = inserted(slug, Name="Spring")
    insert_codes(slug, promotion, "A")
    if document.version:
        choose(slug, error_body=document.version)
    bodies: dict[str, Json] = {
        "norceConnectToken": dict(SECRET),
        "PromotionApi_Insert": {"Name": "Summer"},
        "PromotionApi_Update": {"Name": "Summer"},
        "PromotionApi_InsertUniqueCodes": [{"DiscountCode": "B"}],
        "PromotionApi_UpdateUniqueCodes": [{"DiscountCode": "A", "IsClaimed": True}],
    }
    return Attempt(
        slug,
        operation,
        dict.fromkeys(operation.path_names, str(promotion["Id"])),
        {"Authorization": "Bearer any"} if operation.security else {},
        {"sent": bodies[operation.id]} if operation.body else {},
    )


# How each rejection is brought about: what is changed of a request that would succeed

Staging = Callable[[Attempt], None]


def outlived(attempt: Attempt) -> str:
    token: str = answered(request_token(attempt.slug))["access_token"]
    attempt.slug.advance("PT3600S")
    return token


def of_a_neighbour(attempt: Attempt) -> str:
    token: str = answered(request_token(neighbour(attempt.slug)))["access_token"]
    return token


def for_application_5(attempt: Attempt) -> str:
    attempt.headers["application-id"] = "6"
    return f"sandbox;tenant={attempt.slug.org};applications=5"


def says(**members: Json) -> Staging:
    def stage(attempt: Attempt) -> None:
        attempt.body["sent"].update(members)

    return stage


def breaks_the_contract(attempt: Attempt) -> None:
    if "grant_type" in attempt.body.get("sent", ()):
        del attempt.body["sent"]["grant_type"]
    elif attempt.body:
        attempt.body["sent"] = "nonsense"
    else:
        attempt.headers["account-id"] = "unknown"


def names_no_account(attempt: Attempt) -> None:
    choose(attempt.slug, strict_headers=True, error_body=error_body_of(attempt))


def error_body_of(attempt: Attempt) -> str:
    chosen: str = attempt.slug.state()["norce"]["settings"][0]["document"]["error_body"]
    return chosen


def names_nothing(attempt: Attempt) -> None:
    attempt.path["id"] = "4711"


def asks_too_often(attempt: Attempt) -> None:
    choose(attempt.slug, token_rate_limit=True)
    for _ in range(20):
        assert attempt.send().status_code == 200


STAGED: dict[str, Staging] = {
    "missing-credentials": rejections.shows_nothing,
    "invalid-credentials": rejections.shows(lambda _: "invalid"),
    "expired-credentials": rejections.shows(outlived),
    "foreign-credentials": rejections.shows(of_a_neighbour),
    "application-not-granted": rejections.shows(for_application_5),
    "invalid-request": breaks_the_contract,
    "missing-header": names_no_account,
    "id-mismatch": says(Id=4711),
    "start-after-end": says(StartDate="2030-03-01T00:00:00Z", EndDate="2030-02-01T00:00:00Z"),
    "duplicate-culture": says(Cultures=[{"CultureCode": "sv-SE"}, {"CultureCode": "sv-SE"}]),
    "unknown-promotion": names_nothing,
    "unsupported-grant-type": says(grant_type="password"),
    "invalid-client": says(client_secret="invalid"),
    "invalid-scope": says(scope="nowhere"),
    "too-many-requests": asks_too_often,
}


@each_rejection
def test_every_declared_rejection_is_answered_where_it_is_due(
    slug: OrgClient, document: Document, operation: Operation, rejection: Rejection
) -> None:
    attempt = prepared(slug, document, operation)
    rejections.stage(attempt, rejection.name, STAGED)

    with rejections.unchanged(slug):
        response = attempt.send()

    body = rejections.assert_rejected(slug, response, operation, rejection)
    assert body.keys() >= rejection.value.keys()
    for member in ("error", "type", "title", "status"):
        assert body.get(member) == rejection.value.get(member)
    sent = "" if rejection.name == "missing-credentials" else ' error="invalid_token"'
    challenge = f"Bearer{sent}" if rejection.status == 401 else None
    assert response.headers.get("www-authenticate") == challenge


def test_nothing_is_staged_that_the_specs_do_not_declare() -> None:
    assert STAGED.keys() == {rejection.name for _, _, rejection in REJECTIONS}


def test_both_forms_declare_the_same_rejections() -> None:
    declared = {
        document.version: {(operation.id, *rejection[:2]) for of, operation, rejection in REJECTIONS if of is document}
        for document in DOCUMENTS
    }

    assert declared.keys() == {None, "message", "problem"}
    assert declared["message"] == declared["problem"]


@pytest.mark.parametrize("document", [it for it in DOCUMENTS if it.version], ids=lambda it: it.version)
def test_every_rejection_of_a_form_has_that_form(document: Document) -> None:
    media = {"message": "application/json", "problem": "application/problem+json"}[str(document.version)]

    for operation in document.operations:
        for rejection in operation.rejections.values():
            assert rejection.media == media
            assert FORMS[media] in rejection.value


@each_rejection
def test_prefer_example_yields_a_rejection_exactly_as_the_spec_has_it(
    slug: OrgClient, document: Document, operation: Operation, rejection: Rejection
) -> None:
    rejections.assert_prefers_the_example(slug, prepared(slug, document, operation), rejection)


@each_operation
def test_prefer_code_yields_every_declared_status(slug: OrgClient, document: Document, operation: Operation) -> None:
    rejections.assert_prefers_every_status(slug, prepared(slug, document, operation), operation)


@each_operation
def test_every_operation_answers_its_success(slug: OrgClient, document: Document, operation: Operation) -> None:
    response = prepared(slug, document, operation).send()

    rejections.assert_succeeded(slug, response, operation, {200})
    assert response.headers["content-type"] == "application/json"


# Answers outside the lists of the operations


IDENTITY, MESSAGES, PROBLEMS = DOCUMENTS


@pytest.mark.parametrize("form", [MESSAGES, PROBLEMS], ids=["message", "problem"])
@pytest.mark.parametrize(
    "path", ["/commerce/management/1.0/api/promotions", f"{PROMOTIONS}/7/codes", "/identity/1.0/connect"]
)
def test_a_path_that_no_operation_has_is_unknown(slug: OrgClient, path: str, form: Document) -> None:
    choose(slug, error_body=str(form.version))
    document = IDENTITY if path.startswith(IDENTITY.base_path) else form

    response = slug.request("GET", path, headers={"Sandbox-Org": slug.org})

    rejections.assert_transport(slug, response, document, 404)


@pytest.mark.parametrize("form", [MESSAGES, PROBLEMS], ids=["message", "problem"])
@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (PROMOTIONS, "GET, HEAD, POST"),
        (f"{PROMOTIONS}/7", "GET, HEAD, PUT"),
        (f"{PROMOTIONS}/7/unique-codes", "GET, HEAD, POST, PUT"),
        ("/identity/1.0/connect/token", "POST"),
    ],
)
def test_nothing_is_deleted_or_patched(slug: OrgClient, method: str, path: str, allow: str, form: Document) -> None:
    choose(slug, error_body=str(form.version))
    document = IDENTITY if path.startswith(IDENTITY.base_path) else form

    response = slug.request(method, path, headers={"Sandbox-Org": slug.org})

    rejections.assert_transport(slug, response, document, 405)
    assert set(response.headers["allow"].split(", ")) == set(allow.split(", "))


@pytest.mark.parametrize("document", [MESSAGES, PROBLEMS], ids=["message", "problem"])
def test_a_body_that_is_no_json_is_an_unsupported_media_type(slug: OrgClient, document: Document) -> None:
    choose(slug, error_body=str(document.version))

    response = slug.request(
        "POST", PROMOTIONS, raw=b"<Name/>", headers={"Sandbox-Org": slug.org, "Content-Type": "application/xml"}
    )

    rejections.assert_transport(slug, response, document, 415)


@pytest.mark.parametrize("document", [IDENTITY, MESSAGES, PROBLEMS], ids=["identity", "message", "problem"])
def test_a_body_may_be_too_long(http: httpx2.Client, document: Document) -> None:
    with running(Config(max_body=100)) as (_, url):
        slug = OrgClient(url, "acme", http)
        if document.version:
            choose(slug, error_body=document.version)
        path = PROMOTIONS if document.version else "/identity/1.0/connect/token"
        media = "application/json" if document.version else "application/x-www-form-urlencoded"

        response = slug.request("POST", path, raw=b"x" * 101, headers={"Sandbox-Org": "acme", "Content-Type": media})

        rejections.assert_transport(slug, response, document, 413)
