"""The socket that a process listens on."""

import socket

from service.errors import ServeError


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts. Raises ServeError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ServeError(f"cannot listen on {host} port {port}: {reason}") from error
