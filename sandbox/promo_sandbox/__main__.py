"""Makes `python -m promo_sandbox` the same as the command `promo-sandbox`."""

from promo_sandbox.cli.main import main

main()
