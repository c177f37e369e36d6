"""Pictures at rest, named by their content: in a folder, or in a bucket of an S3-compatible storage."""

from __future__ import annotations

from bot.images.blobs.base import BlobStore
from bot.images.blobs.local import DirectoryBlobs
from bot.images.blobs.settings import StorageSettings

__all__ = ["BlobStore", "DirectoryBlobs", "open_blobs"]


def open_blobs(settings: StorageSettings) -> BlobStore:
    """Return where the settings say that pictures are kept. Raises SettingError."""
    if not settings.pictures_url:
        return DirectoryBlobs(settings.data_dir / "pictures")
    # Imported here: only those who use a bucket need the library.
    from bot.images.blobs.s3 import S3Blobs

    return S3Blobs(
        settings.pictures_url,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
    )
