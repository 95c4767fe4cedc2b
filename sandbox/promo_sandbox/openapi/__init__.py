"""OpenAPI 3.1 documents compiled for serving: what a request and a reply must be. Knows nothing of the sandbox."""
