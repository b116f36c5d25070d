"""Who may ask a service: everybody on this computer, or those who know its token."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ssl_pcb.errors import UserError

VARIABLE = "SSL_PCB_TOKEN"
LEAST = 16
"""Characters of a token; a shorter one can be guessed."""

OPEN = ("/", "/health")
"""What needs no token: the page, which is empty, and whether the service lives."""


def read_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token that ``file`` or the variable holds; ``None`` = neither is given.

    Raises:
        UserError: If it cannot be read, is too short or cannot be sent in a header.
    """
    if file is not None:
        try:
            token, source = file.read_text(encoding="utf-8").strip(), f"--token-file: {file}"
        except (OSError, ValueError):
            raise UserError(f"--token-file: {file} cannot be read as text; name another") from None
    elif VARIABLE in environment:
        token, source = environment[VARIABLE].strip(), f"the variable {VARIABLE}"
    else:
        return None
    if len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(f"{source} must hold a token of at least {LEAST} letters, digits and signs without spaces")
    return token


def refuse_open_doors(host: str, token: str | None) -> None:
    """Refuse to listen to other computers without a token.

    Raises:
        UserError: If so, or if there is no such address.
    """
    if not is_loopback(host) and token is None:
        raise UserError(
            f"--host: at {host} other computers could ask too; give a token in --token-file or in the variable "
            f"{VARIABLE}, or leave --host at 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches the address or name.

    Raises:
        UserError: If there is no such name.
    """
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UserError(f"--host: there is no address {host}; name one of this computer's") from None
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


class Bearer(AuthenticationBackend):
    """Lets those pass who send ``Authorization: Bearer TOKEN``."""

    def __init__(self, token: str) -> None:
        self.token = token.encode()

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        """Compare in a time that does not depend on how much of the token is right.

        Raises:
            AuthenticationError: If it is wrong or missing where one is needed.
        """
        if conn.scope["path"] in OPEN:
            return None
        kind, _, given = conn.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token):
            return AuthCredentials(), SimpleUser("bearer")
        raise AuthenticationError("this service wants a token: send the header 'Authorization: Bearer TOKEN'")


class OwnPages:
    """Refuses what the page of another site makes a browser ask.

    That page could not read the answers, but would take the line's time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 where the request names another origin than the host that it asks."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin")
        if origin is None or origin.partition("://")[2] == headers.get("host"):
            await self.app(scope, receive, send)
        else:
            refusal = JSONResponse({"error": "this service answers its own page alone, and programs"}, 403)
            await refusal(scope, receive, send)
