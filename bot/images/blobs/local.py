"""Keep pictures as files in a folder."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from bot import private
from bot.errors import StoreError
from bot.images.blobs.base import BLOB_NAME, blob_name, known_name

_NEW = ".new-"  # a file that is being written, or was when the process was killed


class DirectoryBlobs:
    """Blobs as files: `<root>/ab/cd/abcd….png`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ages = threading.Lock()  # held to read or renew a file's age and act on it

    async def put(self, data: bytes, suffix: str) -> str:
        return await asyncio.to_thread(self._write, data, suffix)

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread(self.read, name)

    async def size(self, name: str) -> int:
        return await asyncio.to_thread(self._size, name)

    async def sweep(self, needed: Collection[str], older_than: float) -> int:
        return await asyncio.to_thread(self._sweep, needed, older_than)

    async def check(self) -> None:
        """Raise StoreError where the folder cannot be read; the first put makes it."""
        try:
            await asyncio.to_thread(lambda: self._root.exists() and os.listdir(self._root))
        except OSError as error:
            raise _explain(error, self._root) from error

    def read(self, name: str) -> bytes:
        """Return a blob as `get` does, but block."""
        path = self._path(name)
        try:
            _refuse_links(path)
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                return file.read()
        except FileNotFoundError:
            raise KeyError(name) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise KeyError(name) from None
            raise _explain(error, self._root) from error

    def _size(self, name: str) -> int:
        try:
            path = self._path(name)
            _refuse_links(path)
            found = os.lstat(path)
            return found.st_size if stat.S_ISREG(found.st_mode) else 0
        except (FileNotFoundError, KeyError):
            return 0
        except OSError as error:
            if error.errno == errno.ELOOP:
                return 0
            raise _explain(error, self._root) from error

    def _path(self, name: str) -> Path:
        return self._root / place(known_name(name))

    def _write(self, data: bytes, suffix: str) -> str:
        name = blob_name(data, suffix)
        path = self._path(name)
        try:
            private.folder(path.parent)
            _refuse_links(path)
            if not self._renew(path):
                _write_whole(path, data)
        except OSError as error:
            raise _explain(error, self._root) from error
        return name

    def _renew(self, path: Path) -> bool:
        """Reset the file's age to 0; return whether the file is there."""
        with self._ages, contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG(os.lstat(path).st_mode):  # a link is replaced by the file
                os.utime(path, follow_symlinks=False)
                return True
        return False

    def _sweep(self, needed: Collection[str], older_than: float) -> int:
        before = time.time() - older_than
        try:
            return sum(
                self._remove(path, before)
                for path in _files(self._root, 3)
                if path.name not in needed and (BLOB_NAME.fullmatch(path.name) or path.name.startswith(_NEW))
            )
        except OSError as error:
            raise _explain(error, self._root) from error

    def _remove(self, path: Path, before: float) -> bool:
        with self._ages, contextlib.suppress(FileNotFoundError):
            if os.lstat(path).st_mtime <= before:
                path.unlink()
                return True
        return False


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """Yield what lies exactly `depth` levels below a folder, without following links to other folders."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in found:
            if depth == 1:
                yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), depth - 1)


def place(name: str) -> PurePosixPath:
    """Return where a picture of that name stands below the folder of all."""
    return PurePosixPath(name[:2], name[2:4], name)


def _refuse_links(path: Path) -> None:
    """Raise OSError (ELOOP) where one of the two folders that Easel made for a picture is a link."""
    for folder in (path.parent, path.parent.parent):
        if folder.is_symlink():
            raise OSError(errno.ELOOP, "a folder of pictures is a link", str(folder))


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file completely or not at all, also when the power fails."""
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=_NEW)
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
