"""The vendors, a folder each. They see `sandbox.rules` and nothing else of the sandbox."""
