"""`promo-sandbox verify`: a server held to the specifications by Schemathesis in a process of its own.

Start with `examination`: which documents and operations, one after the other.
"""
