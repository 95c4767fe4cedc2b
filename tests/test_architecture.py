"""The shape of the code: what may import what, how long anything may be, and that the engine knows no vendor."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import config as configuration

PACKAGE = Path(configuration.__file__).parent
VENDORS = PACKAGE / "vendors"

# Imports point down: a module imports only from levels below its own, and within a folder as it likes.
LEVELS = {
    "sandbox": 0,  # the package itself: its version
    "sandbox.errors": 0,
    "sandbox.listed": 1,
    "sandbox.near": 0,
    "sandbox.slices": 0,
    "sandbox.patterns": 1,
    "sandbox.yamlloader": 0.3,
    "sandbox.yamlfile": 0.5,
    "sandbox.memory": 0.5,
    "sandbox.messages": 0,
    "sandbox.field_values": 0,
    "sandbox.codings": 0.5,
    "sandbox.parsed": 0.8,
    "sandbox.clock": 0,
    "sandbox.ids": 0,
    "sandbox.money": 0,
    "sandbox.flaws": 1,
    "sandbox.sockets": 1,
    "sandbox.matching": 1.5,
    "sandbox.then": 1,
    "sandbox.openapi": 1,
    "sandbox.ordered": 1,
    "sandbox.table": 1,
    "sandbox.urls": 1,
    "sandbox.targets": 1.5,
    "sandbox.resolving": 1.8,
    "sandbox.state": 2,
    "sandbox.writing": 2.5,
    "sandbox.journal": 2.5,
    "sandbox.interfaces": 2.7,
    "sandbox.call": 2.8,
    "sandbox.rules": 3,
    "sandbox.auth": 3.2,
    "sandbox.contract": 3.5,
    "sandbox.scenarios": 3.6,
    "sandbox.then_document": 3.6,
    "sandbox.scenario_document": 3.7,
    "sandbox.snapshots": 3.8,
    "sandbox.coverage": 3.8,
    "sandbox.storing": 3.8,
    "sandbox.deliveries": 3.6,
    "sandbox.lanes": 3.65,
    "sandbox.outbox": 3.7,
    "sandbox.webhooks": 3.9,
    "sandbox.org": 3.95,
    "sandbox.agenda": 3.97,
    "sandbox.orgs": 4,
    "sandbox.library": 4.5,
    "sandbox.answers": 4.5,
    "sandbox.pipeline": 5,
    "sandbox.admin": 6,
    "sandbox.config": 6.3,
    "sandbox.courier": 6.5,
    "sandbox.app": 7,
    "sandbox.check": 7.5,
    "sandbox.heads": 7.1,
    "sandbox.replying": 7.2,
    "sandbox.protocol": 7.3,
    "sandbox.server": 7.5,
    "sandbox.guest": 7.6,
    "sandbox.remote": 7.5,
    "sandbox.saving": 7.4,
    "sandbox.asking": 7.6,
    "sandbox.client": 7.7,
    "sandbox.health": 7.6,
    "sandbox.tail": 7.8,
    "sandbox.reports": 7.8,
    "sandbox.listening": 7.7,
    "sandbox.callbacks": 7.8,
    "sandbox.access": 7.8,
    "sandbox.printable": 0,
    "sandbox.masking": 0,
    "sandbox.provider": 7.5,
    "sandbox.judging": 7.9,
    "sandbox.verify": 7.95,
    "sandbox.parity": 7.95,
    "sandbox.testing": 7.8,
    "sandbox.verdict": 7.8,
    "sandbox.pytest_coverage": 7.97,
    "sandbox.cli": 8,
    "sandbox.pytest_plugin": 8,
    "sandbox.__main__": 9,
}
FOR_VENDORS = {"sandbox.rules", "sandbox.money"}
SERVERS = {"starlette", "uvicorn"}
MAY_SERVE = {
    "sandbox.app",
    "sandbox.admin",
    "sandbox.protocol",
    "sandbox.replying",
    "sandbox.server",
    "sandbox.listening",
}
# While they have state to read or write, these do not wait.
MAY_WAIT = MAY_SERVE | {"sandbox.guest", "sandbox.courier", "sandbox.resolving", "sandbox.slices"}
CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}
MAX_MODULE = 400
MAX_FUNCTION = 40

FILES = sorted(path for path in PACKAGE.rglob("*.py") if "_files" not in path.parts)


def name_of(path: Path) -> str:
    """The module's name: `sandbox.openapi.paths`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in FILES}
GENERIC = {name: path for name, path in NAMES.items() if not name.startswith("sandbox.vendors")}
OF_VENDORS = {name: path for name, path in NAMES.items() if name.count(".") > 1 and name.startswith("sandbox.vendors.")}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every module imported, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield node.lineno, whole if whole in NAMES else module


def unit(name: str) -> str:
    """What has a level: a module of the package, or a folder in it as a whole."""
    return ".".join(name.split(".")[:2])


def documented_levels() -> dict[str, int]:
    """What the table of the document says of each unit."""
    document = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    text = document.partition("\n## Modules\n")[2].partition("\n## ")[0]
    found: dict[str, int] = {}
    for level, names in re.findall(r"^\| (\d) \| ((?:`[a-z_/]+` ?)+) \|", text, re.MULTILINE):
        listed = [f"sandbox.{name.rstrip('/')}" for name in re.findall(r"`([a-z_/]+)`", names)]
        for name in listed[:1] if names.startswith("`openapi/`") else listed:  # it names its own modules, too
            assert name not in found, f"{name} stands twice"
            found[name] = int(level)
    return found


def test_the_document_has_the_same_levels_in_less_detail() -> None:
    documented = documented_levels()
    named = LEVELS.keys() - {"sandbox", "sandbox.__main__", "sandbox.vendors"}

    by_level = sorted(documented, key=lambda name: (LEVELS[name], documented[name]))

    assert documented.keys() == named
    assert [documented[name] for name in by_level] == sorted(documented.values())
    assert all(
        documented[low] == documented[high] or LEVELS[low] < LEVELS[high] for low, high in itertools.pairwise(by_level)
    )


def test_every_module_has_a_level_and_every_level_a_module() -> None:
    assert {unit(name) for name in GENERIC} == set(LEVELS)


@pytest.mark.parametrize("name", sorted(GENERIC))
def test_imports_point_down(name: str) -> None:
    level = LEVELS[unit(name)]

    up = [
        f"{name}:{line} imports {imported}"
        for line, imported in imports(GENERIC[name])
        if imported in NAMES and unit(imported) != unit(name) and LEVELS.get(unit(imported), 99) >= level
    ]

    assert up == []


@pytest.mark.parametrize("name", sorted(OF_VENDORS))
def test_a_vendor_sees_the_rules_money_and_itself(name: str) -> None:
    own = ".".join(name.split(".")[:3])

    seen = {imported for _, imported in imports(OF_VENDORS[name]) if imported.split(".")[0] == "sandbox"}

    assert {imported for imported in seen if imported != own and not imported.startswith(f"{own}.")} <= FOR_VENDORS


def test_no_module_of_the_engine_imports_a_vendor() -> None:
    found = [
        f"{name}:{line}"
        for name, path in GENERIC.items()
        for line, imported in imports(path)
        if imported.startswith("sandbox.vendors")
    ]

    assert found == []


def test_the_engine_names_no_vendor() -> None:
    vendors = [path.name for path in configuration.files("specs").iterdir() if path.is_dir() and path.name != "sandbox"]
    assert vendors
    pattern = re.compile("|".join(map(re.escape, vendors)), re.IGNORECASE)
    files = [
        *GENERIC.values(),
        VENDORS / "__init__.py",
        PACKAGE / "openapi" / "dialect.json",
        configuration.files("specs") / "sandbox" / "admin.yaml",
    ]

    found = [
        f"{path.name}: {match[0]}" for path in files for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]

    assert found == []


def test_every_vendor_with_specs_has_rules_and_the_other_way_round() -> None:
    specs = {path.name for path in configuration.files("specs").iterdir() if path.is_dir()} - {"sandbox"}

    assert specs == {path.name for path in VENDORS.iterdir() if path.is_dir() and path.name != "__pycache__"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_module_has_a_docstring_and_is_not_too_long(name: str) -> None:
    text = NAMES[name].read_text(encoding="utf-8")

    said = ast.get_docstring(ast.parse(text))

    assert said
    assert len(said.splitlines()) <= 5
    assert len(text.splitlines()) <= MAX_MODULE


def test_no_function_is_too_long() -> None:
    functions = [
        (node.end_lineno - node.lineno + 1, f"{name}.{node.name}")
        for name, path in NAMES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]

    # `serve` of the command line is its list of options.
    assert [found for found in functions if found[0] > MAX_FUNCTION] == []


def test_nothing_but_the_clock_reads_the_time() -> None:
    found = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, path in NAMES.items()
        if name != "sandbox.clock"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in CLOCKS
    ]
    by_name = [
        f"{name}:{node.lineno} {alias.name}"
        for name, path in NAMES.items()
        if name != "sandbox.clock"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime")
        for alias in node.names
        if alias.name not in ("perf_counter_ns", "perf_counter", "thread_time")
    ]

    assert found == by_name == []


def test_only_the_app_the_admin_api_and_the_server_know_a_web_server() -> None:
    found = {
        unit(name) for name, path in NAMES.items() for _, imported in imports(path) if imported.split(".")[0] in SERVERS
    }

    assert found <= MAY_SERVE


def test_nothing_waits_between_reading_and_writing_state() -> None:
    waiting = {
        unit(name)
        for name, path in NAMES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    }

    assert waiting <= MAY_WAIT
