"""Words → a part of a picture: a position ("top right"), a box in percent, cells of a grid, or a thing.

The words for positions are English, German and French. Each word is looked up once, so reading is linear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.i18n import _
from bot.options import Unusable, clip

GRID = 5
"""Cells a side, numbered from 1 by rows."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as parts of the whole picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A part of a picture: some boxes, or a thing that is to be found in it."""

    boxes: tuple[Box, ...] = ()
    thing: str = ""  # empty where there are boxes
    outside: bool = False  # all but that


def read_area(text: str) -> Area:
    """Read a part of a picture. Raises Unusable for a box or cells that no picture has."""
    words = text.casefold().replace("%", " ").replace(",", " ").replace("’", "'").split()
    outside = bool(words) and words[0] in _OUTSIDE
    words = words[outside:]
    if words and words[0] in _CELL_WORDS:
        return Area(boxes=tuple(_cells(words[1:], text)), outside=outside)
    if len(words) == 4 and (sides := _numbers(words)):
        return Area(boxes=(_checked(sides, text),), outside=outside)
    if words and all(_is_cell(each) for each in words):
        return Area(boxes=tuple(_cells(words, text)), outside=outside)
    if box := _position(words):
        return Area(boxes=(box,), outside=outside)
    said = text.strip().split(maxsplit=1)[1:] if outside else [text.strip()]
    return _thing(" ".join(said), outside=outside)


def read_region(value: str) -> str:
    """Return the words for a part of a picture, once they can be read. Raises Unusable."""
    read_area(value)
    return value


def box_text(box: Box) -> str:
    """Return a box as it is typed, in whole percent."""
    return ",".join(f"{100 * each:.0f}" for each in box)


def cells_text(numbers: Iterable[int | str]) -> str:
    """Return cells as they are typed."""
    return " ".join(("cells", *map(str, numbers)))


def cell_box(number: int) -> Box:
    """Return where a cell lies."""
    row, column = divmod(number - 1, GRID)
    return column / GRID, row / GRID, (column + 1) / GRID, (row + 1) / GRID


_OUTSIDE = frozenset(("outside", "except", "not", "außerhalb", "außer", "hors", "sauf"))
_CELL_WORDS = frozenset(("cell", "cells", "feld", "felder", "case", "cases"))
_BACKGROUND = frozenset(("background", "hintergrund", "fond", "arrière-plan"))


def _thing(words: str, *, outside: bool) -> Area:
    """Return the area of a thing; the background is all but what stands in front of it."""
    if {*words.casefold().split()} & _BACKGROUND:
        return Area(thing=words, outside=not outside)
    return Area(thing=words, outside=outside)


def _numbers(words: Sequence[str]) -> tuple[float, ...]:
    """Return the words as numbers; empty where one is none."""
    plain = [each.replace(".", "", 1) for each in words]
    return tuple(map(float, words)) if all(each.isdecimal() and len(each) <= 6 for each in plain) else ()


def _checked(sides: Sequence[float], text: str) -> Box:
    left, top, right, bottom = (each / 100 for each in sides)
    if not (left < right <= 1 and top < bottom <= 1):
        raise Unusable(
            _(
                "A box is left, top, right and bottom in percent, as in 10,20,60,80; “{typed}” is none.",
                typed=clip(text),
            ),
            "25,25,75,75",
        )
    return left, top, right, bottom


def _is_cell(word: str) -> bool:
    first, _dash, last = word.partition("-")
    return first.isdecimal() and (not last or last.isdecimal()) and len(word) <= 5


def _cells(words: Sequence[str], text: str) -> list[Box]:
    found: list[int] = []
    for each in words:
        first, dash, last = each.partition("-")
        if not _is_cell(each) or not 1 <= int(first) <= int(last if dash and last else first) <= GRID**2:
            found = []
            break
        found += range(int(first), int(last if dash and last else first) + 1)
    if not found:
        raise Unusable(
            _(
                "Cells are numbers from 1 to {most}, as in cells 7 8 12; “{typed}” is something else.",
                most=GRID**2,
                typed=clip(text),
            ),
            "cells 13",
        )
    return [cell_box(each) for each in found]


# ---- positions

Span = tuple[float, float]

_ACROSS = {
    **dict.fromkeys(("left", "links", "linke", "linken", "linker", "linkes", "gauche"), 0),
    **dict.fromkeys(("right", "rechts", "rechte", "rechten", "rechter", "rechtes", "droite", "droit"), 2),
}
_DOWN = {
    **dict.fromkeys(("top", "upper", "oben", "obere", "oberen", "oberer", "oberes", "haut"), 0),
    **dict.fromkeys(("supérieur", "supérieure"), 0),
    **dict.fromkeys(("bottom", "lower", "unten", "untere", "unteren", "unterer", "unteres", "bas"), 2),
    **dict.fromkeys(("inférieur", "inférieure"), 2),
}
_MIDDLE = frozenset(
    "middle center centre central mitte mittlere mittleren mittlerer mittleres milieu centrale".split()
)
_PARTS = {
    **dict.fromkeys(("half", "hälfte", "moitié"), 1 / 2),
    **dict.fromkeys(("third", "drittel", "tiers"), 1 / 3),
    **dict.fromkeys(("quarter", "viertel", "quart"), 1 / 4),
}
_ALL = frozenset("everything all whole alles ganz ganze ganzes tout toute".split())
_FILLING = frozenset(
    "the at in on of and corner side part area edge picture image "
    "die der das den dem im am auf in und ecke seite teil bereich rand bild "
    "la le les à au en de du et coin côté partie zone bord image l'image".split()
)


def _position(words: Sequence[str]) -> Box | None:
    """Return the box that words for a position name; None where there is any other word."""
    across = {_ACROSS[each] for each in words if each in _ACROSS}
    down = {_DOWN[each] for each in words if each in _DOWN}
    middle, whole = any(each in _MIDDLE for each in words), any(each in _ALL for each in words)
    known = all(each in _KNOWN for each in words)
    if not known or len(across) > 1 or len(down) > 1 or not (across or down or middle or whole):
        return None
    part = next((_PARTS[each] for each in words if each in _PARTS), None)
    size = part or 1 / 2
    left, right = _span(across, size) if across else _rest(middle, bool(down), size)
    # "the middle third" is an upright one, as "the left third" is.
    upright = middle and part is not None and not across and not down
    top, bottom = _span(down, size) if down else _rest(middle and not upright, bool(across), size)
    return left, top, right, bottom


_KNOWN = frozenset((*_ACROSS, *_DOWN, *_MIDDLE, *_PARTS, *_ALL, *_FILLING))


def _span(where: set[int], size: float) -> Span:
    return (0.0, size) if 0 in where else (1.0 - size, 1.0)


def _rest(middle: bool, other: bool, size: float) -> Span:
    """Return the span of a direction that is not named."""
    return ((1 - size) / 2, (1 + size) / 2) if middle else (0.0, 1.0)
