"""`promo-sandbox verify`: tests a server against the specifications. Schemathesis does this in a process of its own.

Start with `examination`, which tests one document after the other.
"""
