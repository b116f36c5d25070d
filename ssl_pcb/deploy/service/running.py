"""A service on a port, until it is told to stop."""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette

from ssl_pcb.errors import UserError

MOST_CONNECTIONS = 1000


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: Address or name of this computer.
        port: 0 = any that is free.

    Raises:
        UserError: If the port is taken, or the address not this computer's.
    """
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
    except OSError as error:
        raise UserError(f"{host}:{port} cannot be listened at ({error.strerror}); choose another --port") from None


def run(app: Starlette, listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what was accepted.

    Raises:
        KeyboardInterrupt: On a second Ctrl-C, which leaves it.
    """
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        if server.force_exit:
            raise
