"""`python -m promo_sandbox` is `promo-sandbox`."""

from promo_sandbox.cli.main import main

main()
