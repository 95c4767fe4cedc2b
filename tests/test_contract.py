"""A vendor's specs and rules, bound: what one has and the other has not is found at start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sandbox.contract import Contract, router
from sandbox.errors import SandboxError
from sandbox.openapi.document import Document
from sandbox.rules import Call, Reply, Rules
from tests.acme import SPEC, new_rules


def document(tmp_path: Path, *changes: tuple[str, str], name: str = "things.yaml") -> Document:
    """The made-up vendor's spec after some changes."""
    text = SPEC.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "acme" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return Document(path)


def test_a_vendor_that_is_whole_is_bound() -> None:
    contract = Contract([Document(SPEC)], new_rules())

    assert contract.vendor == "acme"
    assert len(list(contract.routes())) == 9
    assert {"unknown-thing", "code-taken"} <= {rejection.name for _, rejection in contract.rejections()}
    assert contract.rules.internal["acme.things"] == ("secret", "breaks")
    assert list(contract.unknown_names()) == []


def test_an_operation_without_a_rule_is_told() -> None:
    rules = new_rules()
    del rules.operations["getThing"]

    with pytest.raises(SandboxError, match=r"^acme/things.yaml: the operation getThing has no rule$"):
        Contract([Document(SPEC)], rules)


def test_a_rule_without_an_operation_is_told() -> None:
    rules = new_rules()
    rules.operation("getThingy")(lambda call: call.reply())

    with pytest.raises(SandboxError, match=r"^the rules of acme answer getThingy, which no spec declares$"):
        Contract([Document(SPEC)], rules)


def test_a_collection_that_only_one_of_both_has_is_told() -> None:
    rules, fewer = new_rules(), new_rules()
    rules.collection("orders", places=lambda _doc, _created: [])
    del fewer.collections["notes"]

    with pytest.raises(SandboxError, match="the collection orders of acme is not in both"):
        Contract([Document(SPEC)], rules)
    with pytest.raises(SandboxError, match="the collection notes of acme is not in both"):
        Contract([Document(SPEC)], fewer)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("missing-credentials", "greetGuarded"),
        ("invalid-credentials", "greetGuarded"),
        ("expired-credentials", "greetGuarded"),
        ("foreign-credentials", "greetGuarded"),
        ("insufficient-scope", "addThing"),
        ("invalid-request", "listThings"),
    ],
)
def test_a_rejection_that_the_engine_needs_must_be_declared(tmp_path: Path, name: str, operation: str) -> None:
    declared = [line for line in SPEC.read_text(encoding="utf-8").splitlines() if f"{name}: {{$ref:" in line]
    assert declared

    with pytest.raises(SandboxError, match=rf"^acme/things.yaml: {operation} must declare the rejection {name}$"):
        Contract([document(tmp_path, *((f"{line}\n", "") for line in dict.fromkeys(declared)))], new_rules())


def test_two_specs_that_claim_the_same_path_are_told(tmp_path: Path) -> None:
    one, other = document(tmp_path), document(tmp_path, name="others.yaml")

    with pytest.raises(SandboxError, match=r"^acme/others.yaml: GET /acme/greeting stands twice$"):
        router([Contract([one, other], new_rules())])


def test_two_versions_of_a_spec_may_share_rules(tmp_path: Path) -> None:
    one = document(tmp_path)
    other = document(tmp_path, ("https://api.acme.test/acme", "https://api.acme.test/acme/v2"), name="v2.yaml")

    tree = router([Contract([one, other], new_rules())])

    first, second = tree.match("GET", "/acme/greeting"), tree.match("GET", "/acme/v2/greeting")
    assert first is not None
    assert second is not None
    assert first.target is not None
    assert second.target is not None
    assert first.target.rule is second.target.rule
    assert (first.target.document.name, second.target.document.name) == ("acme/things.yaml", "acme/v2.yaml")


def test_one_operation_cannot_have_two_rules() -> None:
    rules = new_rules()

    with pytest.raises(ValueError, match="getThing has two rules"):
        rules.operation("getThing")(lambda call: call.reply())


MISSPELT = '''\
"""Rules with mistakes in them."""


def get_thing(call):
    """A sentence-with-hyphens is no name."""
    if call.path["id"] == "x":
        call.reject("unknown-thing")
    if call.headers.get("Acme-Trace") == "trouble":
        call.emit("thing-changed", {})
    call.reject("unknown-thign", "A detail, half-finished.")


def expire(call, id):
    call.emit("things-changed", {})
    call.get("x").find("expire-thing")
'''


def test_names_in_rules_that_are_declared_nowhere_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "misspelt_rules.py").write_text(MISSPELT, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import misspelt_rules  # type: ignore[import-not-found]  # noqa: PLC0415 - it was written just now

    monkeypatch.setitem(sys.modules, "misspelt_rules", misspelt_rules)
    rules = new_rules()
    rules.operations["getThing"] = misspelt_rules.get_thing
    rules.due["expire-thing"] = misspelt_rules.expire

    found = list(Contract([Document(SPEC)], rules).unknown_names())

    assert found == [
        "misspelt_rules.py:10: 'unknown-thign' is declared nowhere",
        "misspelt_rules.py:14: 'things-changed' is declared nowhere",
    ]


def test_rules_say_which_operations_they_answer() -> None:
    rules = Rules("acme")

    @rules.operation("one", "two")
    def answer(call: Call) -> Reply:
        return call.reply()

    assert rules.operations == {"one": answer, "two": answer}
