"""Files for a printer: a picture in CMYK, on paper with a bleed, as PDF/X-4 or TIFF.

All of it blocks: for threads.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydantic import Field

from bot.errors import SettingError
from bot.images import encoding
from bot.images.file_formats import PrintFormat
from bot.papers import DPI, Paper
from bot.settings import CoreSettings

FULL = 255  # of one ink
_PROFILES = Path(__file__).with_name("profiles")
_ROWS = 256  # that are converted at a time: memory does not grow with the picture


class PrintSettings(CoreSettings):
    """What is printed with."""

    print_profile: str = ""
    """An ICC profile of the printer's, for CMYK, as a file. Empty: coated paper by FOGRA39."""
    print_ink: Annotated[int, Field(ge=100, le=400)] = 300
    """The most ink at one point, in % of one ink: cyan, magenta, yellow and black together."""


@dataclass(frozen=True, slots=True)
class Printer:
    """The colours that are printed with."""

    profile: bytes
    name: str  # of the profile
    ink: int = 300  # %

    @classmethod
    def of(cls, settings: PrintSettings) -> Printer:
        """Return what settings ask for. Raises SettingError for a profile that is none of CMYK."""
        path = Path(settings.print_profile) if settings.print_profile else _PROFILES / "coated-fogra39.icc"
        try:
            data = path.read_bytes()
            found = ImageCms.ImageCmsProfile(io.BytesIO(data)).profile
            ImageCms.buildTransform(_srgb(), _opened(data), "RGB", "CMYK")
        except (OSError, ImageCms.PyCMSError) as error:
            raise SettingError(f"PRINT_PROFILE, {path}, is no ICC profile to print with: {error}") from error
        name = "FOGRA39" if not settings.print_profile else found.profile_description or path.stem
        return cls(data, name, settings.print_ink)


def cropped(size: tuple[int, int], to: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box in the middle of a picture that has the shape of `to`."""
    width, height = size
    scale = min(width / to[0], height / to[1])
    across, down = min(width, max(1, round(to[0] * scale))), min(height, max(1, round(to[1] * scale)))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def to_size(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a picture cut to the shape of a size, and in it, on white."""
    from engine.regions import on_white

    flat = on_white(picture).convert("RGB")
    if flat.size == size:
        return flat
    return flat.resize(size, Image.Resampling.LANCZOS, box=cropped(flat.size, size))


def in_inks(picture: Image.Image, printer: Printer) -> Image.Image:
    """Return a picture in CMYK with no more ink at any point than the printer takes."""
    transform = ImageCms.buildTransform(
        _srgb(), _opened(printer.profile), "RGB", "CMYK", ImageCms.Intent.PERCEPTUAL
    )
    done = Image.new("CMYK", picture.size)
    for top in range(0, picture.height, _ROWS):
        box = 0, top, picture.width, min(top + _ROWS, picture.height)
        strip = ImageCms.applyTransform(picture.crop(box).convert("RGB"), transform)
        assert strip is not None
        done.paste(Image.fromarray(_limited(np.asarray(strip), printer.ink), "CMYK"), box[:2])
    return done


def _limited(inks: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Return inks of which no pixel has more than so many %: black stands in for what C, M and Y share.

    Where that is not enough, cyan, magenta and yellow become less alike.
    """
    values = inks.astype(np.float32)
    limit = most / 100 * FULL - 2  # what rounding may add
    excess = values.sum(2) - limit
    if not (excess > 0).any():
        return inks
    colours, black = values[..., :3], values[..., 3]
    share = np.minimum(np.minimum(colours.min(2), FULL - black), np.maximum(excess, 0) / 2)
    colours -= share[..., None]
    black += share
    room = np.maximum(limit - black, 0)
    colours *= np.minimum(1, room / np.maximum(colours.sum(2), 1e-6))[..., None]
    return values.round().astype(np.uint8)


def proof(inks: Image.Image, printer: Printer) -> Image.Image:
    """Return how a picture in CMYK will look, in sRGB: the paper's white as white."""
    transform = ImageCms.buildTransform(
        _opened(printer.profile), _srgb(), "CMYK", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    shown = ImageCms.applyTransform(inks, transform)
    assert shown is not None
    return shown


def file(
    picture: Image.Image, paper: Paper, printer: Printer, format: PrintFormat, *, title: str, xmp: bytes
) -> tuple[bytes, Image.Image]:
    """Return a picture as a file for the printer, not signed yet, and how it will look, small."""
    wide = picture.width > picture.height
    inks = in_inks(to_size(picture, paper.pixels(wide=wide)), printer)
    small = inks.copy()
    small.thumbnail((_PROOF, _PROOF), Image.Resampling.BOX)
    if format == "tiff":
        return _tiff(inks, printer, xmp), proof(small, printer)
    from bot.images import pdf  # pikepdf takes a while to import

    sheet = pdf.Sheet(
        size=paper.sheet(wide=wide),
        bleed=paper.bleed,
        profile=printer.profile,
        condition=printer.name,
        title=title,
    )
    packet = pdf.x4_packet(xmp, title, f"{title}{paper.label}".encode())
    return pdf.printed(inks, sheet, packet), proof(small, printer)


_PROOF = 1024  # pixels of the preview's longer side


def _tiff(inks: Image.Image, printer: Printer, xmp: bytes) -> bytes:
    out = io.BytesIO()
    inks.save(
        out,
        "TIFF",
        compression="tiff_adobe_deflate",
        icc_profile=printer.profile,
        dpi=(DPI, DPI),
        tiffinfo={700: xmp},
    )
    return out.getvalue()


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return _opened(encoding.srgb())


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))
