"""What `promo-sandbox check` finds in a spec that can be served."""

from __future__ import annotations

from pathlib import Path

import pytest

from promo_sandbox.cli.check import check_all, check_contract
from promo_sandbox.model.contract import Contract
from promo_sandbox.openapi.document import Document
from tests.acme import SPEC, new_app, new_rules, write_specs


def mistakes(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    """What is found in the made-up vendor's spec after some changes, each at the first place that fits."""
    return check_contract(Contract([Document(written(tmp_path, *changes))], new_rules()))


def mistakes_of_versions(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    """The same in every version of it."""
    return check_contract(Contract(Document.load(written(tmp_path, *changes)), new_rules()))


def written(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = SPEC.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "acme" / "things.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


def line(text: str) -> int:
    """Where the first occurrence stands in the spec as it is."""
    whole = SPEC.read_text(encoding="utf-8")
    return whole[: whole.index(text)].count("\n") + 1


def test_nothing_is_wrong_with_the_made_up_vendor(tmp_path: Path) -> None:
    assert mistakes_of_versions(tmp_path) == []


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

    assert found == [f"acme/things.yaml:{line('    Greeting:')}: schemas/{name} is never used"]


def test_what_openapi_itself_does_not_admit(tmp_path: Path) -> None:
    found = mistakes(tmp_path, ("{name: shop, in: path, required: true,", "{name: shop, in: path, required: false,"))

    assert found
    assert all(mistake.startswith("acme/things.yaml:") for mistake in found)


CODED = "examples: {lamp: null, coded: {value: {name: Lamp, code: L-1}}}"


def test_an_example_of_a_patch_that_does_not_fit_is_reported_where_the_patch_has_it(tmp_path: Path) -> None:
    [found] = mistakes_of_versions(tmp_path, (CODED, CODED.replace("L-1", "7")))

    assert found.startswith(f"acme/things.yaml:{line(CODED)}: the example coded.code: 7 is not of type")


def test_an_example_that_fits_one_version_must_fit_the_others_too(tmp_path: Path) -> None:
    [found] = mistakes_of_versions(tmp_path, (CODED, CODED.replace("lamp: null, ", "")))

    assert "the example lamp.code: is required" in found


def test_a_component_that_only_a_patch_has_must_be_used(tmp_path: Path) -> None:
    unused = "          Unused: {type: string}\n"

    found = mistakes_of_versions(tmp_path, ("          CodedThing:\n", f"{unused}          CodedThing:\n"))

    assert found == [f"acme/things.yaml:{line('          CodedThing:')}: schemas/Unused is never used"]


def test_each_version_is_checked_by_its_own_name(tmp_path: Path) -> None:
    specs = write_specs(tmp_path / "specs")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            "promo_sandbox.cli.check.load_contracts", lambda _: [Contract(Document.load(SPEC), new_rules())]
        )
        patched.setattr("promo_sandbox.cli.check.App", lambda config: new_app(config.specs))

        found = list(check_all(specs))

    assert [name for name, _, _ in found] == ["acme/things.yaml (7)", "acme/things.yaml (8)", "sandbox/admin.yaml"]
    assert [mistakes for _, _, mistakes in found] == [[], [], []]
    assert found[0][1] == found[1][1]
    assert found[0][1].startswith("12 operations, ")
