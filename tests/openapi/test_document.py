"""A spec compiled; and each way in which one can be broken is told with file, line and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import DocumentError
from sandbox.openapi.document import Document
from sandbox.openapi.operation import Security
from tests.acme import SPEC

TEXT = """\
openapi: 3.1.0
info: {title: Things, version: '1'}
servers: [{url: 'https://api.acme.test/acme/'}]
paths:
  /things/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
    put:
      operationId: putThing
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Thing'}
      responses:
        '200':
          description: It is stored.
        '404':
          description: There is none.
          content:
            application/json:
              schema: {type: object}
              examples:
                unknown-thing: {summary: None., x-source: 'inferred: no', value: {}}
components:
  securitySchemes:
    token: {type: http, scheme: bearer}
  schemas:
    Thing:
      type: object
      properties:
        name: {$ref: '#/components/schemas/Name'}
    Name: {type: string}
"""


def document(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "acme" / "things.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return Document(path)


def broken(tmp_path: Path, *changes: tuple[str, str]) -> str:
    """What is said of the text above after some changes."""
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    with pytest.raises(DocumentError) as caught:
        document(tmp_path, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_text_that_the_other_tests_break_is_right(tmp_path: Path) -> None:
    found = document(tmp_path, TEXT)

    assert (found.vendor, found.name, found.title, found.base) == ("acme", "acme/things.yaml", "Things", "/acme")
    assert [(operation.id, operation.template) for operation in found.operations] == [("putThing", "/acme/things/{id}")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # The schema of the document itself.
        ("openapi: 3.1.0", "openapi: 3.0.3", "acme/things.yaml:1: openapi: "),
        ("info: {title: Things, version: '1'}\n", "", 'acme/things.yaml:1: "info" is a required property'),
        ("version: '1'", "version: 1", "acme/things.yaml:2: info.version: 1 is not of type"),
        ("{title: Things, ", "{", 'acme/things.yaml:2: info: "title" is a required property'),
        ("servers: [{url: 'https://api.acme.test/acme/'}]", "servers: []", "acme/things.yaml:3: servers: [] "),
        ("[{url: 'https://api.acme.test/acme/'}]", "[{url: 7}]", "acme/things.yaml:3: servers.0.url: 7 is not"),
        ("paths:", "webhooks: {}\npaths:", "acme/things.yaml:1: "),
        ("    put:", "    trace: {responses: {'200': {description: x}}}\n    put:", "acme/things.yaml:5: "),
        ("      operationId: putThing", "      operationID: putThing", "acme/things.yaml:8: "),
        ("    Name: {type: string}", "    Name: {type: string, contains: {}}", "acme/things.yaml:32: "),
        ("    Name: {type: string}", "    Name: {typ: string}", "acme/things.yaml:32: "),
        ("    Name: {type: string}", "    Name: {type: text}", "acme/things.yaml:32: "),
        ("    Name: {type: string}", "    Name: {type: string, format: color}", "acme/things.yaml:32: "),
        ("    Name: {type: string}", "    Name: {type: string, pattern: '('}", "acme/things.yaml:32: "),
        ("    Name: {type: string}", "    Name: {type: string, minLength: -1}", "acme/things.yaml:32: "),
        ("in: path,", "in: cookie,", "acme/things.yaml:7: "),
        ("'200':", "2XX:", "acme/things.yaml:14: "),
        ("'200':", "default:", "acme/things.yaml:14: "),
        (
            "application/json:\n            schema: {$ref",
            "text/html:\n            schema: {$ref",
            "acme/things.yaml:11: ",
        ),
        ("scheme: bearer", "scheme: digest", "acme/things.yaml:26: "),
        ("  /things/{id}:", "  things/{id}:", "acme/things.yaml:4: "),
        ("  /things/{id}:", "  /things/{id}.json:", "acme/things.yaml:4: "),
        ("'inferred: no'", "'a friend: no'", "acme/things.yaml:23: "),
        # What it says about itself.
        ("schemas/Name'", "schemas/Named'", "acme/things.yaml:8: the schema 'Named' does not exist"),
        ("schemas/Thing'", "schemas/Thin'", "acme/things.yaml:8: the schema 'Thin' does not exist"),
        ("{type: object}", "{$ref: '#/components/schemas/No'}", "acme/things.yaml:17: the schema 'No' does not exist"),
        ("{$ref: '#/components/schemas/Thing'}", "{$ref: 'other.yaml#/Thing'}", "acme/things.yaml:13: "),
        ("      operationId: putThing\n", "", "acme/things.yaml:8: an operation needs an operationId"),
        ("'200':", "'302':", "acme/things.yaml:14: an operation needs a response for its success"),
        (", x-source: 'inferred: no'", "", "acme/things.yaml:17: the rejection unknown-thing needs x-source"),
        ("{summary: None., x", "{x", "acme/things.yaml:17: the rejection unknown-thing needs summary"),
        ("name: id,", "name: key,", "acme/things.yaml:8: the path parameter 'id' is not described"),
        ("in: path,", "in: query,", "acme/things.yaml:8: the path parameter 'id' is not described"),
        (
            "    put:",
            "    put:\n      security: [{key: []}]",
            "acme/things.yaml:8: the security scheme 'key' does not exist",
        ),
        # YAML.
        ("        '404':", "        '200':", "acme/things.yaml:17: the key '200' stands twice"),
        ("    put:", "\tput:", "acme/things.yaml:8: "),
        ("{type: http, scheme: bearer}", "{type: http, scheme: bearer", "acme/things.yaml:27: "),
    ],
)
def test_a_broken_spec_is_told_with_file_line_and_reason(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert broken(tmp_path, (old, new)).startswith(message)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name: id, in: path, required: true, schema: {type: string}}", "{$ref: '#/components/schemas/Name'}"),
        ("        '404':\n", "        '422': {$ref: '#/components/schemas/Thing'}\n        '404':\n"),
        ("{summary: None., x-source: 'inferred: no', value: {}}", "{$ref: '#/components/schemas/Name'}"),
        ("      requestBody:\n", "      callbacks: {told: {$ref: '#/components/schemas/Name'}}\n      requestBody:\n"),
        ("    Name: {type: string}", "    Name: {$ref: '#/components/parameters/Name'}"),
    ],
)
def test_a_reference_must_lead_to_a_component_of_the_right_kind(tmp_path: Path, old: str, new: str) -> None:
    assert "does not match" in broken(tmp_path, (old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "    put:",
            "      - {$ref: '#/components/parameters/Loop'}\n    put:",
        ),
        ("schemas/Thing'", "schemas/Loop'"),
    ],
)
def test_a_reference_that_leads_back_to_itself_is_told(tmp_path: Path, old: str, new: str) -> None:
    loops = (
        "  parameters: {Loop: {$ref: '#/components/parameters/Pool'}, Pool: {$ref: '#/components/parameters/Loop'}}\n"
    )
    schemas = "  schemas:\n    Loop: {$ref: '#/components/schemas/Loop'}\n"

    said = broken(tmp_path, (old, new), ("components:\n", f"components:\n{loops}"), ("  schemas:\n", schemas))

    assert "leads back to itself" in said


def test_a_schema_composed_of_itself_is_told(tmp_path: Path) -> None:
    said = broken(tmp_path, ("    Thing:\n", "    Thing:\n      allOf: [{$ref: '#/components/schemas/Thing'}]\n"))

    assert "allOf leads back to the same schema" in said


def test_a_schema_may_contain_itself(tmp_path: Path) -> None:
    text = TEXT.replace("schemas/Name'", "schemas/Thing'")

    [operation] = document(tmp_path, text).operations

    assert operation.body is not None
    thing = operation.body.content["application/json"]
    assert [violation.where for violation in thing.violations({"name": {"name": 7}}, "body")] == ["body.name.name"]


def test_a_rejection_is_declared_for_one_status_only(tmp_path: Path) -> None:
    again = TEXT[TEXT.index("        '404':") : TEXT.index("components:")].replace("404", "422")

    said = broken(tmp_path, ("components:\n", f"{again}components:\n"))

    assert said == "acme/things.yaml:24: unknown-thing is declared for two statuses"


def test_an_operation_id_stands_once(tmp_path: Path) -> None:
    get = "    get: {operationId: putThing, responses: {'200': {description: x}}}\n"

    said = broken(tmp_path, ("    put:\n", f"{get}    put:\n"))

    assert said == "acme/things.yaml:10: the operationId putThing stands twice"


def test_two_schemes_at_once_are_not_served(tmp_path: Path) -> None:
    said = broken(tmp_path, ("      requestBody:", "      security: [{token: [], other: []}]\n      requestBody:"))

    assert said == "acme/things.yaml:8: two security schemes at once are not served"


def test_a_callback_needs_a_request_body(tmp_path: Path) -> None:
    callback = "      callbacks: {told: {'{$url}': {post: {responses: {'200': {description: x}}}}}}\n"

    said = broken(tmp_path, ("      responses:\n", f"{callback}      responses:\n"))

    assert said == "acme/things.yaml:14: the callback told needs a request body"


@pytest.mark.parametrize("text", ["", "[]", "openapi", "7"])
def test_a_file_that_holds_no_object_is_no_document(tmp_path: Path, text: str) -> None:
    with pytest.raises(DocumentError, match=r"acme/things.yaml:1: is not an OpenAPI document"):
        document(tmp_path, text)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="No such file"):
        Document(tmp_path / "acme" / "nothing.yaml")


@pytest.fixture(scope="module")
def acme() -> Document:
    return Document(SPEC)


def operation(acme: Document, name: str) -> Any:
    return next(operation for operation in acme.operations if operation.id == name)


def test_rejections_are_the_named_examples_of_errors(acme: Document) -> None:
    taken = operation(acme, "addThing").rejections["code-taken"]

    assert (taken.status, taken.media, taken.source) == (409, "application/problem+json", "documented: test")
    assert taken.value == {"error": "conflict", "detail": "The code is taken."}
    assert taken.headers == (("Retry-After", "7"),)
    assert set(operation(acme, "greet").rejections) == set()


def test_security_is_the_operation_s_own_or_else_the_document_s(acme: Document) -> None:
    assert operation(acme, "getThing").security == (Security("bearer", frozenset()),)
    assert operation(acme, "addThing").security == (Security("bearer", frozenset({"things.write"})),)
    assert operation(acme, "login").security == (Security("basic", frozenset()),)
    assert operation(acme, "greet").security == ()


def test_callbacks_collections_and_internal_members_are_known(acme: Document) -> None:
    assert set(acme.callbacks) == {"thing-changed"}
    assert set(acme.collections) == {"things", "notes"}
    assert acme.internal == {"things": ("secret", "breaks"), "notes": ()}
    assert {status: rejection.name for status, rejection in acme.transport_rejections.items()} == {
        404: "unknown-path",
        405: "unknown-method",
    }


def test_the_org_stands_where_the_first_template_has_it(acme: Document) -> None:
    assert acme.org_sources == ("path.shop", "token", "header.Acme-Shop", "host")
    assert acme.org_prefix == (("acme",), 1)


def test_parameters_of_a_path_are_those_of_each_of_its_operations(acme: Document) -> None:
    names = [(parameter.location, parameter.name) for parameter in operation(acme, "listThings").parameters]

    assert names == [("path", "shop"), ("query", "limit"), ("query", "tag"), ("header", "Acme-Trace")]


def test_an_operation_s_parameter_replaces_that_of_its_path(tmp_path: Path) -> None:
    own = "      parameters: [{name: id, in: path, required: true, schema: {type: string, maxLength: 3}}]\n"
    text = TEXT.replace("      requestBody:", f"{own}      requestBody:")

    [put] = document(tmp_path, text).operations

    [parameter] = put.parameters
    assert parameter.validator is not None
