"""The server: the app that combines all parts, the socket server, and the server inside another process.

`engine` and `admin` make the replies. Start with `app`.
"""
