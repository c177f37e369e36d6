"""Return stored pictures, as they are or smaller; examine pictures; delete files that no job needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from bot.errors import Refusal, StoreError
from bot.i18n import _
from bot.images import pictures, printing
from bot.images.blobs import BlobStore
from bot.images.file_formats import Format, PrintFormat
from bot.models import StoredPicture
from bot.papers import Paper
from bot.provenance.keys import Keys
from bot.provenance.signing import MediaType, Unsigned
from bot.provenance.verdict import Verdict, verify
from bot.store import Store
from engine.types import NamedSize

log = structlog.stdlib.get_logger(__name__)

MEDIA: dict[str, MediaType] = {"jpeg": "image/jpeg", "png": "image/png"}
SWEEP_AGE = 600.0  # seconds after which a file that no job needs may go


@dataclass(frozen=True, slots=True)
class Proof:
    """How a picture will look in print; it is swept away after some minutes."""

    blob: str
    width: int
    height: int


@dataclass(eq=False)
class Images:
    """Methods raise StoreError."""

    _store: Store
    _blobs: BlobStore
    _keys: Keys
    _max_source_bytes: int
    printer: printing.Printer = field(default_factory=lambda: printing.Printer.of(printing.PrintSettings()))

    async def get(self, blob: str) -> bytes:
        """Return a picture's file. Raises KeyError when there is none, StoreError when it cannot be read."""
        return await self._blobs.get(blob)

    async def shown(self, picture: StoredPicture) -> bytes:
        """Return the file of a job's picture. Raises Refusal where it is gone."""
        try:
            return await self.get(picture.blob)
        except KeyError as error:
            raise Refusal(_("An image of this job is gone."), code="no_picture") from error

    async def fitted(self, blob: str, limit: int, media_type: MediaType | None = None) -> tuple[bytes, str]:
        """Return a picture in at most `limit` bytes, and its media type; in a named one, with all its pixels.

        Raises KeyError when there is no such picture, ValueError when it cannot be made so small, StoreError.
        """
        with _signed():
            data = await self._blobs.get(blob)
            if media_type:
                return await pictures.within(data, media_type, limit, self._keys)
            return await pictures.fit(data, limit, self._keys)

    async def thumbnail(self, blob: str, side: int) -> bytes:
        """Return a picture as WebP of at most `side` pixels each way. Raises KeyError."""
        with _signed():
            return await pictures.shrink(await self._blobs.get(blob), side, self._keys)

    async def converted(
        self,
        blob: str,
        media_type: MediaType,
        quality: int | None,
        max_bytes: int | None = None,
        *,
        alt: str = "",
    ) -> bytes:
        """Return a picture in a format, with at most `max_bytes`; `alt` is said of it in its XMP.

        Raises KeyError when there is no such picture, TooLarge, NotFlat, StoreError.
        """
        png = await self._blobs.get(blob)
        with _signed():
            return await pictures.converted(png, media_type, quality, self._keys, max_bytes, alt)

    async def cut(self, blob: str, box: tuple[int, int, int, int]) -> str:
        """Store a part of a picture, signed as that is; return its blob. Raises KeyError."""
        png = await self._blobs.get(blob)
        with _signed():
            part = await asyncio.to_thread(pictures.cut, png, box, self._keys)
        return await self._blobs.put(part, ".png")

    async def film(self, blobs: Sequence[str], format: Format, seconds: float) -> bytes:
        """Return pictures as a film that loops, each for so many seconds. Raises KeyError."""
        pngs = [await self._blobs.get(each) for each in blobs]
        with _signed():
            return await asyncio.to_thread(pictures.film, pngs, format, seconds, self._keys)

    async def printed(self, blob: str, paper: Paper, format: PrintFormat, title: str) -> tuple[bytes, Proof]:
        """Return a picture as a file for the printer, and how it will look. Raises KeyError."""
        png = await self._blobs.get(blob)
        with _signed():
            data, proof = await asyncio.to_thread(
                pictures.printed, png, paper, self.printer, format, title, self._keys
            )
        width, height = pictures.png_size(proof)
        return data, Proof(await self._blobs.put(proof, ".png"), width, height)

    async def sized(self, picture: StoredPicture, size: NamedSize) -> tuple[bytes, str]:
        """Return a picture of a pack in its format and under its limit, and its media type.

        Raises Refusal where it is gone or cannot be made so small.
        """
        data = await self.shown(picture)
        try:
            with _signed():
                return await pictures.within(data, MEDIA[size.format], size.limit, self._keys)
        except ValueError as error:
            raise Refusal(_("{name} does not fit into its limit.", name=size.name), code="size") from error

    async def verify(self, data: bytes) -> Verdict:
        """Return what is known of a picture. Raises Refusal."""
        return await verify(data, self._keys, self._store.original, max_bytes=self._max_source_bytes)

    async def sweep(self, older_than: float = SWEEP_AGE) -> None:
        """Remove files that no job needs and that are older than so many seconds."""
        if removed := await self._blobs.sweep(await self._store.blobs(), older_than):
            log.info("files that no job needs were removed", files=removed)


@contextmanager
def _signed() -> Iterator[None]:
    """Raise StoreError where a picture cannot be signed: it is delivered later, never without a signature."""
    try:
        yield
    except Unsigned as error:
        raise StoreError(f"a picture cannot be signed: {error}") from error
