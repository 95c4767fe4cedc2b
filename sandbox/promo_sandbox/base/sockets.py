"""Listening sockets: on one address, or on both loopback addresses where the host is `localhost`."""

from __future__ import annotations

import errno
import socket

from promo_sandbox.base.errors import SandboxError

_LOOPBACK = ("127.0.0.1", "::1")
_NOT_THERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # the machine has no such address, or not that kind of them
_ATTEMPTS = 20  # to find a port that is free on both


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises `SandboxError` if it cannot be had."""
    try:
        return open_socket(host, port)
    except (OSError, OverflowError) as error:
        raise _refused(host, port, error) from None


def listen_all(host: str, port: int) -> list[socket.socket]:
    """The same, but for `localhost` on the loopback addresses of IPv4 and of IPv6, as far as the machine has both."""
    if host.lower() != "localhost":
        return [listen(host, port)]
    for left in reversed(range(_ATTEMPTS)):
        listeners: list[socket.socket] = []
        for address in _LOOPBACK:
            try:
                listeners.append(open_socket(address, listeners[0].getsockname()[1] if listeners else port))
            except (OSError, OverflowError) as error:
                if getattr(error, "errno", None) in _NOT_THERE:
                    continue
                for listener in listeners:
                    listener.close()
                if port == 0 and left:  # free on one of them only
                    break
                raise _refused(address, port, error) from None
        else:
            if listeners:
                return listeners
            break
    raise SandboxError(f"cannot listen on localhost:{port}: there is no loopback address")


def base_url(host: str, listeners: list[socket.socket]) -> str:
    """Where a client finds what `listen_all` opened for the host."""
    address, port = listeners[0].getsockname()[:2]
    shown = host.lower() if host.lower() == "localhost" else f"[{address}]" if ":" in address else address
    return f"http://{shown}:{port}"


def open_socket(host: str, port: int) -> socket.socket:
    """Raises `OSError`, or `OverflowError` for a number that is no port."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError):
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _refused(host: str, port: int, error: Exception) -> SandboxError:
    shown = f"[{host}]" if ":" in host else host
    return SandboxError(f"cannot listen on {shown}:{port}: {getattr(error, 'strerror', None) or error}")
