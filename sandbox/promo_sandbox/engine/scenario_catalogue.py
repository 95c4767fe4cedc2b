"""The scenarios that have names: those of this package and those in the operator's folder, read when asked for.

A name is the path below the folder without its suffix, `vendor/lost-reply`; the operator's wins over a bundled one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from promo_sandbox.base import yaml_file
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.orgs import Org, Orgs
from promo_sandbox.engine.seeding import Unacceptable
from promo_sandbox.scenarios.document import ScenarioReader, parse, seed_errors
from promo_sandbox.scenarios.run import Scenario


class Entry(NamedTuple):
    """A scenario as the list shows it."""

    name: str
    summary: str | None
    steps: int
    bundled: bool


class ScenarioCatalogue:
    """Raises `SandboxError` where the operator's folder is none, or holds a scenario that cannot be begun."""

    def __init__(self, reader: ScenarioReader, orgs: Orgs, bundled: Path, own: Path | None = None) -> None:
        self.reader = reader
        self._orgs = orgs
        self._bundled = bundled
        self._own = own
        if own is not None:
            if not own.is_dir():
                raise SandboxError(f"the folder of scenarios {own} does not exist")
            for path in _files(own):
                self.check(path.relative_to(own).with_suffix("").as_posix())

    def names(self) -> dict[str, Path]:
        """The files by name, in its order."""
        found: dict[str, Path] = {}
        for folder in (self._bundled, self._own):
            if folder is not None:
                found |= {path.relative_to(folder).with_suffix("").as_posix(): path for path in _files(folder)}
        return dict(sorted(found.items()))

    def entries(self) -> list[Entry]:
        """All of them, not judged."""
        return [self._entry(name, path) for name, path in self.names().items()]

    def near(self, name: str) -> list[str]:
        return nearest(name, self.names(), 3)

    def beginning(self, org: Org, name: str) -> Work[None]:
        """Have an org begin a scenario, in slices. Raises `InvalidDocument`, or `KeyError` for an unknown name."""
        path = self.names()[name]
        text = yaml_file.read_text(path)
        yield from self.beginning_written(org, text, str(path), name=name)

    def beginning_written(
        self, org: Org, text: str, file: str, raw: Any = None, *, name: str | None = None
    ) -> Work[None]:
        """The same with a document. Raises `InvalidDocument`, and then nothing has changed."""
        scenario = self.reader.read(text, file, raw, name=name)
        try:
            yield from self._orgs.beginning(org, scenario)
        except Unacceptable as unacceptable:
            raise seed_errors(text, file, scenario.document, unacceptable.violations) from None

    def check(self, name: str) -> Scenario:
        """The scenario, if an org can begin it. Raises `InvalidDocument`."""
        path = self.names()[name]
        text = yaml_file.read_text(path)
        scenario = self.reader.read(text, str(path), name=name)
        try:
            self._orgs.rehearse(scenario)
        except Unacceptable as unacceptable:
            raise seed_errors(text, str(path), scenario.document, unacceptable.violations) from None
        return scenario

    def _entry(self, name: str, path: Path) -> Entry:
        raw = parse(yaml_file.read_text(path), str(path))
        steps = raw.get("steps") if isinstance(raw, dict) else None
        summary = raw.get("summary") if isinstance(raw, dict) else None
        bundled = self._own is None or not path.is_relative_to(self._own)
        return Entry(name, summary, len(steps) if isinstance(steps, list) else 0, bundled)


def _files(folder: Path) -> list[Path]:
    """The scenarios in a folder. What is hidden is none: a mounted ConfigMap has each file there a second time."""
    found = folder.rglob("*.yaml")
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
