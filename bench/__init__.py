"""How fast and how small the sandbox is, against a bare Starlette app on the same machine; see README.md."""
