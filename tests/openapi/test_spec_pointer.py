"""Each violation names an existing part of the spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promo_sandbox.base import config as configuration
from promo_sandbox.base.messages import Request, Violation
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation
from promo_sandbox.openapi.spec_pointer import find_spec_pointer
from tests.acme import SPEC

THINGS, LATER = Document.load(SPEC)
NAMES = {operation.id: operation for operation in THINGS.operations}


def asked(
    operation: Operation,
    body: bytes = b"",
    query: str = "",
    headers: dict[str, str] | None = None,
    path: dict[str, str] | None = None,
) -> tuple[Request, list[Violation]]:
    fields = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    request = Request(operation.method, f"/x?{query}", fields, body)
    values = dict.fromkeys(operation.path_names, "v") | (path or {})
    return request, operation.read(request, values)[1]


def pointers(operation: Operation, document: Document = THINGS, **said: Any) -> list[str | None]:
    request, violations = asked(operation, **said)
    assert violations
    return [find_spec_pointer(document, operation, request, violation) for violation in violations]


def resolved(document: Document, pointer: str) -> Any:
    """What stands in a document at a pointer. Raises if nothing does."""
    node: Any = document.raw
    for written in pointer.rpartition("#")[2].split("/")[1:]:
        step = written.replace("~1", "/").replace("~0", "~")
        node = node[int(step)] if isinstance(node, list) else node[step]
    return node


@pytest.mark.parametrize(
    ("operation", "said", "pointer"),
    [
        ("addThing", {"body": b"{}"}, "/components/schemas/NewThing/required"),
        ("addThing", {"body": b'{"name":""}'}, "/components/schemas/NewThing/properties/name/minLength"),
        (
            "addThing",
            {"body": b'{"name":"x","price":{"unit":"E","value":-1}}'},
            "/components/schemas/Price/properties/value/minimum",
        ),
        (
            "addThing",
            {"body": b'{"name":"x","parts":[{"part":"p"},{}]}'},
            "/components/schemas/NewThing/properties/parts/items/required",
        ),
        ("addThing", {"body": b""}, "/paths/~1{shop}~1things/post/requestBody/required"),
        ("addThing", {"body": b"{"}, "/paths/~1{shop}~1things/post/requestBody/content/application~1json/schema"),
        (
            "openSession",
            {"body": b"client=a"},
            "/paths/~1session/post/requestBody/content/application~1x-www-form-urlencoded/schema/required",
        ),
        ("listThings", {"query": "limit=0"}, "/paths/~1{shop}~1things/get/parameters/0/schema/minimum"),
        ("listThings", {"query": "limit=x"}, "/paths/~1{shop}~1things/get/parameters/0/schema/type"),
        ("listThings", {"query": "tag=a&tag=b&tag=c"}, "/paths/~1{shop}~1things/get/parameters/1/schema/maxItems"),
        ("listThings", {"headers": {"Acme-Trace": "X"}}, "/paths/~1{shop}~1things/get/parameters/2/schema/pattern"),
        (
            "putNote",
            {"body": b'{"text":"x"}', "path": {"id": "x" * 51}},
            "/paths/~1{shop}~1notes~1{id}/parameters/1/schema/maxLength",
        ),
    ],
)
def test_a_violation_names_the_part_of_the_spec_it_breaks(operation: str, said: dict[str, Any], pointer: str) -> None:
    found = pointers(NAMES[operation], **said)

    assert found == [f"acme/things.yaml#{pointer}"]
    resolved(THINGS, pointer)


def test_what_no_spec_says_has_no_place_in_one() -> None:
    operation = NAMES["listThings"]
    request, violations = asked(operation, query="other=%FF")

    assert [find_spec_pointer(THINGS, operation, request, violation) for violation in violations] == [None]
    assert find_spec_pointer(THINGS, NAMES["addThing"], request, Violation("body.name", "is not liked")) is None


def test_what_another_version_says_stands_among_its_patches() -> None:
    operation = next(operation for operation in LATER.operations if operation.id == "addThing")

    patched, unpatched = pointers(operation, LATER, body=b'{"price":{"unit":"E","value":-1},"name":"x"}')

    assert {patched, unpatched} == {
        "acme/things.yaml#/x-versions/patches/8/components/schemas/CodedThing/allOf/1/required",
        "acme/things.yaml#/components/schemas/Price/properties/value/minimum",
    }
    for pointer in (patched, unpatched):
        resolved(THINGS, pointer or "")


def test_a_bound_that_a_format_stands_for_is_the_format_s(tmp_path: Path) -> None:
    text = SPEC.read_text(encoding="utf-8").replace("count: {type: integer}", "count: {type: integer, format: int32}")
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "things.yaml").write_text(text, encoding="utf-8")
    document = Document(folder / "things.yaml")
    operation = next(operation for operation in document.operations if operation.id == "addThing")

    found = pointers(operation, document, body=b'{"name":"x","parts":[{"part":"p","count":3000000000}]}')

    assert found == [
        "acme/things.yaml#/components/schemas/NewThing/properties/parts/items/properties/count/format",
    ]


EVERY = [
    (document, operation)
    for path in sorted(configuration.data_folder("specs").glob("*/*.yaml"))
    for document in Document.load(path)
    for operation in document.operations
]


@pytest.mark.parametrize(("document", "operation"), EVERY, ids=lambda value: getattr(value, "id", ""))
def test_violations_of_every_operation_have_a_pointer(document: Document, operation: Operation) -> None:
    query = "&".join(f"{it.name}=%00" for it in operation.parameters if it.location == "query")
    headers = {it.name: "\x00" for it in operation.parameters if it.location == "header"}
    whole = document.version_of or document
    body = operation.body
    for sent in (b"", b"{", b"[]", b'{"a":1}', b'"x"') if body else (b"",):
        request, violations = asked(operation, sent, query, headers)
        for violation in violations:
            pointer = find_spec_pointer(document, operation, request, violation)
            assert pointer is not None, violation
            assert violation.kind in ("syntax", pointer.rsplit("/", 1)[1]), violation
            resolved(whole, pointer)
