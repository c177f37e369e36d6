"""Decodes a stranger's picture in a process of its own. Run as a script: picture in, plain PNG in sRGB out.

It sees nothing of Easel: no settings, no environment, no files to write, little memory and little time. Exit
status 0 means that a PNG stands on standard output; REFUSED means that the reason stands there as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import resource
import sys
import warnings
from functools import partial

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

REFUSED = 3

FORMATS = ("PNG", "JPEG", "WEBP")
MORE = ("AVIF", "GIF", "TIFF")
"""Formats that are only looked at; of their frames, the first counts."""
LARGER = {"JPEG": 16, "MPO": 16, "HEIF": 4}
"""How many times as many pixels as are kept a phone's photograph may have."""
ANIMATED = ("PNG", "WEBP")
"""Formats whose frames are a film; the further pictures of a phone's file belong to its first."""
_HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypmif1", b"ftypmsf1")


class DecodeRefused(Exception):
    """The reason as a word, and what the sentence about it needs."""


def main() -> None:
    limit = json.loads(sys.argv[1])
    _confine(limit["memory"], limit["cpu"])
    try:
        read = decode_mask if limit.get("mask") else partial(decode, more=limit.get("more", False))
        answer = read(sys.stdin.buffer.read(), limit["pixels"])
    except DecodeRefused as error:
        sys.stdout.write(json.dumps(error.args))
        sys.exit(REFUSED)
    sys.stdout.buffer.write(answer)


def decode(data: bytes, pixels: int, *, more: bool = False) -> bytes:
    """Decode a picture to a plain PNG in sRGB, upright, with nothing but its pixels. Raises Refused.

    `more`: also of the formats that are only looked at.
    """
    warnings.simplefilter("ignore")  # standard error carries nothing but failures
    Image.MAX_IMAGE_PIXELS = None  # the header is checked here, before decoding
    try:
        with Image.open(io.BytesIO(data), formats=(*_formats(), *MORE) if more else _formats()) as picture:
            if picture.width * picture.height > pixels * LARGER.get(picture.format or "", 1):
                raise DecodeRefused("pixels", picture.width, picture.height)
            if picture.format in ANIMATED and not more and getattr(picture, "is_animated", False):
                raise DecodeRefused("animated")
            _make_smaller(picture, pixels)
            upright = ImageOps.exif_transpose(picture)
            flat = _on_white(upright) if upright.has_transparency_data else _in_srgb(upright)
    except UnidentifiedImageError:
        raise DecodeRefused("heic" if data[4:12] in _HEIC else "format") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError):
        raise DecodeRefused("broken") from None
    flat.info.clear()  # a profile, comments and the like would be written with it
    out = io.BytesIO()
    flat.save(out, "PNG", compress_level=1)
    return out.getvalue()


def decode_mask(data: bytes, pixels: int) -> bytes:
    """Return a grey PNG that is white where a PNG is transparent. Raises DecodeRefused."""
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            if picture.width * picture.height > pixels:
                raise DecodeRefused("pixels", picture.width, picture.height)
            if getattr(picture, "is_animated", False):
                raise DecodeRefused("animated")
            if not picture.has_transparency_data:
                raise DecodeRefused("opaque")
            picture.apply_transparency()
            marked = ImageOps.invert(picture.convert("RGBA").getchannel("A"))
    except UnidentifiedImageError:
        raise DecodeRefused("no png") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError):
        raise DecodeRefused("broken") from None
    out = io.BytesIO()
    marked.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _formats() -> tuple[str, ...]:
    """Return the formats that can be read here: HEIC where its library is installed."""
    try:
        import pi_heif
    except ImportError:
        return FORMATS
    pi_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def _make_smaller(picture: Image.Image, pixels: int) -> None:
    """Make a larger picture so small that it has at most so many pixels; a JPEG while it is decoded."""
    factor = math.sqrt(picture.width * picture.height / pixels)
    if factor <= 1:
        return
    size = int(picture.width / factor), int(picture.height / factor)
    picture.draft(None, size)
    picture.thumbnail(size)


def _on_white(picture: Image.Image) -> Image.Image:
    picture.apply_transparency()
    opacity = picture.convert("RGBA").getchannel("A")
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(_in_srgb(picture), mask=opacity)
    return flat


_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""What colours a profile speaks of, and the mode that holds them."""


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Convert a picture to sRGB by its profile; ignore a profile that is unreadable or for other colours."""
    given = picture.info.get("icc_profile")
    if not given:
        return picture.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(given))
        mode = _MODES[profile.profile.xcolor_space.strip()]
        if (mode == "CMYK") != (picture.mode == "CMYK"):
            return picture.convert("RGB")
        srgb = ImageCms.createProfile("sRGB")
        meant = ImageCms.profileToProfile(picture.convert(mode), profile, srgb, outputMode="RGB")
    except (KeyError, ValueError, OSError, ImageCms.PyCMSError):
        return picture.convert("RGB")
    assert meant is not None
    return meant


def _confine(memory: int, cpu: int) -> None:
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        # macOS refuses some of them; those that a system knows still hold.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    main()
