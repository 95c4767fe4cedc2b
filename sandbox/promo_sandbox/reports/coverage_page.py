"""The coverage report as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from promo_sandbox.reports import figures
from promo_sandbox.reports.figures import Json
from promo_sandbox.reports.page_head import head


def write(report: Json) -> str:
    title = "Contract coverage" if report["org"] is None else f"Contract coverage of {report['org']}"
    parts = [
        *head(title),
        f"<h1>{escape(title)}: {escape(figures.summary(report['totals']))}</h1>",
        *_totals(report),
    ]
    for vendor in report["vendors"]:
        parts += [f'<h2 id="{escape(vendor["vendor"])}">{escape(vendor["vendor"])}</h2>']
        parts += [part for operation in vendor["operations"] for part in _operation(operation)]
        parts += _callbacks(vendor)
    return "\n".join([*parts, "</body>\n</html>\n"])


def _totals(report: Json) -> Iterator[str]:
    yield "<table>\n<thead><tr><th>vendor</th>"
    yield "".join(f'<th class="figure">{kind}</th>' for kind in (*figures.KINDS, "together"))
    yield "</tr></thead>\n<tbody>"
    for vendor in report["vendors"]:
        name, totals = escape(vendor["vendor"]), vendor["totals"]
        shares = "".join(f'<td class="figure">{figures.share(totals[kind])}</td>' for kind in figures.KINDS)
        whole = f'<td class="figure">{figures.percent(totals["everything"])}</td>'
        yield f'<tr><td><a href="#{name}">{name}</a></td>{shares}{whole}</tr>'
    yield "</tbody>\n</table>"


def _operation(operation: Json) -> Iterator[str]:
    """A bar that shows the share, and below it, folded, each status and rejection."""
    both = figures.counted([*operation["statuses"], *operation["rejections"]])
    width = 100 * both["covered"] / both["all"] if both["all"] else 100.0
    shares = [f"{kind} {figures.share(figures.counted(operation[kind]))}" for kind in ("statuses", "rejections")]
    yield f"<details>\n<summary><span><code>{escape(operation['operation'])}</code> {_count(operation['count'])}"
    yield f"<br><small><code>{escape(operation['method'])} {escape(operation['path'])}</code></small></span>"
    yield f'<span class="bar" role="img" aria-label="{width:.0f} %"><i style="width: {width:.1f}%"></i></span>'
    yield f"<small>{'<br>'.join(shares)}</small></summary>\n<p>{escape(operation['summary'])}</p>"
    yield '<table>\n<thead><tr><th>status</th><th>rejection</th><th class="figure">covered</th><th>summary</th>'
    yield "<th>source</th></tr></thead>\n<tbody>"
    for status in operation["statuses"]:
        yield _row(str(status["status"]), "", status["count"], "", "")
    for item in operation["rejections"]:
        yield _row(str(item["status"]), item["rejection"], item["count"], item["summary"], item["source"])
    yield "</tbody>\n</table>\n</details>"


def _callbacks(vendor: Json) -> Iterator[str]:
    if vendor["callbacks"]:
        yield '<h3>Callbacks</h3>\n<table>\n<thead><tr><th>callback</th><th class="figure">covered</th>'
        yield "</tr></thead>\n<tbody>"
        for callback in vendor["callbacks"]:
            name, count = escape(callback["callback"]), _count(callback["count"])
            yield f'<tr><td><code>{name}</code></td><td class="figure">{count}</td></tr>'
        yield "</tbody>\n</table>"


def _row(status: str, name: str, count: int, summary: str, source: str) -> str:
    shown = f"<code>{escape(name)}</code>" if name else ""
    return (
        f'<tr><td>{status}</td><td>{shown}</td><td class="figure">{_count(count)}</td>'
        f"<td>{escape(summary)}</td><td>{escape(source)}</td></tr>"
    )


def _count(count: int) -> str:
    return f'<span class="covered">{count} times</span>' if count else '<span class="never">never</span>'
