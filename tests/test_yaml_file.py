"""YAML with the types of JSON only; each mistake is reported with file and line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from promo_sandbox.base import yaml_file
from promo_sandbox.base.errors import DocumentError

ROOT = Path(__file__).parent.parent
YAML_FILES = [
    path
    for folder in ("specs", "scenarios", "tests", "docs", "bench")
    for path in sorted((ROOT / folder).rglob("*.y*ml"))
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("true", True),
        ("True", "True"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'200'", "200"),
        ("200", 200),
        ("-7", -7),
        ("0123", "0123"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2030-01-01", "2030-01-01"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        (".5", ".5"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1\u0662", "1\u0662"),
        ("1" * 30, int("1" * 30)),
    ],
)
def test_a_scalar_has_its_json_type_or_is_a_text(text: str, value: Any) -> None:
    assert yaml_file.parse(f"- {text}", "f.yaml") == [value]


@pytest.mark.parametrize("text", ["50.00", "-0.1", "1e3", "1.5E-7", "9000000000000.000001"])
def test_a_number_with_a_fraction_keeps_its_digits(text: str) -> None:
    [value] = yaml_file.parse(f"[{text}]", "f.yaml")

    assert isinstance(value, Decimal)
    assert str(value) == str(Decimal(text))


def test_json_is_yaml() -> None:
    assert yaml_file.parse('{"a": [1, {"b": "\\u00e9"}]}', "f.json") == {"a": [1, {"b": "é"}]}


def test_an_alias_repeats_its_anchor() -> None:
    assert yaml_file.parse("a: &x {b: 1}\nc: *x", "f.yaml") == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3: the key 'a' occurs twice"),
        ("a:\n  b: 1\n  b: 2", "f.yaml:3: the key 'b' occurs twice"),
        ("? [a]\n: 1", "f.yaml:1: a key must be a plain string"),
        ("a: 1\n b: 2", "f.yaml:2: "),
        ("a: [1, 2", "f.yaml:2: "),
        ("a: *nowhere", "f.yaml:1: found undefined alias"),
        ("a: &x [*x]", "f.yaml:1: found unconstructable recursive node"),
        ("a: 1\n---\nb: 2", "f.yaml:2: "),
        ("a: \x07", "f.yaml: unacceptable character"),
        ("x: 1\na: 1e99999999999999999999", "f.yaml:2: '1e99999999999999999999' is not a number in"),
        ("x: 1\na: 1e999999999", "f.yaml:2: '1e999999999' is not a number in"),
        ("x: 1\na: -0.1e-999999999", "f.yaml:2: '-0.1e-999999999' is not a number in"),
        ("a: " + "1" * 5000, "f.yaml: "),
        ("a: !!float x", "f.yaml:1: 'x' is not a number in"),
        ("a: !!int x", "f.yaml: "),
    ],
)
def test_a_mistake_is_reported_with_file_line_and_reason(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        yaml_file.parse(text, "f.yaml")

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "tag", ["set {a: b}", "timestamp 2030-01-01", "binary YQ==", "omap [a: 1]", "python/name:os.system"]
)
def test_a_type_unknown_to_json_is_an_error(tag: str) -> None:
    with pytest.raises(DocumentError, match=r"f\.yaml:1: could not determine a constructor"):
        yaml_file.parse(f"a: !!{tag}", "f.yaml")


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "- " * 200_000 + "a", "[" * 100_000 + "]" * 100_000]
)
def test_deep_nesting_is_an_error_and_does_not_end_the_process(text: str) -> None:
    with pytest.raises(DocumentError, match=r"^f.yaml: is nested deeper than 1000 levels$"):
        yaml_file.parse(text, "f.yaml")


def test_brackets_side_by_side_and_some_depth_are_fine() -> None:
    assert yaml_file.parse("[" + "[]," * 5000 + "]", "f.yaml") == [[]] * 5000
    assert yaml_file.parse("[" * 200 + "]" * 200, "f.yaml")


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert yaml_file.parse("x: &a {b: 1}\ny: {<<: *a}", "f.yaml")["y"] == {"<<": {"b": 1}}


def test_a_missing_file_and_one_that_is_not_utf_8_are_mistakes_too(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: caf\xe9")

    with pytest.raises(DocumentError, match="No such file or directory"):
        yaml_file.read(tmp_path / "missing.yaml")
    with pytest.raises(DocumentError, match="Is a directory"):
        yaml_file.read(tmp_path)
    with pytest.raises(DocumentError, match="is not UTF-8"):
        yaml_file.read(latin)


def test_a_file_is_named_as_its_reader_wants(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\na: 2", encoding="utf-8")

    with pytest.raises(DocumentError) as caught:
        yaml_file.read(tmp_path / "a.yaml", "vendor/a.yaml")

    assert (caught.value.file, caught.value.line) == ("vendor/a.yaml", 2)


TEXT = "paths:\n  /a:\n    get:\n      parameters:\n        - {name: x}\n        - name: y\n          in: query\n"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("paths",), 1),
        (("paths", "/a", "get"), 3),
        (("paths", "/a", "get", "parameters", 0), 5),
        (("paths", "/a", "get", "parameters", 1, "in"), 7),
        (("paths", "/a", "get", "parameters", 9), 4),
        (("paths", "/b", "post"), 1),
        (("paths", "/a", "get", "parameters", 0, "name", "deeper"), 5),
    ],
)
def test_the_line_of_a_field_is_its_own_or_that_of_its_nearest_parent(path: tuple[str | int, ...], line: int) -> None:
    assert yaml_file.line_of(TEXT, path) == line


def test_an_empty_text_has_no_line() -> None:
    assert yaml_file.line_of("", ("a",)) is None


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_a_pyyaml_without_libyaml_reads_the_same(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert yaml.load(text, yaml.BaseLoader) == yaml.load(text, yaml.CBaseLoader)  # noqa: S506 - texts, and nothing else
