"""What the pages of `docs/` do not say themselves: made from specs, rules and options while the site is built."""
