"""`promo-sandbox parity`: compares a server with the documentation of the vendors, case by case.

Start with `cases`, which reads them; `replay` sends them.
"""
