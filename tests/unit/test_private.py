"""What Easel makes is for its user alone, whatever the umask; links lead nowhere."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import app, private
from bot.errors import StoreInUse
from bot.images.blobs import DirectoryBlobs
from bot.store import Store
from bot.surfaces import Settings
from tests.examples import a_job, a_tier


@pytest.fixture(autouse=True, params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, int]:
    found = {path.name: stat.S_IMODE(os.lstat(path).st_mode) for path in (root, *root.rglob("*"))}
    assert len(found) > 1
    return found


async def test_everything_below_the_data_folder_is_its_user_s_alone(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "data"
    settings = Settings(data_dir=folder, model=("memory",), picture_check=False)
    async with app.opened(settings) as easel:
        await easel.lifecycle.start()
        await easel.lifecycle._store.admit(a_job(), tier=a_tier())
        await easel.images._blobs.put(b"picture", ".png")
        found = modes(folder)
        assert {"easel.db", "easel.db.lock", "pictures"} <= found.keys()
        assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
        assert stat.S_IMODE((tmp_path / "some").stat().st_mode) == 0o700


async def test_files_of_an_earlier_version_are_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    for name in ("easel.db", "easel.db-wal", "easel.db-shm", "easel.db.lock"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    async with app.opened(Settings(data_dir=folder, model=("memory",))):
        assert {name: oct(mode) for name, mode in modes(folder).items() if mode & 0o077} == {}


def test_a_folder_that_all_share_stays_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    private.data_folder(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


async def test_a_database_that_is_a_link_is_locked_by_what_it_points_to(tmp_path: Path) -> None:
    real, one, two = (tmp_path / name for name in ("real", "one", "two"))
    for folder in (real, one, two):
        folder.mkdir()
    for folder in (one, two):
        (folder / "easel.db").symlink_to(real / "easel.db")
    store = await Store.open(f"sqlite:///{one}/easel.db")
    for folder in (two, real):
        with pytest.raises(StoreInUse):
            await Store.open(f"sqlite:///{folder}/easel.db")
    await store.look()
    await store.close()
    await (await Store.open(f"sqlite:///{two}/easel.db")).close()


# ---- links below the pictures


@pytest.fixture
async def secret(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "secret"
    path.parent.mkdir()
    path.write_bytes(b"secret")
    return path


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_picture_that_is_a_link_is_no_picture(tmp_path: Path, secret: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "pictures")
    name = await blobs.put(b"picture", ".png")
    path = blobs._path(name)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(KeyError):
        await blobs.get(name)
    assert await blobs.size(name) == 0
    assert await blobs.put(b"picture", ".png") == name
    assert await blobs.get(name) == b"picture" and not path.is_symlink()
    assert content(secret) == b"secret"


async def test_a_sweep_removes_links_and_nothing_behind_them(tmp_path: Path, secret: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "pictures")
    name = "0" * 64 + ".png"
    inside = secret.parent / "cd" / name
    inside.parent.mkdir()
    inside.write_bytes(b"somebody's")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "ab").symlink_to(secret.parent)
    link = tmp_path / "pictures" / "00" / "00" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    before = time.time() - 3600
    for path in (inside, link, secret):
        os.utime(path, (before, before), follow_symlinks=False)
    assert await blobs.sweep((), 600.0) == 1
    assert (content(inside), content(secret)) == (b"somebody's", b"secret") and not link.is_symlink()


@pytest.mark.parametrize("depth", [1, 2])
async def test_a_folder_that_is_a_link_is_not_followed(tmp_path: Path, secret: Path, depth: int) -> None:
    blobs = DirectoryBlobs(tmp_path / "pictures")
    name = await blobs.put(b"picture", ".png")
    path = blobs._path(name)
    folder = path.parents[depth - 1]
    folder.rename(secret.parent / "moved")
    folder.symlink_to(secret.parent / "moved")
    with pytest.raises(KeyError):
        await blobs.get(name)
    assert await blobs.size(name) == 0
    with pytest.raises(Exception, match="check the disk"):
        await blobs.put(b"picture", ".png")
