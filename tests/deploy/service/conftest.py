"""A service of the model whose scores are known, asked without a port; and image files of every kind."""

import io
import time
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ssl_pcb import load_classifier
from ssl_pcb.deploy.service.app import build_app
from ssl_pcb.deploy.service.limits import MIB, Limits

LOCAL = "http://127.0.0.1"


def encoded(array, kind="PNG", **options):
    """The bytes of an image file."""
    held = io.BytesIO()
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    picture.save(held, kind, **options)
    return held.getvalue()


def grey(level, height=16, width=16):
    return np.full((height, width), level, np.uint8)


def until(ready):
    """Wait for something, a minute at most."""
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def client(brightness):
    """Asks a service: ``client(token=..., tile=32, queue=5)`` gives a client."""
    with ExitStack() as opened:

        def make(predictor=None, token=None, host=LOCAL, max_bytes=MIB, queue=256, batch=16, **changes):
            predictor = predictor or load_classifier(brightness(**changes))
            limits = Limits(predictor.facts.max_pixels, max_bytes=max_bytes, queue=queue, batch=batch)
            app = build_app(predictor, limits, "<title>a page</title>", token)
            return opened.enter_context(TestClient(app, base_url=host, raise_server_exceptions=False))

        yield make


def sent(client, *files, **options):
    """The answer to files (name, bytes)."""
    return client.post("/predict", files=[("image", file) for file in files], **options)
