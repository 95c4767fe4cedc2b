"""Webhooks: from an event in an org to HTTP requests to its subscribers, with retries and delivery faults.

Each vendor's rules declare its subscriptions. Start with `dispatch`, which turns events into deliveries; `sender` sends
them.
"""
