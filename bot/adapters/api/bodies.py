"""Reads what a program sends: JSON, or a form with an image. Large ones wait on the disk, a few in memory."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from aiohttp import BodyPartReader, web

from bot.adapters.api.errors import ApiError
from bot.adapters.web.parsing import UNREADABLE
from bot.adapters.web.uploads import MAX_FIELD, Uploads, text_of
from bot.i18n import _
from bot.prompts.draft import MOST_IMAGES

SMALL = 256_000  # bytes of a body without an image
MOST_PARTS = 64  # of a form
IMAGES = ("image", "image[]")
MASK = "mask"
FILE = "file"  # stands for a file that is not taken


@dataclass(frozen=True, slots=True)
class SentFiles:
    """The files of a body."""

    images: list[bytes] = field(default_factory=list)
    mask: bytes = b""


class Bodies(Uploads):
    """Takes bodies one by one, however many come at once."""

    @asynccontextmanager
    async def values(self, request: web.Request) -> AsyncIterator[tuple[dict[str, Any], SentFiles]]:
        """Yield the fields of a body, and the files in it, which may be kept while the block runs.

        Raises ApiError, Refusal.
        """
        if request.content_type.startswith("multipart/"):
            most = self._max_bytes + MOST_PARTS * MAX_FIELD
            size = most if request.content_length is None else request.content_length
            if size > most:
                raise self._too_large()
            async with self._kept(request, size) as (fields, pictures):
                yield _told_apart(fields, pictures)
            return
        most = SMALL + 4 * self._max_bytes // 3
        size = most if request.content_length is None else request.content_length
        if size > most:
            raise self._too_large()
        with self._room(size), tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            with _readable():
                size = await self._spooled(request.content.iter_chunked(65536), file, most)
            if size <= SMALL:
                yield _parsed(file)
                return
            async with self._places:
                yield await asyncio.to_thread(_parsed, file)

    async def _read(self, request: web.Request, file: IO[bytes]) -> tuple[dict[str, str], list[int]]:
        fields: dict[str, str] = {}
        sizes: list[int] = []
        parts = images = 0
        with _readable():
            async for part in await request.multipart():
                parts += 1
                if parts > MOST_PARTS or not isinstance(part, BodyPartReader) or not part.name:
                    raise ValueError("too many parts, or parts in parts, or one without a name")
                if part.name in IMAGES:
                    images += 1
                    if images > MOST_IMAGES:
                        raise _too_many()
                    await self._keep(part, file, sizes)
                elif part.name == MASK and part.filename is not None and MASK not in fields:
                    before = len(sizes)
                    await self._keep(part, file, sizes)
                    fields[MASK] = str(before) if len(sizes) > before else ""
                elif part.name == MASK:
                    raise no_mask()
                elif part.filename is not None:
                    fields[part.name] = FILE
                else:
                    too_much = ApiError(413, _("That is too much to send."), param=part.name[:40])
                    fields[part.name] = await text_of(part, too_much)
        return fields, sizes


@contextmanager
def _readable() -> Iterator[None]:
    """Turn a parser's errors inside the block into an ApiError."""
    try:
        yield
    except UNREADABLE as error:
        raise ApiError(
            400, _("The body cannot be read. Send a JSON object, or a form with an image to edit.")
        ) from error


def _told_apart(fields: dict[str, str], pictures: list[bytes]) -> tuple[dict[str, Any], SentFiles]:
    """Return the fields of a form and its files, among which the field of the mask names the mask's place."""
    said = {name: value for name, value in fields.items() if name != MASK}
    if not fields.get(MASK):
        return said, SentFiles(pictures)
    place = int(fields[MASK])
    return said, SentFiles(pictures[:place] + pictures[place + 1 :], pictures[place])


def _parsed(file: IO[bytes]) -> tuple[dict[str, Any], SentFiles]:
    """Return the fields of a JSON object, and its images and mask as bytes. Raises ApiError."""
    file.seek(0)
    with _readable():
        values = json.loads(file.read())
        if not isinstance(values, dict):
            raise ValueError("not an object")
        sent = [*_listed(values.pop("images", None)), *_listed(values.pop("image", None))]
        if len(sent) > MOST_IMAGES:
            raise _too_many()
        mask = values.pop(MASK, None) or None
        if isinstance(mask, str) and not mask.startswith("data:"):
            raise no_mask()
        return values, SentFiles(
            [_decoded(each) for each in sent], _decoded(mask) if mask is not None else b""
        )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _decoded(sent: Any) -> bytes:
    """Return the bytes of an image in JSON: base64, alone or as a data URL, or in an object's `image_url`."""
    url = sent.get("image_url") if isinstance(sent, dict) else sent
    if not isinstance(url, str) or url.startswith(("http://", "https://")):
        text = _("Easel fetches no images. Send the image itself, in a form or as a data: URL.")
        raise ApiError(400, text, param="image")
    head, comma, data = url.partition(",")
    return base64.b64decode(data if comma and head.startswith("data:") else url, validate=True)


def no_mask() -> ApiError:
    """Return what is said of a mask that is no file."""
    text = _("A mask is a PNG file. Or name the region instead, as in “top right” or 10,20,60,80.")
    return ApiError(400, text, code="unsupported", param=MASK)


def _too_many() -> ApiError:
    text = _("One image can be made of {most} at most. Leave some out.", most=MOST_IMAGES)
    return ApiError(400, text, param="image")
