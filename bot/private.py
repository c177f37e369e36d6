"""Files and folders for this user alone, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def folder(path: Path) -> None:
    """Make a folder, and those above it that are missing; one that is there stays as it is.

    Raises OSError.
    """
    if path.is_dir():
        return
    if path.parent != path:
        folder(path.parent)
    with suppress(FileExistsError):  # made by another process at this moment
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)


def data_folder(path: Path) -> None:
    """Make the folder of all that Easel keeps, or close it to others where it is there and ours."""
    with suppress(OSError):  # whoever writes there says what is wrong
        folder(path)
        found = path.stat()
        shared = found.st_mode & stat.S_ISVTX  # as /tmp is
        if found.st_uid == os.geteuid() and not shared and stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)


def file(path: Path) -> None:
    """Make an empty file, unless there is one. Raises OSError."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Write a file completely or not at all, also when the power fails. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def own(*paths: Path) -> None:
    """Remove other users' permissions from those of the files that exist and that this user owns."""
    for path in paths:
        with suppress(OSError):
            found = os.stat(path)
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
                os.chmod(path, stat.S_IMODE(found.st_mode) & 0o700)
