"""The vendors, a folder each. They see `promo_sandbox.rules` and nothing else of the sandbox."""
