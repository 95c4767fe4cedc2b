"""Webhooks: from an event in an org to HTTP requests at its subscribers, with retries and delivery faults.

Who subscribes to what is in each vendor's rules. Start with `dispatch`, which turns events into deliveries; `sender`
sends them.
"""
