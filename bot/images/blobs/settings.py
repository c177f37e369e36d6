"""Where pictures are kept."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from bot.errors import SettingError
from bot.settings import Address, CoreSettings, Secret


def _bucket(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("a bucket, and a folder in it if you like, as in s3://bucket/easel")
    return value.rstrip("/")


class StorageSettings(CoreSettings):
    """A folder, or a bucket."""

    pictures_url: Annotated[str, AfterValidator(_bucket)] = ""
    """A bucket of an S3-compatible storage to keep pictures in, as in s3://bucket/folder. Empty: the
    folder pictures in DATA_DIR."""
    s3_endpoint: Address = ""
    """The address of that storage where it is not Amazon's, as in https://minio.example.org."""
    s3_region: str = ""
    """The region of the bucket. Empty: us-east-1."""
    s3_access_key: str = ""
    """The access key for the bucket. Empty: the one that Amazon's own tools find on this machine."""
    s3_secret_key: Secret = Secret()
    """The secret of S3_ACCESS_KEY."""

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        if bool(self.s3_access_key) != bool(self.s3_secret_key):
            raise SettingError("S3_ACCESS_KEY and S3_SECRET_KEY go together: set both, or remove both.")
        return self
