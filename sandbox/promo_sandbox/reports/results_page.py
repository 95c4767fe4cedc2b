"""The results of a conformance run as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from promo_sandbox.reports.page_head import head
from promo_sandbox.reports.results import FAILED, PASSED, Failure, Result, Results

_NOT_IN_HTML = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "\N{REPLACEMENT CHARACTER}")


def write(report: Results) -> str:
    parts = [*head(report.title), f"<h1>{_text(report.title)}</h1>\n<p>{_text(report.summary())}</p>"]
    for group, results in report.groups().items():
        parts.append(f"<h2>{_text(group)}</h2>")
        for result in results:
            parts += _result(result)
    return "\n".join([*parts, "</body>\n</html>\n"])


def _result(result: Result) -> Iterator[str]:
    """A line, and below it the failures: folded, unless it failed."""
    opened = " open" if result.outcome == FAILED else ""
    kind = "covered" if result.outcome == PASSED else "never"
    yield f"<details{opened}>\n<summary><span><code>{_text(result.name)}</code>"
    yield f"<br><small><code>{_text(result.place)}</code></small></span>"
    yield f"<span><small>{_text(result.note)}</small></span>"
    yield f'<span class="{kind}">{result.outcome}</span></summary>'
    for failure in result.failures:
        yield from _failure(failure)
    yield "</details>"


def _failure(failure: Failure) -> Iterator[str]:
    times = f" ({failure.times} times)" if failure.times > 1 else ""
    yield f"<p><strong>{_text(failure.title)}</strong>{times}</p>"
    for line in filter(str.strip, failure.message.splitlines()):
        yield f"<p>{_text(line)}</p>"
    if failure.request:
        yield f"<p><code>{_text(failure.request)}</code></p>"


def _text(text: str) -> str:
    return escape(text.translate(_NOT_IN_HTML))
