"""The socket that a process listens on."""

import socket

from service.errors import ServeError


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that accepts connections. Raises ServeError if the address is not to be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ServeError(f"cannot listen on {host} port {port}: {reason}") from error
