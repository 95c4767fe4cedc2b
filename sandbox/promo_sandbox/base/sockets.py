"""Listening sockets: on one address, or on both loopback addresses if the host is `localhost`."""

from __future__ import annotations

import errno
import socket

from promo_sandbox.base.errors import SandboxError

_LOOPBACK = ("127.0.0.1", "::1")
_NO_ADDRESS = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # the machine has no IPv4 or no IPv6 loopback address
_ATTEMPTS = 20  # to find a port that is free on both addresses


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 chooses a free port. Raises `SandboxError` if this fails."""
    try:
        return open_socket(host, port)
    except (OSError, OverflowError) as error:
        raise _listen_error(host, port, error) from None


def listen_all(host: str, port: int) -> list[socket.socket]:
    """The same; `localhost` means the loopback addresses of IPv4 and IPv6, if the machine has both."""
    if host.lower() != "localhost":
        return [listen(host, port)]
    for attempts_left in reversed(range(_ATTEMPTS)):
        listeners: list[socket.socket] = []
        for address in _LOOPBACK:
            try:
                listeners.append(open_socket(address, listeners[0].getsockname()[1] if listeners else port))
            except (OSError, OverflowError) as error:
                if getattr(error, "errno", None) in _NO_ADDRESS:
                    continue
                for listener in listeners:
                    listener.close()
                if port == 0 and attempts_left:  # the port is free on one address only
                    break
                raise _listen_error(address, port, error) from None
        else:
            if listeners:
                return listeners
            break
    raise SandboxError(f"cannot listen on localhost:{port}: there is no loopback address")


def base_url(host: str, listeners: list[socket.socket]) -> str:
    """The URL of the sockets that `listen_all` opened for the host."""
    address, port = listeners[0].getsockname()[:2]
    shown = host.lower() if host.lower() == "localhost" else f"[{address}]" if ":" in address else address
    return f"http://{shown}:{port}"


def open_socket(host: str, port: int) -> socket.socket:
    """Raises `OSError`, or `OverflowError` for an invalid port."""
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


def _listen_error(host: str, port: int, error: Exception) -> SandboxError:
    shown = f"[{host}]" if ":" in host else host
    return SandboxError(f"cannot listen on {shown}:{port}: {getattr(error, 'strerror', None) or error}")
