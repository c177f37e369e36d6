"""Words set on a picture as type: shaped by HarfBuzz, fitted, and easy to read whatever is under them.

Everything is measured in fractions of the picture, so an enlarged picture has the same layout, set anew and
sharp. The same words on the same picture give the same bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import engine
from engine.details import faces
from engine.errors import InvalidRequest
from engine.framing import standing_out
from engine.lettering import JOINERS, Lettering, LetteringError, MissingGlyphs, TooLong
from engine.regions import on_white
from engine.text import _
from engine.types import GenerationRequest

CONTRAST = 4.5  # the least ratio between type and what is under it, by WCAG 2.2

_FONTS = Path(engine.__file__).with_name("fonts")
_SMALLEST = 0.022  # of the shorter side; smaller type is not read on a phone
_SMALLEST_PIXELS = 11
_LARGEST = 0.2
_LEAST_OUTLINED = 24  # pixels; an outline fills smaller letters
_LEADING = 1.28  # line height ÷ size: Devanagari and Vietnamese need it
_MARGIN = 0.06  # of the shorter side
_SHOWN, _FACES = 24.0, 60.0  # levels that what stands out, and a face, count more than its detail does
_WHITE, _BLACK = (255, 255, 255), (17, 17, 17)

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Block:
    """One text, broken into lines at a size in pixels."""

    lines: tuple[str, ...]
    font: str
    size: int
    box: Box
    left: bool  # aligned to the left (right-to-left scripts: to the right), else centred

    @property
    def height(self) -> int:
        return round(len(self.lines) * self.size * _LEADING)


@dataclass(frozen=True, slots=True)
class _Area:
    """Where words may stand, in pixels."""

    left: int
    top: int
    width: int
    height: int
    at: str  # to which of its edges they keep: "top", "middle" or "bottom"
    aligned: bool = False


# ---- fonts


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONTS / f"{name}.ttf"), size, layout_engine=ImageFont.Layout.RAQM)


@cache
def _has(name: str, character: str) -> bool:
    """Return whether a font has a glyph, by whether it draws another one than for what no font has."""
    font = _font(name, 40)
    return character.isspace() or character in JOINERS or _drawn(font, character) != _drawn(font, "\uffff")


def _drawn(font: ImageFont.FreeTypeFont, character: str) -> tuple[object, bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


def font_for(text: str, style: str) -> str:
    """Return the font of a style, or the one with all scripts where it lacks a letter.

    Raises MissingGlyphs.
    """
    for name in (style, "sans"):
        if all(_has(name, each) for each in text):
            return name
    raise MissingGlyphs("".join(dict.fromkeys(each for each in text if not _has("sans", each))))


# ---- breaking and fitting

_IDEOGRAPH = "\u2e80-\u2fdf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff66-\uff9f"
_CLOSING = "、。，．！？：；）」』】》〉％!?,.:;)%»”’…ーっゃゅょァィゥェォッャュョ"
_OPENING = "（「『【《〈(«“‘"
_PIECE = re.compile(
    rf"[{_OPENING}]*(?:[{_IDEOGRAPH}]|[^\s{_IDEOGRAPH}{_OPENING}{_CLOSING}\-/]+)?[{_CLOSING}\-/]*\s*"
)


def _pieces(line: str) -> list[str]:
    """Return the parts of a line between which it may be broken."""
    return [each for each in _PIECE.findall(line) if each]


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> tuple[str, ...] | None:
    """Return a text's lines of at most `width` pixels; None where a part is wider."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        current = ""
        for piece in _pieces(paragraph):
            if current and font.getlength((current + piece).rstrip()) > width:
                lines.append(current.rstrip())
                current = ""
            if font.getlength(piece.rstrip()) > width:
                return None
            current += piece
        lines.append(current.rstrip())
    return tuple(lines)


def _fitted(text: str, style: str, area: _Area, smallest: int, largest: int) -> Block:
    """Return a text at the largest size at which it fits into an area. Raises TooLong, MissingGlyphs."""
    name = font_for(text, style)
    best, lines = 0, tuple[str, ...]()
    low, high = smallest, max(smallest, largest)
    while low <= high:
        size = (low + high) // 2
        if fitting := _at_size(text, name, size, area):
            best, lines, low = size, fitting, size + 1
        else:
            high = size - 1
    if not best:
        raise TooLong(text)
    balanced = _balanced(text, _font(name, best), _inner(best, area), lines)
    return Block(balanced, name, best, (0, 0, 0, 0), area.aligned)


def _at_size(text: str, name: str, size: int, area: _Area) -> tuple[str, ...]:
    """Return the lines of a text at a size; none where they do not fit."""
    lines = _wrapped(text, _font(name, size), _inner(size, area))
    fits = lines is not None and round(len(lines) * size * _LEADING) <= area.height
    return lines if lines and fits else ()


def _inner(size: int, area: _Area) -> int:
    """Return the pixels of an area's width that letters of a size may take, beside their outlines."""
    return area.width - 2 * _stroke(size)


def _balanced(
    text: str, font: ImageFont.FreeTypeFont, width: float, lines: tuple[str, ...]
) -> tuple[str, ...]:
    """Return as many lines, of lengths that differ as little as they may."""
    low, high = width / max(1, len(lines)), width
    for _attempt in range(7):
        middle = (low + high) / 2
        narrower = _wrapped(text, font, middle)
        if narrower and len(narrower) == len(lines):
            lines, high = narrower, middle
        else:
            low = middle
    return lines


def _stroke(size: int) -> int:
    return max(2, round(size * 0.07))


# ---- where words stand


def _areas(size: tuple[int, int], place: str, count: int) -> list[_Area]:
    """Return the areas that a place stands for, with room for `count` texts; "auto" has four."""
    width, height = size
    margin = round(_MARGIN * min(size))
    share = min(0.6, 0.3 * (1 + 0.4 * (count - 1)))
    across, down = width - 2 * margin, round(share * height)
    low = height - margin - down
    places = {
        "top": [_Area(margin, margin, across, down, "top")],
        "bottom": [_Area(margin, low, across, down, "bottom")],
        "sign": [
            _Area(round(0.15 * width), (height - down) // 2, round(0.7 * width), down, "middle"),
        ],
        "label": [_Area(margin, low, round(0.6 * across), down, "bottom", aligned=True)],
    }
    left = [
        _Area(margin, margin, round(0.7 * across), down, "top", aligned=True),
        _Area(margin, low, round(0.7 * across), down, "bottom", aligned=True),
    ]
    return places.get(place) or [*places["top"], *places["bottom"], *left]


def layout(lettering: Lettering, size: tuple[int, int], area: _Area | None = None) -> list[Block]:
    """Return where the texts stand on a picture of `size` pixels. Raises TooLong, MissingGlyphs.

    Without an area the first of the place is taken: what fits there fits into the others that it has.
    """
    if area is None:
        return [
            layout(lettering, size, each) for each in _areas(size, lettering.place, len(lettering.texts))
        ][-1]
    smallest = max(_SMALLEST_PIXELS, round(_SMALLEST * min(size)))
    largest = round(_LARGEST * size[1] * (0.5 if lettering.place == "label" else 1.0))
    heights = [1.0] + [0.4] * (len(lettering.texts) - 1)
    blocks: list[Block] = []
    for text, share in zip(lettering.texts, heights, strict=True):
        room = round(area.height * share / sum(heights))
        part = _Area(area.left, area.top, area.width, room, area.at, area.aligned)
        blocks.append(_fitted(text, lettering.style, part, smallest, largest))
        largest = max(smallest, round(blocks[0].size * 0.55))
    total = sum(each.height for each in blocks)
    slack = area.height - total
    top = area.top + {"top": 0, "middle": slack // 2, "bottom": slack}[area.at]
    placed = []
    for block in blocks:
        box = (area.left, top, area.left + area.width, top + block.height)
        placed.append(Block(block.lines, block.font, block.size, box, block.left))
        top += block.height
    return placed


def fits(lettering: Lettering, size: tuple[int, int]) -> bool:
    """Return whether the texts fit on a picture of `size` pixels at a size that can be read."""
    try:
        return bool(layout(lettering, size))
    except TooLong:
        return False


def set_on(picture: Image.Image, lettering: Lettering, variant: int = 0) -> tuple[Image.Image, list[Box]]:
    """Return the picture with the words on it, and the boxes outside of which no pixel changed.

    Where the place is free, the calmest is taken; each of four variants takes another. Raises TooLong,
    MissingGlyphs.
    """
    areas = _areas(picture.size, lettering.place, len(lettering.texts))
    layouts = [layout(lettering, picture.size, each) for each in areas]
    layouts.sort(key=lambda blocks: _busyness(picture, blocks))
    blocks = layouts[variant % len(layouts)]
    done = picture.copy()
    if lettering.place in ("sign", "label"):
        return done, [_draw_on_plate(done, picture, blocks)]
    return done, [_draw(done, picture, block) for block in blocks]


def lettered(picture: Image.Image, request: GenerationRequest, index: int) -> Image.Image:
    """Return picture `index` of a request with its words on it. Raises InvalidRequest."""
    words = Lettering.of(request)
    if not words.texts:
        return picture
    under, size = on_white(picture), request.size_at(index)
    try:
        made = set_on(under, words, 0 if size else index)[0]
        return made if picture.mode == "RGB" else _on_clear(picture, under, made)
    except OSError as error:
        advice = _("A font of this Easel is broken, so no words can be set. Install Easel again.")
        raise InvalidRequest(f"a font cannot be read: {error}", advice=advice) from error
    except LetteringError as error:
        if size:  # whoever asked was told
            return picture
        advice = _("The words do not fit on the image. Use fewer of them.")
        raise InvalidRequest(f"words cannot be set: {error}", advice=advice) from error


def _on_clear(picture: Image.Image, under: Image.Image, made: Image.Image) -> Image.Image:
    """Return a picture in RGBA with what type has changed of it, which is opaque."""
    changed = (np.asarray(under) != np.asarray(made)).any(axis=2)
    whole = picture.copy()
    whole.paste(made, mask=Image.fromarray(changed.astype(np.uint8) * 255))
    return whole


def _busyness(picture: Image.Image, blocks: Sequence[Block]) -> float:
    """Return how much goes on under words: the mean difference between neighbours, of a small copy."""
    factor = 256 / max(picture.size)
    small = picture.convert("L").resize(
        (max(2, round(picture.width * factor)), max(2, round(picture.height * factor))),
        Image.Resampling.BOX,
    )
    values = np.asarray(small, np.float32)
    steps = np.zeros_like(values)
    steps[:, 1:] += np.abs(np.diff(values, axis=1))
    steps[1:] += np.abs(np.diff(values, axis=0))
    steps += _kept_clear(picture, small.size)
    left, top = min(each.box[0] for each in blocks), min(each.box[1] for each in blocks)
    right, bottom = max(each.box[2] for each in blocks), max(each.box[3] for each in blocks)
    cut = steps[int(top * factor) : int(bottom * factor) + 1, int(left * factor) : int(right * factor) + 1]
    return round(float(cut.mean()), 2)


def _kept_clear(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return what it costs to cover each pixel of a small copy: what the picture shows, and faces most."""
    shown = Image.fromarray(standing_out(picture)).resize(size, Image.Resampling.BILINEAR)
    cost: NDArray[np.float32] = _SHOWN * np.clip(np.asarray(shown, np.float32), 0, 1)
    return cost + _FACES * faces(picture.convert("RGB").resize(size, Image.Resampling.BOX))


# ---- drawing


def _draw(onto: Image.Image, under: Image.Image, block: Block) -> Box:
    """Draw a block, readable on what is under it; return the box that was changed."""
    ink = _ink(onto, block)
    colour, contrast = _colour(under.crop(ink))
    outline = _stroke(block.size) if contrast < CONTRAST else 0
    if outline and block.size < _LEAST_OUTLINED:
        return _draw_on_plate(onto, under, [block])
    _draw_lines(onto, block, colour, outline)
    return ink


def _draw_on_plate(onto: Image.Image, under: Image.Image, blocks: Sequence[Block]) -> Box:
    """Draw blocks on one plate; return its box."""
    pad = round(blocks[0].size * 0.35)
    box = _clipped(_grown(_union(_ink(onto, each) for each in blocks), pad), onto.size)
    colour, _contrast = _colour(under.crop(box))
    _plate(onto, box, colour, blocks[0].size)
    for block in blocks:
        _draw_lines(onto, block, colour, 0)
    return box


def _ink(onto: Image.Image, block: Block) -> Box:
    """Return the pixels that a block covers, with its outline."""
    font, draw = _font(block.font, block.size), ImageDraw.Draw(onto)
    boxes = (draw.textbbox(at, text, font=font, anchor="ls") for at, text in _placed(block, font))
    return _clipped(_grown(_union(boxes), _stroke(block.size)), onto.size)


def _draw_lines(onto: Image.Image, block: Block, colour: Colour, outline: int) -> None:
    font, draw = _font(block.font, block.size), ImageDraw.Draw(onto)
    around = _opposite(colour) if outline else None
    for at, text in _placed(block, font):
        draw.text(at, text, font=font, fill=colour, anchor="ls", stroke_width=outline, stroke_fill=around)


def _placed(block: Block, font: ImageFont.FreeTypeFont) -> list[tuple[tuple[float, float], str]]:
    left, top, right, _ = block.box
    placed: list[tuple[tuple[float, float], str]] = []
    for number, line in enumerate(block.lines):
        slack = right - left - font.getlength(line)
        shift = slack / 2 if not block.left else slack if _is_right_to_left(line) else _stroke(block.size)
        baseline = top + (number + 0.5) * block.size * _LEADING + block.size * 0.35
        placed.append(((round(left + shift), round(baseline)), line))
    return placed


def _is_right_to_left(text: str) -> bool:
    strong = (unicodedata.bidirectional(each) for each in text)
    return next((each in ("R", "AL") for each in strong if each in ("L", "R", "AL")), False)


def _colour(ground: Image.Image) -> tuple[Colour, float]:
    """Return the better of white and black on a ground, and its contrast against its worst pixels."""
    light = _luminance(ground)
    darkest, lightest = (float(each) for each in np.percentile(light, (0.2, 99.8)))
    black = float(_luminance(Image.new("RGB", (1, 1), _BLACK))[0, 0])
    on_white, on_black = 1.05 / (lightest + 0.05), (darkest + 0.05) / (black + 0.05)
    return (_WHITE, on_white) if on_white >= on_black else (_BLACK, on_black)


def _opposite(colour: Colour) -> Colour:
    return _BLACK if colour == _WHITE else _WHITE


def _luminance(picture: Image.Image) -> NDArray[np.float64]:
    """Return the relative luminance of each pixel, 0 … 1, as WCAG defines it."""
    values = np.asarray(picture.convert("RGB"), np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    light: NDArray[np.float64] = linear @ np.array([0.2126, 0.7152, 0.0722])
    return light


def _plate(onto: Image.Image, box: Box, colour: Colour, size: int) -> None:
    """Lay a plate under type, as clear as the contrast allows."""
    below = onto.crop(box).convert("RGB")
    shape = Image.new("L", below.size, 0)
    ImageDraw.Draw(shape).rounded_rectangle(
        (0, 0, below.width - 1, below.height - 1), radius=round(size * 0.3), fill=255
    )
    for cover in (0.7, 0.8, 0.9, 1.0):
        covered = Image.blend(below, Image.new("RGB", below.size, _opposite(colour)), cover)
        if _colour_contrast(covered, colour) >= CONTRAST:
            break
    below.paste(covered, mask=shape)
    onto.paste(below, box)


def _colour_contrast(ground: Image.Image, colour: Colour) -> float:
    light = _luminance(ground)
    own = float(_luminance(Image.new("RGB", (1, 1), colour))[0, 0])
    ends = float(light.min()), float(light.max())
    return min((max(own, each) + 0.05) / (min(own, each) + 0.05) for each in ends)


_Edges = tuple[float, float, float, float]


def _union(boxes: Iterable[_Edges]) -> _Edges:
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _grown(box: _Edges, by: int) -> Box:
    return int(box[0]) - by, int(box[1]) - by, int(-(-box[2] // 1)) + by, int(-(-box[3] // 1)) + by


def _clipped(box: Box, size: tuple[int, int]) -> Box:
    return max(0, box[0]), max(0, box[1]), min(size[0], box[2]), min(size[1], box[3])
