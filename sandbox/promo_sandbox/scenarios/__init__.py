"""Scenarios: documents in YAML that script an org, and how far an org has come in its own.

Which scenarios exist is known to `engine`. Start with `run`: which step a call takes.
"""
