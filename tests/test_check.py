"""What `promo-sandbox check` finds in a spec that can be served."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.check import check_contract
from sandbox.contract import Contract
from sandbox.openapi.document import Document
from tests.acme import SPEC, new_rules


def mistakes(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    """What is found in the made-up vendor's spec after some changes, each at the first place that fits."""
    text = SPEC.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "acme" / "things.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return check_contract(Contract([Document(path)], new_rules()))


def line(text: str) -> int:
    """Where the first occurrence stands in the spec as it is."""
    whole = SPEC.read_text(encoding="utf-8")
    return whole[: whole.index(text)].count("\n") + 1


def test_nothing_is_wrong_with_the_made_up_vendor(tmp_path: Path) -> None:
    assert mistakes(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        (
            "lamp: {value: {name: Lamp}}",
            "lamp: {value: {name: ''}}",
            "lamp: {value: {name: Lamp}}",
            "the example lamp.name: ",
        ),
        ("hello: {value: {org: acme,", "hello: {value: {", "hello: {value: {org", "the example hello.org: is required"),
        (
            "thing: {id: t-1, name: Lamp,",
            "thing: {id: t-1,",
            "examples: {lamp: {value: {thing",
            "the example lamp.thing.name: is required",
        ),
        (
            "nothing: {value: {items: []}}",
            "nothing: {value: {items: [{id: t, name: x}]}}",
            "nothing: {value",
            "the example nothing.items[0].status: is required",
        ),
    ],
)
def test_an_example_that_does_not_fit_its_schema(tmp_path: Path, old: str, new: str, at: str, message: str) -> None:
    [found] = mistakes(tmp_path, (old, new))

    assert found.startswith(f"acme/things.yaml:{line(at.strip())}: {message}")


def test_an_example_outside_examples(tmp_path: Path) -> None:
    old = "schema: {type: object, required: [token], properties: {token: {type: string}}}"

    [found] = mistakes(tmp_path, (old, f"{old}\n              example: {{token: 7}}"))

    assert "the example example.token: 7 is not of type" in found


@pytest.mark.parametrize("name", ["Unused", "Thin", "Not"])
def test_a_component_that_is_used_nowhere(tmp_path: Path, name: str) -> None:
    found = mistakes(tmp_path, ("    Greeting:\n", f"    {name}: {{type: string}}\n    Greeting:\n"))

    assert found == [f"acme/things.yaml:{line('    Greeting:')}: schemas/{name} is used nowhere"]


def test_what_openapi_itself_does_not_admit(tmp_path: Path) -> None:
    found = mistakes(tmp_path, ("{name: shop, in: path, required: true,", "{name: shop, in: path, required: false,"))

    assert found
    assert all(mistake.startswith("acme/things.yaml:") for mistake in found)
