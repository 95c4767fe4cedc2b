"""Operations: the values and violations of requests, and the violations of replies."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from promo_sandbox.base.messages import TOO_LARGE, Reply, Request, Violation
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, UnreadableBody, Values
from tests.acme import SPEC

JSON = [(b"content-type", b"application/json")]


@pytest.fixture(scope="module")
def operations() -> dict[str, Operation]:
    return {operation.id: operation for operation in Document(SPEC).operations}


@pytest.fixture
def listing(operations: dict[str, Operation]) -> Operation:
    return operations["listThings"]


@pytest.fixture
def adding(operations: dict[str, Operation]) -> Operation:
    return operations["addThing"]


def add(adding: Operation, body: bytes, headers: list[tuple[bytes, bytes]] = JSON) -> tuple[Values, list[Violation]]:
    return adding.read(Request("POST", "/acme/s1/things", headers, body), {"shop": "s1"})


def test_a_request_is_read_into_typed_values(listing: Operation) -> None:
    request = Request("GET", "/acme/s1/things?limit=7&tag=a&tag=b&unknown=x", [(b"acme-trace", b"abc")])

    values, violations = listing.read(request, {"shop": "s1"})

    assert values == Values({"shop": "s1"}, {"limit": 7, "tag": ["a", "b"]}, {"Acme-Trace": "abc"}, None)
    assert not violations


def test_a_request_that_says_nothing_has_the_defaults(listing: Operation) -> None:
    values, violations = listing.read(Request("GET", "/acme/s1/things", []), {"shop": "s1"})

    assert values == Values({"shop": "s1"}, {"limit": 10}, {}, None)
    assert not violations


def test_the_violations_of_query_and_headers_come_together(listing: Operation) -> None:
    request = Request("GET", "/acme/s1/things?limit=0&tag=a&tag=b&tag=c&x=%FF", [(b"acme-trace", b"ABC")])

    _, violations = listing.read(request, {"shop": "s1"})

    assert [violation.where for violation in violations] == ["query.x", "query.limit", "query.tag", "header.Acme-Trace"]


def test_a_body_is_read_with_its_numbers_as_they_are(adding: Operation) -> None:
    values, violations = add(adding, b'{"name":"Lamp","price":{"unit":"EUR","value":50.00}}')

    assert str(values.body["price"]["value"]) == "50.00"
    assert values.body["price"]["value"] == Decimal(50)
    assert not violations


@pytest.mark.parametrize(
    ("body", "wheres"),
    [
        (b"", ["body"]),
        (b"{", ["body"]),
        (b"null", ["body"]),
        (b"{}", ["body.name"]),
        (
            b'{"name":"","price":{"value":-1},"expires":"soon"}',
            ["body.expires", "body.name", "body.price.unit", "body.price.value"],
        ),
        (b"[" * 101 + b"]" * 101, ["body"]),
    ],
)
def test_an_invalid_body_is_reported(adding: Operation, body: bytes, wheres: list[str]) -> None:
    _, violations = add(adding, body)

    assert sorted(violation.where for violation in violations) == wheres


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "required"),
        (b"{", "syntax"),
        (b"\xff", "syntax"),
        (b"[" * 101 + b"]" * 101, "syntax"),
        (b"null", "type"),
        (b"{}", "required"),
        (b'{"name":""}', "minLength"),
    ],
)
def test_an_unreadable_body_differs_from_an_invalid_one(adding: Operation, body: bytes, kind: str) -> None:
    [violation] = add(adding, body)[1]

    assert violation.kind == kind


@pytest.mark.parametrize(
    "content_type", [None, b"application/json", b"Application/JSON; charset=utf-8", b" application/json ;x=y"]
)
def test_a_media_type_may_be_absent_or_have_parameters(adding: Operation, content_type: bytes | None) -> None:
    _, violations = add(adding, b'{"name":"Lamp"}', [] if content_type is None else [(b"content-type", content_type)])

    assert not violations


@pytest.mark.parametrize("content_type", [b"text/plain", b"", b"application/json-patch", b"json"])
def test_another_media_type_cannot_be_read(adding: Operation, content_type: bytes) -> None:
    with pytest.raises(UnreadableBody, match="must be application/json, not") as caught:
        add(adding, b'{"name":"Lamp"}', [(b"content-type", content_type)])

    assert caught.value.status == 415


def test_a_body_that_was_not_kept_cannot_be_read(adding: Operation) -> None:
    with pytest.raises(UnreadableBody) as caught:
        adding.read(Request("POST", "/acme/s1/things", JSON, body_problem=TOO_LARGE), {"shop": "s1"})

    assert caught.value.status == 413


def test_an_undeclared_body_is_ignored(listing: Operation) -> None:
    values, violations = listing.read(
        Request("GET", "/acme/s1/things", [], b"{", body_problem=TOO_LARGE), {"shop": "s1"}
    )

    assert values.body is None
    assert not violations


def test_path_parameters_are_decoded_and_one_that_is_not_utf_8_stays_as_it_is(operations: dict[str, Operation]) -> None:
    assert operations["getThing"].path_values(("a%20b", "c%2Fd"), "/acme/a%20b/things/c%2Fd") == {
        "shop": "a b",
        "id": "c/d",
    }
    assert operations["getThing"].path_values(("%FF", "c"), "/acme/%FF/things/c") == {"shop": "%FF", "id": "c"}


def test_an_operation_with_several_successes_has_them_all_and_the_first_is_usual(
    operations: dict[str, Operation],
) -> None:
    putting, note = operations["putNote"], {"id": "n", "text": "x"}

    assert (putting.success.status, putting.success_media) == (200, "application/json")
    assert [putting.validate_reply(Reply(status, note, "application/json")) for status in (200, 201)] == [[], []]
    assert putting.validate_reply(Reply(204)) == []
    assert [str(flaw) for flaw in putting.validate_reply(Reply(201, {"id": "n"}, "application/json"))] == [
        "reply.text: is required"
    ]
    assert [flaw.where for flaw in putting.validate_reply(Reply(204, note, "application/json"))] == ["reply"]


def test_an_operation_knows_its_success_and_its_fields(adding: Operation, operations: dict[str, Operation]) -> None:
    assert (adding.success.status, adding.success_media) == (201, "application/json")
    assert (operations["removeThing"].success.status, operations["removeThing"].success_media) == (204, None)
    assert adding.template == "/acme/{shop}/things"
    assert adding.body is not None
    assert adding.body.fields == ("name", "code", "price", "expires", "parts")
    assert adding.body.item_fields == {"price": ("unit", "value"), "parts": ("part", "count")}


def test_a_reply_that_keeps_the_contract_has_no_flaws(adding: Operation, operations: dict[str, Operation]) -> None:
    problem = {"error": "conflict", "detail": "Taken."}

    assert adding.validate_reply(Reply(201, {"id": "t", "name": "Lamp", "status": "NEW"}, "application/json")) == []
    assert adding.validate_reply(Reply(409, problem, "application/problem+json", (("retry-AFTER", "7"),))) == []
    assert operations["removeThing"].validate_reply(Reply(204)) == []


@pytest.mark.parametrize(
    ("reply", "flaw"),
    [
        (Reply(200, {}, "application/json"), "reply: the status 200 is not declared for addThing"),
        (Reply(201, {"id": "t", "name": "x"}, "application/json"), "reply.status: is required"),
        (Reply(201), "reply: must have a body"),
        (Reply(201, "x", "text/plain"), "reply: the media type text/plain is not declared for 201"),
        (
            Reply(409, {"error": "x", "detail": "y"}, "application/problem+json"),
            "reply.retry-after: is required",
        ),
        (Reply(400, {"error": "x"}, "application/problem+json"), "reply.detail: is required"),
    ],
)
def test_a_reply_that_breaks_the_contract_has_flaws(adding: Operation, reply: Reply, flaw: str) -> None:
    assert [str(found) for found in adding.validate_reply(reply)] == [flaw]


def test_no_content_must_have_no_body(operations: dict[str, Operation]) -> None:
    [flaw] = operations["removeThing"].validate_reply(Reply(204, {}, "application/json"))

    assert flaw.where == "reply"


def test_a_success_without_a_header_it_must_carry_has_a_flaw(listing: Operation) -> None:
    [flaw] = listing.validate_reply(Reply(200, {"items": []}, "application/json"))

    assert str(flaw) == "reply.acme-total: is required"


FORM, TEXT = "application/x-www-form-urlencoded", "text/plain"


@pytest.fixture
def other_bodies(tmp_path: Path) -> Operation:
    """An operation that takes a form or a text, whether there is one or not."""
    form = "{type: object, required: [grant_type], properties: {grant_type: {type: string}}}"
    content = f"{{{FORM}: {{schema: {form}}}, {TEXT}: {{schema: {{enum: [ACTIVE]}}}}}}"
    path = tmp_path / "acme" / "bodies.yaml"
    path.parent.mkdir()
    path.write_text(
        f"""\
openapi: 3.1.0
info: {{title: Bodies, version: '1'}}
servers: [{{url: 'https://api.acme.test'}}]
paths:
  /a:
    post:
      operationId: post
      requestBody: {{content: {content}}}
      responses: {{'200': {{description: x}}}}
""",
        encoding="utf-8",
    )
    [operation] = Document(path).operations
    return operation


@pytest.mark.parametrize(
    ("media", "body", "value", "violations"),
    [
        (FORM, b"grant_type=a+b%2B&x=%C3%A9", {"grant_type": "a b+", "x": "é"}, []),
        (FORM, b"grant_type=1&grant_type=2", {"grant_type": "2"}, []),
        (FORM, b"x=1", {"x": "1"}, ["body.grant_type: is required"]),
        (FORM, "grant_type=é".encode(), {"grant_type": "é"}, []),
        (FORM, b"grant_type=%FF", None, ["body: form.grant_type: is not percent-encoded UTF-8"]),
        (FORM, b"grant_type=\xff", None, ["body: The body is not UTF-8."]),
        (TEXT, b" ACTIVE\n", "ACTIVE", []),
        (TEXT, b"\xff", None, ["body: The body is not UTF-8."]),
        (TEXT, b"", None, []),
    ],
)
def test_a_body_may_be_a_form_or_a_text(
    other_bodies: Operation, media: str, body: bytes, value: object, violations: list[str]
) -> None:
    values, found = other_bodies.read(Request("POST", "/a", [(b"content-type", media.encode())], body), {})

    assert values.body == value
    assert [str(violation) for violation in found] == violations


def test_the_error_names_each_accepted_media_type(other_bodies: Operation) -> None:
    with pytest.raises(UnreadableBody, match=f"must be {FORM} or {TEXT}, not application/json"):
        other_bodies.read(Request("POST", "/a", [(b"content-type", b"application/json")], b"{}"), {})


TWO_MEDIA = """\
openapi: 3.1.0
info: {title: Acme, version: '1'}
servers: [{url: 'https://acme.example'}]
paths:
  /note:
    post:
      operationId: note
      requestBody: {content: {application/json: {schema: {type: object}}, text/json: {schema: {type: object}}}}
      responses:
        '200': {description: It., content: {application/json: {schema: {}}, text/json: {schema: {}}}}
"""


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/json", "text/json"),
        ("Text/JSON;q=0.9, */*", "application/json"),
        ("Text/JSON, */*", "text/json"),
        ("*/*, text/json", "text/json"),
        ("text/json, application/json", "text/json"),
        ("application/json;q=0.5, text/json;Q=0.501", "text/json"),
        ("application/json;charset=utf-8;q=0.2, text/*;q=0.3", "text/json"),
        ("text/json;q=0.2, text/*;q=0.9, */*;q=0.5", "application/json"),
        ("application/json;q=0", "application/json"),
        ("application/json;q=0, */*;q=0.1", "text/json"),
        ("application/json; q=0.0 , text/json", "text/json"),
        ("application/*;q=0, */*", "text/json"),
        ("text/json;q=high, application/json;q=0.9", "text/json"),
        ('application/json;profile="a,b;q=0", text/json;q=0.5', "application/json"),
        (",, ;;, text/json", "text/json"),
        (f"{'a/b, ' * 100}text/json", "text/json"),
        ("application/json, text/json", "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_a_success_is_in_the_media_type_that_the_client_accepts(tmp_path: Path, accept: str | None, media: str) -> None:
    path = tmp_path / "notes.yaml"
    path.write_text(TWO_MEDIA, encoding="utf-8")
    [operation] = Document(path).operations
    request = Request("POST", "/note", [(b"accept", accept.encode())] if accept else [])

    assert operation.negotiate_media_type(request) == media
    assert operation.negotiate_media_type(None) == "application/json"


def test_json_is_json_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "notes.yaml"
    path.write_text(TWO_MEDIA, encoding="utf-8")
    [operation] = Document(path).operations

    values, violations = operation.read(Request("POST", "/note", [(b"content-type", b"text/json")], b'{"a": 1}'), {})

    assert (values.body, violations) == ({"a": 1}, [])
