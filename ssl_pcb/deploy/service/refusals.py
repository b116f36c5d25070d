"""What a service says to what it cannot take: a status and one sentence."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from ssl_pcb.deploy.service.limits import BusyError

log = logging.getLogger(__name__)


def _said(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status, headers)


def unknown(_: HTTPConnection, error: Exception) -> Response:
    """To whoever has not sent the token."""
    return _said(401, str(error), {"WWW-Authenticate": "Bearer"})


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _said(error.status_code, error.detail, dict(error.headers or {}))


async def _busy(_: Request, error: Exception) -> Response:
    return _said(503, f"busy: {error}; try again in a second", {"Retry-After": "1"})


async def _gone(_: Request, __: Exception) -> Response:
    return _said(400, "the request broke off")


async def _failed(request: Request, error: Exception) -> Response:
    log.error("%s failed", request.url.path, exc_info=error)
    return _said(500, "the service itself failed; its log says why")


HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    HTTPException: _refused, BusyError: _busy, ClientDisconnect: _gone, Exception: _failed
}  # fmt: skip
"""By what was raised."""
