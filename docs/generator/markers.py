"""Where a page leaves something to be generated: `<!-- generated: kind name -->`, alone in its line."""

from __future__ import annotations

import re

from docs.generator import admin, commands, vendors

_MARKER = re.compile(r"^<!-- generated: (\S+)(?: (\S+))? -->$", re.MULTILINE)


def filled(text: str) -> str:
    """The text with what its markers ask for. Raises `UnknownMarker`."""
    return _MARKER.sub(lambda marker: _generated(marker[1], marker[2]), text)


def _generated(kind: str, name: str | None) -> str:
    match kind, name:
        case "operations", str():
            return vendors.operations(name)
        case "refusals", str():
            return vendors.refusals(name)
        case "timers", _:
            return vendors.timers(name)
        case "admin-api", None:
            return admin.page()
        case "command-line", None:
            return commands.page()
    raise vendors.UnknownMarker(f"nothing generates {kind} {name or ''}".strip())
