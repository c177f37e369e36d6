"""The formats of files that images are handed over in, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Format = Literal["png", "jpeg", "webp", "avif", "gif", "svg", "pdf", "tiff"]
FORMATS: tuple[Format, ...] = get_args(Format)
LOSSY = ("jpeg", "webp", "avif", "pdf")
"""Formats with a quality, 1 to 100."""
ALPHA = ("png", "webp", "avif", "gif", "tiff")
"""Formats that keep what is transparent; in the others it lies on white."""
LOOPS = ("gif", "webp")
"""Formats whose files can be a film."""
MEDIA_TYPES: Mapping[Format, str] = {
    **{each: f"image/{each}" for each in ("png", "jpeg", "webp", "avif", "gif", "tiff")},
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
}
ENDINGS: Mapping[Format, str] = {**{each: each for each in FORMATS}, "jpeg": "jpg", "tiff": "tif"}

QUALITY = 90  # where nothing is said


def label(format: str) -> str:
    """Return a format as people write it."""
    return {"webp": "WebP"}.get(format, format.upper())


PrintFormat = Literal["pdf", "tiff"]
PRINT_FORMATS: tuple[PrintFormat, ...] = get_args(PrintFormat)
"""What a printer is given."""
