"""What is done with whole pictures: take a stranger's, lay out a grid, fit a limit.

All of it runs outside of the event loop: a stranger's picture in a process of its own, the rest in threads.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import io
import json
import math
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from bot.errors import Refusal
from bot.i18n import _
from bot.images import decode_process, encoding, printing
from bot.images.file_formats import Format, PrintFormat
from bot.papers import Paper
from bot.provenance.keys import Keys
from bot.provenance.signing import FORMAT_OF, MediaType, packet
from bot.provenance.stamp import convert, facts_of, signed_again
from engine.regions import on_white

SOURCE_PIXELS = 4096 * 4096
"""The most that a source picture may have."""

_LIMITS = {"pixels": SOURCE_PIXELS, "memory": 1 << 30, "cpu": 20}  # pixels, bytes, CPU-seconds
_PATIENCE = 60.0  # seconds for one source picture, on a busy machine
_DECODERS = 2  # at a time; each may take as much memory as the limit says

_GAP = 8  # pixels between the pictures of a grid
_GRID_SIDE = 4096  # pixels, at most


# ---- a stranger's picture


async def open_source(data: bytes, *, max_bytes: int = 20_000_000, more: bool = False) -> bytes:
    """Convert a picture from outside to a plain PNG in sRGB: upright, on white, without metadata or profile.

    Takes still PNG, JPEG and WebP by their content, whatever their name, and HEIC where `pi-heif` is
    installed; a phone's large photograph is made smaller. `more`: AVIF, GIF and TIFF too, of which the first
    frame counts. Raises Refusal.
    """
    check_size(len(data), max_bytes)
    decoding = functools.partial(_decode, data, more=more)
    return await asyncio.get_running_loop().run_in_executor(_decoders(), decoding)


async def open_mask(data: bytes, picture: bytes, *, max_bytes: int = 20_000_000) -> tuple[bytes, bytes]:
    """Return a mask that is white where a PNG is transparent, and its picture as `open_source` gives it.

    Raises Refusal, also where both are not of one size.
    """
    check_size(len(data), max_bytes)
    run = asyncio.get_running_loop().run_in_executor
    opened = await open_source(picture, max_bytes=max_bytes)
    mask = await run(_decoders(), functools.partial(_decode, data, mask=True))
    if _size_of(mask) != _size_of(opened):
        raise _refusal(_("The mask has another size than the image. Send one of the same size."))
    return mask, opened


def _size_of(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        return picture.size


@functools.cache
def reads_heic() -> bool:
    """Tell whether HEIC can be read here."""
    return importlib.util.find_spec("pi_heif") is not None


def check_size(size: int, max_bytes: int) -> None:
    """Raise Refusal for a picture of so many bytes where that is too much."""
    if size > max_bytes:
        large, most = math.ceil(size / 1e6), max_bytes // 1_000_000
        raise _refusal(
            _(
                "The source image has {large} MB; at most {most} MB are allowed. Send a smaller one.",
                large=large,
                most=most,
            )
        )


_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".heic", ".heif")
_UNTOLD = ("", "application/octet-stream", "binary/octet-stream")
HEIC = ("image/heic", "image/heif")
_NEVER = ("image/gif", "image/svg+xml", "image/tiff", "image/bmp")


def may_be_picture(media_type: str, name: str) -> bool:
    """Tell whether a file may be a picture, by what is said of it, which may be wrong: its bytes decide."""
    kind, ending = media_type.casefold().partition(";")[0], name.casefold()
    return kind.startswith("image/") or ending.endswith(_ENDINGS) or (kind in _UNTOLD and "." not in ending)


def check_told(media_type: str, name: str) -> None:
    """Raise Refusal for a kind of file that is never taken, before it is fetched."""
    kind = media_type.casefold().partition(";")[0]
    if kind in _NEVER or not may_be_picture(media_type, name):
        raise _refused("format")
    if kind in HEIC and not reads_heic():
        raise _refused("heic")


@functools.cache
def _decoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_DECODERS, thread_name_prefix="decoder")


def _decode(data: bytes, *, more: bool = False, mask: bool = False) -> bytes:
    options = json.dumps({**_LIMITS, "more": more, "mask": mask})
    command = [sys.executable, "-I", decode_process.__file__, options]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_PATIENCE, env={})
    except subprocess.TimeoutExpired:
        raise _refused("broken") from None
    if done.returncode == decode_process.REFUSED:
        raise _refused(*json.loads(done.stdout))
    if done.returncode != 0:  # out of its memory or time
        raise _refused("broken")
    return done.stdout


def _refused(reason: str, *size: int) -> Refusal:
    if reason == "format":
        return _refusal(_("That isn't a PNG, JPEG or WebP image. Convert it and try again."))
    if reason in ("no png", "opaque"):
        return _refusal(_("A mask is a PNG whose transparent parts are what is to change. Send such a one."))
    if reason == "heic":
        return _refusal(_("That is a HEIC image, which this Easel cannot read. Send it as JPEG."))
    if reason == "animated":
        return _refusal(_("That image is animated. Send one frame of it."))
    if reason == "pixels":
        most = SOURCE_PIXELS // 1_000_000
        width, height = size
        return _refusal(
            _(
                "The source image has {width} × {height} pixels; at most {most} million are "
                "allowed. Send a smaller one.",
                width=f"{width:,}",
                height=f"{height:,}",
                most=most,
            )
        )
    return _refusal(_("That image is damaged and cannot be read. Save it again as PNG and send that."))


def _refusal(notice: str) -> Refusal:
    return Refusal(notice, code="source")


# ---- our own pictures


async def grid(pngs: Sequence[bytes]) -> bytes:
    """Join 1 to 16 pictures in a PNG: 2 side by side, up to 4 as 2 × 2, up to 9 as 3 × 3, else 4 × 4."""
    if len(pngs) == 1:
        return pngs[0]
    return await asyncio.to_thread(_grid, pngs)


def _grid(pngs: Sequence[bytes]) -> bytes:
    columns = math.ceil(math.sqrt(len(pngs)))
    rows = math.ceil(len(pngs) / columns)
    pictures = [Image.open(io.BytesIO(png)) for png in pngs]
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    scale = min(1.0, _GRID_SIDE / (max(columns * width, rows * height) + 3 * _GAP))
    width, height = int(width * scale), int(height * scale)
    size = (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP)
    sheet = Image.new("RGBA", size, (0, 0, 0, 0))  # gaps take the colour of the page, light or dark
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        picture.thumbnail((width, height), Image.Resampling.LANCZOS)
        left = column * (width + _GAP) + (width - picture.width) // 2
        sheet.paste(picture.convert("RGBA"), (left, row * (height + _GAP) + (height - picture.height) // 2))
    return _encoded(sheet, "PNG", compress_level=4)


async def fit(png: bytes, limit: int, keys: Keys) -> tuple[bytes, str]:
    """Fit a picture into `limit` bytes: as it is, else as WebP, else smaller too. Return its media type too.

    A signed picture is signed again. Raises ValueError when not even a thumbnail fits.
    """
    if len(png) <= limit:
        return png, "image/png"
    return await asyncio.to_thread(_fit, png, limit, keys), "image/webp"


def _fit(png: bytes, limit: int, keys: Keys) -> bytes:
    with Image.open(io.BytesIO(png)) as picture:
        for smaller, quality in _attempts(picture):
            if len(_encoded(smaller, "WEBP", quality=quality, method=2)) > limit:
                continue
            data = convert(png, smaller, "image/webp", keys, quality, effort=2)
            if len(data) <= limit:
                return data
    raise ValueError(f"no picture fits into {limit} bytes")


async def shrink(png: bytes, side: int, keys: Keys) -> bytes:
    """Return a stored picture as WebP of at most `side` pixels each way, signed again where it was signed."""
    return await asyncio.to_thread(_shrunk, png, side, keys)


def _shrunk(png: bytes, side: int, keys: Keys) -> bytes:
    with Image.open(io.BytesIO(png), formats=("PNG", "WEBP", "JPEG")) as picture:
        picture.thumbnail((side, side))
        return convert(png, picture, "image/webp", keys, 88, effort=2)


async def converted(
    png: bytes,
    media_type: MediaType,
    quality: int | None,
    keys: Keys,
    max_bytes: int | None = None,
    alt: str = "",
) -> bytes:
    """Return a stored picture in another format, signed again where it was signed; a PNG as it is.

    It has at most `max_bytes`. Raises TooLarge, and NotFlat for what is no picture for SVG.
    """
    if media_type == "image/png" and not alt and (max_bytes is None or len(png) <= max_bytes):
        return png
    return await asyncio.to_thread(_converted, png, media_type, quality, keys, max_bytes, alt)


async def within(png: bytes, media_type: MediaType, limit: int, keys: Keys) -> tuple[bytes, MediaType]:
    """Return a stored picture in a format and at most `limit` bytes (0: any), and its media type.

    It keeps all its pixels: what is too large loses quality, as JPEG. Raises TooLarge where even that is
    too large.
    """
    if media_type == "image/png" and (not limit or len(png) <= limit):
        return png, media_type
    return await converted(png, "image/jpeg", None, keys, limit or None), "image/jpeg"


def zipped(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Return files in one archive; they are compressed already."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def _converted(
    png: bytes, media_type: MediaType, quality: int | None, keys: Keys, max_bytes: int | None, alt: str
) -> bytes:
    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        return convert(png, picture, media_type, keys, quality, max_bytes=max_bytes, alt=alt)


def cut(png: bytes, box: tuple[int, int, int, int], keys: Keys) -> bytes:
    """Return a part of a stored picture as PNG, signed again where that was signed. For a thread."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        return convert(png, picture.crop(box), "image/png", keys)


def film(pngs: Sequence[bytes], format: Format, seconds: float, keys: Keys) -> bytes:
    """Return stored pictures as a film that loops, with the statements of the first. For a thread."""
    frames = [_small(png) for png in pngs]
    facts = facts_of(pngs[0], keys)
    made = encoding.animate(frames, format, seconds=seconds, xmp=packet(facts) if facts else b"")
    return signed_again(pngs[0], made, _media(format), facts, keys) if facts else made


_FILM_SIDE = 768  # pixels


def _small(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        picture.thumbnail((_FILM_SIDE, _FILM_SIDE), Image.Resampling.LANCZOS)
        return picture.convert("RGBA" if picture.mode == "RGBA" else "RGB")


def printed(
    png: bytes,
    paper: Paper,
    printer: printing.Printer,
    format: PrintFormat,
    title: str,
    keys: Keys,
) -> tuple[bytes, bytes]:
    """Return a stored picture as a file for the printer, and how it will look as PNG. For a thread."""
    facts = facts_of(png, keys)
    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        data, proof = printing.file(
            picture, paper, printer, format, title=title, xmp=packet(facts) if facts else _NO_PACKET
        )
    shown = encoding.encode(proof, "png")
    if facts is None:
        return data, shown
    return signed_again(png, data, _media(format), facts, keys), signed_again(
        png, shown, "image/png", facts, keys
    )


_NO_PACKET = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def _media(format: Format) -> MediaType:
    return next(kind for kind, name in FORMAT_OF.items() if name == format)


async def preview(webp: bytes, media_type: MediaType) -> bytes:
    """Return a preview in another format."""
    return webp if media_type == "image/webp" else await asyncio.to_thread(_preview, webp, media_type)


def _preview(webp: bytes, media_type: MediaType) -> bytes:
    with Image.open(io.BytesIO(webp), formats=("WEBP",)) as picture:
        return _encoded(on_white(picture).convert("RGB"), media_type.removeprefix("image/").upper())


def _attempts(picture: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    """Yield the picture and a quality to try: first falling quality, then falling size."""
    for quality in (92, 80):
        yield picture, quality
    while max(picture.size) > 64:
        picture = picture.resize((max(1, picture.width * 3 // 4), max(1, picture.height * 3 // 4)))
        yield picture, 80


def _encoded(picture: Image.Image, format: str, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def png_size(png: bytes) -> tuple[int, int]:
    """Return width and height in pixels, from the header chunk that comes first in every PNG."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height
