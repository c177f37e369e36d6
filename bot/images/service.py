"""Return stored pictures, as they are or smaller; examine pictures; delete files that no job needs."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.images import pictures
from bot.images.blobs import BlobStore
from bot.provenance.keys import Keys
from bot.provenance.verdict import Verdict, verify
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

SWEEP_AGE = 600.0  # seconds after which a file that no job needs may go


@dataclass(eq=False)
class Images:
    """Methods raise StoreError."""

    _store: Store
    _blobs: BlobStore
    _keys: Keys
    _max_source_bytes: int

    async def get(self, blob: str) -> bytes:
        """Return a picture's file. Raises KeyError when there is none, StoreError when it cannot be read."""
        return await self._blobs.get(blob)

    async def fitted(self, blob: str, limit: int) -> tuple[bytes, str]:
        """Return a picture in at most `limit` bytes, and its media type.

        Raises KeyError when there is no such picture, ValueError when it cannot be made so small, StoreError.
        """
        return await pictures.fit(await self._blobs.get(blob), limit, self._keys)

    async def verify(self, data: bytes) -> Verdict:
        """Return what is known of a picture. Raises Refusal."""
        return await verify(data, self._keys, self._store.original, max_bytes=self._max_source_bytes)

    async def sweep(self, older_than: float = SWEEP_AGE) -> None:
        """Remove files that no job needs and that are older than so many seconds."""
        if removed := await self._blobs.sweep(await self._store.blobs(), older_than):
            log.info("files that no job needs were removed", files=removed)
