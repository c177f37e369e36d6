"""Forms that carry a picture: on the disk while they come, in memory a few at a time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from aiohttp import BodyPartReader, web

from bot.adapters.web.parsing import reading
from bot.errors import Refusal
from bot.i18n import _

FIELDS = ("text", "event", "parent")
PICTURE = "source"
MAX_FIELD = 64_000  # bytes of a text field
MOST_PARTS = 8  # of one form
CHUNK = 1 << 18  # bytes that one form holds in memory while it comes
AT_ONCE = 2  # pictures in memory; as many are decoded at a time
MOST_ON_DISK = 1_000_000_000  # bytes of all forms that come or wait
RETRY_AFTER = "10"  # seconds


class Uploads:
    """Takes forms one by one, however many come at once."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Keep uploads in `folder`; `max_bytes` is the most of one picture."""
        self._folder, self._max_bytes = folder, max_bytes
        self._places = asyncio.Semaphore(AT_ONCE)
        self._on_disk = 0

    @asynccontextmanager
    async def form(self, request: web.Request) -> AsyncIterator[tuple[dict[str, str], bytes]]:
        """Yield the fields of a multipart form and its picture, which may be kept while the block runs.

        Raises Refusal, HTTPBadRequest, HTTPServiceUnavailable.
        """
        most = self._max_bytes + MOST_PARTS * MAX_FIELD
        size = most if request.content_length is None else request.content_length
        if size > most:
            raise self._too_large()
        async with self._kept(request, size) as (fields, pictures):
            yield fields, pictures[0] if pictures else b""

    @asynccontextmanager
    async def _kept(
        self, request: web.Request, size: int
    ) -> AsyncIterator[tuple[dict[str, str], list[bytes]]]:
        """Yield the fields of a form of so many bytes, and its pictures."""
        with self._room(size), tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            fields, sizes = await self._read(request, file)
            if not sizes:
                yield fields, []
                return
            async with self._places:
                yield fields, await asyncio.to_thread(_parts, file, sizes)

    @contextmanager
    def _room(self, size: int) -> Iterator[None]:
        if self._on_disk + size > MOST_ON_DISK:
            text = _("Too many images are being sent at the moment. Try again in ten seconds.")
            raise web.HTTPServiceUnavailable(text=text, headers={"Retry-After": RETRY_AFTER})
        self._on_disk += size
        try:
            yield
        finally:
            self._on_disk -= size

    async def _read(self, request: web.Request, file: IO[bytes]) -> tuple[dict[str, str], list[int]]:
        """Read the form; return its fields, and the bytes of each picture, which are then in `file`."""
        fields: dict[str, str] = {}
        sizes: list[int] = []
        parts = 0
        with reading():
            if not request.content_type.startswith("multipart/"):
                raise ValueError("not a multipart form")
            async for part in await request.multipart():
                parts += 1
                if parts > MOST_PARTS or not isinstance(part, BodyPartReader):
                    raise ValueError("too many parts, or parts in parts")
                if part.name == PICTURE and not sizes:
                    await self._keep(part, file, sizes)
                elif part.name in FIELDS:
                    fields[part.name] = await text_of(part, Refusal(_("The prompt is too long. Shorten it.")))
        return fields, sizes

    async def _keep(self, part: BodyPartReader, file: IO[bytes], sizes: list[int]) -> None:
        """Write a picture to the disk as it comes, and note its bytes; all together may have `max_bytes`."""
        if size := await self._spooled(_chunks(part), file, self._max_bytes - sum(sizes)):
            sizes.append(size)

    async def _spooled(self, chunks: AsyncIterator[bytes], file: IO[bytes], most: int) -> int:
        """Write what comes to the disk; return its bytes. Raises Refusal for more than `most`."""
        size, waiting = 0, bytearray()
        async for chunk in chunks:
            waiting += chunk
            size += len(chunk)
            if size > most:
                raise self._too_large()
            if len(waiting) >= CHUNK:
                await asyncio.to_thread(file.write, waiting)
                waiting = bytearray()
        await asyncio.to_thread(file.write, waiting)
        return size

    def _too_large(self) -> Refusal:
        megabytes = self._max_bytes // 1_000_000
        return Refusal(
            _("The image is larger than {megabytes} MB. Choose a smaller one.", megabytes=megabytes)
        )


async def text_of(part: BodyPartReader, too_long: Exception) -> str:
    """Return the text of a field; raise `too_long` for one of more than MAX_FIELD bytes."""
    body = bytearray()
    async for chunk in _chunks(part):
        body += chunk
        if len(body) > MAX_FIELD:
            raise too_long
    return body.decode("utf-8", "replace")


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(65536):
        yield chunk


def _parts(file: IO[bytes], sizes: Sequence[int]) -> list[bytes]:
    file.seek(0)
    return [file.read(size) for size in sizes]
