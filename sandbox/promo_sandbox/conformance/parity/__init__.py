"""`promo-sandbox parity`: any server asked what the vendors' pages say, case by case."""
