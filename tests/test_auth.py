"""Authentication in lenient and strict mode, and the rights of each kind of token."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.base import clock
from promo_sandbox.base.messages import Request
from promo_sandbox.model import auth
from promo_sandbox.model.auth import UNRESTRICTED, Authenticator, Grant
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation
from tests.acme import SPEC

NOW = clock.parse("2030-01-01T00:00:00Z")
OPERATIONS = {operation.id: operation for operation in Document(SPEC).operations}
PLAIN, SCOPED, BASIC, OPEN = (OPERATIONS[name] for name in ("getThing", "addThing", "login", "greet"))
SEVERAL = OPERATIONS["orderThing"]  # one scope or another, or a client's secret


def request(authorization: str | None) -> Request:
    return Request("GET", "/", [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))])


def admit(authenticator: Authenticator, operation: Operation, authorization: str | None, **where: Any) -> Grant | str:
    """The result for a request of the org `team`, whose tenant is `shop`."""
    place = {"org": "team", "vendor": "acme", "audience": "/acme", "tenant": "shop", "now": NOW, **where}
    return authenticator.check(operation, request(authorization), **place)


def issue(authenticator: Authenticator, **said: Any) -> str:
    usual = {"org": "team", "vendor": "acme", "tenant": None, "scopes": None, "customer": None, "number": 1}
    return authenticator.issue(**{**usual, "issued": NOW, "expires": NOW + 60 * clock.SECOND, **said})


def signed(payload: bytes) -> str:
    """A token with any payload, signed with the public key of lenient mode."""
    said = f"{issue(Authenticator()).partition('.')[0]}.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}"
    signature = hmac.digest(b"promo-sandbox", said.encode(), "sha256")
    return f"{said}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("strict", [False, True])
def test_an_operation_without_security_needs_no_credentials(strict: bool) -> None:
    assert admit(Authenticator(strict=strict), OPEN, None) is UNRESTRICTED
    assert admit(Authenticator(strict=strict), OPEN, "Bearer invalid") is UNRESTRICTED


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("operation", [PLAIN, SCOPED, BASIC])
def test_credentials_are_required(strict: bool, operation: Operation) -> None:
    assert admit(Authenticator(strict=strict), operation, None) == auth.MISSING
    assert admit(Authenticator(strict=strict), operation, "") == auth.MISSING


@pytest.mark.parametrize("token", ["any", "a.b.c", "eyJhbGciOi.e30.x", "sandbox", "\xe9", "x" * 10_000])
def test_an_unknown_token_gives_all_rights_unless_strict(token: str) -> None:
    assert admit(Authenticator(), SCOPED, f"Bearer {token}") == UNRESTRICTED
    assert admit(Authenticator(strict=True), SCOPED, f"Bearer {token}") == auth.INVALID


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("authorization", "rejection"),
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
def test_some_credentials_are_always_rejected(strict: bool, authorization: str, rejection: str) -> None:
    assert admit(Authenticator(strict=strict), PLAIN, authorization) == rejection


@pytest.mark.parametrize("strict", [False, True])
def test_an_issued_token_gives_the_rights_in_it(strict: bool) -> None:
    authenticator = Authenticator(strict=strict)
    scopes, claims = ["things.write", "things.read"], {"entity": "E1"}
    token = issue(
        authenticator, tenant="shop", scopes=scopes, customer="C1", audience="/acme", claims=claims, number=42
    )

    grant = admit(authenticator, SCOPED, f"Bearer {token}")

    assert grant == Grant(
        org="team",
        vendor="acme",
        audience="/acme",
        tenant="shop",
        scopes=frozenset({"things.write", "things.read"}),
        customer="C1",
        claims={"entity": "E1"},
        expires=NOW + 60 * clock.SECOND,
        issued=True,
        id="42",
    )


@pytest.mark.parametrize(
    ("said", "rejection"),
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
        ({"org": "elsewhere", "expires": NOW}, auth.FOREIGN),
        ({"scopes": [], "expires": NOW}, auth.EXPIRED),
        ({"org": "elsewhere", "scopes": []}, auth.FOREIGN),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_an_issued_token_gives_no_other_rights(strict: bool, said: dict[str, Any], rejection: str) -> None:
    authenticator = Authenticator(strict=strict)

    assert admit(authenticator, SCOPED, f"Bearer {issue(authenticator, **said)}") == rejection


@pytest.mark.parametrize("said", [{"org": None}, {"scopes": None}, {"audience": None}, {"tenant": None}])
def test_a_token_without_a_restriction_is_not_restricted(said: dict[str, Any]) -> None:
    authenticator = Authenticator(strict=True)

    assert isinstance(admit(authenticator, SCOPED, f"Bearer {issue(authenticator, **said)}"), Grant)


def test_an_operation_without_scopes_accepts_a_token_without_scopes() -> None:
    authenticator = Authenticator(strict=True)

    assert isinstance(admit(authenticator, PLAIN, f"Bearer {issue(authenticator, scopes=[])}"), Grant)


def test_a_token_expires_by_the_clock_of_the_org() -> None:
    authenticator = Authenticator()
    token = f"Bearer {issue(authenticator, expires=NOW + 60 * clock.SECOND)}"

    assert isinstance(admit(authenticator, PLAIN, token, now=NOW + 60 * clock.SECOND - 1), Grant)
    assert admit(authenticator, PLAIN, token, now=NOW + 60 * clock.SECOND) == auth.EXPIRED
    assert isinstance(admit(authenticator, PLAIN, token, now=NOW), Grant)


def test_in_lenient_mode_a_token_is_always_the_same_and_valid_after_a_restart() -> None:
    token = issue(Authenticator(), number=7)

    assert issue(Authenticator(), number=7) == token
    assert issue(Authenticator(), number=8) != token
    assert isinstance(admit(Authenticator(), PLAIN, f"Bearer {token}"), Grant)


def test_in_strict_mode_a_token_of_another_server_is_unknown() -> None:
    authenticator = Authenticator(strict=True)

    assert issue(Authenticator(strict=True), number=7) != issue(authenticator, number=7)
    for other in (Authenticator(), Authenticator(strict=True), Authenticator(strict=True, key="k" * 32)):
        token = f"Bearer {issue(other, number=7)}"
        assert admit(authenticator, PLAIN, token) == auth.INVALID
        assert authenticator.token_org(request(token)) is None


@pytest.mark.parametrize("strict", [False, True])
def test_servers_with_the_same_key_accept_each_other_s_tokens(strict: bool) -> None:
    first, second = (Authenticator(strict=strict, key="schlüssel " * 4) for _ in range(2))

    token = issue(first, number=7)

    assert issue(second, number=7) == token
    assert second.read(token, "team", "acme", NOW) is not None
    assert Authenticator(strict=True).read(token, "team", "acme", NOW) is None


def test_a_token_is_a_jwt() -> None:
    header, payload, _ = issue(Authenticator(), tenant="shop", scopes=["a", "b"], customer="C1").split(".")

    def opened(part: str) -> Any:
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    assert opened(header) == {"alg": "HS256", "typ": "at+jwt"}
    assert opened(payload) == {
        "iss": "promo-sandbox",
        "vendor": "acme",
        "org": "team",
        "tenant": "shop",
        "sub": "C1",
        "scope": "a b",
        "iat": NOW // clock.SECOND,
        "exp": NOW // clock.SECOND + 60,
        "jti": "1",
    }


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from("Ab0-_. \xe9"))
def test_a_modified_token_is_unknown(at: int, character: str) -> None:
    token = issue(Authenticator(), scopes=[])
    at %= len(token)
    tampered = token[:at] + character + token[at + 1 :]

    answer = admit(Authenticator(strict=True), PLAIN, f"Bearer {tampered}")

    assert answer == auth.INVALID or tampered.strip() == token


@pytest.mark.parametrize("strict", [False, True])
def test_a_self_describing_token_is_not_an_issued_one(strict: bool) -> None:
    answer = admit(
        Authenticator(strict=strict), SCOPED, "Bearer sandbox;tenant=shop;customer=C1;scope=things.write things.read"
    )

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
        ("sandbox;customer=C=1;unknown=x;flag", Grant(customer="C=1", claims={"unknown": "x", "flag": ""})),
        ("sandbox;entity=E 1; ;;state=a;state=b", Grant(claims={"entity": "E 1", "state": "b"})),
        ("sandbox;vendor=other;org=elsewhere;exp=0", Grant(claims={"vendor": "other", "org": "elsewhere", "exp": "0"})),
    ],
)
def test_a_self_describing_token_gives_only_the_rights_in_it(token: str, answer: Grant | str) -> None:
    assert admit(Authenticator(), SCOPED, f"Bearer {token}") == answer


@pytest.mark.parametrize("strict", [False, True])
def test_a_token_without_an_end_never_expires(strict: bool) -> None:
    authenticator = Authenticator(strict=strict)
    token = issue(authenticator, expires=None)

    grant = admit(authenticator, SCOPED, f"Bearer {token}", now=clock.LATEST)

    assert isinstance(grant, Grant)
    assert grant.expires is None
    assert b'"exp"' not in base64.urlsafe_b64decode(token.split(".")[1] + "==")


def test_claims_are_a_field_of_the_payload() -> None:
    payload = issue(Authenticator(), claims={"entity": "É", "iss": "another"}).split(".")[1]

    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    assert (said["claims"], said["iss"]) == ({"entity": "É", "iss": "another"}, "promo-sandbox")


def test_a_token_with_other_claims_is_another_token() -> None:
    tokens = {issue(Authenticator(), claims=claims) for claims in (None, {"a": "1"}, {"a": "2"}, {"a": "1", "b": "2"})}

    assert len(tokens) == 4


@pytest.mark.parametrize(
    "payload",
    [
        b'{"iss":"x","vendor":"acme","iat":0,"jti":"1","claims":{"entity":7}}',
        b'{"iss":"x","vendor":"acme","iat":0,"jti":"1","claims":{"entity":null}}',
        b'{"iss":"x","vendor":"acme","iat":0,"jti":"1","claims":["entity"]}',
        b'{"iss":"x","vendor":"acme","iat":0,"jti":1}',
        b'{"iss":"x","vendor":"acme","iat":0}',
        b'{"iss":"x","vendor":"acme","iat":0,"jti":"1","exp":"soon"}',
        b"{}",
        b"[]",
        b"{",
        b"\xff",
        b"",
    ],
)
def test_a_token_with_a_valid_signature_and_an_invalid_payload_is_unknown(payload: bytes) -> None:
    token = signed(payload)

    assert Authenticator().token_org(request(f"Bearer {token}")) is None
    assert admit(Authenticator(strict=True), PLAIN, f"Bearer {token}") == auth.INVALID
    assert admit(Authenticator(), PLAIN, f"Bearer {token}") == UNRESTRICTED
    assert Authenticator().read(token, "team", "acme", NOW) is None


def test_the_unmodified_token_is_an_issued_one() -> None:
    token = signed(b'{"iss":"x","vendor":"acme","iat":0,"jti":"1","claims":{"entity":"7"}}')

    grant = admit(Authenticator(), PLAIN, f"Bearer {token}")

    assert admit(Authenticator(strict=True), PLAIN, f"Bearer {token}") == auth.INVALID
    assert grant == Grant(vendor="acme", claims={"entity": "7"}, issued=True, id="1")


# Several ways to be admitted


@pytest.mark.parametrize("scopes", [None, ["orders.write"], ["things.write"], ["things.write", "orders.write", "x"]])
def test_one_of_several_security_requirements_is_enough(scopes: list[str] | None) -> None:
    authenticator = Authenticator(strict=True)

    assert isinstance(admit(authenticator, SEVERAL, f"Bearer {issue(authenticator, scopes=scopes)}"), Grant)


def test_security_requirements_may_have_different_schemes() -> None:
    authenticator = Authenticator(strict=True, clients={"app": "s"})

    assert admit(authenticator, SEVERAL, basic("app:s")) == Grant(client="app")
    assert admit(authenticator, SEVERAL, basic("app:other")) == auth.INVALID


@pytest.mark.parametrize(
    ("authorization", "rejection"),
    [
        (None, auth.MISSING),
        ("Bearer invalid", auth.INVALID),
        ("Bearer expired", auth.EXPIRED),
        ("Bearer sandbox;scope=things.read", auth.SCOPE),
        ("Bearer sandbox;tenant=other", auth.FOREIGN),
        ("Basic ***", auth.INVALID),
        ("Digest x", auth.INVALID),
    ],
)
def test_the_last_requirement_of_the_same_scheme_gives_the_rejection(authorization: str | None, rejection: str) -> None:
    assert admit(Authenticator(), SEVERAL, authorization) == rejection


# Tokens and clients elsewhere than in `Authorization`


def test_a_token_is_read_with_its_rights_in_an_org_at_a_moment() -> None:
    authenticator = Authenticator(strict=True)
    token = issue(authenticator, tenant="shop", scopes=["things.read"], audience="/elsewhere", customer="C1", number=7)

    grant = authenticator.read(token, "team", "acme", NOW)

    assert grant is not None
    assert (grant.customer, grant.scopes, grant.id) == ("C1", frozenset({"things.read"}), "7")


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({}, {"org": "elsewhere"}),
        ({}, {"vendor": "other"}),
        ({}, {"now": NOW + 60 * clock.SECOND}),
        ({"expires": NOW}, {}),
        ({"org": "elsewhere"}, {}),
        ({"vendor": "other"}, {}),
    ],
)
def test_a_token_that_is_not_valid_in_an_org_at_a_moment_is_read_as_none(
    said: dict[str, Any], where: dict[str, Any]
) -> None:
    authenticator = Authenticator()

    assert (
        authenticator.read(issue(authenticator, **said), **{"org": "team", "vendor": "acme", "now": NOW, **where})
        is None
    )


@pytest.mark.parametrize("token", ["", "any", "a.b.c", "invalid", "expired", ".", "..", "é.é.é", "sandbox"])
def test_an_unknown_token_is_read_as_none(token: str) -> None:
    assert Authenticator().read(token, "team", "acme", NOW) is None


def test_a_self_describing_token_is_read_unless_strict() -> None:
    token = "sandbox;customer=C1;entity=E1"

    assert Authenticator().read(token, "team", "acme", NOW) == Grant(customer="C1", claims={"entity": "E1"})
    assert Authenticator(strict=True).read(token, "team", "acme", NOW) is None


def test_a_client_needs_its_secret_in_strict_mode_only() -> None:
    strict = Authenticator(strict=True, clients={"app": "s", "odd": "invalid-but-so"})

    pairs = [("app", "s"), ("app", "t"), ("app", ""), ("other", "s"), ("", "")]
    assert [strict.knows_client(*pair) for pair in pairs] == [True, False, False, False, False]
    pairs = [("any", "x"), ("any", ""), ("any", "invalid"), ("any", "invalid-x")]
    assert [Authenticator().knows_client(*pair) for pair in pairs] == [True, True, False, False]
    assert not Authenticator(strict=True).knows_client("app", "s")
    assert strict.knows_client("odd", "invalid-but-so")


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
    assert admit(Authenticator(), BASIC, authorization) == auth.INVALID


def test_any_client_is_accepted_unless_strict() -> None:
    authenticator = Authenticator(strict=True, clients={"app": "s:1", "odd": "invalid-but-so"})

    assert admit(Authenticator(), BASIC, basic("anybody:x")) == Grant(client="anybody")
    assert admit(Authenticator(), BASIC, basic("anybody:")) == Grant(client="anybody")
    assert admit(authenticator, BASIC, basic("app:s:1")) == Grant(client="app")
    assert admit(authenticator, BASIC, basic("odd:invalid-but-so")) == Grant(client="odd")
    assert admit(authenticator, BASIC, basic("app:other")) == auth.INVALID
    assert admit(authenticator, BASIC, basic("other:s:1")) == auth.INVALID
    assert admit(authenticator, BASIC, basic("app:").replace("Basic", "basic")) == auth.INVALID


def test_a_bearer_token_is_not_a_basic_credential() -> None:
    assert admit(Authenticator(), BASIC, "Bearer any") == auth.INVALID


def test_a_token_names_its_org() -> None:
    authenticator = Authenticator()

    assert authenticator.token_org(request(f"Bearer {issue(authenticator, tenant='shop')}")) == "team"
    assert authenticator.token_org(request(f"Bearer {issue(authenticator, org=None, tenant='shop')}")) == "shop"
    assert authenticator.token_org(request("Bearer sandbox;tenant=shop")) == "shop"
    assert authenticator.token_org(request("Bearer any")) is None
    assert authenticator.token_org(request(basic("a:b"))) is None
    assert authenticator.token_org(request(None)) is None


def test_more_tokens_than_fit_into_the_cache_are_read_too() -> None:
    authenticator = Authenticator(strict=True)
    first = issue(authenticator, number=0)
    for number in range(5000):
        authenticator.token_org(request(f"Bearer stranger-{number}"))

    assert isinstance(admit(authenticator, PLAIN, f"Bearer {first}"), Grant)
    assert len(authenticator._parsed) <= 4096  # noqa: SLF001 - the bound is the point
