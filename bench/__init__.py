"""Benchmarks: speed and memory of the sandbox, compared with a bare Starlette app. See README.md."""
