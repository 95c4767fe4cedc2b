"""Writes the results of a conformance run as text, JUnit XML or HTML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from promo_sandbox.base.printable import escaped
from promo_sandbox.reports.results import FAILED, NOT_ASKED, Failure, Results

FORMS = ("text", "junit", "html")
_WIDTH = 110
_INDENT = " " * 8


def write(form: str, report: Results) -> str:
    """The report, which ends with a newline."""
    return escaped(_written(form, report), keep="\n")


def _written(form: str, report: Results) -> str:
    match form:
        case "junit":
            from promo_sandbox.reports import junit  # noqa: PLC0415 - only this form needs an XML library

            return junit.write_results(report)
        case "html":
            from promo_sandbox.reports import results_page  # noqa: PLC0415 - only this form needs the page

            return results_page.write(report)
    return "\n".join([*_lines(report), ""])


def _lines(report: Results) -> Iterator[str]:
    yield report.title
    listed = [result for result in report.results if result.note != NOT_ASKED]
    for group, results in report._replace(results=listed).groups().items():
        yield f"\n{group}"
        width = max(len(result.name) for result in results)
        for result in results:
            outcome = result.outcome.upper() if result.outcome == FAILED else result.outcome
            yield f"{outcome:7} {result.name:{width}}  {result.note or result.place}".rstrip()
            for failure in result.failures:
                yield from _failure(failure)
    yield f"\n{report.summary()}"


def _failure(failure: Failure) -> Iterator[str]:
    times = f" ({failure.times} times)" if failure.times > 1 else ""
    yield f"{_INDENT}{failure.title}{times}"
    for line in failure.message.splitlines():
        yield from textwrap.wrap(
            line, _WIDTH, initial_indent=f"{_INDENT}  ", subsequent_indent=f"{_INDENT}  ", break_on_hyphens=False
        )
    if failure.request:
        yield f"{_INDENT}  {failure.request}"
