"""Keep pictures in a bucket of an S3-compatible storage, through obstore."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bot.errors import SettingError, StoreError
from bot.images.blobs.base import BLOB_NAME, blob_name, known_name
from bot.settings import Secret

try:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store
except ImportError as error:
    raise SettingError(
        "PICTURES_URL names a bucket, but the library for it is missing: run `pip install 'easel[s3]'`."
    ) from error

if TYPE_CHECKING:
    from obstore.store import S3Config

TIMEOUT = timedelta(seconds=30)  # for one request
PATIENCE = timedelta(seconds=60)  # for one operation with all its new tries
AT_ONCE = 1000  # names in one request to remove objects, S3's limit

_REFUSALS = ("401 Unauthorized", "403 Forbidden")


class S3Blobs:
    """Blobs as objects, `<prefix>/abcd….png`, in the bucket that `s3://bucket/prefix` names.

    Without an access key, obstore looks for one where Amazon's own tools do, as in the machine's role.
    """

    def __init__(
        self, url: str, *, endpoint: str = "", region: str = "", access_key: str = "", secret_key: Secret
    ) -> None:
        parts = urlsplit(url)
        self._bucket = parts.netloc
        config: S3Config = {"region": region or "us-east-1"}
        if endpoint:
            config["endpoint"] = endpoint
        if access_key:
            config |= {"access_key_id": access_key, "secret_access_key": secret_key.reveal()}
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=config,
            client_options={"timeout": TIMEOUT, "allow_http": endpoint.startswith("http://")},
            retry_config={"max_retries": 3, "retry_timeout": PATIENCE},
        )
        self._put_at: dict[str, float] = {}  # name → when this process put it last, on the monotonic clock
        self._removing = asyncio.Lock()  # held to remove objects, and to note that one is about to be put

    async def put(self, data: bytes, suffix: str) -> str:
        """Keep the data and return its name. Writing an object again renews its age."""
        name = blob_name(data, suffix)
        async with self._removing:
            self._put_at[name] = time.monotonic()
        with self._explained():
            await obstore.put_async(self._store, name, data)
        return name

    async def get(self, name: str) -> bytes:
        """Return the data. Raises KeyError, StoreError."""
        with self._explained(name):
            found = await obstore.get_async(self._store, known_name(name))
            return bytes(await found.bytes_async())

    def read(self, name: str) -> bytes:
        """Return the data; block until it is there. Raises KeyError, StoreError."""
        with self._explained(name):
            return bytes(obstore.get(self._store, known_name(name)).bytes())

    async def size(self, name: str) -> int:
        """Return how many bytes a blob has; 0 when there is none. Raises StoreError."""
        try:
            with self._explained(name):
                return int((await obstore.head_async(self._store, known_name(name)))["size"])
        except KeyError:
            return 0

    async def sweep(self, needed: Collection[str], older_than: float) -> int:
        """Remove what is not needed and older than so many seconds; return how many. Raises StoreError."""
        before = datetime.now(UTC) - timedelta(seconds=older_than)
        self._forget(older_than)
        old: list[str] = []
        with self._explained():
            async for page in obstore.list(self._store, chunk_size=AT_ONCE):
                old += [
                    each["path"]
                    for each in page
                    if BLOB_NAME.fullmatch(each["path"])
                    and each["path"] not in needed
                    and each["last_modified"] <= before
                ]
            return sum([await self._remove(old[at : at + AT_ONCE]) for at in range(0, len(old), AT_ONCE)])

    async def check(self) -> None:
        """Raise StoreError where the bucket is not there, refuses the key or does not answer."""
        with self._explained():
            await obstore.list_with_delimiter_async(self._store)

    async def _remove(self, names: list[str]) -> int:
        """Remove these, except what was put meanwhile: such a put waits until the removal is over."""
        async with self._removing:
            going = [name for name in names if name not in self._put_at]
            if going:
                await obstore.delete_async(self._store, going)
        return len(going)

    def _forget(self, older_than: float) -> None:
        since = time.monotonic() - older_than
        self._put_at = {name: at for name, at in self._put_at.items() if at > since}

    @contextmanager
    def _explained(self, name: str = "") -> Iterator[None]:
        """Turn what obstore raises into KeyError and StoreError with a sentence on what to do."""
        where = f"The bucket {self._bucket}"
        try:
            yield
        except (BaseError, OSError) as error:
            # By the server's answer: obstore's classes of errors differ between operations.
            if "NoSuchBucket" in str(error):
                raise StoreError(f"{where} is not there: create it, or correct PICTURES_URL.") from error
            if any(status in str(error) for status in _REFUSALS):
                raise StoreError(
                    f"{where} refuses Easel's key: check S3_ACCESS_KEY, S3_SECRET_KEY and its rights."
                ) from error
            if name and isinstance(error, FileNotFoundError):
                raise KeyError(name) from None
            raise StoreError(f"{where} does not answer: check S3_ENDPOINT and the network.") from error
