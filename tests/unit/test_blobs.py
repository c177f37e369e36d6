from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path

import pytest

from bot.errors import StoreError
from bot.images.blobs import DirectoryBlobs


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "pictures")


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_what_is_put_can_be_got(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    name = await blobs.put(b"picture", ".png")
    assert await blobs.get(name) == b"picture" == blobs.read(name)
    assert files(tmp_path) == [f"pictures/{name[:2]}/{name[2:4]}/{name}"]


async def test_the_same_content_has_one_name_and_one_file(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    names = await asyncio.gather(*(blobs.put(b"picture", ".png") for _ in range(20)))
    assert len(set(names)) == 1 == len(files(tmp_path))
    assert await blobs.put(b"other", ".png") not in names


def grow_old(root: Path, seconds: float = 3600.0) -> None:
    before = time.time() - seconds
    for path in root.rglob("*"):
        os.utime(path, (before, before))


async def test_a_sweep_removes_what_is_old_and_not_needed(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    assert await blobs.sweep((), 600.0) == 0  # before the first picture there is no folder
    old, needed = await blobs.put(b"old", ".png"), await blobs.put(b"needed", ".png")
    folder = tmp_path / "pictures" / old[:2] / old[2:4]
    for name in (".new-killed", "of the house"):
        (folder / name).write_bytes(b"half a pic")
    grow_old(tmp_path)
    new = await blobs.put(b"new", ".png")

    assert await blobs.sweep({needed}, 600.0) == 2
    left = {Path(file).name for file in files(tmp_path)}
    assert left == {needed, new, "of the house"}
    with pytest.raises(KeyError):
        await blobs.get(old)


async def test_what_is_put_again_is_as_new(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    name = await blobs.put(b"picture", ".png")
    grow_old(tmp_path)
    await blobs.put(b"picture", ".png")

    assert await blobs.sweep((), 600.0) == 0
    assert await blobs.get(name) == b"picture"


async def test_what_is_put_during_sweeps_stays(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    for number in range(50):
        data = str(number).encode()
        await blobs.put(data, ".png")
        grow_old(tmp_path)
        name, _ = await asyncio.gather(blobs.put(data, ".png"), blobs.sweep((), 600.0))
        assert await blobs.get(name) == data


@pytest.mark.parametrize(
    "name",
    ["", "x.png", "../../etc/passwd", "a" * 64, "A" * 64 + ".png", "a" * 64 + ".p/g", "a" * 64 + ".png\n"],
)
async def test_a_name_that_put_never_gave_is_unknown(blobs: DirectoryBlobs, name: str) -> None:
    with pytest.raises(KeyError):
        await blobs.get(name)


@pytest.mark.parametrize("suffix", ["png", "./x", ".PNG", "/../x.png"])
async def test_a_suffix_cannot_lead_elsewhere(blobs: DirectoryBlobs, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        await blobs.put(b"picture", suffix)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "The disk is full, so no picture can be saved: free some space"),
        (errno.EROFS, "cannot be written: make it writable, or set DATA_DIR"),
        (errno.EIO, "check the disk"),
    ],
)
async def test_a_failing_disk_is_one_clear_sentence_and_leaves_nothing(
    blobs: DirectoryBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def fail(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreError, match=says):
            await blobs.put(b"picture", ".png")
    assert files(tmp_path) == []
    assert await blobs.get(await blobs.put(b"picture", ".png")) == b"picture"


async def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("")
    with pytest.raises(StoreError, match="pictures"):
        await DirectoryBlobs(tmp_path / "pictures").put(b"picture", ".png")


async def test_the_size_of_what_is_there_and_of_what_is_not(blobs: DirectoryBlobs) -> None:
    name = await blobs.put(b"picture", ".png")
    assert await blobs.size(name) == 7
    assert await blobs.size("0" * 64 + ".png") == await blobs.size("../../etc/passwd") == 0
