"""Coverage of a running server, fetched and written down for people, CI services and other programs."""
