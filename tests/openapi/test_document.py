"""Specs are compiled; an invalid spec is reported with file, line and reason."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from promo_sandbox.base.errors import DocumentError
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Security
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

    assert (found.vendor, found.name, found.title, found.base_path) == ("acme", "acme/things.yaml", "Things", "/acme")
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
        ("      operationId: putThing\n", "", "acme/things.yaml:8: the operation needs an operationId"),
        ("'200':", "'302':", "acme/things.yaml:14: the operation needs a response with a status from 200 to 299"),
        (", x-source: 'inferred: no'", "", "acme/things.yaml:17: the rejection unknown-thing needs x-source"),
        ("{summary: None., x", "{x", "acme/things.yaml:17: the rejection unknown-thing needs summary"),
        (
            "name: id,",
            "name: key,",
            "acme/things.yaml:8: the path parameter 'id' is not declared; add it to parameters",
        ),
        (
            "in: path,",
            "in: query,",
            "acme/things.yaml:8: the path parameter 'id' is not declared; add it to parameters",
        ),
        (
            "    put:",
            "    put:\n      security: [{key: []}]",
            "acme/things.yaml:8: the security scheme 'key' does not exist",
        ),
        # The sandbox's own members.
        ("paths:", "x-cors: sometimes\npaths:", 'acme/things.yaml:4: x-cors: "sometimes" is not of type "boolean"'),
        (
            "{name: id, in: path,",
            "{name: id, x-aliases: [key], in: path,",
            "acme/things.yaml:8: id: x-aliases is only for headers",
        ),
        ("paths:", "x-org: [query]\npaths:", "acme/things.yaml:4: x-org.0: "),
        ("paths:", "x-org: [token, form.]\npaths:", "acme/things.yaml:4: x-org.1: "),
        ("paths:", "x-org: [cookie.shop]\npaths:", "acme/things.yaml:4: x-org.0: "),
        ("paths:", "x-versions: {setting: edition}\npaths:", 'acme/things.yaml:4: x-versions: "default" is a required'),
        (
            "paths:",
            "x-versions: {setting: edition, default: '1', patches: {}}\npaths:",
            "acme/things.yaml:4: x-versions.patches: {} ",
        ),
        (
            "paths:",
            "x-versions:\n  setting: edition\n  default: '1'\n  patches:\n    '2': []\npaths:",
            "acme/things.yaml:8: x-versions.patches.2: [] is not of type",
        ),
        (
            "paths:",
            "x-versions:\n  setting: edition\n  default: 1\n  patches: {'2': {}}\npaths:",
            "acme/things.yaml:6: x-versions.default: 1 is not of type",
        ),
        # YAML.
        ("        '404':", "        '200':", "acme/things.yaml:17: the key '200' occurs twice"),
        ("    put:", "\tput:", "acme/things.yaml:8: "),
        ("{type: http, scheme: bearer}", "{type: http, scheme: bearer", "acme/things.yaml:27: "),
    ],
)
def test_a_broken_spec_is_reported_with_file_line_and_reason(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert broken(tmp_path, (old, new)).startswith(message)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name: id, in: path, required: true, schema: {type: string}}", "{$ref: '#/components/schemas/Name'}"),
        ("        '404':\n", "        '422': {$ref: '#/components/schemas/Thing'}\n        '404':\n"),
        ("{summary: None., x-source: 'inferred: no', value: {}}", "{$ref: '#/components/schemas/Name'}"),
        (
            "      requestBody:\n",
            "      callbacks: {notified: {$ref: '#/components/schemas/Name'}}\n      requestBody:\n",
        ),
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
def test_a_reference_to_itself_is_an_error(tmp_path: Path, old: str, new: str) -> None:
    loops = (
        "  parameters: {Loop: {$ref: '#/components/parameters/Pool'}, Pool: {$ref: '#/components/parameters/Loop'}}\n"
    )
    schemas = "  schemas:\n    Loop: {$ref: '#/components/schemas/Loop'}\n"

    said = broken(tmp_path, (old, new), ("components:\n", f"components:\n{loops}"), ("  schemas:\n", schemas))

    assert "refers to itself" in said


def test_a_schema_composed_of_itself_is_an_error(tmp_path: Path) -> None:
    said = broken(tmp_path, ("    Thing:\n", "    Thing:\n      allOf: [{$ref: '#/components/schemas/Thing'}]\n"))

    assert "allOf contains the same schema again" in said


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

    assert said == "acme/things.yaml:10: the operationId putThing occurs twice"


def test_two_schemes_at_once_are_not_served(tmp_path: Path) -> None:
    said = broken(tmp_path, ("      requestBody:", "      security: [{token: [], other: []}]\n      requestBody:"))

    assert said == "acme/things.yaml:8: two security schemes at once are not supported; write them as alternatives"


def test_an_api_key_is_only_masked(tmp_path: Path) -> None:
    bearer, key = "    token: {type: http, scheme: bearer}", "    token: {type: apiKey, in: header, name: Acme-Key}"
    asked = ("      requestBody:", "      security: [{token: []}]\n      requestBody:")

    assert "Acme-Key" in str(document(tmp_path, TEXT.replace(bearer, key)).raw)
    said = broken(tmp_path, (bearer, key), asked)
    assert said.endswith("token is not an http scheme; an apiKey is only masked, not checked")
    assert '"in" is a required property' in broken(tmp_path, (bearer, "    token: {type: apiKey, name: Acme-Key}"))


def test_a_callback_needs_a_request_body(tmp_path: Path) -> None:
    callback = "      callbacks: {notified: {'{$url}': {post: {responses: {'200': {description: x}}}}}}\n"

    said = broken(tmp_path, ("      responses:\n", f"{callback}      responses:\n"))

    assert said == "acme/things.yaml:14: the callback notified needs a request body"


@pytest.mark.parametrize("text", ["", "[]", "openapi", "7"])
def test_a_file_that_holds_no_object_is_no_document(tmp_path: Path, text: str) -> None:
    with pytest.raises(DocumentError, match=r"acme/things.yaml:1: is not an OpenAPI document"):
        document(tmp_path, text)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
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
    assert operation(acme, "orderThing").security == (
        Security("bearer", frozenset({"orders.write"})),
        Security("bearer", frozenset({"things.write"})),
        Security("basic", frozenset()),
    )
    assert operation(acme, "greet").security == ()


def test_callbacks_collections_and_internal_fields_are_known(acme: Document) -> None:
    assert set(acme.callbacks) == {"thing-changed"}
    assert set(acme.collections) == {"things", "notes", "settings"}
    assert acme.internal_fields == {"things": ("secret", "breaks"), "notes": (), "settings": ()}
    assert {status: rejection.name for status, rejection in acme.transport_rejections.items()} == {
        404: "unknown-path",
        405: "unknown-method",
    }


def test_the_org_stands_where_the_first_template_has_it(acme: Document) -> None:
    assert acme.org_sources == (
        "path.shop", "token", "header.Acme-Shop", "query.shop", "form.shop", "form.scope.shop", "host",
    )  # fmt: skip
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


# Versions


def versions(tmp_path: Path, patches: str, text: str = TEXT) -> list[Document]:
    """Every version of the text above; the patches are written below `x-versions`, from line 5 on."""
    indented = "".join(f"    {line}\n" for line in patches.splitlines())
    path = tmp_path / "acme" / "things.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        text.replace("paths:\n", f"x-versions:\n  setting: edition\n  default: '1'\n  patches:\n{indented}paths:\n", 1),
        encoding="utf-8",
    )
    return Document.load(path)


def test_a_file_without_versions_is_one_document(tmp_path: Path) -> None:
    document(tmp_path, TEXT)

    [only] = Document.load(tmp_path / "acme" / "things.yaml")

    assert (only.version_of, only.version, only.setting, only.label) == (None, None, None, "acme/things.yaml")
    assert not only.cors


def test_each_patch_is_a_version_beside_the_one_that_stands_there(tmp_path: Path) -> None:
    first, second, third = versions(tmp_path, "'2': {info: {version: '2'}}\n'3': {info: {title: Others}}")

    assert [one.version_of for one in (first, second, third)] == [None, first, first]
    assert [one.version for one in (first, second, third)] == ["1", "2", "3"]
    assert [one.label for one in (first, second, third)] == [f"acme/things.yaml ({at})" for at in "123"]
    assert {one.setting for one in (first, second, third)} == {"edition"}
    assert [one.raw["info"] for one in (first, second, third)] == [
        {"title": "Things", "version": "1"},
        {"title": "Things", "version": "2"},
        {"title": "Others", "version": "1"},
    ]


def test_a_patch_changes_adds_and_takes_out(tmp_path: Path) -> None:
    patch = """\
'2':
  paths:
    /things/{id}:
      put:
        requestBody: null
        responses:
          '404': null
          '409':
            description: Taken.
            content:
              application/json:
                schema: {$ref: '#/components/schemas/Thing'}
                examples: {thing-taken: {summary: Taken., x-source: 'inferred: no', value: {}}}
  components: {schemas: {Name: {maxLength: 3}}}
"""

    first, second = versions(tmp_path, patch)

    [before], [after] = first.operations, second.operations
    assert (set(before.responses), set(after.responses)) == ({200, 404}, {200, 409})
    assert (set(before.rejections), set(after.rejections)) == ({"unknown-thing"}, {"thing-taken"})
    assert before.body is not None
    assert after.body is None
    name = {"name": "long"}
    assert before.body.content["application/json"].violations(name, "body") == []
    assert [found.where for found in after.responses[409].content["application/json"].violations(name, "body")] == [
        "body.name"
    ]


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7396, appendix A, each inside an object.
        ("{a: b}", "{a: c}", {"a": "c"}),
        ("{a: b}", "{b: c}", {"a": "b", "b": "c"}),
        ("{a: b}", "{a: null}", {}),
        ("{a: b, b: c}", "{a: null}", {"b": "c"}),
        ("{a: [b]}", "{a: c}", {"a": "c"}),
        ("{a: c}", "{a: [b]}", {"a": ["b"]}),
        ("{a: {b: c}}", "{a: {b: d, c: null}}", {"a": {"b": "d"}}),
        ("{a: [{b: c}]}", "{a: [1]}", {"a": [1]}),
        ("[a, b]", "[c, d]", ["c", "d"]),
        ("{a: b}", "[c]", ["c"]),
        ("{a: foo}", "bar", "bar"),
        ("{e: null}", "{a: 1}", {"e": None, "a": 1}),
        ("[1, 2]", "{a: b, c: null}", {"a": "b"}),
        ("{}", "{a: {bb: {ccc: null}}}", {"a": {"bb": {}}}),
        ("{a: foo}", "false", False),
    ],
)
def test_a_patch_is_a_json_merge_patch(tmp_path: Path, target: str, patch: str, result: Any) -> None:
    text = TEXT.replace("paths:\n", f"x-example: {target}\npaths:\n", 1)

    first, second = versions(tmp_path, f"'2': {{x-example: {patch}}}", text)

    assert second.raw["x-example"] == result
    assert first.raw["x-example"] == Document(first.path).raw["x-example"]


def test_a_patch_removes_a_field_of_the_document(tmp_path: Path) -> None:
    first, second = versions(tmp_path, "'2': {x-cors: null}", TEXT.replace("paths:\n", "x-cors: true\npaths:\n", 1))

    assert (first.cors, second.cors) == (True, False)


def test_a_patch_leaves_the_version_that_stands_there_as_it_is(tmp_path: Path) -> None:
    before = document(tmp_path, TEXT).raw

    first, *_ = versions(tmp_path, "'2': {components: {schemas: {Name: {type: integer}, New: {type: string}}}}")

    assert {name: value for name, value in first.raw.items() if name != "x-versions"} == before


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ("'2':\n  info: {version: 2}", "acme/things.yaml:9: info.version: 2 is not of type"),
        ("'2':\n  info:\n    version: 2", "acme/things.yaml:10: info.version: 2 is not of type"),
        ("'2':\n  paths: null", 'acme/things.yaml:8: "paths" is a required property'),
        ("'2': {}\n'3':\n  paths: null", 'acme/things.yaml:9: "paths" is a required property'),
        ("'2':\n  openapi: 3.0.3", "acme/things.yaml:9: openapi: "),
        ("'2':\n  webhooks: {}", "acme/things.yaml:8: "),
        ("'2':\n  components:\n    schemas:\n      Name: {typ: string}", "acme/things.yaml:11: "),
        (
            "'2':\n  paths:\n    /things/{id}:\n      put:\n        responses: {'200': null}",
            "acme/things.yaml:12: the operation needs a response with a status from 200 to 299",
        ),
        (
            "'2':\n  paths:\n    /things/{id}:\n      put:\n        operationId: null",
            "acme/things.yaml:11: the operation needs an operationId",
        ),
        (
            "'2':\n  paths: {'/things/{id}': {get: {operationId: putThing, responses: {'204': {description: x}}}}}",
            "acme/things.yaml:15: the operationId putThing occurs twice",
        ),
        (
            "'2':\n  paths:\n    /things/{key}:\n      get: {operationId: x, responses: {'200': {description: x}}}",
            "acme/things.yaml:11: the path parameter 'key' is not declared; add it to parameters",
        ),
        # It takes out what something that it does not name still needs: the message says where that stands.
        ("'2':\n  components: {schemas: {Name: null}}", "acme/things.yaml:14: the schema 'Name' does not exist"),
    ],
)
def test_a_patch_that_breaks_the_document_is_reported_with_file_and_line(
    tmp_path: Path, patch: str, message: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        versions(tmp_path, patch)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# Collections


def test_the_order_of_fields_is_that_of_the_document(tmp_path: Path) -> None:
    ordered = "x-collections:\n  settings:\n    schema: {type: object}\n    order: [word, old]\n"
    text = TEXT.replace("components:\n", f"{ordered}components:\n", 1).replace("    Name: ", f"{INNER}    Name: ")

    assert document(tmp_path, text).field_order == {"settings": ("word", "old")}

    with pytest.raises(DocumentError, match=r"acme/things\.yaml:\d+: no schema has a field wrod$"):
        document(tmp_path, text.replace("[word, old]", "[wrod, old]"))


# Defaults


SETTINGS = """\
x-collections:
  settings:
    schema:
      allOf:
        - {$ref: '#/components/schemas/Older'}
        - type: object
          properties:
            word: {type: string, default: hello}
            whole: {type: object, default: {a: 1}, properties: {a: {default: 2}}}
            several: {type: array, items: {type: string, default: x}}
            inner: {$ref: '#/components/schemas/Inner'}
"""
INNER = """\
    Older: {type: object, properties: {old: {type: integer, default: 0}, word: {type: string, default: older}}}
    Inner:
      type: object
      properties:
        off: {type: boolean, default: false}
        none: {type: 'null', default: null}
        silent: {type: string}
        deep: {type: object, properties: {price: {type: number, default: 1.50}}}
"""


def test_the_defaults_of_a_collection_are_those_of_objects_inside_it_too(tmp_path: Path) -> None:
    text = TEXT.replace("components:\n", f"{SETTINGS}components:\n", 1).replace("    Name: ", f"{INNER}    Name: ")

    found = document(tmp_path, text).defaults("settings")

    assert found == {
        "old": 0,
        "word": "hello",
        "whole": {"a": 1},
        "inner": {"off": False, "none": None, "deep": {"price": Decimal("1.50")}},
    }
    assert str(found["inner"]["deep"]["price"]) == "1.50"


def test_a_collection_that_is_not_declared_has_no_defaults(tmp_path: Path) -> None:
    assert document(tmp_path, TEXT).defaults("settings") == {}
