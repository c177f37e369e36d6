"""Pictures at rest, named by their content."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Protocol

from bot.errors import StoreError

_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")


class BlobStore(Protocol):
    """Where pictures are kept. Names come from `put` alone."""

    async def put(self, data: bytes, suffix: str) -> str:
        """Keep the data and return its name; the same data has the same name. Raises StoreError."""
        ...

    async def get(self, name: str) -> bytes:
        """Raises KeyError when there is no such blob, StoreError when it cannot be read."""
        ...

    async def delete(self, name: str) -> None:
        """Remove it; nothing happens when it is gone already. Raises StoreError.

        Two jobs may share a blob: ask `Store.blob_in_use` first.
        """
        ...


class DirectoryBlobs:
    """Blobs as files: `<root>/ab/cd/abcd….png`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, data: bytes, suffix: str) -> str:
        return await asyncio.to_thread(self._write, data, suffix)

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread(self.read, name)

    async def delete(self, name: str) -> None:
        await asyncio.to_thread(self._remove, name)

    def read(self, name: str) -> bytes:
        """As `get`; blocks."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None
        except OSError as error:
            raise _explain(error, self._root) from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise KeyError(name)
        return self._root / name[:2] / name[2:4] / name

    def _write(self, data: bytes, suffix: str) -> str:
        name = hashlib.sha256(data).hexdigest() + suffix
        path = self._path(name)
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_whole(path, data)
        except OSError as error:
            raise _explain(error, self._root) from error
        return name

    def _remove(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise _explain(error, self._root) from error


def _write_whole(path: Path, data: bytes) -> None:
    """All of it or nothing, also when the power fails."""
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _explain(error: OSError, root: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"The disk is full, so no picture can be saved: free some space in {root}.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"The folder {root} cannot be written: make it writable, or set DATA_DIR.")
    return StoreError(f"The folder {root} does not answer ({error.strerror}): check the disk.")
