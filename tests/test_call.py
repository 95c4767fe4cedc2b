"""The methods of a call that a vendor's rules use."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from promo_sandbox.base import clock
from promo_sandbox.base.messages import Request
from promo_sandbox.model.auth import Authenticator, Grant
from promo_sandbox.model.state import State
from promo_sandbox.openapi.document import Document
from promo_sandbox.rules import Call, NotUnique, Rejected, decode, encode, moment, raw_fields
from tests.acme import SPEC, new_rules

NOW = clock.parse("2030-01-01T00:00:00.123Z")
RULES = new_rules()
RULES.internal_fields["acme.things"] = ("secret",)
THINGS, NOTES = RULES.collections["things"], RULES.collections["notes"]
OPERATIONS = {operation.id: operation for operation in Document(SPEC).operations}


@pytest.fixture
def call() -> Call:
    return Call("team", State(), RULES, NOW, Authenticator())


def requested(call: Call, request: Request) -> Call:
    """The call of a request that adds a thing."""
    operation = OPERATIONS["addThing"]
    call.request, call.operation = request, operation
    call.values, _ = operation.read(request, {"shop": "s1"})
    return call


def from_host(call: Call, host: str | None, target: str = "/acme/greeting") -> Call:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    call.request = Request("GET", target, headers)
    return call


def test_ids_and_numbers_come_from_one_sequence_and_never_twice(call: Call) -> None:
    first, number, second = call.new_uuid(), call.new_number(), call.new_uuid()

    assert number == 2
    assert first != second
    assert Call("other", State(), RULES, NOW, Authenticator()).new_uuid() == first


def test_now_text_is_utc_with_milliseconds(call: Call) -> None:
    assert call.now_text == "2030-01-01T00:00:00.123Z"
    assert moment(call.now_text) == call.now


def test_a_document_is_added_once(call: Call) -> None:
    call.add(THINGS, {"id": "a", "code": "1", "status": "NEW"})

    with pytest.raises(NotUnique, match="id 'a' is taken"):
        call.add(THINGS, {"id": "a", "status": "NEW"})
    with pytest.raises(NotUnique, match="code '1' is taken"):
        call.add(THINGS, {"id": "b", "code": "1", "status": "NEW"})
    assert call.find(THINGS, "code", "1") == {"id": "a", "code": "1", "status": "NEW"}
    assert call.find(THINGS, "code", "2") is None


def test_a_document_is_read_with_its_fields_still_encoded(call: Call) -> None:
    call.add(THINGS, {"id": "a", "name": "A", "status": "NEW", "price": Decimal("5.00")})

    thing = call.get_encoded(THINGS, "a")

    assert thing is not None
    assert thing == b'{"id":"a","name":"A","status":"NEW","price":5.00}'
    assert encode({**raw_fields(thing), "extra": 1}) == b'{"id":"a","name":"A","status":"NEW","price":5.00,"extra":1}'
    assert decode(raw_fields(thing)["price"]) == Decimal("5.00")
    assert call.get_encoded(THINGS, "b") is None


def test_an_update_changes_some_fields_and_removes_those_that_are_none(call: Call) -> None:
    thing = call.add(THINGS, {"id": "a", "name": "A", "code": "1", "status": "NEW"})

    changed = call.update(THINGS, thing, name="B", code=None, price=Decimal("5.00"))

    assert changed == {"id": "a", "name": "B", "status": "NEW", "price": Decimal("5.00")}
    assert call.get(THINGS, "a") == changed
    assert thing["name"] == "A"


def test_a_document_is_replaced_and_deleted(call: Call) -> None:
    call.add(THINGS, {"id": "a", "name": "A", "status": "NEW"})

    call.replace(THINGS, {"id": "a", "status": "EXPIRED"})
    replaced = call.get(THINGS, "a")

    assert replaced == {"id": "a", "status": "EXPIRED"}
    assert call.delete(THINGS, "a")
    assert not call.delete(THINGS, "a")
    assert call.get(THINGS, "a") is None


def test_lists_are_read_in_pages(call: Call) -> None:
    for id in "abc":
        call.add(THINGS, {"id": id, "status": "NEW"})

    assert [doc["id"] for _, doc in call.page("things", offset=1, limit=1)] == ["b"]
    assert [doc["id"] for _, doc in call.page("things", limit=2, descending=True)] == ["c", "b"]
    assert not call.page("things", start=NOW + 1, limit=9)
    assert call.list_size("things") == 3
    assert call.sort_number(THINGS, {"id": "b", "status": "NEW"}) == NOW


def test_internal_fields_are_not_public(call: Call) -> None:
    RULES.internal_fields.setdefault("acme.notes", ())

    assert call.public(THINGS, {"id": "a", "secret": "s"}) == {"id": "a"}
    assert call.public(NOTES, {"id": "n", "secret": "s"}) == {"id": "n", "secret": "s"}


def test_a_call_has_the_values_of_its_request(call: Call) -> None:
    body = {"name": "Lamp", "unknown": 1, "parts": [{"part": "x", "unknown": 2}, {"part": "y", "count": 3}]}

    requested(call, Request("POST", "/acme/s1/things", [], encode(body)))

    assert call.path == {"shop": "s1"}
    assert call.query == call.headers == {}
    assert call.body == body
    assert call.fields == {"name": "Lamp", "parts": body["parts"]}
    assert call.item_fields("parts") == [{"part": "x"}, {"part": "y", "count": 3}]


def test_only_declared_fields_of_an_object_in_the_body_count(call: Call) -> None:
    requested(call, Request("POST", "/", [], b'{"name":"Lamp","price":{"value":2,"unit":"EUR","unknown":1}}'))
    assert call.object_fields("price") == {"unit": "EUR", "value": 2}

    requested(call, Request("POST", "/", [], b'{"name":"Lamp"}'))
    assert call.object_fields("price") == {}


def test_an_array_that_is_absent_has_no_items(call: Call) -> None:
    assert requested(call, Request("POST", "/", [], b'{"name":"Lamp"}')).item_fields("parts") == []


def test_a_call_without_a_request_has_no_values(call: Call) -> None:
    with pytest.raises(LookupError, match="no request made this call"):
        _ = call.body


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("shop.acme.test", "http://shop.acme.test"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("my_sandbox:8080", "http://my_sandbox:8080"),
        (None, "http://localhost"),
        ("", "http://localhost"),
        ("evil/path", "http://localhost"),
        ("a b", "http://localhost"),
        ("a:b@c", "http://localhost"),
        ("x\xe9", "http://localhost"),
    ],
)
def test_a_url_has_the_host_of_the_request(call: Call, host: str | None, base: str) -> None:
    assert from_host(call, host).url("acme", "a b/c", "é") == f"{base}/acme/a%20b%2Fc/%C3%A9"


def test_a_url_keeps_the_prefix_of_the_request(call: Call) -> None:
    request = Request("GET", "/~t42/acme/greeting", [(b"host", b"localhost:8080")])
    request.prefix = "/~t42"
    call.request = request

    assert call.url("acme") == "http://localhost:8080/~t42/acme"


def test_a_url_can_be_written_without_a_request(call: Call) -> None:
    assert call.url("acme", "x") == "http://localhost/acme/x"


def test_a_rejection_is_raised_with_what_replaces_the_example(call: Call) -> None:
    with pytest.raises(Rejected) as caught:
        call.reject("unknown-thing", "There is none.", holder="x")

    assert (caught.value.name, caught.value.detail, caught.value.fields) == (
        "unknown-thing",
        "There is none.",
        {"holder": "x"},
    )


def test_a_rejection_undoes_the_changes_unless_they_are_to_be_kept(call: Call) -> None:
    with pytest.raises(Rejected) as usual:
        call.reject("unknown-thing")
    with pytest.raises(Rejected) as keeping:
        call.reject_and_keep("too-late", "Half of it is done.", holder="x")

    assert (usual.value.keep_changes, keeping.value.keep_changes) == (False, True)
    assert (keeping.value.name, keeping.value.detail, keeping.value.fields) == (
        "too-late",
        "Half of it is done.",
        {"holder": "x"},
    )


def test_a_reply_has_the_usual_success_or_another_that_the_spec_declares(call: Call) -> None:
    call.operation = OPERATIONS["putNote"]
    note = {"id": "n", "text": "x"}

    usual, new, torn = call.reply(note), call.reply(note, (("Acme-Trace", "x"),), status=201), call.reply(status=204)

    assert [(reply.status, reply.media, reply.content) for reply in (usual, new, torn)] == [
        (200, "application/json", note),
        (201, "application/json", note),
        (204, None, None),
    ]
    assert new.headers == (("Acme-Trace", "x"),)


def test_a_reply_cannot_have_a_status_that_the_spec_does_not_declare(call: Call) -> None:
    call.operation = OPERATIONS["putNote"]

    with pytest.raises(KeyError, match="418"):
        call.reply(status=418)


def test_hexadecimal_ids_have_the_given_number_of_digits_and_use_the_same_sequence(call: Call) -> None:
    ids = [call.new_hex(digits) for digits in (2, 7, 24, 32)]

    assert [len(id) for id in ids] == [2, 7, 24, 32]
    assert all(set(id) <= set("0123456789abcdef") for id in ids)
    assert call.new_number() == 5
    assert Call("other", State(), RULES, NOW, Authenticator()).new_hex(2) == ids[0]


def test_hexadecimal_ids_differ(call: Call) -> None:
    assert len({call.new_hex(8) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("grant", "has"),
    [
        (None, False),
        (Grant(), True),
        (Grant(scopes=frozenset()), False),
        (Grant(scopes=frozenset({"things.read"})), False),
        (Grant(scopes=frozenset({"things.read", "things.write"})), True),
        (Grant(client="app"), True),
    ],
)
def test_credentials_have_the_scopes_they_name_or_all(call: Call, grant: Grant | None, has: bool) -> None:
    call.grant = grant

    assert call.has_scope("things.write") is has


def test_a_call_without_a_vendor_has_no_settings_and_invokes_nothing(call: Call) -> None:
    with pytest.raises(LookupError, match="has no vendor"):
        _ = call.settings
    with pytest.raises(LookupError, match="has no vendor"):
        call.invoke("addThing")


def test_a_token_is_issued_for_the_org_or_for_any(call: Call) -> None:
    authenticator = Authenticator()
    bound = call.issue_token(tenant=None, seconds=60)
    free = call.issue_token(tenant="shop", seconds=60, any_org=True)

    def org(token: str) -> str | None:
        return authenticator.token_org(Request("GET", "/", [(b"authorization", f"Bearer {token}".encode())]))

    assert (org(bound), org(free)) == ("team", "shop")


def test_a_token_has_the_claims_of_its_rule_and_may_never_expire() -> None:
    authenticator = Authenticator(strict=True)
    token = Call("team", State(), RULES, NOW, authenticator).issue_token(
        tenant="shop", scopes=["a"], customer="C1", claims={"entity": "E1"}, seconds=None, audience="/acme"
    )

    grant = authenticator.read(token, "team", "acme", clock.LATEST)

    assert grant == Grant(
        org="team",
        vendor="acme",
        audience="/acme",
        tenant="shop",
        scopes=frozenset({"a"}),
        customer="C1",
        claims={"entity": "E1"},
        issued=True,
        id="1",
    )


def test_a_token_is_read_at_the_present_moment_in_this_org_and_for_this_vendor(call: Call) -> None:
    token = call.issue_token(tenant=None, claims={"entity": "E1"}, seconds=60)
    elsewhere = Call("elsewhere", State(), RULES, NOW, Authenticator())
    later = Call("team", State(), RULES, NOW + 60 * clock.SECOND, Authenticator())

    grant = call.read_token(token)

    assert grant is not None
    assert (grant.claims, grant.id, grant.issued) == ({"entity": "E1"}, "1", True)
    assert (elsewhere.read_token(token), later.read_token(token), call.read_token("any")) == (None, None, None)


def test_a_token_whose_claims_are_not_strings_gives_no_rights(call: Call) -> None:
    claims: dict[str, Any] = {"entity": 7}

    token = call.issue_token(tenant=None, claims=claims, seconds=60)

    assert call.read_token(token) is None


def test_a_call_knows_the_same_clients_as_the_authenticator(call: Call) -> None:
    strict = Call("team", State(), RULES, NOW, Authenticator(strict=True, clients={"app": "s"}))

    assert [call.knows_client("anybody", secret) for secret in ("x", "invalid")] == [True, False]
    assert [strict.knows_client("app", secret) for secret in ("s", "x")] == [True, False]
