"""What runs a request: the orgs with their clocks, the way from a request to its reply, snapshots and seeds.

Sockets are in `server`, and what a vendor decides is in its rules. Start with `pipeline`, then read `execution`.
"""
