"""The named scenarios: those of this package and those in the operator's folder. A file is read for each use.

A name is the path below the folder without its suffix, as in `vendor/lost-reply`. A scenario of the operator overrides
the bundled one of the same name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from promo_sandbox.base import yaml_file
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.slices import Work, run_to_end
from promo_sandbox.engine.orgs import Org, Orgs
from promo_sandbox.engine.seeding import InvalidObjects
from promo_sandbox.scenarios.document import ScenarioReader, parse, seed_errors
from promo_sandbox.scenarios.run import Scenario


class Entry(NamedTuple):
    """A scenario in the list of scenarios."""

    name: str
    summary: str | None
    steps: int
    bundled: bool


class ScenarioCatalogue:
    """Raises `SandboxError` if the operator's folder does not exist, or if one of its scenarios is invalid."""

    def __init__(self, reader: ScenarioReader, orgs: Orgs, bundled: Path, custom: Path | None = None) -> None:
        self.reader = reader
        self._orgs = orgs
        self._bundled = bundled
        self._custom = custom
        if custom is not None:
            if not custom.is_dir():
                raise SandboxError(f"the folder of scenarios {custom} does not exist")
            for path in _files(custom):
                self.check(path.relative_to(custom).with_suffix("").as_posix())

    def names(self) -> dict[str, Path]:
        """The files by scenario name, sorted by name."""
        found: dict[str, Path] = {}
        for folder in (self._bundled, self._custom):
            if folder is not None:
                found |= {path.relative_to(folder).with_suffix("").as_posix(): path for path in _files(folder)}
        return dict(sorted(found.items()))

    def entries(self) -> list[Entry]:
        """All scenarios, without validating them."""
        return [self._entry(name, path) for name, path in self.names().items()]

    def similar_names(self, name: str) -> list[str]:
        return nearest(name, self.names(), 3)

    def start(self, org: Org, name: str) -> Work[Scenario]:
        """Start a scenario in an org, in slices. Raises `InvalidDocument`, or `KeyError` for an unknown name."""
        path = self.names()[name]
        return self.start_document(org, yaml_file.read_text(path), str(path), name=name)

    def start_document(
        self, org: Org, text: str, file: str, raw: Any = None, *, name: str | None = None
    ) -> Work[Scenario]:
        """Start a scenario from its text. Raises `InvalidDocument`, and then nothing has changed."""
        scenario = self.reader.read(text, file, raw, name=name)
        try:
            yield from self._orgs.restart(org, scenario)
        except InvalidObjects as invalid:
            raise seed_errors(text, file, scenario.document, invalid.violations) from None
        return scenario

    def check(self, name: str) -> Scenario:
        """Validate a scenario by starting it in a temporary org. Raises `InvalidDocument`."""
        with self._orgs.temporary() as org:
            return run_to_end(self.start(org, name))

    def _entry(self, name: str, path: Path) -> Entry:
        raw = parse(yaml_file.read_text(path), str(path))
        steps = raw.get("steps") if isinstance(raw, dict) else None
        summary = raw.get("summary") if isinstance(raw, dict) else None
        bundled = self._custom is None or not path.is_relative_to(self._custom)
        return Entry(name, summary, len(steps) if isinstance(steps, list) else 0, bundled)


def _files(folder: Path) -> list[Path]:
    """The scenarios in a folder. Hidden paths are left out: a mounted ConfigMap has each file there a second time."""
    found = folder.rglob("*.yaml")
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
