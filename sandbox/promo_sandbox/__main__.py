"""`python -m sandbox` is `promo-sandbox`."""

from sandbox.cli import main

main()
