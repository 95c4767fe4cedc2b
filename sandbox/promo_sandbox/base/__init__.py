"""Values and notations that every other room uses: messages, time, ids, money, errors, YAML, URLs, the configuration.

Nothing here knows OpenAPI, an org or a vendor. Start with `messages`: a request and a reply as values.
"""
