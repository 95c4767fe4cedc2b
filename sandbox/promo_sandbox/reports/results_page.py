"""What a contract test found, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from promo_sandbox.reports.page import head
from promo_sandbox.reports.verdicts import FAILED, PASSED, Failure, Verdict, Verdicts

_NOT_IN_HTML = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "\N{REPLACEMENT CHARACTER}")


def write(report: Verdicts) -> str:
    parts = [*head(report.title), f"<h1>{_text(report.title)}</h1>\n<p>{_text(report.summary())}</p>"]
    for group, verdicts in report.groups().items():
        parts.append(f"<h2>{_text(group)}</h2>")
        for verdict in verdicts:
            parts += _verdict(verdict)
    return "\n".join([*parts, "</body>\n</html>\n"])


def _verdict(verdict: Verdict) -> Iterator[str]:
    """A line, and folded below it what failed; unfolded where something did."""
    opened = " open" if verdict.outcome == FAILED else ""
    kind = "met" if verdict.outcome == PASSED else "never"
    yield f"<details{opened}>\n<summary><span><code>{_text(verdict.name)}</code>"
    yield f"<br><small><code>{_text(verdict.place)}</code></small></span>"
    yield f"<span><small>{_text(verdict.note)}</small></span>"
    yield f'<span class="{kind}">{verdict.outcome}</span></summary>'
    for failure in verdict.failures:
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
