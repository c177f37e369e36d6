"""Encodes a picture as a file of a format: in sRGB and tagged so, with XMP, within a limit of bytes.

All of it blocks: for threads. What is encoded is not signed yet; `bot.provenance.stamp.convert` does both.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.images import tracing
from bot.images.file_formats import ALPHA, LOSSY, QUALITY, Format
from engine.regions import on_white

LEAST_QUALITY = 40  # to which it falls for a limit
_DPI = 300  # of a PDF's page
_PROFILES = Path(__file__).with_name("profiles")


class TooLarge(ValueError):
    """A picture that no quality fits into a limit."""


@cache
def srgb() -> bytes:
    """Return a small profile of sRGB."""
    return (_PROFILES / "srgb.icc").read_bytes()


def encode(
    picture: Image.Image,
    format: Format,
    quality: int | None = None,
    *,
    max_bytes: int | None = None,
    xmp: bytes = b"",
    notes: Mapping[str, str] = MappingProxyType({}),
    effort: int | None = None,
) -> bytes:
    """Return a picture in sRGB as a file; what is transparent lies on white where the format has no alpha.

    `quality` is 1 to 100, of formats with loss. `max_bytes`: quality falls, or colours are fewer, until the
    file is no larger. `notes` become text chunks of a PNG. `effort` is the encoder's own: PNG 0 to 9, WebP
    0 to 6. Raises TooLarge, and NotFlat for what is no picture for SVG.
    """
    shown = _prepared(picture, format)
    for form, options in _attempts(shown, format, quality or QUALITY, max_bytes, effort):
        data = _WRITERS.get(format, _saved)(form, format, options, xmp, notes)
        if max_bytes is None or len(data) <= max_bytes:
            return data
    raise TooLarge(f"no {format} of {picture.width} x {picture.height} pixels fits into {max_bytes} bytes")


def animate(
    frames: Sequence[Image.Image], format: Format, *, seconds: float, quality: int = 80, xmp: bytes = b""
) -> bytes:
    """Return pictures as a film that loops, each shown for so many seconds; the first sets the size."""
    out, size = io.BytesIO(), frames[0].size
    shown = [on_white(each).resize(size) for each in frames]
    if format == "gif":
        shown = [_fewer_colours(each) for each in shown]
    options: dict[str, Any] = {"quality": quality, "method": 2} if format == "webp" else {"disposal": 1}
    if format == "webp":
        options["icc_profile"] = srgb()
        options["xmp"] = xmp
    shown[0].save(
        out,
        format.upper(),
        save_all=True,
        append_images=shown[1:],
        duration=round(seconds * 1000),
        loop=0,
        **options,
    )
    return _gif_with(out.getvalue(), xmp) if format == "gif" else out.getvalue()


def _prepared(picture: Image.Image, format: Format) -> Image.Image:
    """Return the picture in a mode that the format holds."""
    if format not in ALPHA:
        return on_white(picture).convert("RGB")
    return picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGBA")


def _attempts(
    picture: Image.Image, format: Format, quality: int, limit: int | None, effort: int | None
) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    """Yield what to save with which of Pillow's options; the first is what was asked for."""
    if format in LOSSY:
        more = {} if effort is None or format != "webp" else {"method": effort}
        yield picture, {"quality": quality, **more}
        for lower in range(quality - 8, LEAST_QUALITY - 1, -8) if limit is not None else ():
            yield picture, {"quality": lower, **more}
    elif format == "png":
        yield picture, {"compress_level": 4 if effort is None else effort}
        if limit is not None:
            yield picture, {"compress_level": 9}
            yield _fewer_colours(picture), {"compress_level": 9}
    else:
        yield picture, {}


def _fewer_colours(picture: Image.Image) -> Image.Image:
    """Return the picture in 256 colours."""
    if picture.mode == "RGBA":
        return picture.quantize(256, Image.Quantize.FASTOCTREE)
    return picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)


_Writer = Callable[[Image.Image, Format, dict[str, Any], bytes, Mapping[str, str]], bytes]


def _saved(
    picture: Image.Image, format: Format, options: dict[str, Any], xmp: bytes, notes: Mapping[str, str]
) -> bytes:
    out = io.BytesIO()
    picture.save(out, format.upper(), icc_profile=srgb(), xmp=xmp, **options)
    return out.getvalue()


def _png(
    picture: Image.Image, format: Format, options: dict[str, Any], xmp: bytes, notes: Mapping[str, str]
) -> bytes:
    chunks, out = PngInfo(), io.BytesIO()
    if xmp:
        chunks.add_itxt("XML:com.adobe.xmp", xmp)
    for name, text in notes.items():
        chunks.add_itxt(name, text)
    picture.save(out, "PNG", pnginfo=chunks, icc_profile=srgb(), **options)
    return out.getvalue()


def _gif(
    picture: Image.Image, format: Format, options: dict[str, Any], xmp: bytes, notes: Mapping[str, str]
) -> bytes:
    out = io.BytesIO()
    # Pillow itself keeps what is transparent, as one of the colours.
    (picture if picture.mode == "RGBA" else _fewer_colours(picture)).save(out, "GIF")
    return _gif_with(out.getvalue(), xmp)


def _gif_with(data: bytes, xmp: bytes) -> bytes:
    """Return a GIF with an XMP packet, which Pillow reads but does not write."""
    if not xmp:
        return data
    colours = 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0
    start = 13 + colours  # behind the screen's description and its colours
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"  # a reader of blocks ends at its end
    block = b"\x21\xff\x0bXMP DataXMP" + xmp + trailer
    return b"GIF89a" + data[6:start] + block + data[start:]


def _tiff(
    picture: Image.Image, format: Format, options: dict[str, Any], xmp: bytes, notes: Mapping[str, str]
) -> bytes:
    out = io.BytesIO()
    tags = {_XMP_TAG: xmp} if xmp else {}
    picture.save(
        out, "TIFF", compression="tiff_adobe_deflate", icc_profile=srgb(), tiffinfo=tags, dpi=(_DPI, _DPI)
    )
    return out.getvalue()


_XMP_TAG = 700  # of TIFF


def _svg(
    picture: Image.Image, format: Format, options: dict[str, Any], xmp: bytes, notes: Mapping[str, str]
) -> bytes:
    return tracing.trace(picture, xmp)


def _pdf(
    picture: Image.Image, format: Format, options: dict[str, Any], xmp: bytes, notes: Mapping[str, str]
) -> bytes:
    from bot.images import pdf  # pikepdf takes a while to import

    jpeg = _saved(picture, "jpeg", options, b"", {})
    return pdf.page(jpeg, picture.size, dpi=_DPI, profile=srgb(), xmp=xmp)


_WRITERS: Mapping[Format, _Writer] = {"png": _png, "gif": _gif, "tiff": _tiff, "svg": _svg, "pdf": _pdf}
