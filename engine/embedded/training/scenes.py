"""Pictures to learn from: one drawing, recoloured, on a ground, in pairs, in rows, wide or tall.

A scene is plain data, so that the same seed gives the same pictures on every machine.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.describing.drawings import colour_words
from engine.embedded.training import captions
from engine.embedded.training.data import PEOPLE, SIDE, Concept, Drawing, Rgba

WHITE = (255, 255, 255)
CANVASES = {"square": (SIDE, SIDE), "wide": (160, 96), "tall": (96, 160)}
HUES = {"red": 0, "orange": 27, "yellow": 50, "green": 122, "blue": 217, "purple": 277, "pink": 333}
HUE_SPREAD = 0.3  # of the differences between hues, so that a car turns blue with its lamps
DULL = 75  # of 255: a drawing whose usual chroma is below is grey, black, white or pale


@dataclass(frozen=True, slots=True)
class Placed:
    """One drawing on the canvas: its row, its square's corner and side in pixels."""

    row: int
    left: int
    top: int
    side: int


@dataclass(frozen=True, slots=True)
class Scene:
    """One training picture with every sentence that may describe it."""

    kind: str
    canvas: str
    placed: tuple[Placed, ...]
    texts: tuple[str, ...]
    weight: float
    ground: tuple[int, int, int] = WHITE
    tint: str = ""


# --- colour ---------------------------------------------------------------------------------


def main_colour(rgba: Rgba) -> str:
    """Return the colour word of most of a drawing's surface, or "" when no colour has a clear majority."""
    hsv, solid = _hsv(rgba[::3, ::3])
    if solid.sum() < 25:
        return ""
    words = colour_words(hsv[solid])
    names, counts = np.unique(words, return_counts=True)
    best = int(counts.argmax())
    return str(names[best]) if counts[best] > 0.5 * len(words) else ""


def _hsv(rgba: Rgba) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    image = Image.fromarray(np.ascontiguousarray(rgba[..., :3])).convert("HSV")
    return np.asarray(image, dtype=np.float32), rgba[..., 3] > 128


def tinted(rgba: Rgba, word: str) -> Rgba:
    """Return the drawing in another colour: hues move close to the new one, shading stays."""
    hsv, solid = _hsv(rgba)
    out = hsv.copy()
    if word in ("black", "white"):
        out[..., 1] *= 0.1
        out[..., 2] = hsv[..., 2] * 0.3 if word == "black" else 190 + hsv[..., 2] * 0.25
    else:
        if np.median(hsv[solid][:, 1] * hsv[solid][:, 2]) < DULL * 255:  # a top hat, a cup: nothing to turn
            out[..., 1], out[..., 2] = 175, 160 + hsv[..., 2] * 0.37
        apart = (hsv[..., 0] - _typical_hue(hsv[solid]) + 128) % 256 - 128
        out[..., 0] = (HUES[word] * 255 / 360 + apart * HUE_SPREAD) % 255
        out[..., 1] *= 0.55 if word == "pink" else 1.0
        if word in ("yellow", "orange"):  # dark yellow reads as olive
            out[..., 2] = 110 + out[..., 2] * 0.57
    rgb = Image.fromarray(np.clip(out, 0, 255).astype(np.uint8), mode="HSV").convert("RGB")
    return np.dstack([np.asarray(rgb), rgba[..., 3]])


def _typical_hue(hsv: NDArray[np.float32]) -> float:
    """Return the circular mean of the hues, weighted by saturation."""
    angle = hsv[:, 0] * (2 * np.pi / 255)
    vector = (np.exp(1j * angle) * hsv[:, 1]).sum()
    return float(np.angle(vector) % (2 * np.pi)) * 255 / (2 * np.pi)


# --- painting -------------------------------------------------------------------------------


def paint(scene: Scene, drawings: Rgba) -> NDArray[np.uint8]:
    """Paint the scene as `uint8[height, width, 3]`."""
    canvas = Image.new("RGB", CANVASES[scene.canvas], scene.ground)
    for item in scene.placed:
        rgba = drawings[item.row]
        image = Image.fromarray(tinted(rgba, scene.tint) if scene.tint else np.asarray(rgba))
        size = (item.side, item.side)
        small = image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
        canvas.paste(small, (item.left, item.top), small)
    return np.asarray(canvas)


# --- choosing -------------------------------------------------------------------------------


class Stage:
    """Draws scenes from the drawings that may be trained on."""

    def __init__(
        self, table: Sequence[Concept], rows: Sequence[Drawing], drawings: Rgba, seed: int = 0
    ) -> None:
        self.rng = random.Random(seed)
        self.drawings = drawings
        self.rows = rows
        self.tags = captions.unique_tags(table)
        self.nouns = {c.name: captions.names(c) for c in table}
        self.people = {c.name for c in table if c.group == PEOPLE}
        self.trained = training_rows(rows)
        self.by_concept: dict[str, list[int]] = defaultdict(list)
        for row in self.trained:
            self.by_concept[rows[row].concept].append(row)
        self.common = sorted(captions.COMMON & self.by_concept.keys())

    def scenes(self, part: int = 0, parts: int = 1) -> list[Scene]:
        """Return one of `parts` parts of the training set; another seed makes other scenes."""
        plan: list[tuple[Callable[[], Scene | None], int]] = [
            (self.grounded, 5000),
            (self.recoloured, 18000),
            (self.pair_beside, 9000),
            (self.pair_stacked, 6000),
            (self.several, 4000),
            (self.alone_on_wide_or_tall, 9000),
            (self.pair_on_wide_or_tall, 5000),
        ]
        made = [scene for make, count in plan for _ in range(count // parts) if (scene := make())]
        return [*self.singles(part, parts), *made]

    def singles(self, part: int = 0, parts: int = 1) -> Iterator[Scene]:
        """Yield every drawing once in the middle, the common ones also smaller and off-centre."""
        for row in self.trained[part::parts]:
            yield self._single(row, centred(row, "square"))
            if self.rows[row].concept in captions.COMMON:
                side = self.rng.randrange(76, 106)
                left, top = (self.rng.randrange(2, 127 - side) for _ in range(2))
                yield replace(self._single(row, Placed(row, left, top, side)), kind="shifted")

    def _single(self, row: int, placed: Placed) -> Scene:
        drawing = self.rows[row]
        texts = self._single_texts(drawing, main_colour(self.drawings[row]))
        return Scene("single", "square", (placed,), texts, self._weight(row))

    def _single_texts(self, drawing: Drawing, colour: str) -> tuple[str, ...]:
        nouns, style = self.nouns[drawing.concept], drawing.style
        label = nouns[0]
        texts = [captions.styled(label, style, self.rng)]
        if style in captions.UNSTYLED:
            texts.append(self.rng.choice([label, captions.article(label)]))
            texts.append(captions.framed(captions.article(label), self.rng, 1.0))
            texts.append(captions.single(self.rng.choice(nouns), style, self.rng))
        if len(nouns) > 1:
            texts.append(captions.single(self.rng.choice(nouns[1:]), style, self.rng))
        if style == "3d":
            texts.extend(self.tags[drawing.concept])
        if colour and drawing.concept in captions.COMMON:
            noun = f"{colour} {captions.uncoloured(captions.short_name(label))}"
            texts.append(captions.single(noun, style, self.rng))
        return tuple(dict.fromkeys(texts))

    def _weight(self, row: int) -> float:
        drawing = self.rows[row]
        common = captions.COMMON_WEIGHT if drawing.concept in captions.COMMON else 1.0
        return common * captions.STYLE_WEIGHTS[drawing.style]

    def _pick(self, concept: str | None = None, style: str | None = None) -> int | None:
        """Choose a row to train on, by style weight; None when the concept has no drawing in the style."""
        concept = concept or self.rng.choice(self.common)
        rows = [r for r in self.by_concept[concept] if style in (None, self.rows[r].style)]
        if not rows:
            return None
        weights = [captions.STYLE_WEIGHTS[self.rows[r].style] for r in rows]
        return self.rng.choices(rows, weights)[0]

    def _noun(self, row: int) -> str:
        nouns = self.nouns[self.rows[row].concept]
        return self.rng.choice(nouns[:2])

    def grounded(self) -> Scene | None:
        """Make a scene of one drawing on a plain ground of a named colour."""
        row = self._pick()
        word, rgb = self.rng.choice(list(captions.BACKGROUNDS.items()))
        if row is None:
            return None
        style, canvas = self.rows[row].style, self._canvas()
        texts = tuple(
            captions.on_ground(captions.single(self._noun(row), style, self.rng), word) for _ in range(2)
        )
        return Scene("ground", canvas, (centred(row, canvas),), texts, 1.0, ground=rgb)

    def recoloured(self) -> Scene | None:
        """Make a scene of one drawing in another colour; None unless the result measures as that."""
        row = self._pick()
        word = self.rng.choice([*HUES, "black"])
        if row is None or self.rows[row].concept in self.people:
            return None
        if main_colour(tinted(self.drawings[row], word)) != word:
            return None
        style, canvas = self.rows[row].style, self._canvas()
        nouns = [f"{word} {captions.uncoloured(noun)}" for noun in self.nouns[self.rows[row].concept]]
        texts = (captions.single(self.rng.choice(nouns), style, self.rng) for _ in range(3))
        unique = tuple(dict.fromkeys(texts))
        return Scene("recoloured", canvas, (centred(row, canvas),), unique, 1.0, tint=word)

    def pair_beside(self, canvas: str = "square") -> Scene | None:
        """Make a scene of two things side by side, in one style."""
        return self._pair(canvas, captions.beside, across=True)

    def pair_stacked(self, canvas: str = "square") -> Scene | None:
        """Make a scene of two things one above the other, in one style."""
        return self._pair(canvas, captions.above, across=False)

    def pair_on_wide_or_tall(self) -> Scene | None:
        """Make a scene of two things, mostly along the longer side; across it the two are small."""
        canvas, along = self.rng.choice(["wide", "tall"]), self.rng.random() < 0.8
        across = (canvas == "wide") is along
        return self.pair_beside(canvas) if across else self.pair_stacked(canvas)

    def _pair(
        self, canvas: str, sentence: Callable[[str, str, random.Random], str], *, across: bool
    ) -> Scene | None:
        first = self._pick()
        second = self._pick(style=self.rows[first].style) if first is not None else None
        if first is None or second is None:
            return None
        if self.rows[first].concept == self.rows[second].concept:
            return None
        style = self.rows[first].style
        text = sentence(self._noun(first), self._noun(second), self.rng)
        placed = tuple(place((first, second), CANVASES[canvas], across=across))
        kind = "beside" if across else "stacked"
        return Scene(kind, canvas, placed, (captions.with_style(text, style, self.rng),), 1.0)

    def several(self) -> Scene | None:
        """Make a scene of two to five copies of one thing."""
        row, count = self._pick(), self.rng.choice([2, 3, 3, 4, 5])
        if row is None:
            return None
        text = captions.counted(captions.short_name(self.rows[row].concept), count)
        text = captions.with_style(text, self.rows[row].style, self.rng)
        return Scene("count", "square", tuple(copies(row, count)), (text,), 1.0)

    def alone_on_wide_or_tall(self) -> Scene | None:
        """Make a scene of one drawing as it is, as often any as a common one."""
        row = self._pick() if self.rng.random() < 0.5 else self.rng.choice(self.trained)
        if row is None:
            return None
        canvas = self.rng.choice(["wide", "tall"])
        texts = tuple(captions.single(self._noun(row), self.rows[row].style, self.rng) for _ in range(2))
        return Scene("alone", canvas, (centred(row, canvas),), texts, 1.0)

    def _canvas(self) -> str:
        return self.rng.choices(list(CANVASES), (6, 2, 2))[0]


def centred(row: int, canvas: str) -> Placed:
    """Place one drawing in the middle, as large as seven eighths of the shorter side."""
    width, height = CANVASES[canvas]
    side = min(width, height) * 7 // 8
    return Placed(row, (width - side) // 2, (height - side) // 2, side)


def place(rows: tuple[int, int], size: tuple[int, int], *, across: bool) -> Iterator[Placed]:
    """Yield two equal squares that fill the canvas along its width (or height)."""
    length, breadth = size if across else size[::-1]
    side = min(length // 2 - 4, breadth - 8)
    for index, row in enumerate(rows):
        along = (length // 2) * index + (length // 2 - side) // 2
        other = (breadth - side) // 2
        yield Placed(row, *((along, other) if across else (other, along)), side)


def copies(row: int, count: int) -> Iterator[Placed]:
    """Yield two to five copies, in rows that fill a square canvas."""
    layout = {2: (2,), 3: (1, 2), 4: (2, 2), 5: (2, 3)}[count]
    side = 60 if count < 5 else 42
    for line, number in enumerate(layout):
        top = SIDE * (2 * line + 1) // (2 * len(layout)) - side // 2
        for index in range(number):
            left = SIDE * (2 * index + 1) // (2 * number) - side // 2
            yield Placed(row, left, top, side)


def training_rows(rows: Sequence[Drawing]) -> list[int]:
    """Return the row numbers that may be trained on."""
    return [index for index, kept in enumerate(_kept_aside(rows)) if not kept]


def held_out_rows(rows: Sequence[Drawing]) -> list[int]:
    """Return the row numbers kept aside for evaluation."""
    return [index for index, kept in enumerate(_kept_aside(rows)) if kept]


def _kept_aside(rows: Sequence[Drawing]) -> list[bool]:
    styles: dict[str, int] = defaultdict(int)
    for row in rows:
        styles[row.concept] += 1
    return [captions.held_out(r.concept, r.style, styles[r.concept]) for r in rows]
