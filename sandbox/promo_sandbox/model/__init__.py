"""What rules are made of: an org's state and journal, a call, the rules of a vendor, its contract and its credentials.

Nothing here serves HTTP or reads scenarios. Start with `call`: one unit of work in one org.
"""
