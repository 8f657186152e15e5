"""The images of a request: read within limits, and held in memory alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from tellapart.data.content import BytesContent
from tellapart.predict.guard import Limits
from tellapart.predict.inputs import Item

RAW = ("image/*", "application/octet-stream")
"""Types of a body that is one image."""
LONGEST_NAME = 255
DRAINED = 4
"""Bodies of up to so many times the limit are read to their end, so that the refusal is heard."""


async def read_images(request: Request, limits: Limits, most: int) -> list[Item]:
    """Return the files in the field ``images`` of a form, or the one image that the body is.

    Raises:
        HTTPException: they are none or too many, too large, of another type, or took too long.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", *RAW) and not kind.startswith("image/"):
        raise HTTPException(415, f"the body must be multipart/form-data or {' or '.join(RAW)}")
    chunks = _read_chunks(request, limits.body)
    try:
        async with asyncio.timeout(limits.upload):
            if kind != "multipart/form-data":
                content = b"".join([chunk async for chunk in chunks])
                return [Item("image", BytesContent(content))]
            parser = MultiPartParser(request.headers, chunks, max_files=most)
            parser.spool_max_size = limits.body  # above it, a part would go to a temporary file
            form = await parser.parse()
    except TimeoutError:
        raise HTTPException(408, "the body took too long") from None
    except ClientDisconnect:
        raise HTTPException(400, "the body was cut off") from None
    except MultiPartException as error:
        raise HTTPException(400, error.message) from error
    try:
        files = [one for one in form.getlist("images") if isinstance(one, UploadFile)]
        if not files:
            raise HTTPException(400, "there must be an image: a file in the field images")
        return [
            Item((one.filename or "image")[:LONGEST_NAME], BytesContent(await one.read()))
            for one in files
        ]
    finally:
        await form.close()


async def _read_chunks(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    read = 0
    async for chunk in request.stream():
        read += len(chunk)
        if read <= most:
            yield chunk
        elif read > DRAINED * most:
            break
    if read > most:
        raise HTTPException(413, f"a request must have at most {most:,} bytes; send fewer")
