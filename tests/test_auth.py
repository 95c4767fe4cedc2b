"""Who may call: lenient, strict, and every token held to what it says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import auth, clock
from sandbox.auth import ANYBODY, Gate, Grant
from sandbox.messages import Request
from sandbox.openapi.document import Document
from sandbox.openapi.operation import Operation
from tests.acme import SPEC

NOW = clock.parse("2030-01-01T00:00:00Z")
OPERATIONS = {operation.id: operation for operation in Document(SPEC).operations}
PLAIN, SCOPED, BASIC, OPEN = (OPERATIONS[name] for name in ("getThing", "addThing", "login", "greet"))


def request(authorization: str | None) -> Request:
    return Request("GET", "/", [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))])


def admit(gate: Gate, operation: Operation, authorization: str | None, **where: Any) -> Grant | str:
    """What is said to a request of the org `world`, which the vendor calls `shop`."""
    place = {"org": "world", "vendor": "acme", "audience": "/acme", "tenant": "shop", "now": NOW, **where}
    return gate.admit(operation, request(authorization), **place)


def issue(gate: Gate, **claims: Any) -> str:
    usual = {"org": "world", "vendor": "acme", "tenant": None, "scopes": None, "customer": None, "number": 1}
    return gate.issue(**{**usual, "issued": NOW, "expires": NOW + 60 * clock.SECOND, **claims})


@pytest.mark.parametrize("strict", [False, True])
def test_an_operation_without_security_admits_anybody(strict: bool) -> None:
    assert admit(Gate(strict=strict), OPEN, None) is ANYBODY
    assert admit(Gate(strict=strict), OPEN, "Bearer invalid") is ANYBODY


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("operation", [PLAIN, SCOPED, BASIC])
def test_credentials_must_be_there(strict: bool, operation: Operation) -> None:
    assert admit(Gate(strict=strict), operation, None) == auth.MISSING
    assert admit(Gate(strict=strict), operation, "") == auth.MISSING


@pytest.mark.parametrize("token", ["any", "a.b.c", "eyJhbGciOi.e30.x", "sandbox", "\xe9", "x" * 10_000])
def test_a_stranger_s_token_is_good_for_everything_unless_strict(token: str) -> None:
    assert admit(Gate(), SCOPED, f"Bearer {token}") == ANYBODY
    assert admit(Gate(strict=True), SCOPED, f"Bearer {token}") == auth.INVALID


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("authorization", "refusal"),
    [
        ("Bearer invalid", auth.INVALID),
        ("Bearer invalid-token", auth.INVALID),
        ("Bearer expired", auth.EXPIRED),
        ("bearer   expired.abc", auth.EXPIRED),
        ("Bearer", auth.INVALID),
        ("Bearer ", auth.INVALID),
        ("Basic YTpi", auth.INVALID),
        ("Digest x", auth.INVALID),
        ("justatoken", auth.INVALID),
    ],
)
def test_some_credentials_are_refused_whoever_asks(strict: bool, authorization: str, refusal: str) -> None:
    assert admit(Gate(strict=strict), PLAIN, authorization) == refusal


@pytest.mark.parametrize("strict", [False, True])
def test_an_issued_token_admits_to_what_it_says(strict: bool) -> None:
    gate = Gate(strict=strict)
    token = issue(gate, tenant="shop", scopes=["things.write", "things.read"], customer="C1", audience="/acme")

    grant = admit(gate, SCOPED, f"Bearer {token}")

    assert grant == Grant(
        org="world",
        vendor="acme",
        audience="/acme",
        tenant="shop",
        scopes=frozenset({"things.write", "things.read"}),
        customer="C1",
        expires=NOW + 60 * clock.SECOND,
        issued=True,
    )


@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        ({"vendor": "other"}, auth.INVALID),
        ({"audience": "/other"}, auth.INVALID),
        ({"expires": NOW}, auth.EXPIRED),
        ({"expires": NOW - clock.DAY}, auth.EXPIRED),
        ({"org": "elsewhere"}, auth.FOREIGN),
        ({"tenant": "other"}, auth.FOREIGN),
        ({"scopes": []}, auth.SCOPE),
        ({"scopes": ["things.read"]}, auth.SCOPE),
        # The first that applies.
        ({"vendor": "other", "expires": NOW}, auth.INVALID),
        ({"org": "elsewhere", "expires": NOW}, auth.EXPIRED),
        ({"org": "elsewhere", "scopes": []}, auth.FOREIGN),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_an_issued_token_is_held_to_what_it_says(strict: bool, claims: dict[str, Any], refusal: str) -> None:
    gate = Gate(strict=strict)

    assert admit(gate, SCOPED, f"Bearer {issue(gate, **claims)}") == refusal


@pytest.mark.parametrize("claims", [{"org": None}, {"scopes": None}, {"audience": None}, {"tenant": None}])
def test_what_a_token_does_not_say_is_not_asked_of_it(claims: dict[str, Any]) -> None:
    gate = Gate(strict=True)

    assert isinstance(admit(gate, SCOPED, f"Bearer {issue(gate, **claims)}"), Grant)


def test_an_operation_without_scopes_takes_a_token_without_any() -> None:
    gate = Gate(strict=True)

    assert isinstance(admit(gate, PLAIN, f"Bearer {issue(gate, scopes=[])}"), Grant)


def test_a_token_expires_by_the_clock_of_the_org() -> None:
    gate = Gate()
    token = f"Bearer {issue(gate, expires=NOW + 60 * clock.SECOND)}"

    assert isinstance(admit(gate, PLAIN, token, now=NOW + 60 * clock.SECOND - 1), Grant)
    assert admit(gate, PLAIN, token, now=NOW + 60 * clock.SECOND) == auth.EXPIRED
    assert isinstance(admit(gate, PLAIN, token, now=NOW), Grant)


def test_a_token_is_the_same_every_time_and_good_after_a_restart() -> None:
    token = issue(Gate(), number=7)

    assert issue(Gate(), number=7) == token
    assert issue(Gate(), number=8) != token
    assert isinstance(admit(Gate(strict=True), PLAIN, f"Bearer {token}"), Grant)


def test_a_token_is_a_jwt_for_whoever_looks_inside() -> None:
    header, payload, _ = issue(Gate(), tenant="shop", scopes=["a", "b"], customer="C1").split(".")

    def opened(part: str) -> Any:
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    assert opened(header) == {"alg": "HS256", "typ": "at+jwt"}
    assert opened(payload) == {
        "iss": "promo-sandbox",
        "vendor": "acme",
        "org": "world",
        "tenant": "shop",
        "sub": "C1",
        "scope": "a b",
        "iat": NOW // clock.SECOND,
        "exp": NOW // clock.SECOND + 60,
        "jti": "1",
    }


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from("Ab0-_. \xe9"))
def test_a_token_that_was_tampered_with_is_a_stranger_s(at: int, character: str) -> None:
    token = issue(Gate(), scopes=[])
    at %= len(token)
    tampered = token[:at] + character + token[at + 1 :]

    answer = admit(Gate(strict=True), PLAIN, f"Bearer {tampered}")

    assert answer == auth.INVALID or tampered.strip() == token


@pytest.mark.parametrize("strict", [False, True])
def test_a_self_describing_token_needs_no_call_first_but_is_not_issued(strict: bool) -> None:
    answer = admit(Gate(strict=strict), SCOPED, "Bearer sandbox;tenant=shop;customer=C1;scope=things.write things.read")

    if strict:
        assert answer == auth.INVALID
    else:
        assert answer == Grant(tenant="shop", customer="C1", scopes=frozenset({"things.write", "things.read"}))


@pytest.mark.parametrize(
    ("token", "answer"),
    [
        ("sandbox;", Grant()),
        ("sandbox; tenant=shop ; scope=a,things.write", Grant(tenant="shop", scopes=frozenset({"a", "things.write"}))),
        ("sandbox;tenant=other", auth.FOREIGN),
        ("sandbox;scope=", auth.SCOPE),
        ("sandbox;scope=things.read", auth.SCOPE),
        ("sandbox;customer=C=1;unknown=x;flag", Grant(customer="C=1")),
    ],
)
def test_a_self_describing_token_is_held_to_what_it_says(token: str, answer: Grant | str) -> None:
    assert admit(Gate(), SCOPED, f"Bearer {token}") == answer


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "authorization",
    [
        basic("a"),
        basic(":b"),
        basic("a:invalid"),
        basic("a:invalid-x"),
        "Basic",
        "Basic ***",
        "Basic YTpi*",
        "Basic \xe9",
        "Basic /w==",
    ],
)
def test_basic_credentials_must_be_a_name_and_a_secret(authorization: str) -> None:
    assert admit(Gate(), BASIC, authorization) == auth.INVALID


def test_any_client_is_admitted_unless_strict() -> None:
    gate = Gate(strict=True, clients={"app": "s:1"})

    assert admit(Gate(), BASIC, basic("anybody:x")) == Grant(client="anybody")
    assert admit(Gate(), BASIC, basic("anybody:")) == Grant(client="anybody")
    assert admit(gate, BASIC, basic("app:s:1")) == Grant(client="app")
    assert admit(gate, BASIC, basic("app:other")) == auth.INVALID
    assert admit(gate, BASIC, basic("other:s:1")) == auth.INVALID
    assert admit(gate, BASIC, basic("app:").replace("Basic", "basic")) == auth.INVALID


def test_a_bearer_token_is_no_basic_credential() -> None:
    assert admit(Gate(), BASIC, "Bearer any") == auth.INVALID


def test_a_token_names_its_org() -> None:
    gate = Gate()

    assert gate.token_org(request(f"Bearer {issue(gate, tenant='shop')}")) == "world"
    assert gate.token_org(request(f"Bearer {issue(gate, org=None, tenant='shop')}")) == "shop"
    assert gate.token_org(request("Bearer sandbox;tenant=shop")) == "shop"
    assert gate.token_org(request("Bearer any")) is None
    assert gate.token_org(request(basic("a:b"))) is None
    assert gate.token_org(request(None)) is None


def test_more_tokens_than_are_remembered_are_read_all_the_same() -> None:
    gate = Gate(strict=True)
    first = issue(gate, number=0)
    for number in range(5000):
        gate.token_org(request(f"Bearer stranger-{number}"))

    assert isinstance(admit(gate, PLAIN, f"Bearer {first}"), Grant)
    assert len(gate._said) <= 4096  # noqa: SLF001 - the bound is the point
