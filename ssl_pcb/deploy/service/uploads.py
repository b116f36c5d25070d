"""From a request to the images in it, which are other people's bytes under other people's names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ssl_pcb.deploy.items import Item
from ssl_pcb.deploy.service.limits import MIB, MOST_IMAGES, UPLOAD_SECONDS, Held
from ssl_pcb.imaging.encoded import Encoded

IMAGE, REFERENCE = "image", "reference"
LONGEST_NAME = 200
RAW = ("image/", "application/octet-stream")
"""Beginnings of the type of a request that is one image and nothing else."""


@asynccontextmanager
async def uploaded(request: Request, max_bytes: int, held: Held, *, references: bool) -> AsyncIterator[list[Item]]:
    """The images of a request, whose bytes count as held until the end.

    Args:
        request: A form of several parts (``image``, and perhaps ``reference``), or the bytes of one image.
        max_bytes: Larger requests are refused before they are read.
        held: Counts their bytes.
        references: Whether each image needs a golden one.

    Raises:
        HTTPException: 408, 411, 413, 415 or 422, with one sentence.
        BusyError: If there is no room for so many bytes.
    """
    with held.bytes(_length(request, max_bytes)):
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                items = await _items(request)
        except TimeoutError:
            raise HTTPException(408, f"the request did not arrive within {UPLOAD_SECONDS} seconds") from None
        if references and items[0].golden is None:
            raise HTTPException(
                422, f"this model compares with golden images; send one as the part '{REFERENCE}' beside '{IMAGE}'"
            )
        yield items


def _length(request: Request, max_bytes: int) -> int:
    text = request.headers.get("content-length", "")
    if not text.isdecimal() or "transfer-encoding" in request.headers:  # beside which a length says nothing
        raise HTTPException(411, "say in the header Content-Length how long the request is, and send it in one piece")
    if int(text) > max_bytes:
        raise HTTPException(413, f"a request of {int(text):,} bytes is larger than the {max_bytes // MIB} MiB allowed")
    return int(text)


async def _items(request: Request) -> list[Item]:
    kind = request.headers.get("content-type", "").lower()
    if kind.startswith("multipart/form-data"):
        async with request.form(max_files=MOST_IMAGES + 1, max_fields=MOST_IMAGES) as form:
            return await _of_form(form)
    if kind.startswith(RAW):
        return [_item(Encoded("image 1", await request.body()))]
    raise HTTPException(
        415, f"send multipart/form-data with parts '{IMAGE}', or one image as image/* or application/octet-stream"
    )


async def _of_form(form: FormData) -> list[Item]:
    parts: dict[str, list[Encoded]] = {IMAGE: [], REFERENCE: []}
    for name, part in form.multi_items():
        if name not in parts:
            raise HTTPException(422, f"there is a part that is neither '{IMAGE}' nor '{REFERENCE}'")
        if isinstance(part, UploadFile):
            number = len(parts[name]) + 1
            parts[name].append(Encoded(_name(part.filename) or f"{name} {number}", await part.read()))
    if not 1 <= len(parts[IMAGE]) <= MOST_IMAGES or len(parts[REFERENCE]) > 1:
        raise HTTPException(
            422, f"send 1 to {MOST_IMAGES} files as parts '{IMAGE}', and at most one as '{REFERENCE}', for all of them"
        )
    golden = parts[REFERENCE][0] if parts[REFERENCE] else None
    return [_item(image, golden) for image in parts[IMAGE]]


def _item(image: Encoded, golden: Encoded | None = None) -> Item:
    return Item(image.name, image, golden=golden)


def _name(given: str | None) -> str:
    """A file name as one line of text, not too long."""
    return "".join(char if char.isprintable() else "\ufffd" for char in given or "")[:LONGEST_NAME]
