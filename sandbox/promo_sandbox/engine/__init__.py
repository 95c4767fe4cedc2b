"""The engine runs a request: orgs and their clocks, the steps from a request to its reply, snapshots and seeds.

Sockets are in `server`; the decisions of a vendor are in its rules. Start with `pipeline`, then read `execution`.
"""
