"""What a vendor's rule may do with a call."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox import clock
from sandbox.auth import Gate
from sandbox.messages import Request, encode
from sandbox.openapi.document import Document
from sandbox.openapi.operation import Rejection
from sandbox.rules import Call, NotUnique, Rejected, Rules, Violation, moment
from sandbox.state import State
from tests.acme import SPEC, new_rules

NOW = clock.parse("2030-01-01T00:00:00.123Z")
RULES = new_rules()
RULES.internal["acme.things"] = ("secret",)
THINGS, NOTES = RULES.collections["things"], RULES.collections["notes"]


@pytest.fixture
def call() -> Call:
    return Call("world", State(), RULES, NOW, Gate())


def requested(call: Call, request: Request) -> Call:
    """The call as one that a request for a new thing makes."""
    [operation] = [operation for operation in Document(SPEC).operations if operation.id == "addThing"]
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
    assert Call("other", State(), RULES, NOW, Gate()).new_uuid() == first


def test_the_present_is_written_in_utc_with_milliseconds(call: Call) -> None:
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


def test_an_update_changes_some_members_and_takes_out_those_that_are_none(call: Call) -> None:
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
    assert call.page("things", start=NOW + 1, limit=9) == []
    assert call.size("things") == 3
    assert call.place(THINGS, {"id": "b", "status": "NEW"}) == NOW


def test_what_is_internal_is_not_public(call: Call) -> None:
    RULES.internal.setdefault("acme.notes", ())

    assert call.public(THINGS, {"id": "a", "secret": "s"}) == {"id": "a"}
    assert call.public(NOTES, {"id": "n", "secret": "s"}) == {"id": "n", "secret": "s"}


def test_a_request_s_values_are_at_hand(call: Call) -> None:
    body = {"name": "Lamp", "unknown": 1, "parts": [{"part": "x", "unknown": 2}, {"part": "y", "count": 3}]}

    requested(call, Request("POST", "/acme/s1/things", [], encode(body)))

    assert call.path == {"shop": "s1"}
    assert call.query == call.headers == {}
    assert call.body == body
    assert call.members == {"name": "Lamp", "parts": body["parts"]}
    assert call.item_members("parts") == [{"part": "x"}, {"part": "y", "count": 3}]


def test_an_array_that_is_absent_has_no_items(call: Call) -> None:
    assert requested(call, Request("POST", "/", [], b'{"name":"Lamp"}')).item_members("parts") == []


def test_a_call_that_no_request_made_has_no_values(call: Call) -> None:
    with pytest.raises(LookupError, match="not made by a request"):
        _ = call.body


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("shop.acme.test", "http://shop.acme.test"),
        ("[::1]:8080", "http://[::1]:8080"),
        (None, "http://localhost"),
        ("", "http://localhost"),
        ("evil/path", "http://localhost"),
        ("a b", "http://localhost"),
        ("a:b@c", "http://localhost"),
        ("x\xe9", "http://localhost"),
    ],
)
def test_a_url_is_written_for_whoever_asks(call: Call, host: str | None, base: str) -> None:
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

    assert (caught.value.name, caught.value.detail, caught.value.members) == (
        "unknown-thing",
        "There is none.",
        {"holder": "x"},
    )


def worded(value: object, detail: str | None = None, *violations: Violation) -> object:
    """How rules that say nothing of it word a refusal."""
    rejection = Rejection("x", 400, "application/json", value, "", "", ())
    return Rules("acme").wording(rejection, detail, list(violations))


def test_a_refusal_is_the_example_with_the_detail_of_this_time() -> None:
    example = {"title": "Bad", "detail": "An example."}

    assert worded(example) == example
    assert worded(example, "This.") == {"title": "Bad", "detail": "This."}
    assert worded(example, "This.", Violation("a", "is bad"), Violation("b", "is worse")) == {
        "title": "Bad",
        "detail": "a: is bad; b: is worse",
    }
    assert worded({"title": "Bad"}, "This.") == {"title": "Bad"}
    assert worded("Bad", "This.") == "Bad"
    assert example == {"title": "Bad", "detail": "An example."}


def test_a_vendor_may_word_its_refusals_itself() -> None:
    rules = Rules("acme")

    @rules.word
    def word(rejection: Rejection, detail: str | None, _: list[Violation]) -> str:
        return f"{rejection.name}: {detail}"

    assert rules.wording is word


def test_a_token_is_issued_for_the_org_or_for_any(call: Call) -> None:
    gate = Gate()
    bound = call.issue_token(tenant=None, seconds=60)
    free = call.issue_token(tenant="shop", seconds=60, any_org=True)

    def org(token: str) -> str | None:
        return gate.token_org(Request("GET", "/", [(b"authorization", f"Bearer {token}".encode())]))

    assert (org(bound), org(free)) == ("world", "shop")
