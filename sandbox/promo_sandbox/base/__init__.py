"""Values and notations that every other room uses: messages, time, ids, money, errors, YAML, URLs, the configuration.

No module here knows OpenAPI, orgs or vendors. Start with `messages`, which defines a request and a reply as values.
"""
