"""The shape of the code: what may import what, how long anything may be, and that the engine knows no vendor.

The rooms and their order are the table in docs/architecture.md, which these tests read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from promo_sandbox.base import config as configuration

PACKAGE = Path(configuration.__file__).parents[1]
VENDORS = PACKAGE / "vendors"
ARCHITECTURE = PACKAGE.parents[1] / "docs" / "architecture.md"

PUBLIC = {"promo_sandbox.client", "promo_sandbox.rules", "promo_sandbox.testing"}
SERVERS = {"starlette", "uvicorn"}
MAY_SERVE = {"admin", "server", "webhooks.listener"}
# While they have state to read or write, these do not wait.
MAY_WAIT = {*MAY_SERVE, "base.slices", "webhooks.sender", "webhooks.resolver"}
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
    """The module's name: `promo_sandbox.openapi.paths`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in FILES}
OF_VENDORS = {name: path for name, path in NAMES.items() if name.startswith("promo_sandbox.vendors.")}
GENERIC = {name: path for name, path in NAMES.items() if name not in OF_VENDORS}
TOP = {"promo_sandbox", "promo_sandbox.__main__"}  # the version and the way into the command line: in no room


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


def room(name: str) -> str:
    """The room of a module; a module that stands at the top of the package is a room of its own."""
    return name.split(".")[1] if "." in name else name


def within(name: str, allowed: set[str]) -> bool:
    """Is this module, or its whole room, among the allowed?"""
    return room(name) in allowed or name.removeprefix("promo_sandbox.") in allowed


def documented() -> dict[str, set[str]]:
    """The table of the document: each room from top to bottom, and the modules that it names."""
    text = ARCHITECTURE.read_text(encoding="utf-8").partition("\n## Rooms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)/?` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    return {name: set(re.findall(r"`([a-z_/]+)`", modules)) for name, modules in rows}


ROOMS = list(documented())
ARROWS = {
    (room(name), room(imported))
    for name, path in NAMES.items()
    for _, imported in imports(path)
    if imported in NAMES and not {name, imported} & TOP and room(imported) != room(name)
}


def drawn() -> set[tuple[str, str]]:
    """The arrows of the document's picture."""
    text = ARCHITECTURE.read_text(encoding="utf-8").partition("```mermaid\n")[2].partition("```")[0]
    return set(re.findall(r"^ +(\w+) --> (\w+)$", text, re.MULTILINE))


def direct(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows that no way over other rooms replaces."""
    below: dict[str, set[str]] = {}
    for name in reversed(ROOMS):
        below[name] = set()
        for target in (target for source, target in arrows if source == name):
            below[name] |= {target} | below.get(target, set())
    return {
        (source, target)
        for source, target in arrows
        if not any(target in below[other] for start, other in arrows if start == source and other != target)
    }


def test_the_table_of_the_document_names_every_room_and_every_module() -> None:
    found: dict[str, set[str]] = {}
    for name in GENERIC.keys() - TOP:
        parts = name.split(".")[1:]
        modules = found.setdefault(parts[0], set())
        if len(parts) > 1 and NAMES[name].name != "__init__.py":
            modules.add("/".join(parts[1:]))
    found["vendors"] = {path.name for path in VENDORS.iterdir() if path.is_dir() and path.name != "__pycache__"}

    assert documented() == found


def test_every_module_that_the_document_mentions_exists() -> None:
    mentioned = set(re.findall(r"`([a-z_]+/[a-z_]+)`", ARCHITECTURE.read_text(encoding="utf-8")))

    modules = {name.removeprefix("promo_sandbox.").replace(".", "/") for name in GENERIC}

    assert {it for it in mentioned if it.partition("/")[0] in ROOMS} <= modules
    assert len(mentioned & modules) > 20


def test_the_picture_of_the_document_shows_the_imports_between_rooms() -> None:
    expected = direct(ARROWS)

    lines = "\n".join(f"    {source} --> {target}" for source, target in sorted(expected))
    assert drawn() == expected, f"The picture should have these arrows:\n{lines}"


def test_imports_point_down() -> None:
    up = [f"{source} imports {target}" for source, target in ARROWS if ROOMS.index(source) > ROOMS.index(target)]

    assert up == []


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in GENERIC.values() if path.name == "__init__.py"} - {PACKAGE, VENDORS})
)
def test_a_room_says_what_lives_there_and_what_to_read_first(folder: Path) -> None:
    text = ast.get_docstring(tree(folder / "__init__.py")) or ""

    module = re.search(r"Start with `(\w+)`", text)

    assert module, f"{folder.name}/__init__.py names no module to start with"
    assert (folder / f"{module[1]}.py").is_file()


@pytest.mark.parametrize("name", sorted(OF_VENDORS))
def test_a_vendor_imports_the_public_rules_and_itself(name: str) -> None:
    own = ".".join(name.split(".")[:3])

    seen = {imported for _, imported in imports(OF_VENDORS[name]) if imported.split(".")[0] == "promo_sandbox"}

    assert {imported for imported in seen if imported != own and not imported.startswith(f"{own}.")} <= {
        "promo_sandbox.rules"
    }


def test_no_module_of_the_engine_imports_a_vendor() -> None:
    found = [
        f"{name}:{line}"
        for name, path in GENERIC.items()
        for line, imported in imports(path)
        if imported.startswith("promo_sandbox.vendors")
    ]

    assert found == []


def test_public_modules_list_their_names() -> None:
    for name in PUBLIC:
        listed = [
            node
            for node in tree(NAMES[name]).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        assert listed, name


def test_the_engine_names_no_vendor() -> None:
    vendors = [
        path.name for path in configuration.data_folder("specs").iterdir() if path.is_dir() and path.name != "sandbox"
    ]
    assert vendors
    pattern = re.compile("|".join(map(re.escape, vendors)), re.IGNORECASE)
    files = [
        *GENERIC.values(),
        VENDORS / "__init__.py",
        PACKAGE / "openapi" / "dialect.json",
        configuration.data_folder("specs") / "sandbox" / "admin.yaml",
    ]

    found = [
        f"{path.name}: {match[0]}" for path in files for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]

    assert found == []


def test_every_vendor_with_specs_has_rules_and_the_other_way_round() -> None:
    specs = {path.name for path in configuration.data_folder("specs").iterdir() if path.is_dir()} - {"sandbox"}

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
        if name != "promo_sandbox.base.clock"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in CLOCKS
    ]
    by_name = [
        f"{name}:{node.lineno} {alias.name}"
        for name, path in NAMES.items()
        if name != "promo_sandbox.base.clock"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime")
        for alias in node.names
        if alias.name not in ("perf_counter_ns", "perf_counter", "thread_time")
    ]

    assert found == by_name == []


def test_only_the_app_the_admin_api_and_the_server_know_a_web_server() -> None:
    found = {name for name, path in NAMES.items() for _, imported in imports(path) if imported.split(".")[0] in SERVERS}

    assert [name for name in sorted(found) if not within(name, MAY_SERVE)] == []


def test_nothing_waits_between_reading_and_writing_state() -> None:
    waiting = {
        name
        for name, path in NAMES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    }

    assert [name for name in sorted(waiting) if not within(name, MAY_WAIT)] == []
