"""Files for a printer: a picture in CMYK, on paper with a bleed, as PDF/X-4 or TIFF.

All but reading what somebody typed blocks: for threads.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from bot.errors import Refusal, SettingError
from bot.i18n import _
from bot.images import encoding
from bot.options import clip
from bot.settings import CoreSettings
from bot.upscaling import MOST_PIXELS

DPI = 300
MOST_BLEED = 20.0  # mm
FULL = 255  # of one ink
PrintFormat = Literal["pdf", "tiff"]
PRINT_FORMATS: tuple[PrintFormat, ...] = get_args(PrintFormat)
PAPER = {  # mm, upright
    "a0": (841.0, 1189.0), "a1": (594.0, 841.0), "a2": (420.0, 594.0), "a3": (297.0, 420.0),
    "a4": (210.0, 297.0), "a5": (148.0, 210.0), "a6": (105.0, 148.0), "letter": (215.9, 279.4),
}  # fmt: skip

_MM = {"": 1.0, "mm": 1.0, "cm": 10.0, "in": 25.4, "m": 1000.0}
_BLEED = re.compile(r"(\d{1,4}(?:[.,]\d{1,2})?) ?(mm|cm|in|m|)")
_PROFILES = Path(__file__).with_name("profiles")
_ROWS = 256  # that are converted at a time: memory does not grow with the picture


class PrintSettings(CoreSettings):
    """What is printed with."""

    print_profile: str = ""
    """An ICC profile of the printer's, for CMYK, as a file. Empty: coated paper by FOGRA39."""
    print_ink: int = 300
    """The most ink at one point, in % of one ink: cyan, magenta, yellow and black together."""


@dataclass(frozen=True, slots=True)
class Press:
    """The colours that are printed with."""

    profile: bytes
    name: str  # of the profile
    ink: int = 300  # %

    @classmethod
    def of(cls, settings: PrintSettings) -> Press:
        """Return what settings ask for. Raises SettingError for a profile that is none of CMYK."""
        if not 100 <= settings.print_ink <= 400:
            raise SettingError("PRINT_INK has to be 100 to 400: percent of one ink.")
        path = Path(settings.print_profile) if settings.print_profile else _PROFILES / "coated-fogra39.icc"
        try:
            data = path.read_bytes()
            found = ImageCms.ImageCmsProfile(io.BytesIO(data)).profile
            ImageCms.buildTransform(_srgb(), _opened(data), "RGB", "CMYK")
        except (OSError, ImageCms.PyCMSError) as error:
            raise SettingError(f"PRINT_PROFILE, {path}, is no ICC profile to print with: {error}") from error
        name = "FOGRA39" if not settings.print_profile else found.profile_description or path.stem
        return cls(data, name, settings.print_ink)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is printed on, upright, in mm."""

    name: str
    bleed: float = 0.0

    def trimmed(self, *, wide: bool) -> tuple[float, float]:
        """Return width and height after it is cut."""
        short, long = PAPER[self.name]
        return (long, short) if wide else (short, long)

    def sheet(self, *, wide: bool) -> tuple[float, float]:
        """Return width and height with the bleed."""
        width, height = self.trimmed(wide=wide)
        return width + 2 * self.bleed, height + 2 * self.bleed

    def pixels(self, *, wide: bool) -> tuple[int, int]:
        """Return the size of the picture at 300 dpi."""
        width, height = (round(each / 25.4 * DPI) for each in self.sheet(wide=wide))
        return width, height

    @property
    def label(self) -> str:
        name = self.name.upper() if self.name[-1].isdigit() else self.name.capitalize()
        return f"{name} + {self.bleed:g} mm" if self.bleed else name


def read_paper(typed: str, bleed: str = "") -> Paper:
    """Read a paper and a bleed as they were typed.

    Raises Refusal; where a paper is too large, it names the largest that is not.
    """
    name = "".join(typed.casefold().split()).removeprefix("din")
    if name not in PAPER:
        known = ", ".join(each.upper() if each[-1].isdigit() else each.capitalize() for each in PAPER)
        raise Refusal(
            _("Print sizes are {known}; “{typed}” is none of these.", known=known, typed=clip(typed)),
            code="print",
        )
    paper = Paper(name=name, bleed=_bleed(bleed) if bleed.strip() else 0.0)
    if math.prod(paper.pixels(wide=False)) > MOST_PIXELS:
        fitting = [Paper(name=each, bleed=paper.bleed) for each in PAPER]
        fitting = [each for each in fitting if math.prod(each.pixels(wide=False)) <= MOST_PIXELS]
        largest = max(fitting, key=lambda each: math.prod(each.pixels(wide=False)))
        raise Refusal(
            _(
                "{paper} at 300 dpi is more than the {most} million pixels that Easel makes. "
                "The largest that fits is {largest}.",
                paper=paper.label,
                most=MOST_PIXELS // 1_000_000,
                largest=largest.label,
            ),
            code="print",
        )
    return paper


def kept(text: str) -> tuple[Paper, PrintFormat]:
    """Return what `to_keep` wrote into a request."""
    name, bleed, format = text.split(":")
    assert format in PRINT_FORMATS
    return Paper(name=name, bleed=float(bleed)), format


def to_keep(paper: Paper, format: PrintFormat) -> str:
    """Return a paper and the file for it as a request keeps them."""
    return f"{paper.name}:{paper.bleed:g}:{format}"


def _bleed(typed: str) -> float:
    found = _BLEED.fullmatch(" ".join(typed.casefold().split()))
    bleed = float(found[1].replace(",", ".")) * _MM[found[2]] if found else -1.0
    if not 0 <= bleed <= MOST_BLEED:
        raise Refusal(
            _(
                "Bleed can be 0 to {most} mm, as in 3mm; you asked for “{typed}”.",
                most=f"{MOST_BLEED:g}",
                typed=clip(typed),
            ),
            code="print",
        )
    return bleed


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


def in_inks(picture: Image.Image, press: Press) -> Image.Image:
    """Return a picture in CMYK with no more ink at any point than the press takes."""
    transform = ImageCms.buildTransform(
        _srgb(), _opened(press.profile), "RGB", "CMYK", ImageCms.Intent.PERCEPTUAL
    )
    done = Image.new("CMYK", picture.size)
    for top in range(0, picture.height, _ROWS):
        box = 0, top, picture.width, min(top + _ROWS, picture.height)
        strip = ImageCms.applyTransform(picture.crop(box).convert("RGB"), transform)
        assert strip is not None
        done.paste(Image.fromarray(_limited(np.asarray(strip), press.ink), "CMYK"), box[:2])
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


def proof(inks: Image.Image, press: Press) -> Image.Image:
    """Return how a picture in CMYK will look, in sRGB: the paper's white as white."""
    transform = ImageCms.buildTransform(
        _opened(press.profile), _srgb(), "CMYK", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    shown = ImageCms.applyTransform(inks, transform)
    assert shown is not None
    return shown


def file(
    picture: Image.Image, paper: Paper, press: Press, format: PrintFormat, *, title: str, xmp: bytes
) -> tuple[bytes, Image.Image]:
    """Return a picture as a file for the printer, not signed yet, and how it will look, small."""
    wide = picture.width > picture.height
    inks = in_inks(to_size(picture, paper.pixels(wide=wide)), press)
    small = inks.copy()
    small.thumbnail((_PROOF, _PROOF), Image.Resampling.BOX)
    if format == "tiff":
        return _tiff(inks, press, xmp), proof(small, press)
    from bot.images import pdf  # pikepdf takes a while to import

    sheet = pdf.Sheet(
        size=paper.sheet(wide=wide),
        bleed=paper.bleed,
        profile=press.profile,
        condition=press.name,
        title=title,
    )
    packet = pdf.x4_packet(xmp, title, f"{title}{paper.label}".encode())
    return pdf.printed(inks, sheet, packet), proof(small, press)


_PROOF = 1024  # pixels of the preview's longer side


def _tiff(inks: Image.Image, press: Press, xmp: bytes) -> bytes:
    out = io.BytesIO()
    inks.save(
        out,
        "TIFF",
        compression="tiff_adobe_deflate",
        icc_profile=press.profile,
        dpi=(DPI, DPI),
        tiffinfo={700: xmp},
    )
    return out.getvalue()


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return _opened(encoding.srgb())


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))
