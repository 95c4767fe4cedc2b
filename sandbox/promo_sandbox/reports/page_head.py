"""The head of every HTML report: one style, light or dark as the reader prefers, no script and no network."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --paper: #fff; --band: #f6f8fa;
  --covered: #1a7f37; --never: #bc4c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #f0f6fc; --soft: #9198a1; --line: #3d444d; --paper: #0d1117;
  --band: #151b23; --covered: #3fb950; --never: #f0883e; } }
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
.bar i { display: block; height: 100%; background: var(--covered); }
.covered { color: var(--covered); } .never { color: var(--never); font-weight: 600; }
@media (max-width: 40rem) { summary { grid-template-columns: 1fr; gap: .3rem; } }
"""


def head(title: str) -> Iterator[str]:
    """The lines up to and including `<body>`."""
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
