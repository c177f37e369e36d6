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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from engine.lettering import PLACES, Lettering, LetteringError, setting
from engine.lettering.setting import CONTRAST, Box
from tests.bench import marks
from tests.bench.phrases import HEADLINES, READ, texts

DRAWINGS = 24  # fresh pictures to set words on
SIDES = (512, 768, 1024)  # pixels of the shorter side, by turns
SHAPES = (1.0, 0.8, 1.25, 16 / 9, 9 / 16)  # width ÷ height, by turns
AROUND = 24  # pixels around a box that OCR is given, too
LEAST_TYPE = 40  # pixels of a colour that type has
STYLES = ("sans", "serif", "sans", "mono", "sans", "display")
SHOWN_EVERY = 200

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


def figures(photos: Path | None, reads: int, first_seed: int) -> dict[str, Any]:
    """Return all figures; `reads` is how many pictures OCR reads."""
    grounds = list(marks.paint(DRAWINGS, first_seed))
    if photos:
        grounds += list(marks.photographs(photos))
    dice, count = random.Random(first_seed), Count()
    wanted = [
        (language, pair, place) for language in HEADLINES for pair in texts(language) for place in PLACES
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
    count.faint += any(contrast(picture.crop(box), done.crop(box)) < CONTRAST for box in boxes)
    if twice:
        count.other_bytes += setting.set_on(picture, words)[0].tobytes() != done.tobytes()
    return done, boxes


def inside(box: Box, size: tuple[int, int]) -> bool:
    """Return whether a box keeps a margin to every edge of a picture."""
    return box[0] > 0 and box[1] > 0 and box[2] < size[0] and box[3] < size[1]


def contrast(before: Image.Image, after: Image.Image) -> float:
    """Return the contrast of type with what is next to it: its ground, its outline, or its plate."""
    light = setting._luminance(after)
    own = [
        float(setting._luminance(Image.new("RGB", (1, 1), each))[0, 0]) for each in ((255,) * 3, (17,) * 3)
    ]
    changed = (np.asarray(before) != np.asarray(after)).any(axis=2)
    return max(_contrast(light, changed & (np.abs(light - each) < 1e-6), each) for each in own)


def _contrast(light: np.ndarray, type_: np.ndarray, colour: float) -> float:
    """Return the contrast of what has a colour with what lies within two pixels of its edges."""
    edge = _grown(type_) & ~type_
    if type_.sum() < LEAST_TYPE:
        return 0.0
    near = ImageFilter.MinFilter(5) if colour > 0.5 else ImageFilter.MaxFilter(5)  # an outline is as wide
    levels = Image.fromarray(np.rint(np.where(type_, colour, light) * 255).astype(np.uint8)).filter(near)
    worst = float(np.percentile(np.asarray(levels)[edge] / 255, 99 if colour > 0.5 else 1))
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
    """Read a picture with words by OCR, and count what is not as it was said."""
    left, top = min(each[0] for each in boxes), min(each[1] for each in boxes)
    right, bottom = max(each[2] for each in boxes), max(each[3] for each in boxes)
    part = done.crop((left - AROUND, top - AROUND, right + AROUND, bottom + AROUND))
    found = reader(np.asarray(part)[:, :, ::-1])
    lines = list(zip(found.boxes, found.txts, strict=True)) if found.txts else []
    said, seen = plain("".join(words.texts)), plain("".join(in_order(lines)))
    wrong = distance(said, seen)
    count.characters += len(said)
    count.wrong += min(wrong, len(said))
    count.by_language[language] += min(wrong, len(said))
    for text in words.texts:
        count.lines += 1
        count.lines_read += plain(text) in seen
    if wrong:
        count.misread.append(f"{language} {words.place} {words.style}: {said} → {seen}")


def in_order(found: list[tuple[np.ndarray, str]]) -> list[str]:
    """Return parts that were read as they are read: row by row, each from the left."""
    rows: list[list[tuple[np.ndarray, str]]] = []
    for each in sorted(found, key=lambda each: float(each[0][:, 1].mean())):
        middle = float(each[0][:, 1].mean())
        if rows and float(rows[-1][0][0][:, 1].max()) > middle:
            rows[-1].append(each)
        else:
            rows.append([each])
    return [text for row in rows for _, text in sorted(row, key=lambda each: float(each[0][:, 0].min()))]


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
