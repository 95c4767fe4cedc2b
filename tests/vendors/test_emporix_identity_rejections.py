"""Every operation of Emporix's identity answers its success, and every rejection its spec declares, over HTTP.

The cases come from the spec: a rejection that is declared tomorrow and staged nowhere fails here.
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
from promo_sandbox.openapi.operation import Operation, Rejection
from promo_sandbox.server.app import load_contracts
from tests.serving import Json, OrgClient
from tests.vendors import rejections
from tests.vendors.emporix_identity_support import (
    PASSWORD,
    SECRET,
    answered,
    as_tenant,
    customer,
    neighbour,
    request_token,
    visitor,
)

DOCUMENT = next(
    document
    for contract in load_contracts(config.data_folder("specs"))
    if contract.vendor == "emporix"
    for document in contract.documents
    if document.name.endswith("identity.yaml")
)
OPERATIONS = [(operation,) for operation in DOCUMENT.operations]

each_operation = rejections.each_operation(OPERATIONS)
each_rejection = rejections.each_rejection(OPERATIONS)


@pytest.fixture
def tenant(org_client: OrgClient) -> OrgClient:
    return as_tenant(org_client)


class Attempt(NamedTuple):
    """A request in the making; it succeeds unless it is staged to be rejected."""

    tenant: OrgClient
    operation: Operation
    path: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Json]  # `members` are sent in the operation's first media type, `raw` as it is

    def send(self) -> httpx2.Response:
        url = rejections.filled(self.operation.template, self.path)
        declared = self.operation.body
        media = next(iter(declared.content)) if declared else ""
        if "raw" in self.body:
            content = self.body["raw"]
        elif media == "application/json":
            content = json.dumps(self.body["members"])
        else:
            content = urlencode(self.body.get("members", {}))
        return self.tenant.http.request(
            self.operation.method,
            self.tenant.url + url,
            params=self.query,
            content=content if declared else None,
            headers={"Sandbox-Org": self.tenant.org} | ({"Content-Type": media} if declared else {}) | self.headers,
        )


def prepared(tenant: OrgClient, operation: Operation) -> Attempt:
    ada, visit = customer(tenant), visitor(tenant)
    credentials = {"email": "ada@example.com", "password": PASSWORD}
    visited = {"tenant": tenant.org, "client_id": "storefront"}
    bodies: dict[str, Json] = {
        "requestToken": SECRET,
        "signUp": {**credentials, "email": "ben@example.com"},
        "logIn": credentials,
    }
    queries = {
        "anonymousLogin": visited,
        "anonymousRefresh": {**visited, "refresh_token": visit["refresh_token"]},
        "refreshAuthToken": {"refreshToken": ada["refresh_token"]},
        "logOut": {"accessToken": ada["access_token"]},
    }
    return Attempt(
        tenant,
        operation,
        dict.fromkeys(operation.path_names, tenant.org),
        dict(queries.get(operation.id, {})),
        {"Authorization": f"Bearer {ada['access_token']}"} if operation.security else {},
        {"members": dict(bodies[operation.id])} if operation.body else {},
    )


# How each rejection is brought about: what is changed of a request that would succeed

Staging = Callable[[Attempt], None]


def acts_for_a_stranger(attempt: Attempt) -> None:
    attempt.query["legalEntityId"] = "D999999"


def outlived(attempt: Attempt) -> str:
    token: str = visitor(attempt.tenant)["access_token"]
    attempt.tenant.advance("PT3599S")
    return token


def of_a_neighbour(attempt: Attempt) -> str:
    token: str = visitor(neighbour(attempt.tenant))["access_token"]
    return token


def of_a_service(attempt: Attempt) -> str:
    token: str = answered(request_token(attempt.tenant, scope=f"tenant={attempt.tenant.org}"))["access_token"]
    return token


def of_unknown(attempt: Attempt) -> str:
    return f"sandbox;tenant={attempt.tenant.org};customer=unknown"


def says(**members: Json) -> Staging:
    def stage(attempt: Attempt) -> None:
        attempt.body["members"].update(members)

    return stage


def asks_without(name: str) -> Staging:
    def stage(attempt: Attempt) -> None:
        del attempt.query[name]

    return stage


def breaks_the_contract(attempt: Attempt) -> None:
    if attempt.body:
        attempt.body["members"].popitem()
    else:
        attempt.headers["Emporix-Tenant"] = "Acme"


def sends_nothing(attempt: Attempt) -> None:
    attempt.body["raw"] = b""


def names_no_tenant(attempt: Attempt) -> None:
    attempt.path["tenant"] = "Acme"
    attempt.headers["Authorization"] = "Bearer any"


def refreshes_with_nonsense(attempt: Attempt) -> None:
    attempt.query.update({name: "nonsense" for name in ("refresh_token", "refreshToken") if name in attempt.query})


STAGED: dict[str, Staging] = {
    "missing-credentials": rejections.shows_nothing,
    "invalid-credentials": rejections.shows(lambda attempt: str(visitor(attempt.tenant)["refresh_token"])),
    "expired-credentials": rejections.shows(outlived),
    "foreign-credentials": rejections.shows(of_a_neighbour),
    "invalid-request": breaks_the_contract,
    "missing-body": sends_nothing,
    "invalid-tenant": names_no_tenant,
    "unsupported-grant-type": says(grant_type="password"),
    "invalid-scope": says(scope="tenant=Acme"),
    "invalid-client": says(client_secret="invalid"),
    "missing-tenant": asks_without("tenant"),
    "missing-refresh-token": asks_without("refresh_token"),
    "invalid-refresh-token": refreshes_with_nonsense,
    "legal-entity-not-assigned": acts_for_a_stranger,
    "contact-email-differs": says(customerDetails={"contactEmail": "shop@example.com"}),
    "company-incomplete": says(
        customerDetails={"firstName": "Ben", "lastName": "Au", "b2b": {"companyRegistrationId": "1"}}
    ),
    "duplicate-account": says(email="ada@example.com"),
    "wrong-password": says(password="another"),
    "not-logged-in": rejections.shows(of_a_service),
    "unknown-customer": rejections.shows(of_unknown),
}


@each_rejection
def test_every_declared_rejection_is_answered_where_it_is_due(
    tenant: OrgClient, operation: Operation, rejection: Rejection
) -> None:
    attempt = prepared(tenant, operation)
    rejections.stage(attempt, rejection.name, STAGED)

    with rejections.unchanged(tenant):
        response = attempt.send()

    body = rejections.assert_rejected(tenant, response, operation, rejection)
    assert body.keys() == rejection.value.keys()
    for member in ("type", "status", "fault", "ErrorCode"):
        assert body.get(member) == rejection.value.get(member)


def test_nothing_is_staged_that_the_spec_does_not_declare() -> None:
    assert STAGED.keys() == {rejection.name for _, rejection in rejections.declared(OPERATIONS)}


@each_rejection
def test_prefer_example_yields_a_rejection_exactly_as_the_spec_has_it(
    tenant: OrgClient, operation: Operation, rejection: Rejection
) -> None:
    rejections.assert_prefers_the_example(tenant, prepared(tenant, operation), rejection)


@each_operation
def test_prefer_code_yields_every_declared_status(tenant: OrgClient, operation: Operation) -> None:
    rejections.assert_prefers_every_status(tenant, prepared(tenant, operation), operation)


@each_operation
def test_every_operation_answers_its_success(tenant: OrgClient, operation: Operation) -> None:
    response = prepared(tenant, operation).send()

    rejections.assert_succeeded(tenant, response, operation)


# Answers outside the lists of the operations


def assert_outside(tenant: OrgClient, response: httpx2.Response, status: int) -> None:
    body = rejections.assert_transport(tenant, response, DOCUMENT, status)
    assert response.headers["content-type"] == "application/json"
    assert body.keys() == DOCUMENT.transport_rejections[status].value.keys()


@pytest.mark.parametrize("path", ["customer/acme/nothing", "customerlogin/nothing", "oauth", "customer/acme/me/"])
def test_a_path_that_no_operation_has_is_unknown(tenant: OrgClient, path: str) -> None:
    response = tenant.request("GET", f"/{path}", headers={"Sandbox-Org": tenant.org})

    assert_outside(tenant, response, 404)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("oauth/token", "POST"),
        ("customerlogin/auth/anonymous/login", "GET, HEAD"),
        ("customer/acme/login", "POST"),
        ("customer/acme/me", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(
    tenant: OrgClient, path: str, allow: str
) -> None:
    response = tenant.request("DELETE", f"/{path}", headers={"Sandbox-Org": tenant.org})

    assert response.headers["allow"] == allow
    assert_outside(tenant, response, 405)


each_body = rejections.each_operation(case for case in OPERATIONS if case[-1].body)


@each_body
def test_a_body_of_another_media_type_is_not_read(tenant: OrgClient, operation: Operation) -> None:
    attempt = prepared(tenant, operation)
    attempt.headers["Content-Type"] = "application/xml"

    assert_outside(tenant, attempt.send(), 415)


@each_body
def test_a_body_beyond_the_limit_is_rejected(tenant: OrgClient, operation: Operation) -> None:
    attempt = prepared(tenant, operation)
    attempt.body["raw"] = b" " * (Config().max_body + 1)

    assert_outside(tenant, attempt.send(), 413)
