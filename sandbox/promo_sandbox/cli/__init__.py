"""The command line `promo-sandbox`: its commands and their options.

What a command does is in other rooms, which are imported when it runs. Start with `main`.
"""
