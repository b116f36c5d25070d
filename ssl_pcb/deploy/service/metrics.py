"""What a service counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counts since the start.

    Attributes:
        registry: All of them.
        requests: By path and status.
        seconds: From a request's headers to the end of its answer, by path.
        images: By verdict; ``unreadable`` if there is none.
        batches: Sizes of batches.
    """

    def __init__(self, waiting: Callable[[], float], held: Callable[[], float]) -> None:
        """Start at zero; ``waiting`` tells how many images wait, ``held`` how many bytes of requests are in memory."""
        self.registry = CollectorRegistry()
        self.requests = Counter("ssl_pcb_requests", "Answered", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "ssl_pcb_request_seconds", "Until answered", ["path"], buckets=SECONDS, registry=self.registry
        )
        self.images = Counter("ssl_pcb_images", "Judged", ["verdict"], registry=self.registry)
        self.batches = Histogram(
            "ssl_pcb_batch_images", "Images judged together", buckets=BATCHES, registry=self.registry
        )
        Gauge("ssl_pcb_waiting_images", "Images that wait", registry=self.registry).set_function(waiting)
        Gauge("ssl_pcb_held_bytes", "Of requests in memory", registry=self.registry).set_function(held)


class Counted:
    """Counts requests and their time, whoever answers them."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        """Count what goes to ``app``; whatever is not in ``paths`` is counted as one."""
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path, began, status = scope["path"] if scope["path"] in self.paths else "other", time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - began)
