"""OpenAPI 3.1 documents, compiled to validate requests and replies.

No module here knows orgs or vendors. Start with `document`, which reads a specification; then `operation`, which
validates one request and one reply.
"""
