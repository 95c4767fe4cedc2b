"""Reports on coverage and conformance as text, JSON, Markdown, JUnit XML and HTML.

Measuring is in other rooms. Start with `coverage_writer`; conformance begins with `results`.
"""
