"""OpenAPI 3.1 documents, compiled for serving: what a request and a reply must be.

Nothing here knows the sandbox, an org or a vendor. Start with `document`, which reads a specification; `operation`
validates one request and one reply.
"""
