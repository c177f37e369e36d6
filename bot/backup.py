"""Save all that Easel keeps into one file, while it runs, and put it back.

The file is a tar archive that holds what a data folder does: the database, as it was at one moment, the
pictures that it names, and the keys. Pictures in a bucket stay there.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bot import private
from bot.errors import EaselError
from bot.images.blobs.local import place
from bot.store import pictures_at, snapshot
from bot.surfaces import Settings

_DATABASE = "easel.db"
_PICTURES = PurePosixPath("pictures")
_PASSING = (".db", ".db-wal", ".db-shm", ".db-journal", ".lock", ".sock", ".new", ".tar", ".part")


def save(settings: Settings, file: Path) -> None:
    """Write a backup and say what it holds. Raises EaselError; the file is whole or not there."""
    if file.exists():
        raise EaselError(f"{file} is there already: choose another name.")
    part = file.with_name(f"{file.name}.part")
    try:
        private.file(part)
        with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".easel-") as folder:
            told = _write(settings, part, Path(folder) / _DATABASE)
        os.replace(part, file)
    except KeyError:
        raise EaselError("There is no database yet, so there is nothing to save.") from None
    except OSError as error:
        raise EaselError(f"{file} cannot be written ({error.strerror}): choose another place.") from error
    finally:
        part.unlink(missing_ok=True)
    _say(f"{file}: {told}, {file.stat().st_size / 1e6:.1f} MB")


def _write(settings: Settings, part: Path, database: Path) -> str:
    """Write the archive, and return what it holds."""
    revision = snapshot.save(settings.database_url, database)
    told = f"the database (schema {revision}), keys"
    with open(part, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.add(database, _DATABASE)
            for path in _kept(settings.data_dir):
                archive.add(path, path.relative_to(settings.data_dir).as_posix())
            if settings.pictures_url:
                told += f", no pictures (they are in {settings.pictures_url})"
            else:
                told += _add_pictures(archive, settings.data_dir, database)
        file.flush()
        os.fsync(file.fileno())
    return told


def _kept(folder: Path) -> Iterator[Path]:
    """Yield the files beside database and pictures: keys, the administrator's password."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        passing = path.name.endswith(_PASSING) or path.name.startswith(".")
        if inside.parts[0] != _PICTURES.name and not passing and stat.S_ISREG(path.lstat().st_mode):
            yield path


def _add_pictures(archive: tarfile.TarFile, folder: Path, database: Path) -> str:
    """Add the pictures that the database names, and return how many these are."""
    names = {blob for _, blob in pictures_at(f"sqlite:///{database}")}
    missing = 0
    for name in sorted(names):
        inside = _PICTURES / place(name)
        try:
            archive.add(folder / inside, inside.as_posix())
        except FileNotFoundError:  # deleted since the database was copied, or lost
            missing += 1
    return f", {len(names) - missing} pictures" + (f" ({missing} are not there)" if missing else "")


def restore(settings: Settings, file: Path, *, database_only: bool = False) -> None:
    """Put a backup where the settings say, and where nothing is yet. Raises EaselError, StoreInUse.

    The database comes last: until it is there, this can be done again.
    """
    snapshot.refuse(settings.database_url)
    private.data_folder(settings.data_dir)
    try:
        with tarfile.open(file) as archive, tempfile.TemporaryDirectory(prefix="easel-") as folder:
            database = Path(folder) / _DATABASE
            put = 0
            for member in filter(tarfile.TarInfo.isfile, archive):
                if member.name == _DATABASE:
                    _extract(archive, member, database)
                elif not database_only:
                    put += 1
                    _extract(archive, member, settings.data_dir / _safe(member.name))
            if not database.exists():
                raise EaselError(f"{file} is no backup of Easel: it holds no {_DATABASE}.")
            snapshot.load(database, settings.database_url)
    except (OSError, tarfile.TarError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise EaselError(f"{file} cannot be restored ({cause}).") from error
    _say(f"The database and {put} files are in place. Start Easel: .venv/bin/python -m bot run")


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise EaselError(f"{name} in the backup would leave the data folder: this is no backup of Easel.")
    return path


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write a file of the archive for this user alone. Raises EaselError where another one is."""
    source = archive.extractfile(member)
    assert source is not None
    if path.exists():
        if path.read_bytes() != source.read():
            raise EaselError(f"{path} is another one than in the backup: move it away, or set DATA_DIR anew.")
        return
    private.folder(path.parent)
    with private.whole(path) as file:
        shutil.copyfileobj(source, file)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
