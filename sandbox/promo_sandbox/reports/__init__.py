"""Reports on coverage and conformance as text, JSON, Markdown, JUnit XML and HTML.

What is measured is decided elsewhere. Start with `writers`, which knows every form.
"""
