"""Pictures in a bucket, on an S3 that listens on the loopback address."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot import doctor
from bot.errors import SettingError, StoreError
from bot.images.blobs import BlobStore, DirectoryBlobs, open_blobs
from bot.images.blobs.s3 import S3Blobs
from bot.settings import Secret
from bot.surfaces import Settings
from tests.s3 import KEYS, make_bucket, s3_server

LATER = timedelta(hours=1)
buckets = (f"bucket-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def settings(server: str, tmp_path: Path) -> Settings:
    name = next(buckets)
    make_bucket(server, name)
    values: dict[str, Any] = {**KEYS, "pictures_url": f"s3://{name}/easel", "s3_endpoint": server}
    return Settings(data_dir=tmp_path, **values)


@pytest.fixture
def blobs(settings: Settings) -> BlobStore:
    found = open_blobs(settings)
    assert isinstance(found, S3Blobs)
    return found


class InAnHour(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + LATER


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what was put be an hour old, as for a process that started after it."""
    monkeypatch.setattr("bot.images.blobs.s3.datetime", InAnHour)


def test_without_a_bucket_pictures_lie_in_the_data_folder(tmp_path: Path) -> None:
    assert isinstance(open_blobs(Settings(data_dir=tmp_path)), DirectoryBlobs)


async def test_what_is_put_can_be_got(blobs: BlobStore) -> None:
    name = await blobs.put(b"picture", ".png")
    assert await blobs.get(name) == b"picture" == await asyncio.to_thread(blobs.read, name)
    assert await blobs.size(name) == 7
    assert name == await blobs.put(b"picture", ".png") != await blobs.put(b"picture", ".webp")


@pytest.mark.parametrize("name", ["", "x.png", "../../etc/passwd", "0" * 64 + ".png", "a" * 64 + ".png\n"])
async def test_a_name_that_put_never_gave_is_unknown(blobs: BlobStore, name: str) -> None:
    with pytest.raises(KeyError):
        await blobs.get(name)
    with pytest.raises(KeyError):
        await asyncio.to_thread(blobs.read, name)
    assert await blobs.size(name) == 0


async def test_a_sweep_removes_what_is_old_and_not_needed(settings: Settings, later: None) -> None:
    before = open_blobs(settings)
    old, needed = await before.put(b"old", ".png"), await before.put(b"needed", ".png")

    after = open_blobs(settings)  # the next process
    assert isinstance(after, S3Blobs)
    await obstore.put_async(after._store, "of the house.png", b"not ours")
    new = await after.put(b"new", ".png")
    assert await after.sweep({needed}, 600.0) == 1

    left = {each["path"] for page in obstore.list(after._store) for each in page}
    assert left == {needed, new, "of the house.png"}
    with pytest.raises(KeyError):
        await after.get(old)


async def test_a_bucket_of_many_pages_is_swept_whole(
    blobs: BlobStore, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.images.blobs.s3.AT_ONCE", 3)
    names = [await blobs.put(str(number).encode(), ".png") for number in range(8)]
    assert isinstance(blobs, S3Blobs)
    blobs._put_at.clear()  # as after a start
    assert await blobs.sweep(names[:1], 600.0) == 7
    assert await blobs.get(names[0]) == b"0"


async def test_what_is_put_again_is_as_new(settings: Settings) -> None:
    name = await open_blobs(settings).put(b"picture", ".png")
    blobs = open_blobs(settings)
    await asyncio.sleep(1.1)  # S3 counts an object's age in whole seconds
    assert await blobs.put(b"picture", ".png") == name
    assert isinstance(blobs, S3Blobs)
    blobs._put_at.clear()
    assert await blobs.sweep((), 1.0) == 0
    assert await blobs.get(name) == b"picture"


async def test_what_is_put_during_sweeps_stays(settings: Settings, later: None) -> None:
    for number in range(10):
        data = str(number).encode()
        await open_blobs(settings).put(data, ".png")
        blobs = open_blobs(settings)  # knows of no put
        name, _ = await asyncio.gather(blobs.put(data, ".png"), blobs.sweep((), 600.0))
        assert await blobs.get(name) == data


async def test_a_bucket_that_is_not_there_is_said(settings: Settings, server: str) -> None:
    values: dict[str, Any] = {**KEYS, "pictures_url": "s3://nowhere/easel", "s3_endpoint": server}
    blobs = open_blobs(Settings(data_dir=settings.data_dir, **values))
    for attempt in (blobs.check(), blobs.put(b"picture", ".png"), blobs.sweep((), 0.0)):
        with pytest.raises(StoreError, match="The bucket nowhere is not there: create it"):
            await attempt


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "AccessDenied", "refuses Easel's key: check S3_ACCESS_KEY, S3_SECRET_KEY"),
        (403, "SignatureDoesNotMatch", "refuses Easel's key: check S3_ACCESS_KEY, S3_SECRET_KEY"),
        (401, "Unauthorized", "refuses Easel's key: check S3_ACCESS_KEY, S3_SECRET_KEY"),
        (400, "InvalidRequest", "does not answer: check S3_ENDPOINT and the network"),
    ],
)
async def test_a_storage_that_refuses_is_said(tmp_path: Path, status: int, code: str, sentence: str) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", refuse)
    async with TestServer(app, host="127.0.0.1") as server:
        values: dict[str, Any] = {**KEYS, "s3_endpoint": str(server.make_url("")).rstrip("/")}
        blobs = open_blobs(Settings(data_dir=tmp_path, pictures_url="s3://b", **values))
        for attempt in (blobs.check(), blobs.put(b"picture", ".png"), blobs.get("0" * 64 + ".png")):
            with pytest.raises(StoreError, match=sentence):
                await attempt


def test_doctor_looks_at_the_bucket(settings: Settings, server: str) -> None:
    found = doctor._bucket(settings)
    assert found.ok is True and settings.pictures_url in found.detail
    values: dict[str, Any] = {**KEYS, "pictures_url": "s3://nowhere", "s3_endpoint": server}
    found = doctor._bucket(Settings(data_dir=settings.data_dir, **values))
    assert found.ok is False and "is not there" in found.detail


@pytest.mark.parametrize("url", ["bucket", "https://bucket", "s3://", "s3://key@bucket", "s3://b?x=1"])
def test_what_is_no_bucket_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingError, match=r"PICTURES_URL=.* must be a bucket.* as in s3://bucket/easel"):
        Settings.load(tmp_path / "none", {"PICTURES_URL": url})


def test_a_key_comes_with_its_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="S3_ACCESS_KEY and S3_SECRET_KEY go together"):
        Settings(data_dir=tmp_path, s3_access_key="key")
    with pytest.raises(SettingError, match="S3_ACCESS_KEY and S3_SECRET_KEY go together"):
        Settings(data_dir=tmp_path, s3_secret_key=Secret("secret"))
