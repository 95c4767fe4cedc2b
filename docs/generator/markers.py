"""Replaces the markers in a page: `<!-- generated: kind name -->`, alone in a line."""

from __future__ import annotations

import re

from docs.generator import admin, commands, vendors

_MARKER = re.compile(r"^<!-- generated: (\S+)(?: (\S+))? -->$", re.MULTILINE)


def filled(text: str) -> str:
    """The text with each marker replaced by the generated part. Raises `UnknownMarker`."""
    return _MARKER.sub(lambda marker: _generated(marker[1], marker[2]), text)


def _generated(kind: str, name: str | None) -> str:
    match kind, name:
        case "operations", str():
            return vendors.operations(name)
        case "rejections", str():
            return vendors.rejections(name)
        case "timers", _:
            return vendors.timers(name)
        case "admin-api", None:
            return admin.page()
        case "command-line", None:
            return commands.page()
    raise vendors.UnknownMarker(f"no generator for {kind} {name or ''}".strip())
