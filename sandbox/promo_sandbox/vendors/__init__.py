"""One folder for each vendor. A vendor's modules import `promo_sandbox.rules` and nothing else of the sandbox."""
