"""What becomes of marks and signatures: on fresh pictures of the shipped model, and on photographs.

    python -m tests.bench --only marks --photos FOLDER

Nothing was tuned on these pictures. The photographs of the figures in docs/provenance.md come from packages
of Debian, PyPI and npm, which that page lists.
"""

from __future__ import annotations

import io
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image, ImageEnhance

from bot.provenance import code, mark, signing
from bot.provenance.code import Floats
from bot.provenance.keys import Keys
from bot.provenance.signing import FileFacts
from bot.provenance.stamp import stamp
from engine.embedded import CLASSIFIER, PIPELINE
from tests.changes import Change, saved, scaled

Bars = dict[str, float]

LONGEST = 1024  # pixels of a photograph's longer side
GROUNDS = ("white", "blue", "green", "yellow", "red", "black", "pink", "grey", "orange", "purple")
TAMPERED = 1000  # files with one byte changed
BATCH = 8
SHOWN_EVERY = 50  # pictures
WHITE = Image.new("RGB", (512, 512), "white")


def brighter(factor: float) -> Change:
    return lambda p: ImageEnhance.Brightness(p).enhance(factor)


def cut(p: Image.Image) -> Image.Image:
    """Return the picture without a tenth at each side."""
    return p.crop((p.width // 10, p.height // 10, p.width - p.width // 10, p.height - p.height // 10))


def preview(p: Image.Image) -> Image.Image:
    """Return a chat's preview: 400 pixels, saved with loss."""
    small = p.copy()
    small.thumbnail((400, 400), Image.Resampling.LANCZOS)
    return saved("JPEG", 80)(small)


CHANGES: dict[str, Change] = {
    "untouched": lambda p: p,
    "JPEG 75": saved("JPEG", 75),
    "half size": scaled(0.5),
    "WebP 80": saved("WEBP", 80),
    "JPEG 50": saved("JPEG", 50),
    "0.7 and JPEG 70": lambda p: saved("JPEG", 70)(scaled(0.7)(p)),
    "20 % brighter": brighter(1.2),
    "20 % darker": brighter(0.8),
    "10 % crop": cut,
    "WebP 60": saved("WEBP", 60),
    "400-px preview": preview,
}
DRAWING_BARS: Bars = {
    **dict.fromkeys(("untouched", "JPEG 75", "half size", "WebP 80"), 0.99),
    **dict.fromkeys(("JPEG 50", "0.7 and JPEG 70", "20 % brighter", "20 % darker", "10 % crop"), 0.95),
    "WebP 60": 0.85,
    "400-px preview": 0.75,
}
PHOTO_BARS: Bars = {
    **dict.fromkeys(
        ("JPEG 75", "JPEG 50", "half size", "0.7 and JPEG 70", "20 % brighter", "20 % darker", "WebP 80"),
        0.90,
    ),
    "10 % crop": 0.65,
}


@dataclass
class Tally:
    """What was seen of one kind of pictures."""

    pictures: int = 0
    valid: int = 0
    wrong: int = 0  # a mark was read that was never written
    found: Counter[str] = field(default_factory=Counter)
    noise: list[float] = field(default_factory=list)  # PSNR in dB, from 384 px up
    seconds: list[float] = field(default_factory=list)  # to mark and sign one

    def figures(self, kind: str, bars: Bars) -> dict[str, Any]:
        """Return the figures by name; a share below its bar says so."""
        said: dict[str, Any] = {
            "pictures": self.pictures,
            "valid signatures": f"{self.valid} of {self.pictures}",
            "wrong ids": self.wrong,
        }
        for name in CHANGES:
            share, bar = self.found[name] / self.pictures, bars.get(name, 0.0)
            verdict = f", below {bar:.0%}" if share < bar else ""
            said[f"found, {name}"] = f"{share:.1%}{verdict}"
        said["least PSNR, dB"] = min(self.noise)
        said["median PSNR, dB"] = statistics.median(self.noise)
        said["mark and sign, median s"] = statistics.median(self.seconds)
        said["mark and sign, slowest s"] = max(self.seconds)
        return {f"marks: {kind}: {name}": value for name, value in said.items()}


def figures(pictures: int, photos: Path | None, alarms: int, first_seed: int) -> dict[str, Any]:
    """Return all figures; `alarms` is how often a mark is looked for where none of that key is."""
    with tempfile.TemporaryDirectory() as folder:
        keys = signing.ready(Path(folder))
    dice = random.Random(first_seed)
    kinds = {"drawings": (paint(pictures, first_seed), DRAWING_BARS)}
    if photos:
        kinds["photographs"] = (photographs(photos), PHOTO_BARS)
    said: dict[str, Any] = {}
    kept: list[Image.Image] = []
    files: list[bytes] = []
    for kind, (found, bars) in kinds.items():
        tally = Tally()
        for picture in found:
            data = look_at(picture, tally, keys, dice)
            if tally.pictures % SHOWN_EVERY == 0:
                sys.stderr.write(f"{kind}: {tally.pictures}, {dict(tally.found)}\n")
            files.append(data)
            kept.append(picture)
        said |= tally.figures(kind, bars)
    said["marks: tampered files that pass"] = sum(passes(data, keys) for data in tampered(files, dice))
    said |= false_alarms(kept, alarms, dice)
    white = np.asarray(mark.embed(WHITE, 1, keys.mark), np.int16)
    said["marks: levels on flat white"] = int(255 - white.min())
    return said


def look_at(picture: Image.Image, tally: Tally, keys: Keys, dice: random.Random) -> bytes:
    """Mark and sign a picture, change it in every way, and count. Return the signed file."""
    number = dice.randrange(2**48)
    facts = FileFacts(job=f"{number:012x}", index=0, model="bench", seed=1)
    plain = io.BytesIO()
    picture.save(plain, "PNG")
    before = time.perf_counter()
    data = stamp(plain.getvalue(), facts, keys).png
    tally.seconds.append(time.perf_counter() - before)
    tally.pictures += 1
    claim = signing.read(data, "image/png", keys)
    tally.valid += claim is not None and claim.whole and claim.facts == facts
    marked = Image.open(io.BytesIO(data)).convert("RGB")
    if min(picture.size) >= 384:
        tally.noise.append(psnr(picture, marked))
    for name, change in CHANGES.items():
        if found := mark.detect(change(marked), keys.mark):
            tally.found[name] += found.number == number
            tally.wrong += found.number != number
    return data


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Return the peak signal-to-noise ratio in dB."""
    error = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / max(np.mean(error**2), 1e-9)))


def tampered(files: list[bytes], dice: random.Random) -> Iterator[bytes]:
    """Yield files with one byte changed."""
    for _ in range(TAMPERED):
        data = bytearray(dice.choice(files))
        data[dice.randrange(len(data))] ^= dice.randrange(1, 256)
        yield bytes(data)


def passes(data: bytes, keys: Keys) -> bool:
    """Return whether a file's credentials call it ours and unchanged."""
    claim = signing.read(data, "image/png", keys)
    return claim is not None and claim.whole and claim.ours


def false_alarms(pictures: list[Image.Image], tries: int, dice: random.Random) -> dict[str, Any]:
    """Look for marks with keys that marked nothing, on pictures changed in every way.

    None is likely to be found, so the rate is told by its two parts, which do not depend on each other: how
    often a word fits as well as a written one, and one checksum in 65,536.
    """
    fits: list[float] = []
    decode = code.decode

    def noted(soft: Floats) -> list[tuple[int | None, float]]:
        words = decode(soft)
        fits.extend(fit for _, fit in words)
        return words

    changes = list(CHANGES.values())
    with patch.object(code, "decode", noted):
        found = sum(
            mark.detect(changes[i % len(changes)](pictures[i % len(pictures)]), dice.randbytes(32))
            is not None
            for i in range(tries)
        )
    fitting = sum(fit >= mark.FIT for fit in fits)
    return {
        "marks: false alarms": f"{found} of {tries}",
        "marks: words without a mark that fit": f"{fitting} of {len(fits)}, the best {max(fits):.3f}",
        "marks: false alarms expected in 10,000 pictures": 1e4 * max(fitting, 3) / tries / 2**16,
    }


def paint(count: int, first_seed: int) -> Iterator[Image.Image]:
    """Paint fresh pictures of the shipped model as people get them: 512 × 512, on coloured grounds."""
    from engine.embedded.evaluate import EvaluationSettings, Painter
    from engine.pipelines.tensors import picture
    from engine.pipelines.upscale import Upscaler

    painter, upscaler = Painter.load(PIPELINE, EvaluationSettings()), Upscaler.load()
    dice = random.Random(first_seed)
    things = json.loads((CLASSIFIER / "concepts.json").read_text())
    for start in range(0, count, BATCH):
        here = range(min(BATCH, count - start))
        prompts = [f"a {dice.choice(things)} on a {dice.choice(GROUNDS)} background" for _ in here]
        for pixels in upscaler(painter.draw(prompts, first_seed + start)):
            yield picture(pixels)


def photographs(folder: Path) -> Iterator[Image.Image]:
    """Yield the photographs in a folder, at most LONGEST pixels long."""
    for path in sorted(folder.iterdir()):
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        yield picture
