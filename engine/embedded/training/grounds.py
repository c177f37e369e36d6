"""Twelve grounds for things to stand on, drawn in the flat manner of the drawings.

A ground is drawn at twice its size and halved, so that edges come out smooth. Positions are shares of
the canvas: x from the left, y from the top.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from engine.embedded.training.scenes import CANVASES

Rgb = tuple[int, int, int]
Colour = Rgb | tuple[int, int, int, int]
Point = tuple[float, float]

SCALE = 2
DAY, SUNSET, NIGHT, RAIN = "", "sunset", "night", "rain"
HOURS = {DAY: 6.0, SUNSET: 1.5, NIGHT: 2.5, RAIN: 1.0}
SKIES: dict[str, tuple[Rgb, Rgb]] = {
    DAY: ((120, 190, 245), (215, 238, 252)),
    SUNSET: ((244, 126, 96), (253, 208, 130)),
    NIGHT: ((14, 20, 58), (44, 58, 118)),
    RAIN: ((112, 128, 146), (176, 188, 200)),
}
LIGHT = {
    DAY: (1.0, 1.0, 1.0),
    SUNSET: (1.0, 0.82, 0.72),
    NIGHT: (0.46, 0.52, 0.74),
    RAIN: (0.76, 0.8, 0.86),
}
SNOW, SAND, WATER, WALL = (240, 246, 253), (243, 217, 160), (44, 130, 200), (250, 250, 250)


@dataclass(frozen=True, slots=True)
class Ground:
    """A drawn ground: where feet may stand and things may float, and what is to be seen on it."""

    image: Image.Image
    feet: tuple[float, float]
    air: tuple[float, float]
    hour: str
    marks: tuple[str, ...] = ()
    water: float = 0.0  # the line above which nothing floats; 0 where there is no open water


class Brush:
    """Draws in shares of the canvas, in the light of the hour."""

    def __init__(self, size: tuple[int, int], rng: random.Random, hour: str = DAY, mode: str = "RGB") -> None:
        self.rng, self.hour = rng, hour
        self.width, self.height = size[0] * SCALE, size[1] * SCALE
        self.image = Image.new(mode, (self.width, self.height))
        self.draw = ImageDraw.Draw(self.image)

    @property
    def shorter(self) -> int:
        """Return the canvas' shorter side, in pixels of the large image."""
        return min(self.width, self.height)

    def tone(self, colour: Rgb, spread: int = 14) -> Rgb:
        """Return the colour, a little different each time, as it looks at this hour."""
        shift = self.rng.randint(-spread, spread)
        red, green, blue = (
            int(min(255, max(0, band + shift + self.rng.randint(-6, 6))) * light)
            for band, light in zip(colour, LIGHT[self.hour], strict=True)
        )
        return red, green, blue

    def opaque(self, colour: Rgb) -> Colour:
        """Return the colour as `tone` gives it, for a layer that is laid over a picture."""
        return (*self.tone(colour, 6), 255)

    def shape(self, points: Iterable[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self.draw.polygon([(x * self.width, y * self.height) for x, y in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def dot(self, x: float, y: float, radius: float, colour: Colour, flat: float = 1.0) -> None:
        """Fill a circle (an ellipse where `flat` < 1); the radius is a share of the shorter side."""
        across, down = radius * self.shorter, radius * self.shorter * flat
        left, top = x * self.width, y * self.height
        self.draw.ellipse((left - across, top - down, left + across, top + down), fill=colour)

    def scatter(self, count: int, rows: tuple[float, float], radius: float, *colours: Colour) -> None:
        """Fill `count` dots of about that radius between two heights."""
        for _ in range(count):
            size = radius * self.rng.uniform(0.5, 1.3)
            self.dot(self.rng.random(), self.rng.uniform(*rows), size, self.rng.choice(colours))

    def fade(self, top: Rgb, bottom: Rgb, end: float = 1.0) -> None:
        """Fill from the upper edge to `end` with a smooth change of colour."""
        rows = max(1, round(end * self.height))
        ramp = np.linspace(top, bottom, rows)[:, None].astype(np.uint8)
        self.image.paste(Image.fromarray(ramp).resize((self.width, rows)), (0, 0))

    def hill(self, y: float, swing: float, colour: Colour) -> None:
        """Fill everything below a wavy line."""
        phase, waves = self.rng.uniform(0, 2 * math.pi), self.rng.uniform(1.0, 2.1) * math.tau / 32
        line = [(x / 32, y + swing * math.sin(phase + waves * x)) for x in range(33)]
        self.shape([*line, (1, 1), (0, 1)], colour)

    def sky(self, end: float = 1.0, *, moon: bool = True) -> tuple[str, ...]:
        """Fill the sky of the hour down to `end`; return the marks that were put there."""
        self.fade(*SKIES[self.hour], end)
        x, y, radius = (
            self.rng.choice([0.16, 0.84]),
            self.rng.uniform(0.12, 0.2),
            self.rng.uniform(0.07, 0.11),
        )
        if self.hour == NIGHT:
            self.scatter(self.rng.randint(18, 40), (0, end), 0.009, (255, 255, 255), (255, 240, 190))
            return ("stars", "moon") if moon and self._moon(x, y, radius) else ("stars",)
        marks: tuple[str, ...] = ()
        if self.hour != RAIN and moon and self.rng.random() < 0.6:
            low = self.hour == SUNSET
            self.dot(x, end - 0.08 if low else y, radius * 1.2, (255, 238, 170) if low else (255, 221, 87))
            marks = () if low else ("sun",)
        if self.rng.random() < (1.0 if self.hour == RAIN else 0.6):
            self._clouds(end)
        return marks

    def _moon(self, x: float, y: float, radius: float) -> bool:
        self.dot(x, y, radius, (250, 240, 200))
        if self.rng.random() < 0.6:
            self.dot(x + radius * 0.5, y - radius * 0.2, radius * 0.9, (20, 27, 68))
        return True

    def _clouds(self, end: float) -> None:
        colour = (232, 236, 240) if self.hour == RAIN else (255, 255, 255)
        for _ in range(self.rng.randint(1, 3)):
            x, y = self.rng.random(), self.rng.uniform(0.06, max(0.08, end * 0.5))
            for shift, radius in ((-0.07, 0.045), (0.0, 0.07), (0.08, 0.05)):
                self.dot(x + shift, y, radius, colour, 0.8)

    def trunk(self, x: float, foot: float, tall: float, share: float) -> None:
        """Fill a tree's trunk up to a share of its height."""
        half = tall * 0.05 * self.height / self.width
        self.box(x - half, foot - tall * share, x + half, foot, self.tone((116, 80, 52)))

    def pine(self, x: float, foot: float, tall: float, colour: Colour, cap: Colour | None = None) -> None:
        """Draw a fir tree, with snow on it where `cap` is given."""
        self.trunk(x, foot, tall, 0.2)
        wide = tall * 0.32 * self.height / self.width
        for step in (0.0, 0.25, 0.5):
            base, top, half = (
                foot - tall * (0.15 + step),
                foot - tall * (0.62 + step * 0.76),
                wide * (1 - step),
            )
            self.shape([(x - half, base), (x + half, base), (x, top)], colour)
            if cap:
                edge = top + (base - top) * 0.4
                self.shape([(x - half * 0.4, edge), (x + half * 0.4, edge), (x, top)], cap)

    def tree(self, x: float, foot: float, tall: float, colour: Colour) -> None:
        """Draw a leafy tree."""
        self.trunk(x, foot, tall, 0.6)
        across = tall * self.height / self.width
        for shift, up, radius in ((-0.13, 0.55, 0.2), (0.13, 0.55, 0.2), (0.0, 0.74, 0.24)):
            size = radius * tall * self.height / self.shorter
            self.dot(x + shift * across, foot - tall * up, size, colour)

    def grove(
        self, plant: Callable[[float, float, float], None], foot: float, tall: float, count: int
    ) -> None:
        """Draw `count` plants side by side, none quite like the other."""
        for index in range(count):
            x = (index + self.rng.uniform(0.1, 0.9)) / count
            plant(x, foot + self.rng.uniform(-0.02, 0.02), tall * self.rng.uniform(0.75, 1.2))


# --- the grounds ----------------------------------------------------------------------------


def _snow(b: Brush) -> Ground:
    marks, line = b.sky(), b.rng.uniform(0.42, 0.58)
    b.hill(line - 0.08, 0.05, b.tone((205, 222, 240)))
    if b.rng.random() < 0.7:
        green, cap = b.tone((70, 126, 112)), b.tone((245, 250, 255), 4)
        b.grove(lambda x, y, tall: b.pine(x, y, tall, green, cap), line, 0.27, b.rng.randint(2, 5))
    b.hill(line, 0.02, b.tone(SNOW, 6))
    if b.rng.random() < 0.4:
        b.scatter(40, (0, 1), 0.014, b.tone((255, 255, 255), 2))
        marks = (*marks, "snowfall")
    return Ground(b.image, (line + 0.14, 0.93), (0.1, line - 0.1), b.hour, marks)


def _beach(b: Brush) -> Ground:
    marks, line = b.sky(0.45), b.rng.uniform(0.34, 0.44)
    b.hill(line, 0.0, b.tone((54, 152, 214)))
    b.hill(line + 0.17, 0.02, b.tone((196, 234, 244), 6))
    b.hill(line + 0.2, 0.02, b.tone(SAND))
    b.scatter(14, (line + 0.28, 1), 0.009, b.tone((226, 194, 132)))
    return Ground(b.image, (line + 0.34, 0.94), (0.1, line - 0.06), b.hour, marks)


def _hill(b: Brush) -> Ground:
    b.hour = NIGHT
    marks, line = b.sky(), b.rng.uniform(0.62, 0.74)
    b.hill(line, 0.03, b.tone((70, 120, 80)))
    return Ground(b.image, (line + 0.12, 0.93), (0.12, line - 0.14), b.hour, marks)


def _city(b: Brush) -> Ground:
    marks, line = b.sky(), b.rng.uniform(0.62, 0.72)
    _houses(b, line, (150, 165, 190), (0.3, 0.5))
    _houses(b, line, (96, 110, 142), (0.15, 0.36))
    b.box(0, line, 1, line + 0.05, b.tone((186, 186, 190)))
    b.box(0, line + 0.05, 1, 1, b.tone((92, 94, 102)))
    white = b.tone((240, 240, 235), 4)
    for left in (0.03, 0.23, 0.43, 0.63, 0.83):
        b.box(left, 0.87, left + 0.1, 0.895, white)
    return Ground(b.image, (line + 0.16, 0.94), (0.08, 0.26), b.hour, marks)


def _houses(b: Brush, line: float, wall: Rgb, heights: tuple[float, float]) -> None:
    left = -0.05
    lit = (255, 226, 130) if b.hour == NIGHT else b.tone((220, 232, 244), 4)
    while left < 1:
        wide, top = b.rng.uniform(0.12, 0.2), line - b.rng.uniform(*heights)
        b.box(left, top, left + wide, line, b.tone(wall))
        for y in np.arange(top + 0.03, line - 0.05, 0.075):
            for x in np.arange(left + 0.02, left + wide - 0.03, 0.05):
                if b.rng.random() < 0.7:
                    b.box(x, y, x + 0.026, y + 0.036, lit)
        left += wide + b.rng.uniform(0, 0.02)


def _forest(b: Brush) -> Ground:
    b.sky(moon=False)
    line, plant = b.rng.uniform(0.58, 0.68), b.rng.choice([b.pine, b.tree])
    for shade, tall, count, up in (((120, 172, 128), 0.42, 8, 0.06), ((66, 138, 84), 0.56, 6, 0.0)):
        green = b.tone(shade)
        b.grove(lambda x, y, t, green=green: plant(x, y, t, green), line - up + 0.02, tall, count)  # type: ignore[misc]
    b.hill(line, 0.015, b.tone((104, 160, 82)))
    b.scatter(20, (line + 0.05, 1), 0.011, b.tone((84, 138, 66)), b.tone((130, 184, 98)))
    return Ground(b.image, (line + 0.14, 0.93), (0.1, 0.3), b.hour)


def _mountains(b: Brush) -> Ground:
    marks, line, rock = b.sky(), b.rng.uniform(0.58, 0.68), b.tone((124, 132, 156))
    white = b.tone((246, 250, 255), 4)
    for index in range(3):
        x, top, half = (
            (index + b.rng.uniform(0.2, 0.8)) / 3,
            b.rng.uniform(0.14, 0.34),
            b.rng.uniform(0.28, 0.4),
        )
        red, green, blue = (max(0, band - 10 * index) for band in rock)
        foot = line + 0.05
        b.shape([(x - half, foot), (x, top), (x + half, foot)], (red, green, blue))
        edge, drop = 0.3 * half, 0.3 * (foot - top)
        ragged = [(x - edge, top + drop), (x - edge / 3, top + drop * 0.7), (x + edge / 3, top + drop * 1.1)]
        b.shape([*ragged, (x + edge, top + drop), (x, top)], white)
    b.hill(line, 0.02, b.tone((118, 178, 96)))
    return Ground(b.image, (line + 0.14, 0.93), (0.08, 0.26), b.hour, marks)


def _desert(b: Brush) -> Ground:
    marks, line = b.sky(), b.rng.uniform(0.5, 0.6)
    b.hill(line - 0.04, 0.05, b.tone((222, 170, 98)))
    for _ in range(b.rng.randint(1, 3)):
        _cactus(b, b.rng.random(), line + 0.04, b.rng.uniform(0.16, 0.26))
    b.hill(line + 0.03, 0.03, b.tone((240, 198, 122)))
    return Ground(b.image, (line + 0.18, 0.93), (0.1, line - 0.14), b.hour, marks)


def _cactus(b: Brush, x: float, foot: float, tall: float) -> None:
    stem = (-0.018, 0.018, 0, 1)
    left_arm = ((-0.07, -0.04, 0.45, 0.8), (-0.07, 0, 0.42, 0.54))
    right_arm = ((0.04, 0.07, 0.5, 0.9), (0, 0.07, 0.48, 0.6))
    green = b.tone((72, 142, 84))
    for left, right, low, high in (stem, *left_arm, *right_arm):
        b.box(x + left, foot - tall * high, x + right, foot - tall * low, green)


def _meadow(b: Brush) -> Ground:
    marks, line = b.sky(), b.rng.uniform(0.5, 0.62)
    b.hill(line - 0.06, 0.04, b.tone((150, 206, 112)))
    b.hill(line, 0.03, b.tone((116, 188, 86)))
    if b.rng.random() < 0.6:
        b.scatter(
            28,
            (line + 0.06, 0.99),
            0.017,
            *(b.tone(c) for c in ((255, 255, 255), (250, 210, 70), (236, 110, 140))),
        )
        marks = (*marks, "flowers")
    return Ground(b.image, (line + 0.14, 0.93), (0.1, line - 0.12), b.hour, marks)


def _sea(b: Brush) -> Ground:
    marks, line = b.sky(0.7), b.rng.uniform(0.44, 0.56)
    b.hill(line, 0.0, b.tone(WATER))
    foam = b.tone((120, 190, 232), 6)
    for _ in range(14):
        x, y = b.rng.random(), b.rng.uniform(line + 0.04, 0.98)
        b.shape([(x - 0.06, y), (x + 0.06, y), (x + 0.04, y + 0.014), (x - 0.04, y + 0.014)], foam)
    return Ground(b.image, (line + 0.16, 0.86), (0.1, line - 0.12), b.hour, marks, water=line)


def _underwater(b: Brush) -> Ground:
    b.hour = DAY
    b.fade(b.tone((96, 196, 232)), b.tone((16, 78, 146)))
    for _ in range(b.rng.randint(2, 5)):
        x, green = b.rng.random(), b.tone((46, 150, 104))
        for step in range(b.rng.randint(6, 12)):
            b.dot(x + 0.02 * math.sin(step), 0.93 - step * 0.035, 0.022, green, 1.4)
    b.hill(0.88, 0.02, b.tone((226, 204, 150)))
    b.scatter(12, (0.05, 0.8), 0.02, b.tone((190, 232, 246), 6))
    return Ground(b.image, (0.88, 0.95), (0.25, 0.7), b.hour)


def _room(b: Brush) -> Ground:
    b.hour = DAY
    line, left = b.rng.uniform(0.6, 0.7), b.rng.choice([0.08, 0.64])
    papers = ((246, 222, 190), (190, 216, 226), (226, 200, 216), (206, 222, 190), (240, 236, 226))
    wall = b.tone(b.rng.choice(papers))
    b.fade(wall, wall)
    b.box(left, 0.1, left + 0.28, 0.42, b.tone(WALL, 4))
    pane = b.tone((150, 206, 245))
    for side in (left + 0.025, left + 0.15):
        b.box(side, 0.13, side + 0.105, 0.39, pane)
    b.box(0, line, 1, 1, b.tone((186, 134, 88)))
    b.box(0, line, 1, line + 0.03, b.tone(WALL, 4))
    if b.rng.random() < 0.5:
        b.dot(0.5, 0.88, 0.4, b.tone(b.rng.choice([(200, 70, 70), (70, 110, 180), (236, 190, 90)])), 0.26)
        return Ground(b.image, (0.84, 0.92), (0.1, 0.4), b.hour, ("rug",))
    return Ground(b.image, (line + 0.16, 0.93), (0.1, 0.4), b.hour)


def _space(b: Brush) -> Ground:
    b.hour = DAY
    b.fade(b.tone((14, 10, 40), 6), b.tone((48, 24, 84)))
    b.scatter(60, (0, 1), 0.01, (255, 255, 255), (200, 220, 255), (255, 236, 190))
    if b.rng.random() < 0.5:
        x, y, radius = b.rng.choice([0.14, 0.86]), b.rng.choice([0.16, 0.84]), b.rng.uniform(0.1, 0.17)
        b.dot(x, y, radius, b.tone(b.rng.choice([(226, 130, 80), (90, 160, 220), (150, 200, 130)])))
        b.dot(x, y, radius * 1.7, b.tone((236, 210, 160)), 0.1)
        return Ground(b.image, (0.8, 0.9), (0.3, 0.7), b.hour, ("planet",))
    return Ground(b.image, (0.8, 0.9), (0.3, 0.7), b.hour)


GROUNDS: dict[str, Callable[[Brush], Ground]] = {
    "snow": _snow, "beach": _beach, "hill": _hill, "city": _city, "forest": _forest, "mountains": _mountains,
    "desert": _desert, "meadow": _meadow, "sea": _sea, "underwater": _underwater, "room": _room,
    "space": _space,
}  # fmt: skip
FLOATING = frozenset({"underwater", "space"})  # nothing needs to stand there
INDOORS = frozenset({"room"})
DRY = frozenset(GROUNDS) - FLOATING - {"sea"}
OUTDOORS = DRY - INDOORS
NO_RAIN = frozenset({"snow", "hill", "desert"})  # the first has snowfall, the second is always clear


def ground(place: str, canvas: str, rng: random.Random) -> Ground:
    """Paint a new ground of one kind at a random hour, still SCALE times as large as the canvas."""
    hours = [hour for hour in HOURS if not (hour == RAIN and place in NO_RAIN)]
    hour = rng.choices(hours, [HOURS[hour] for hour in hours])[0]
    return GROUNDS[place](Brush(CANVASES[canvas], rng, hour))


def halved(image: Image.Image) -> Image.Image:
    """Return what a brush drew, reduced by SCALE to the canvas' size."""
    return image.reduce(SCALE)


def rain(picture: Image.Image, rng: random.Random) -> None:
    """Draw rain over a finished picture, in place."""
    brush = Brush(picture.size, rng, mode="RGBA")
    long = 0.06 * brush.shorter
    for _ in range(45):
        x, y = rng.random() * brush.width, rng.random() * brush.height
        brush.draw.line((x, y, x - long * 0.3, y + long), fill=(226, 236, 246, 190), width=SCALE)
    streaks = halved(brush.image)
    picture.paste(streaks, (0, 0), streaks)
