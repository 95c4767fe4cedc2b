"""A small checkout: an order is paid by gift card, takes a coupon and a promotion's code, and earns points."""
