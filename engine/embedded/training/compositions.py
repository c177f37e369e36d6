"""Things on grounds, in relations: pictures composed of drawings, each with sentences that say what it shows.

Every composition has a number, and the same number gives the same picture on every machine. One thing
in twenty is never shown on a given ground: those pairs are kept aside for evaluation.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from engine.embedded.training import captions, grounds, sentences
from engine.embedded.training.data import Drawing, Rgba
from engine.embedded.training.grounds import (
    DRY,
    FLOATING,
    INDOORS,
    LIGHT,
    OUTDOORS,
    RAIN,
    Brush,
    Ground,
    ground,
    halved,
)
from engine.embedded.training.scenes import CANVASES, HUES, main_colour, tinted, training_rows
from engine.embedded.training.sentences import SentenceFacts


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


ANIMALS = _words(
    "dog|cat|fox|wolf|rabbit|bear|lion|tiger|horse|unicorn|zebra|deer|cow|pig|goat|camel|giraffe"
    "|elephant|kangaroo|chicken|rooster|penguin|duck|swan|owl|flamingo|t-rex|turtle|snail|hedgehog"
    "|panda|koala|crocodile|raccoon|frog|baby chick|mouse|monkey|hamster|dragon"
)
PEOPLE = _words(
    "astronaut|cook|firefighter|police officer|santa claus|mage|fairy|princess|man|woman|boy|girl|baby"
    "|snowman|robot|teddy bear|ghost|alien"
)
VEHICLES = _words(
    "automobile|bus|tractor|taxi|police car|fire engine|ambulance|delivery truck|motorcycle|bicycle"
    "|racing car"
)
BUILDINGS = _words("house|castle|church|tent|ferris wheel")
BOATS = _words("sailboat|speedboat|canoe|passenger ship|ship|ferry")
SWIMMERS = _words("fish|tropical fish|shark|octopus|whale|dolphin|crab|turtle|squid|mermaid")
FLIERS = _words(
    "bird|eagle|butterfly|airplane|helicopter|balloon|kite|flying saucer|parrot|bat|honeybee|rocket"
    "|dragon|owl"
)
IN_SPACE = _words("rocket|astronaut|flying saucer|alien|robot|satellite|comet|alien monster|cat|dog|monkey")
FURNITURE = _words(
    "chair|television|wrapped gift|guitar|birthday cake|couch and lamp|bathtub|potted plant|bed|violin"
    "|teddy bear"
)
SMALL = _words(
    "red apple|soccer ball|mushroom|wrapped gift|basketball|hamburger|pizza|candle|key|bell|cupcake"
    "|pineapple|watermelon|birthday cake|red heart|rose"
)
PERCHERS = _words("bird|owl|parrot|eagle|baby chick|monkey|cat")
HEADS = _words(
    "dog face|cat face|panda|bear|fox|lion|tiger face|koala|pig face|monkey face|rabbit face|mouse face"
    "|hamster|cow face|frog|robot|grinning face|slightly smiling face|alien|skull|raccoon|wolf"
    "|horse face|jack-o-lantern"
)
HATS = _words("top hat|crown|graduation cap|billed cap")
HELD = _words(
    "balloon|red heart|wrapped gift|rose|candle|umbrella|guitar|lollipop|magic wand|ice cream|sunflower"
    "|soccer ball"
)
HOLDERS = _words(
    "panda|teddy bear|robot|snowman|astronaut|man|woman|santa claus|bear|cat|dog|rabbit|penguin|monkey"
    "|ghost|boy|girl"
)
ROOFS = _words("palm tree|deciduous tree|evergreen tree|umbrella on ground")
SCREENS = _words("deciduous tree|evergreen tree|house|rock|automobile|castle|tent|chair|bus")
VESSELS = _words("bathtub|hot beverage|canoe|shopping cart|pot of food")
SUPPORTS = _words("automobile|chair|couch and lamp|turtle|elephant|wrapped gift|house|rock|horse|bed")
STANDING: dict[str, tuple[str, ...]] = {
    "": ANIMALS + PEOPLE + VEHICLES + BUILDINGS,
    "snow": ANIMALS + PEOPLE + BUILDINGS + VEHICLES[:4],
    "beach": (*ANIMALS, *PEOPLE, "crab", "palm tree", "umbrella on ground", "spiral shell", "sailboat"),
    "hill": (*ANIMALS, *PEOPLE, *BUILDINGS, "deciduous tree", "rocket"),
    "city": VEHICLES * 2 + ANIMALS + PEOPLE,
    "forest": (*ANIMALS, *PEOPLE, *BUILDINGS[:4], "mushroom"),
    "mountains": ANIMALS + PEOPLE + BUILDINGS + VEHICLES[:3],
    "desert": (*ANIMALS, *PEOPLE[:8], *VEHICLES[:3], "tent", "cactus"),
    "meadow": (*ANIMALS, *PEOPLE, *BUILDINGS, "tractor", "bicycle", "deciduous tree"),
    "sea": BOATS * 3 + ("duck", "swan", "whale", "dolphin"),
    "underwater": SWIMMERS * 2 + ("mermaid", "octopus"),
    "room": FURNITURE + ANIMALS[:5] + PEOPLE[8:],
    "space": IN_SPACE,
}
CANVAS_SHARES = {"square": 6.0, "wide": 2.0, "tall": 2.0}
NOWHERE_SHARE = (
    0.3  # of the relations, on plain white: people ask for "a dog with sunglasses" without a place
)
COLOURED_SHARE = 0.2  # of single things
ATTEMPTS = 1000  # before a number is given up
KEPT_SHARE = 20  # one pair of thing and ground in so many is kept aside


@dataclass(frozen=True, slots=True)
class Composition:
    """One training picture (`uint8[height, width, 3]`) with sentences in English and German."""

    kind: str
    canvas: str
    facts: SentenceFacts
    texts: tuple[str, ...]
    picture: NDArray[np.uint8]


@dataclass(slots=True)
class _Scenery:
    """The picture being composed and how it may be used."""

    picture: Image.Image
    ground: Ground
    place: str

    def foot(self, near: float) -> int:
        """Return the height at which things stand, in pixels from the top: `near` 0…1 from far to close."""
        high, low = self.ground.feet
        return int(self.picture.height * (high + (low - high) * near))

    @property
    def shorter(self) -> int:
        return min(self.picture.size)


def kept_aside(concept: str, place: str) -> bool:
    """Tell whether this thing is never shown on that ground while training."""
    digest = hashlib.sha256(f"{concept}|{place}".encode()).digest()
    return bool(place) and digest[0] % KEPT_SHARE == 7


class Composer:
    """Composes numbered scenes from the drawings that may be trained on."""

    def __init__(
        self,
        rows: Sequence[Drawing],
        drawings: Rgba,
        *,
        seed: int = 0,
        kept: bool = False,
        canvases: Iterable[str] = CANVAS_SHARES,
    ) -> None:
        self.seed, self.kept = seed, kept
        self.rng, self.style = random.Random(seed), ""
        self.drawings, self.canvases = drawings, tuple(canvases)
        self.at = {(rows[row].concept, rows[row].style): row for row in training_rows(rows)}
        self.styles = [style for style in captions.STYLE_WEIGHTS if any(s == style for _, s in self.at)]
        self.relations: dict[
            str, tuple[float, frozenset[str], Callable[[_Scenery], SentenceFacts | None]]
        ] = {
            "alone": (6.0, frozenset(grounds.GROUNDS), self._alone),
            "several": (1.5, frozenset(grounds.GROUNDS) - INDOORS, self._several),
            "flying": (1.0, OUTDOORS | {"sea"}, self._flying),
            "on": (1.0, DRY, self._on),
            "perched": (0.7, OUTDOORS - {"city", "desert"}, self._perched),
            "in": (1.0, DRY, self._in),
            "under": (1.0, OUTDOORS, self._under),
            "behind": (1.0, OUTDOORS, self._behind),
            "in front of": (1.0, OUTDOORS, self._in_front_of),
            "next to": (1.5, frozenset(grounds.GROUNDS), self._next_to),
            "holding": (1.0, frozenset(grounds.GROUNDS) - FLOATING - {"sea"}, self._holding),
            "wearing": (1.5, DRY, self._wearing),
            "lighthouse": (0.4, frozenset({"sea", "beach", "hill", "mountains"}), self._lighthouse),
            "sign": (0.5, DRY, self._sign),
        }

    def compose(self, number: int) -> Composition:
        """Compose the scene of that number, always the same. Raises ValueError for too few drawings."""
        for attempt in range(ATTEMPTS):
            self.rng = random.Random(f"{self.seed}/{number}/{attempt}")
            if (made := self._attempt()) is not None:
                return made
        raise ValueError(f"no scene can be composed for number {number}: too few drawings")

    def _attempt(self) -> Composition | None:
        """Compose one scene; None if the style lacks a drawing or the thing is kept aside on that ground."""
        weights = [captions.STYLE_WEIGHTS[style] for style in self.styles]
        self.style = self.rng.choices(self.styles, weights)[0]
        kind = self.rng.choices(list(self.relations), [weight for weight, _, _ in self.relations.values()])[0]
        canvas = self.rng.choices(self.canvases, [CANVAS_SHARES[canvas] for canvas in self.canvases])[0]
        _, places, relation = self.relations[kind]
        nowhere = (
            kind not in ("alone", "several", "flying", "lighthouse") and self.rng.random() < NOWHERE_SHARE
        )
        scenery = self._scenery("" if nowhere else self.rng.choice(sorted(places)), canvas)
        facts = relation(scenery)
        if facts is None or kept_aside(facts.first, facts.place) is not self.kept:
            return None
        if scenery.ground.hour == RAIN:
            grounds.rain(scenery.picture, self.rng)
        return Composition(kind, canvas, facts, self._texts(facts), np.asarray(scenery.picture))

    def _texts(self, facts: SentenceFacts) -> tuple[str, ...]:
        said = [sentences.english(facts, self.style, self.rng) for _ in range(2)]
        concepts = [facts.first, *filter(None, [facts.second])]
        if all(map(sentences.in_german, concepts)):
            said.append(sentences.german(facts, self.style, self.rng))
        return tuple(dict.fromkeys(said))

    def _scenery(self, place: str, canvas: str) -> _Scenery:
        if place:
            drawn = ground(place, canvas, self.rng)
            return _Scenery(halved(drawn.image), drawn, place)
        blank = Image.new("RGB", CANVASES[canvas], "white")
        return _Scenery(blank, Ground(blank, (0.8, 0.88), (0.2, 0.6), grounds.DAY), "")

    def _facts(
        self, scenery: _Scenery, relation: str, first: str, second: str = "", **more: object
    ) -> SentenceFacts:
        hour, marks = scenery.ground.hour, scenery.ground.marks
        return SentenceFacts(relation, first, second, place=scenery.place, hour=hour, marks=marks, **more)  # type: ignore[arg-type]

    # --- drawings ---

    def _pick(self, names: Sequence[str], *besides: str) -> str | None:
        """Choose a thing that this style has a drawing of, none of `besides`; None if there is none."""
        there = [name for name in names if (name, self.style) in self.at and name not in besides]
        return self.rng.choice(there) if there else None

    def _cut(
        self,
        scenery: _Scenery,
        concept: str,
        tall: float,
        wide: float,
        *,
        flip: bool = True,
        colour: str = "",
    ) -> Image.Image:
        """Return the visible part of a drawing, at most so tall and wide, in the light of the hour."""
        rgba = self.drawings[self.at[concept, self.style]]
        image = Image.fromarray(tinted(rgba, colour) if colour else np.asarray(rgba))
        image = image.crop(image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox())
        scale = min(tall / image.height, wide / image.width)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
        if flip and self.rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return lit(image, scenery.ground.hour)

    def _stand(
        self, scenery: _Scenery, thing: Image.Image, x: int, foot: int, *, shadow: bool = True
    ) -> None:
        """Paste with the middle of the feet at (x, foot), inside the canvas, on a soft shadow."""
        picture = scenery.picture
        x = min(max(x, thing.width // 2), picture.width - thing.width // 2)
        foot = max(foot, thing.height)
        if shadow and scenery.place not in FLOATING:
            across = thing.width * 0.42
            dark = Image.new("L", picture.size)
            ImageDraw.Draw(dark).ellipse(
                (x - across, foot - across * 0.16, x + across, foot + across * 0.14), fill=60
            )
            picture.paste((0, 0, 0), (0, 0), dark)
        picture.paste(thing, (x - thing.width // 2, foot - thing.height), thing)
        if scenery.ground.water and shadow:
            self._waterline(scenery, x, foot, thing.width)

    def _waterline(self, scenery: _Scenery, x: int, foot: int, wide: int) -> None:
        """Hide the lowest part of what floats, with a little foam."""
        brush = Brush(scenery.picture.size, self.rng, scenery.ground.hour, "RGBA")
        width, height = scenery.picture.size
        left, right, line = (x - wide * 0.6) / width, (x + wide * 0.6) / width, foot / height - 0.035
        water, foam = (brush.opaque(colour) for colour in (grounds.WATER, (150, 205, 238)))
        brush.box(left, line, right, foot / height + 0.01, water)
        brush.box(left + 0.02, line, right - 0.02, line + 0.016, foam)
        surface = halved(brush.image)
        scenery.picture.paste(surface, (0, 0), surface)

    def _middle(self, scenery: _Scenery, swing: float = 0.14) -> int:
        return int(scenery.picture.width * self.rng.uniform(0.5 - swing, 0.5 + swing))

    def _put(self, scenery: _Scenery, thing: Image.Image, x: int) -> None:
        """Stand the thing on the ground, or let it float where nothing needs to stand."""
        if scenery.place in FLOATING:
            y = scenery.picture.height * self.rng.uniform(*scenery.ground.air)
            foot = min(int(y + thing.height / 2), scenery.picture.height - 2)
            self._stand(scenery, thing, x, foot, shadow=False)
        else:
            self._stand(scenery, thing, x, scenery.foot(self.rng.uniform(0.2, 1.0)))

    # --- relations ---

    def _alone(self, scenery: _Scenery) -> SentenceFacts | None:
        first = self._pick(STANDING[scenery.place])
        if first is None:
            return None
        colour = self._colour(first)
        tall = scenery.shorter * self.rng.uniform(0.5, 0.72)
        thing = self._cut(scenery, first, tall, scenery.picture.width * 0.72, colour=colour)
        self._put(scenery, thing, self._middle(scenery))
        return self._facts(scenery, "alone", first, adjective=colour)

    def _colour(self, concept: str) -> str:
        """Choose, now and then, a colour that the thing takes on well; people keep theirs."""
        if self.rng.random() > COLOURED_SHARE or concept in PEOPLE:
            return ""
        word = self.rng.choice(list(HUES))
        drawing = self.drawings[self.at[concept, self.style]]
        return word if main_colour(tinted(drawing, word)) == word else ""

    def _several(self, scenery: _Scenery) -> SentenceFacts | None:
        first, count = self._pick(STANDING[scenery.place]), self.rng.choice([2, 2, 3, 3, 4, 5])
        if first is None or first in BUILDINGS:
            return None
        width, each = scenery.picture.width, scenery.picture.width / min(count, 3)
        rows = [range(min(count, 3)), range(count - 3)]
        for line, row in enumerate(rows):
            for index in row:
                thing = self._cut(scenery, first, scenery.shorter * (0.42 if count < 4 else 0.3), each - 4)
                x = int(width * (index + 0.5) / max(1, len(row)))
                far = scenery.foot(0.55 if len(rows[1]) == 0 else 0.0)
                self._stand(scenery, thing, x, far if line == 0 else scenery.foot(1.0))
        return self._facts(scenery, "alone", first, count=count)

    def _flying(self, scenery: _Scenery) -> SentenceFacts | None:
        first = self._pick(FLIERS)
        if first is None:
            return None
        thing = self._cut(
            scenery, first, scenery.shorter * self.rng.uniform(0.34, 0.5), scenery.picture.width * 0.6
        )
        y = int(scenery.picture.height * self.rng.uniform(*scenery.ground.air)) + thing.height // 2
        self._stand(scenery, thing, self._middle(scenery), y, shadow=False)
        return self._facts(scenery, "flying", first)

    def _two(
        self,
        scenery: _Scenery,
        first: Sequence[str],
        second: Sequence[str],
        sizes: tuple[float, float],
        wide: float,
    ) -> tuple[str, str, Image.Image, Image.Image] | None:
        """Choose two different things and cut them out, at shares of the shorter side."""
        one = self._pick(first)
        two = self._pick(second, one or "")
        if one is None or two is None:
            return None
        small, large = (
            self._cut(
                scenery, name, scenery.shorter * size, scenery.picture.width * wide, flip=name not in VESSELS
            )
            for name, size in ((one, sizes[0]), (two, sizes[1]))
        )
        return one, two, small, large

    def _on(self, scenery: _Scenery) -> SentenceFacts | None:
        two = self._two(scenery, ANIMALS + PEOPLE, SUPPORTS, (0.38, 0.46), 0.62)
        if two is None:
            return None
        first, second, guest, support = two
        x, foot = self._middle(scenery), scenery.foot(0.8)
        self._stand(scenery, support, x, foot)
        top = foot - support.height + surface(support) + int(guest.height * 0.08)
        self._stand(scenery, guest, x, top, shadow=False)
        return self._facts(scenery, "on", first, second)

    def _perched(self, scenery: _Scenery) -> SentenceFacts | None:
        first, count = self._pick(PERCHERS), self.rng.choice([1, 1, 1, 2, 3])
        if first is None:
            return None
        brush = Brush(scenery.picture.size, self.rng, scenery.ground.hour, "RGBA")
        y, lift = self.rng.uniform(0.66, 0.8), self.rng.uniform(-0.06, 0.06)
        bark, leaf = (brush.opaque(colour) for colour in ((122, 84, 56), (96, 168, 84)))
        for _ in range(7):
            x = self.rng.random()
            brush.dot(x, y + lift * x + self.rng.choice([-0.03, 0.1]), 0.05, leaf, 0.6)
        brush.shape([(0, y), (1, y + lift), (1, y + lift + 0.05), (0, y + 0.07)], bark)
        branch = halved(brush.image)
        scenery.picture.paste(branch, (0, 0), branch)
        for index in range(count):
            x = (index + 0.5) / count
            size = scenery.shorter * (0.5 if count == 1 else 0.36)
            thing = self._cut(scenery, first, size, scenery.picture.width * 0.9 / count)
            foot = int((y + lift * x + 0.025) * scenery.picture.height)
            self._stand(scenery, thing, int(scenery.picture.width * x), foot, shadow=False)
        return self._facts(scenery, "on", first, "branch", count=count)

    def _in(self, scenery: _Scenery) -> SentenceFacts | None:
        two = self._two(scenery, ANIMALS[:24] + PEOPLE, VESSELS, (0.42, 0.44), 0.66)
        if two is None:
            return None
        first, second, guest, vessel = two
        x, foot = self._middle(scenery), scenery.foot(0.8)
        self._stand(scenery, vessel, x, foot)
        self._stand(scenery, guest, x, foot - int(vessel.height * 0.4), shadow=False)
        front = vessel.crop((0, vessel.height // 2, *vessel.size))
        self._stand(scenery, front, x, max(foot, vessel.height), shadow=False)
        return self._facts(scenery, "in", first, second)

    def _under(self, scenery: _Scenery) -> SentenceFacts | None:
        two = self._two(scenery, ANIMALS + PEOPLE, ROOFS, (0.36, 0.8), 0.92)
        if two is None:
            return None
        first, second, guest, roof = two
        middle = scenery.picture.width // 2
        self._stand(scenery, roof, middle, scenery.foot(0.6))
        side = self.rng.choice([-1, 1]) * int(roof.width * 0.2)
        self._stand(scenery, guest, middle + side, scenery.foot(0.9))
        return self._facts(scenery, "under", first, second)

    def _behind(self, scenery: _Scenery) -> SentenceFacts | None:
        two = self._two(scenery, ANIMALS + PEOPLE, SCREENS, (0.5, 0.48), 0.56)
        if two is None:
            return None
        first, second, hidden, screen = two
        side, middle = self.rng.choice([-1, 1]), scenery.picture.width // 2
        self._stand(scenery, hidden, middle + side * int(screen.width * 0.4), scenery.foot(0.3))
        self._stand(scenery, screen, middle - side * int(hidden.width * 0.2), scenery.foot(0.7))
        return self._facts(scenery, "behind", first, second)

    def _in_front_of(self, scenery: _Scenery) -> SentenceFacts | None:
        two = self._two(scenery, ANIMALS + PEOPLE + VEHICLES, SCREENS + BUILDINGS, (0.4, 0.64), 0.72)
        if two is None:
            return None
        first, second, near, far = two
        self._stand(scenery, far, self._middle(scenery, 0.08), scenery.foot(0.2))
        self._stand(scenery, near, self._middle(scenery, 0.08), scenery.foot(1.0))
        return self._facts(scenery, "in front of", first, second)

    def _next_to(self, scenery: _Scenery) -> SentenceFacts | None:
        things = STANDING[scenery.place]
        others = things if scenery.place in FLOATING | {"sea"} else things + SMALL
        two = self._two(scenery, things, others, (0.5, 0.5), 0.46)
        if two is None:
            return None
        first, second, one, other = two
        width, apart = scenery.picture.width, (one.width + other.width + 4) // 2
        left, foot = (width - 2 * apart) // 2, scenery.foot(0.6)
        for thing, x in ((one, left + one.width // 2), (other, left + one.width + 4 + other.width // 2)):
            self._stand(scenery, thing, x, foot)
        return self._facts(scenery, "next to", first, second)

    def _holding(self, scenery: _Scenery) -> SentenceFacts | None:
        two = self._two(scenery, HOLDERS, HELD, (0.68, 0.36), 0.6)
        if two is None:
            return None
        first, second, body, held = two
        x, foot, side = self._middle(scenery, 0.1), scenery.foot(0.8), self.rng.choice([-1, 1])
        self._stand(scenery, body, x, foot)
        self._stand(
            scenery, held, x + side * int(body.width * 0.42), foot - int(body.height * 0.16), shadow=False
        )
        return self._facts(scenery, "holding", first, second)

    def _wearing(self, scenery: _Scenery) -> SentenceFacts | None:
        first = self._pick(HEADS)
        eyewear = self.rng.random() < 0.4
        second = self._pick(("sunglasses", "sunglasses", "glasses") if eyewear else HATS)
        if first is None or second is None:
            return None
        head = self._cut(scenery, first, scenery.shorter * 0.62, scenery.picture.width * 0.6, flip=False)
        x, foot = self._middle(scenery, 0.1), scenery.foot(0.8)
        top, broad = max(foot, head.height) - head.height + surface(head), breadth(head)
        worn = self._cut(
            scenery, second, scenery.shorter * 0.34, broad * (0.86 if eyewear else 0.74), flip=False
        )
        self._stand(scenery, head, x, foot)
        rest = max(foot, head.height) - top  # from the crown of the head down
        down = int(rest * 0.42) + worn.height // 2 if eyewear else int(worn.height * 0.28)
        self._stand(scenery, worn, x, top + down, shadow=False)
        return self._facts(scenery, "wearing", first, second)

    def _lighthouse(self, scenery: _Scenery) -> SentenceFacts:
        """Draw a lighthouse, as no drawing set has one: tapered, with bands, a lamp, and beams at night."""
        hour = scenery.ground.hour
        brush = Brush(scenery.picture.size, self.rng, hour, "RGBA")
        tower(brush, self.rng.uniform(0.32, 0.68), scenery.ground.feet[0] + 0.1, self.rng.uniform(0.5, 0.64))
        drawn = halved(brush.image)
        scenery.picture.paste(drawn, (0, 0), drawn)
        return self._facts(scenery, "alone", "lighthouse")

    def _sign(self, scenery: _Scenery) -> SentenceFacts:
        """Draw a blank sign on a post, or a poster on a wall: text is set on such surfaces later."""
        poster = scenery.place in INDOORS
        brush = Brush(scenery.picture.size, self.rng, scenery.ground.hour, "RGBA")
        x, foot = self.rng.uniform(0.42, 0.58), scenery.ground.feet[0] + 0.08
        top, half = foot - self.rng.uniform(0.5, 0.6), 0.34 * brush.shorter / brush.width
        low = top + (0.46 if poster else 0.34)
        wood, paper = (brush.opaque(colour) for colour in ((142, 98, 62), (250, 248, 240)))
        if not poster:
            brush.box(x - 0.02, low, x + 0.02, foot, wood)
        brush.box(x - half, top, x + half, low, wood)
        edge = 0.02
        brush.box(x - half + edge, top + edge, x + half - edge, low - edge, paper)
        drawn = halved(brush.image)
        scenery.picture.paste(drawn, (0, 0), drawn)
        return self._facts(scenery, "alone", "poster" if poster else "sign", adjective=sentences.BLANK)


def lit(image: Image.Image, hour: str) -> Image.Image:
    """Return a cut-out in the light of the hour, which falls on things less than on the ground."""
    if hour == grounds.DAY:
        return image
    bands = [
        band.point([int(value * (0.45 + 0.55 * light)) for value in range(256)])
        for band, light in zip(image.convert("RGB").split(), LIGHT[hour], strict=True)
    ]
    return Image.merge("RGBA", (*bands, image.getchannel("A")))


def surface(image: Image.Image) -> int:
    """Return how far below its upper edge a cut-out begins in the middle, in pixels."""
    solid = np.asarray(image.getchannel("A")) > 128
    return int(solid[:, image.width // 2].argmax())


def breadth(image: Image.Image) -> int:
    """Return how broad a cut-out is two fifths below its upper edge, in pixels."""
    solid = np.asarray(image.getchannel("A")) > 128
    return max(4, int(solid[image.height * 2 // 5].sum()))


def tower(brush: Brush, x: float, foot: float, tall: float) -> None:
    """Draw a lighthouse on a rock."""
    wide = tall * 0.15 * brush.height / brush.width
    colour = brush.rng.choice([(210, 60, 56), (60, 96, 170), (60, 62, 70)])
    band, white, rock = (brush.opaque(tint) for tint in (colour, (244, 244, 240), (128, 124, 120)))
    top = foot - tall
    if brush.hour == grounds.NIGHT:
        for side in (-1, 1):
            far = x + side * 0.7
            brush.shape(
                [(x, top - 0.04 * tall), (far, top - 0.2 * tall), (far, top + 0.14 * tall)],
                (190, 180, 130, 255),
            )
    brush.dot(x, foot, wide * brush.width / brush.shorter * 2.2, rock, 0.4)
    for step in range(5):
        low, high = (wide * (1 - 0.4 * share / 5) for share in (step, step + 1))
        base, end = foot - tall * step / 5, foot - tall * (step + 1) / 5
        fill = white if step % 2 else band
        brush.shape([(x - low, base), (x + low, base), (x + high, end), (x - high, end)], fill)
    brush.box(x - wide * 0.45, top - tall * 0.1, x + wide * 0.45, top, (255, 226, 110, 255))
    brush.shape(
        [(x - wide * 0.7, top - tall * 0.1), (x + wide * 0.7, top - tall * 0.1), (x, top - tall * 0.22)], band
    )
