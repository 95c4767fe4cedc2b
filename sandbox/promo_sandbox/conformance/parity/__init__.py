"""`promo-sandbox parity`: a server asked what the vendors' pages say, case by case.

Start with `cases`, which reads them; `replay` sends them.
"""
