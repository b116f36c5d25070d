"""The service: routes, what they answer, and what they answer to what they cannot take."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ssl_pcb.deploy.items import Item
from ssl_pcb.deploy.merging import Prediction
from ssl_pcb.deploy.overlay import overlay
from ssl_pcb.deploy.predictor import Predictor
from ssl_pcb.deploy.rows import as_object
from ssl_pcb.deploy.service.access import Bearer, OwnPages
from ssl_pcb.deploy.service.batcher import Batcher
from ssl_pcb.deploy.service.limits import HELD_REQUESTS, Held, Limits
from ssl_pcb.deploy.service.metrics import Counted, Metrics
from ssl_pcb.deploy.service.refusals import HANDLERS, unknown
from ssl_pcb.deploy.service.uploads import uploaded

PAGE_HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store"}
LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Service:
    """Answers requests with what a classifier says.

    Attributes:
        predictor: The classifier.
        limits: What it takes.
        page: What a browser is shown at ``/``.
    """

    def __init__(self, predictor: Predictor, limits: Limits, page: str) -> None:
        self.predictor, self.limits, self.page = predictor, limits, page
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: self.held.now)
        self.batcher = Batcher(
            partial(predictor.stream, max_pixels=limits.max_pixels, remote=True), limits, self.metrics.batches.observe
        )
        self.drawing = asyncio.Semaphore()  # one at a time: what draws takes a core from what judges
        self.held = Held(HELD_REQUESTS * limits.max_bytes)

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Judge while the application runs; at the end what waits is answered first."""
        self.batcher.start()
        yield
        await run_in_threadpool(self.batcher.stop)

    async def predict(self, request: Request) -> Response:
        """A row an image, as ``ssl-pcb predict`` has it; 422 if one of them could not be read."""
        async with self._uploaded(request) as items:
            found = await self._judged(items)
        first = next((each.error for each in found if each.error), None)
        return JSONResponse({"error": first, "rows": [as_object(each) for each in found]}, 422 if first else 200)

    async def overlay(self, request: Request) -> Response:
        """One image as a PNG: its heat map if the model makes any, and its suspects, outlined."""
        async with self._uploaded(request) as items:
            if len(items) > 1:
                raise HTTPException(422, f"send one image, not {len(items)}")
            (found,) = await self._judged(items)
            if found.error:
                raise HTTPException(422, found.error)
            async with self.drawing:
                picture = await run_in_threadpool(self._drawn, items[0], found)
        return Response(picture, media_type="image/png")

    def _drawn(self, item: Item, found: Prediction) -> bytes:
        held = io.BytesIO()
        overlay(self.predictor, item, found, self.limits.max_pixels).save(held, "PNG", compress_level=3)
        return held.getvalue()

    async def health(self, _: Request) -> Response:
        """Whether it lives, and which model it has."""
        facts = self.predictor.facts
        return JSONResponse({"status": "ok", "model": facts.model, "threshold": facts.operating.name})

    async def told(self, _: Request) -> Response:
        """What it has counted."""
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def shown(self, _: Request) -> Response:
        """The page."""
        return HTMLResponse(self.page, headers=PAGE_HEADERS)

    def _uploaded(self, request: Request) -> AbstractAsyncContextManager[list[Item]]:
        return uploaded(request, self.limits.max_bytes, self.held, references=self.predictor.facts.references)

    async def _judged(self, items: Sequence[Item]) -> list[Prediction]:
        if len(items) > self.limits.queue:  # waiting would never help
            raise HTTPException(413, f"{len(items)} images at once, and {self.limits.queue} may wait; send fewer")
        found = await asyncio.gather(*map(asyncio.wrap_future, self.batcher.add(items)))
        for each in found:
            self.metrics.images.labels(each.verdict or "unreadable").inc()
        return found


def build_app(
    predictor: Predictor, limits: Limits, page: str, token: str | None = None, host: str = LOCAL[0]
) -> Starlette:
    """The application.

    Without a token it answers only where it is asked for by a name of this computer: otherwise any page that a
    browser here has open could ask it under a name of its own, and read what it says (DNS rebinding).

    Args:
        predictor: Judges.
        limits: What it takes.
        page: HTML for ``/``.
        token: What others must send; ``None`` = nothing.
        host: Where it listens.
    """
    service = Service(predictor, limits, page)
    routes = [
        Route("/predict", service.predict, methods=["POST"]),
        Route("/overlay", service.overlay, methods=["POST"]),
        Route("/health", service.health),
        Route("/metrics", service.told),
        Route("/", service.shown),
    ]
    guard = (
        Middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL, host], www_redirect=False)
        if token is None
        else Middleware(AuthenticationMiddleware, backend=Bearer(token), on_error=unknown)
    )
    counted = Middleware(Counted, metrics=service.metrics, paths=frozenset(route.path for route in routes))
    return Starlette(
        routes=routes,
        middleware=[counted, Middleware(OwnPages), guard],
        exception_handlers=HANDLERS,
        lifespan=service.running,
    )
