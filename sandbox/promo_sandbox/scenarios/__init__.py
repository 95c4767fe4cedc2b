"""Scenarios: YAML documents that script the replies of an org, and the progress of an org through its scenario.

The catalogue of scenarios is in `engine`. Start with `run`: it decides which step takes a call.
"""
