"""Declaring the rules of a vendor."""

from __future__ import annotations

from typing import Any

import pytest

from promo_sandbox import rules as contract
from promo_sandbox.base import clock
from promo_sandbox.openapi.operation import Rejection
from promo_sandbox.rules import Call, RejectionContext, Rules, Violation
from tests.acme import Acme, content

NOW = clock.parse("2030-01-01T00:00:00.123Z")


def worded(value: object, detail: str | None = None, *violations: Violation) -> object:
    """The default error body."""
    rejection = Rejection("x", 400, "application/json", value, "", "", ())
    return Rules("acme").write_error_body(RejectionContext(rejection, detail, list(violations), "/x", NOW))


def test_an_error_body_is_the_example_with_the_detail_of_the_request() -> None:
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


def test_a_vendor_may_write_its_error_bodies_itself() -> None:
    rules = Rules("acme")

    @rules.error_body
    def word(context: RejectionContext) -> str:
        return f"{context.rejection.name}: {context.detail}"

    assert rules.write_error_body is word


def test_the_writer_of_error_bodies_gets_path_and_moment_of_the_request() -> None:
    acme = Acme()
    seen: list[RejectionContext] = []

    def word(context: RejectionContext) -> Any:
        seen.append(context)
        return {"error": context.path, "detail": context.detail or "none"}

    acme.contract.rules.error_body(word)
    org = acme.orgs.get("shop")
    org.clock.freeze()
    org.clock.set(NOW)

    unknown = acme.send("GET", "/~shop/acme/shop/things/a%20b?x=1")
    invalid = acme.send("POST", "/acme/shop/things", {})
    nowhere = acme.send("GET", "/acme/shop/nowhere")

    assert content(unknown) == {"error": "/shop/things/a%20b", "detail": "none"}
    assert [content(reply)["error"] for reply in (invalid, nowhere)] == ["/shop/things", "/shop/nowhere"]
    assert [context.rejection.name for context in seen] == ["unknown-thing", "invalid-request", "unknown-path"]
    assert {context.now for context in seen} == {NOW}
    assert [[violation.where for violation in context.violations] for context in seen] == [[], ["body.name"], []]
    assert [context.detail for context in seen] == [None, None, "There is no /acme/shop/nowhere."]


def test_the_admission_rule_is_the_decorated_function() -> None:
    rules = Rules("acme")
    assert rules.admission_rule is None

    @rules.on_admission
    def admit(_: Call) -> None:
        pass

    assert rules.admission_rule is admit


def test_settings_are_a_collection_with_one_document() -> None:
    rules = Rules("acme")

    settings = rules.settings()

    doc: dict[str, Any] = {"id": "other", "edition": "8"}
    assert settings.prepare is not None
    settings.prepare(doc, None)
    assert rules.collections == {"settings": settings}
    assert settings.key == "acme.settings"
    assert doc == {"id": "settings", "edition": "8"}
    assert list(settings.indexes(doc, NOW)) == [("settings", NOW)]


def test_an_operation_has_one_rule() -> None:
    rules = Rules("acme")
    rules.operation("one", "two")(_nothing)

    assert rules.operations == {"one": _nothing, "two": _nothing}
    with pytest.raises(ValueError, match="two already has a rule"):
        rules.operation("two")(_nothing)


def _nothing(call: Call) -> Any:
    return call.reply()


def test_the_public_names_are_complete() -> None:
    assert [name for name in contract.__all__ if not hasattr(contract, name)] == []
