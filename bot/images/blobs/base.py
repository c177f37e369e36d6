"""What keeps pictures, whatever it is: names, and the operations that every storage has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from typing import Protocol

BLOB_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")


def blob_name(data: bytes, suffix: str) -> str:
    """Return the name of some data: its SHA-256 in hexadecimal digits and the suffix (".png")."""
    return hashlib.sha256(data).hexdigest() + suffix


def known_name(name: str) -> str:
    """Return a name that `blob_name` may have given. Raises KeyError for any other."""
    if not BLOB_NAME.fullmatch(name):
        raise KeyError(name)
    return name


class BlobStore(Protocol):
    """Where pictures are kept. Names come from `put` alone."""

    async def put(self, data: bytes, suffix: str) -> str:
        """Keep the data and return its name; the same data has the same name. Raises StoreError."""
        ...

    async def get(self, name: str) -> bytes:
        """Return the data. Raises KeyError when there is no such blob, StoreError when it cannot be read."""
        ...

    def read(self, name: str) -> bytes:
        """Return the data as `get` does, but block; for other threads than the event loop's."""
        ...

    async def size(self, name: str) -> int:
        """Return how many bytes a blob has; 0 when there is none. Raises StoreError."""
        ...

    async def sweep(self, needed: Collection[str], older_than: float) -> int:
        """Remove what is not needed and was not put within `older_than` seconds. Raises StoreError.

        Returns how many files went. This is the only way a blob goes: its name is its content, so another
        job may be about to need what one job does not need any more.
        """
        ...

    async def check(self) -> None:
        """Raise StoreError where pictures cannot be looked for, with a sentence on what to do."""
        ...
