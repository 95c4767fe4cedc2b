"""Coverage as one HTML page that needs nothing else: no script, no network, light or dark as the reader has it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from promo_sandbox.reports import figures
from promo_sandbox.reports.figures import Json

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --paper: #fff; --band: #f6f8fa;
  --met: #1a7f37; --never: #bc4c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #f0f6fc; --soft: #9198a1; --line: #3d444d; --paper: #0d1117;
  --band: #151b23; --met: #3fb950; --never: #f0883e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 75rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.5rem; font-size: 1.25rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; } td.figure, th.figure { text-align: right; white-space: nowrap; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; }
summary { display: grid; grid-template-columns: minmax(0, 3fr) minmax(6rem, 2fr) 11rem; gap: 1rem; align-items: center;
  padding: .5rem .75rem; cursor: pointer; background: var(--band); }
summary small, p { color: var(--soft); } summary > span { min-width: 0; } details > * { padding: 0 .75rem; }
details > summary { padding: .5rem .75rem; }
.bar { display: block; height: .6rem; border-radius: .3rem; overflow: hidden; background: var(--line); }
.bar i { display: block; height: 100%; background: var(--met); }
.met { color: var(--met); } .never { color: var(--never); font-weight: 600; }
@media (max-width: 40rem) { summary { grid-template-columns: 1fr; gap: .3rem; } }
"""


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


def head(title: str) -> Iterator[str]:
    """How a page of ours begins."""
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"


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
    """A bar that says how much was met, and folded below it what."""
    both = figures.counted([*operation["statuses"], *operation["rejections"]])
    width = 100 * both["covered"] / both["all"] if both["all"] else 100.0
    shares = [f"{kind} {figures.share(figures.counted(operation[kind]))}" for kind in ("statuses", "rejections")]
    yield f"<details>\n<summary><span><code>{escape(operation['operation'])}</code> {_count(operation['count'])}"
    yield f"<br><small><code>{escape(operation['method'])} {escape(operation['path'])}</code></small></span>"
    yield f'<span class="bar" role="img" aria-label="{width:.0f} %"><i style="width: {width:.1f}%"></i></span>'
    yield f"<small>{'<br>'.join(shares)}</small></summary>\n<p>{escape(operation['summary'])}</p>"
    yield '<table>\n<thead><tr><th>status</th><th>rejection</th><th class="figure">met</th><th>what it says</th>'
    yield "<th>where the vendor says so</th></tr></thead>\n<tbody>"
    for status in operation["statuses"]:
        yield _row(str(status["status"]), "", status["count"], "", "")
    for item in operation["rejections"]:
        yield _row(str(item["status"]), item["rejection"], item["count"], item["summary"], item["source"])
    yield "</tbody>\n</table>\n</details>"


def _callbacks(vendor: Json) -> Iterator[str]:
    if vendor["callbacks"]:
        yield '<h3>Callbacks</h3>\n<table>\n<thead><tr><th>callback</th><th class="figure">met</th>'
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
    return f'<span class="met">{count} times</span>' if count else '<span class="never">never</span>'
