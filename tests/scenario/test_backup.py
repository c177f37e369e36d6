"""A backup that is made while Easel runs, and what comes back from it."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import IO

import pytest
from sqlalchemy import text

from bot import __main__, backup
from bot.errors import EaselError, StoreError, StoreInUse
from bot.models import State
from bot.store import Store, look_at, pictures_at
from bot.store.database import server
from bot.surfaces import Settings
from tests.databases import Cluster
from tests.examples import a_line
from tests.web import web_house


def settings(folder: Path, url: str = "") -> Settings:
    return Settings(data_dir=folder, model=("memory",), **({"database_url": url} if url else {}))


def names(file: Path) -> set[str]:
    with tarfile.open(file) as archive:
        return set(archive.getnames())


async def test_what_was_saved_while_easel_ran_is_there_again_elsewhere(
    tmp_path: Path, blank_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new database may be of the other kind, so this is also the way to Postgres."""
    file = tmp_path / "easel.tar"
    async with web_house(tmp_path / "old") as house:
        ada = house.person("Ada")
        for prompt in ("a red fox", "an owl"):
            await house.painted(ada, prompt)
        backup.save(settings(tmp_path / "old"), file)
        after = await house.painted(ada, "painted after it")
        before = [job for job in await house.store.jobs("web:local", limit=9) if job.id != after.id]
    assert file.stat().st_mode & 0o077 == 0
    told = capsys.readouterr().out
    assert " 10 pictures, " in told and "not there" not in told

    new = tmp_path / "new"
    backup.restore(settings(new, blank_url), file)

    store = await Store.open(blank_url)
    try:
        assert await store.jobs("web:local", limit=9) == before and len(before) == 2
        assert all(job.state is State.RENDERED for job in before)
        assert await store.check() == "ok"
        await store.gift("web:someone", 60, a_line("op"), "a further line of the ledger")
        assert await store.check() == "ok"
    finally:
        await store.close()
    pictures = {blob for _, blob in pictures_at(blank_url)}
    assert pictures and pictures == {path.name for path in (new / "pictures").rglob("*.*")}
    for blob in pictures:
        there = Path("pictures", blob[:2], blob[2:4], blob)
        assert (new / there).read_bytes() == (tmp_path / "old" / there).read_bytes()
    for name in ("web.key", "keys"):
        assert (new / name).exists(), name
    assert not any(name.endswith((".sock", ".lock", "-wal")) for name in names(file))


async def test_a_database_of_a_server_is_saved_too(tmp_path: Path, postgres: Cluster) -> None:
    url = postgres.fresh()
    async with web_house(tmp_path / "old", database_url=url) as house:
        job = await house.painted(house.person("Ada"), "a red fox")
        backup.save(settings(tmp_path / "old", url), tmp_path / "easel.tar")
    backup.restore(settings(tmp_path / "new"), tmp_path / "easel.tar")
    store = await Store.open(settings(tmp_path / "new").database_url)
    assert await store.job(job.id) == job and await store.check() == "ok"
    await store.close()


async def test_a_moved_database_leaves_pictures_and_keys_where_they_are(
    tmp_path: Path, blank_url: str
) -> None:
    async with web_house(tmp_path / "data") as house:
        job = await house.painted(house.person("Ada"), "a red fox")
    file, there = tmp_path / "easel.tar", settings(tmp_path / "data")
    backup.save(there, file)
    (tmp_path / "data" / "easel.db").unlink()
    (tmp_path / "data" / "admin.password").write_text("another")
    url = blank_url if blank_url.startswith("postgres") else there.database_url
    backup.restore(settings(tmp_path / "data", url), file, database_only=True)
    store = await Store.open(url)
    assert await store.job(job.id) == job
    await store.close()
    assert (tmp_path / "data" / "admin.password").read_text() == "another"


async def test_a_backup_never_replaces_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "easel.tar"
    async with web_house(tmp_path / "old") as house:
        await house.painted(house.person("Ada"), "a red fox")
        backup.save(settings(tmp_path / "old"), file)
        with pytest.raises(EaselError, match="is there already: choose another name"):
            backup.save(settings(tmp_path / "old"), file)
        with pytest.raises(StoreError, match="There is a database already"):
            backup.restore(settings(tmp_path / "old"), file)
    there = tmp_path / "new"
    there.mkdir()
    (there / "web.key").write_text("the key of another Easel")
    with pytest.raises(EaselError, match=r"web\.key is another one than in the backup"):
        backup.restore(settings(there), file)
    assert (there / "web.key").read_text() == "the key of another Easel"
    (there / "web.key").unlink()
    backup.restore(settings(there), file)  # what the first try put there is no hindrance
    assert look_at(settings(there).database_url).problem == ""


def test_what_is_no_backup_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EaselError, match="no database yet"):
        backup.save(settings(tmp_path / "none"), tmp_path / "easel.tar")
    assert list(tmp_path.glob("*.tar*")) == []
    with pytest.raises(EaselError, match=r"cannot be restored \(No such file"):
        backup.restore(settings(tmp_path / "new"), tmp_path / "nothing.tar")
    (tmp_path / "letter").write_text("Dear Ada")
    with pytest.raises(EaselError, match="letter cannot be restored"):
        backup.restore(settings(tmp_path / "new"), tmp_path / "letter")
    for name, cause in (("../outside", "would leave the data folder"), ("cat.png", r"holds no easel\.db")):
        with tarfile.open(tmp_path / "odd.tar", "w") as archive:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        with pytest.raises(EaselError, match=cause):
            backup.restore(settings(tmp_path / "new"), tmp_path / "odd.tar")
    assert not (tmp_path / "outside").exists()


async def test_backups_beside_the_data_are_not_saved_with_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with web_house(data) as house:
        assert house
        backup.save(settings(data), data / "first.tar")
        backup.save(settings(data), data / "second.tar")
    assert not [name for name in names(data / "second.tar") if "tar" in name or "part" in name]


async def test_what_a_killed_restore_left_half_written_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "easel.tar"
    async with web_house(tmp_path / "old") as house:
        await house.painted(house.person("Ada"), "a red fox")
        backup.save(settings(tmp_path / "old"), file)

    written = []

    def killed(source: IO[bytes], to: IO[bytes]) -> None:
        written.append(to.write(source.read(10) if written else source.read()))
        if len(written) > 1:  # the first is the database, which is put last
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfileobj", killed)
        with pytest.raises(KeyboardInterrupt):
            backup.restore(settings(tmp_path / "new"), file)
    backup.restore(settings(tmp_path / "new"), file)
    assert look_at(settings(tmp_path / "new").database_url).problem == ""


async def test_a_backup_of_a_newer_easel_waits_for_it(tmp_path: Path) -> None:
    async with web_house(tmp_path / "old") as house:
        backup.save(settings(tmp_path / "old"), tmp_path / "easel.tar")
        assert house
    with tarfile.open(tmp_path / "easel.tar") as archive:
        archive.extract("easel.db", tmp_path)
    engine = server(f"sqlite:///{tmp_path}/easel.db").connect(writes=True)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with tarfile.open(tmp_path / "later.tar", "w") as archive:
        archive.add(tmp_path / "easel.db", "easel.db")
    with pytest.raises(StoreError, match="A newer Easel wrote this database"):
        backup.restore(settings(tmp_path / "new"), tmp_path / "later.tar")
    assert (tmp_path / "new" / "easel.db").stat().st_size == 0


def test_the_command_line_saves_and_restores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bot.settings.dotenv_values", lambda *_, **__: {})
    mask = os.umask(0)
    os.umask(mask)
    try:
        monkeypatch.setenv("MODEL", "memory")
        assert __main__.main(["quota"]) == 0
        assert __main__.main(["backup", "easel.tar"]) == 0
        monkeypatch.setenv("DATA_DIR", "elsewhere")
        assert __main__.main(["restore", "easel.tar"]) == 0
        assert __main__.main(["restore", "easel.tar"]) == 2
    finally:
        os.umask(mask)
    said = capsys.readouterr()
    assert "easel.tar: the database (schema " in said.out and "Start Easel" in said.out
    assert said.err.startswith("There is a database already")


async def test_a_running_easel_keeps_its_database(tmp_path: Path) -> None:
    async with web_house(tmp_path / "old") as house:
        assert house
        backup.save(settings(tmp_path / "old"), tmp_path / "easel.tar")
    there = settings(tmp_path / "new")
    (tmp_path / "new").mkdir()
    lock = server(there.database_url).lock(shared=False)
    try:
        with pytest.raises(StoreInUse):
            backup.restore(there, tmp_path / "easel.tar")
    finally:
        lock.release()
