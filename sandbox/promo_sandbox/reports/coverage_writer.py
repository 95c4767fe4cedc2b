"""Writes the coverage report as text, JSON, Markdown, JUnit XML or HTML."""

from __future__ import annotations

import json
import textwrap

from promo_sandbox.base.printable import escaped
from promo_sandbox.reports import figures
from promo_sandbox.reports.figures import Json

_WIDTH = 110


def write(form: str, report: Json, *, missing: bool) -> str:
    """The report, which ends with a newline. missing: in text and Markdown, show only what is not covered."""
    return escaped(_written(form, report, missing=missing), keep="\n")


def _written(form: str, report: Json, *, missing: bool) -> str:
    match form:
        case "json":
            return json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        case "junit":
            from promo_sandbox.reports import junit  # noqa: PLC0415 - only this form needs an XML library

            return junit.write(report)
        case "html":
            from promo_sandbox.reports import coverage_page  # noqa: PLC0415 - only this form needs the page

            return coverage_page.write(report)
        case "markdown":
            return _markdown(report, missing=missing)
    return _text(report, missing=missing)


def _text(report: Json, *, missing: bool) -> str:
    blocks: list[list[str]] = []
    for vendor in report["vendors"]:
        blocks += [
            _heading(vendor),
            _table(_rows(vendor, missing=missing), _notes(vendor, missing=missing)),
            _outside(vendor, missing=missing),
        ]
    scope = "all orgs" if report["org"] is None else f"the org {report['org']}"
    return _joined([*blocks, [f"{scope}: {figures.summary(report['totals'])}"]])


def _joined(blocks: list[list[str]]) -> str:
    """Join blocks of lines with an empty line between them."""
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _heading(vendor: Json) -> list[str]:
    parts = ", ".join(f"{kind} {figures.share(vendor['totals'][kind])}" for kind in figures.KINDS)
    return [f"{vendor['vendor']}: {figures.summary(vendor['totals'])}", parts]


def _shown(vendor: Json, *, missing: bool) -> list[Json]:
    """The operations with a row of their own: with `missing`, those that were called and are not fully covered."""
    return [it for it in vendor["operations"] if not missing or (it["count"] and figures.is_incomplete(it))]


def _rows(vendor: Json, *, missing: bool) -> list[tuple[str, ...]]:
    return [
        (
            operation["operation"],
            str(operation["count"]),
            figures.share(figures.counted(operation["statuses"])),
            figures.share(figures.counted(operation["rejections"])),
        )
        for operation in _shown(vendor, missing=missing)
    ]


def _notes(vendor: Json, *, missing: bool) -> list[str]:
    """The line below each row: the names that are not covered, or all names with their counts."""
    if missing:
        return [f"not covered: {', '.join(figures.uncovered(it))}" for it in _shown(vendor, missing=True)]
    return [", ".join(f"{name}={count}" for name, count in figures.names(it)) for it in vendor["operations"]]


def _table(rows: list[tuple[str, ...]], notes: list[str]) -> list[str]:
    head = ("operation", "calls", "statuses", "rejections")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = []
    for row, note in ((head, ""), *zip(rows, notes, strict=True)) if rows else ():
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        lines += _wrapped(note, "    ")
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def _outside(vendor: Json, *, missing: bool) -> list[str]:
    """Lines below the table: operations that were never called, and callbacks."""
    uncalled = [it["operation"] for it in vendor["operations"] if not it["count"]] if missing else []
    lines = ["operations never called:", *_wrapped(", ".join(uncalled), "    ")] if uncalled else []
    shown = [it for it in vendor["callbacks"] if not missing or not it["count"]]
    if shown:
        names = (it["callback"] if missing else f"{it['callback']}={it['count']}" for it in shown)
        lines += ["callbacks not covered:" if missing else "callbacks:", *_wrapped(", ".join(names), "    ")]
    return lines


def _markdown(report: Json, *, missing: bool) -> str:
    scope = "" if report["org"] is None else f" of the org {_cell(report['org'])}"
    blocks = [[f"## Contract coverage{scope}: {figures.summary(report['totals'])}"], _shares(report)]
    for vendor in report["vendors"]:
        notes = [note.removeprefix("not covered: ") for note in _notes(vendor, missing=missing)]
        rows = [(*row, note) for row, note in zip(_rows(vendor, missing=missing), notes, strict=True)]
        last = "not covered" if missing else "counts"
        grid = _grid(("operation", "calls", "statuses", "rejections", last), rows) if rows else []
        blocks += [[f"### {vendor['vendor']}"], grid, [_cell(line) for line in _outside(vendor, missing=missing)]]
    return _joined(blocks)


def _shares(report: Json) -> list[str]:
    rows = []
    for vendor in report["vendors"]:
        totals = vendor["totals"]
        shares = (figures.share(totals[kind]) for kind in figures.KINDS)
        rows.append((vendor["vendor"], *shares, figures.percent(totals["everything"])))
    return _grid(("vendor", *figures.KINDS, "together"), rows)


def _grid(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in lines]


def _cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|" else letter for letter in " ".join(text.split()))
