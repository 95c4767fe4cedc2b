"""The server: sockets, the parts that it is made of, and the server inside another process.

What is answered is decided in `engine` and `admin`. Start with `app`, which puts everything together.
"""
