"""Whether words on pictures can be read: on fresh pictures of the shipped model, and on photographs.

    python -m tests.bench --only lettering --photos FOLDER

Each of 200 texts in each of 12 languages is set in each of five places: none may lack a glyph, leave its area
or the picture, or have too little contrast, and outside of its box no pixel may change. A sample of those in
Latin letters and ideographs is read by OCR.
"""

from __future__ import annotations

import random
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from engine.lettering import PLACES, Lettering, LetteringError, setting
from engine.lettering.setting import CONTRAST, Box
from tests.bench import marks
from tests.bench.phrases import HEADLINES, READ, texts

DRAWINGS = 24  # fresh pictures to set words on
SIDES = (512, 768, 1024)  # pixels of the shorter side, by turns
SHAPES = (1.0, 0.8, 1.25, 16 / 9, 9 / 16)  # width ÷ height, by turns
AROUND = 0.15  # of the type's size: what OCR is given around a line
STYLES = ("sans", "serif", "sans", "mono", "sans", "display")
SHOWN_EVERY = 200

ALLOWED = 0.1  # of a line's characters may be misread, so that it counts as read
BARS = {"characters": 0.99, "lines": 0.97}


@dataclass
class Count:
    """What was seen so far."""

    set: int = 0
    missing: int = 0
    too_long: int = 0
    overflow: int = 0
    faint: int = 0
    outside: int = 0
    other_bytes: int = 0
    characters: int = 0
    wrong: int = 0
    lines: int = 0
    lines_read: int = 0
    misread: list[str] = field(default_factory=list)
    by_language: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, Any]:
        """Return the figures by name; a share below its bar says so."""
        said: dict[str, Any] = {
            "texts set": self.set,
            "with missing glyphs": self.missing,
            "refused as too long": self.too_long,
            "outside of their area": self.overflow,
            "contrast below 4.5": self.faint,
            "pixels changed outside of the box": self.outside,
            "other bytes the second time": self.other_bytes,
        }
        if self.characters:
            shares = {
                "characters": 1 - self.wrong / self.characters,
                "lines": self.lines_read / self.lines,
            }
            for name, share in shares.items():
                verdict = f", below {BARS[name]:.0%}" if share < BARS[name] else ""
                said[f"OCR, {name}"] = f"{share:.2%} of {getattr(self, name)}{verdict}"
            said["OCR, wrong characters by language"] = dict(self.by_language)
        return {f"lettering: {name}": value for name, value in said.items()}


def figures(photos: Path | None, reads: int, first_seed: int, most: int = 200) -> dict[str, Any]:
    """Return all figures; OCR reads as many pictures as `reads` says, of `most` texts in each language."""
    grounds = list(marks.paint(DRAWINGS, first_seed))
    if photos:
        grounds += list(marks.photographs(photos))
    dice, count = random.Random(first_seed), Count()
    wanted = [
        (language, pair, place)
        for language in HEADLINES
        for pair in texts(language)[:: max(1, 200 // most)]
        for place in PLACES
    ]
    readable = [at for at, (language, _, _) in enumerate(wanted) if language in READ]
    read = set(dice.sample(readable, min(reads, len(readable))))
    reader = _reader() if reads else None
    for number, (language, pair, place) in enumerate(wanted):
        picture = shaped(dice.choice(grounds), SIDES[number % len(SIDES)], SHAPES[number % len(SHAPES)])
        words = Lettering(pair, place, STYLES[number % len(STYLES)])
        done = look_at(picture, words, count, twice=number % 50 == 0)
        if done and reader and number in read:
            compare(reader, *done, words, language, count)
        if number % SHOWN_EVERY == 0:
            sys.stderr.write(f"{number} of {len(wanted)} at {time.strftime('%H:%M:%S')}\n")
    for each in count.misread[:40]:
        sys.stderr.write(f"{each}\n")
    return count.figures()


def shaped(picture: Image.Image, side: int, ratio: float) -> Image.Image:
    """Return a picture cropped to a shape, with the shorter side in pixels."""
    size = (round(side * max(1, ratio)), round(side * max(1, 1 / ratio)))
    width = min(picture.width, picture.height * ratio)
    height = min(picture.height, width / ratio)
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    box = (left, top, left + width, top + height)
    return picture.resize(size, Image.Resampling.LANCZOS, box=box)


def look_at(
    picture: Image.Image, words: Lettering, count: Count, *, twice: bool = False
) -> tuple[Image.Image, list[Box]] | None:
    """Set words on a picture, and count what is wrong with them; None where they are refused."""
    try:
        done, boxes = setting.set_on(picture, words)
    except setting.MissingGlyphs:
        count.missing += 1
        return None
    except LetteringError:
        count.too_long += 1
        return None
    count.set += 1
    touched = (np.asarray(picture) != np.asarray(done)).any(axis=2)
    for left, top, right, bottom in boxes:
        touched[top:bottom, left:right] = False
    count.outside += bool(touched.any())
    count.overflow += any(not inside(box, picture.size) for box in boxes)
    count.faint += contrast(done, blocks_of(words, done.size, boxes)) < CONTRAST
    if twice:
        count.other_bytes += setting.set_on(picture, words)[0].tobytes() != done.tobytes()
    return done, boxes


def inside(box: Box, size: tuple[int, int]) -> bool:
    """Return whether a box keeps a margin to every edge of a picture."""
    return box[0] > 0 and box[1] > 0 and box[2] < size[0] and box[3] < size[1]


def contrast(done: Image.Image, blocks: Sequence[setting.Block]) -> float:
    """Return the least contrast of type with what lies within two pixels of its edges."""
    return min(_contrast(done, each) for each in blocks)


def _contrast(done: Image.Image, block: setting.Block) -> float:
    box = setting._ink(done, block)
    drawn = Image.new("RGB", done.size)
    setting._draw_lines(drawn, block, (255, 255, 255), 0)
    cover, light = np.asarray(drawn.crop(box).convert("L")), setting._luminance(done.crop(box))
    colour, type_ = float(np.median(light[cover == 255])), cover > 0
    dark = colour < 0.5
    height, width = light.shape
    far = np.pad(np.where(type_, 0.0 if dark else 1.0, light), 2, mode="edge")
    shifts = [far[y : y + height, x : x + width] for y in range(5) for x in range(5)]
    near = (np.maximum if dark else np.minimum).reduce(shifts)
    worst = float(np.percentile(near[_grown(type_) & ~type_], 1 if dark else 99))
    return (max(colour, worst) + 0.05) / (min(colour, worst) + 0.05)


def _grown(mask: np.ndarray) -> np.ndarray:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


# ---- reading


def _reader() -> Any:
    import logging

    from rapidocr import RapidOCR

    logging.disable(logging.INFO)
    return RapidOCR()


def compare(
    reader: Any, done: Image.Image, boxes: Sequence[Box], words: Lettering, language: str, count: Count
) -> None:
    """Read each line on a picture by OCR, and count what is not as it was said."""
    blocks = blocks_of(words, done.size, boxes)
    for box, line in (each for block in blocks for each in _lines(block, done.size)):
        part = done.crop(box)
        found = reader(np.asarray(part)[:, :, ::-1], use_det=False, use_cls=False, use_rec=True)
        said, seen = plain(line), plain("".join(found.txts or ()))
        wrong = min(distance(said, seen), len(said))
        count.characters += len(said)
        count.wrong += wrong
        count.by_language[language] += wrong
        count.lines += 1
        count.lines_read += wrong <= ALLOWED * len(said)
        if wrong:
            count.misread.append(f"{language} {words.place} {words.style} {box}: {said} → {seen}")


def blocks_of(words: Lettering, size: tuple[int, int], boxes: Sequence[Box]) -> list[setting.Block]:
    """Return the layout that was drawn in these boxes."""
    canvas = Image.new("RGB", size)

    def apart(blocks: Sequence[setting.Block]) -> int:
        inks = [setting._ink(canvas, each) for each in blocks]
        return sum(min(int(np.abs(np.subtract(ink, box)).sum()) for box in boxes) for ink in inks)

    areas = setting._areas(size, words.place, len(words.texts))
    return min((setting.layout(words, size, each) for each in areas), key=apart)


def _lines(block: setting.Block, size: tuple[int, int]) -> Iterator[tuple[Box, str]]:
    font = setting._font(block.font, block.size)
    draw = ImageDraw.Draw(Image.new("RGB", size))
    for at, text in setting._placed(block, font):
        edges = draw.textbbox(at, text, font=font, anchor="ls")
        around = setting._grown(edges, round(AROUND * block.size))
        yield setting._clipped(around, size), text


def plain(text: str) -> str:
    """Return what is compared of a text: its characters in one form, without spaces."""
    folded = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'")
    return re.sub(r"\s+", "", folded)


def distance(one: str, other: str) -> int:
    """Return in how many characters two texts differ."""
    before = list(range(len(other) + 1))
    for row, each in enumerate(one, 1):
        now = [row]
        for column, their in enumerate(other, 1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (each != their)))
        before = now
    return before[-1]
