"""`promo-sandbox verify`: any server held to our specs, by Schemathesis in a process of its own."""
