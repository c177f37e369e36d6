"""Sentences for composed scenes, in English and German, in many ways to ask."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.embedded.training import captions
from engine.embedded.training.grounds import DAY, NIGHT, RAIN, SUNSET

SAY_LIGHT = 0.85  # of the pictures whose light is not that of day
SAY_MARK = 0.25  # of the pictures with something to be seen on the ground
SETTING_FIRST = 0.15  # "a snowy landscape with a fox"
BLANK = "blank"  # the adjective of signs and posters: type is set on them later


@dataclass(frozen=True, slots=True)
class SentenceFacts:
    """What a composed scene shows: things by concept name, how they are placed, and where."""

    relation: str
    first: str
    second: str = ""
    count: int = 1
    adjective: str = ""
    place: str = ""
    hour: str = DAY
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Language:
    """Ways to say relations, places, light and what lies about; `{a}` and `{b}` are the two things."""

    relations: dict[str, tuple[str, ...]]
    places: dict[str, tuple[str, ...]]
    hours: dict[str, tuple[str, ...]]
    marks: dict[str, tuple[str, ...]]


ENGLISH = Language(
    relations={
        "alone": ("{a}",),
        "flying": ("{a} flying in the sky", "{a} in the sky", "{a} high up in the air"),
        "on": ("{a} on {b}", "{a} on {b}", "{a} sitting on {b}", "{a} standing on {b}"),
        "in": ("{a} in {b}", "{a} in {b}", "{a} inside {b}", "{a} sitting in {b}"),
        "under": ("{a} under {b}", "{a} under {b}", "{a} beneath {b}"),
        "behind": ("{a} behind {b}", "{a} behind {b}", "{a} hiding behind {b}"),
        "in front of": ("{a} in front of {b}", "{a} in front of {b}", "{a} with {b} behind it"),
        "next to": ("{a} next to {b}", "{a} beside {b}", "{a} and {b}", "{a} by {b}"),
        "holding": ("{a} with {b}", "{a} holding {b}", "{a} holding {b}", "{a} carrying {b}"),
        "wearing": ("{a} wearing {b}", "{a} with {b}", "{a} wearing {b}"),
    },
    places={
        "snow": ("in the snow", "in snow", "on a snowy field", "in winter", "on snow"),
        "beach": ("on the beach", "at the beach", "on a sandy beach", "by the sea", "on the sand"),
        "hill": ("on a hill at night", "under a starry sky", "under the stars", "at night", "in the night"),
        "city": ("in the city", "in a city", "on a street", "in front of a city skyline", "in town"),
        "forest": ("in a forest", "in the forest", "in the woods", "among the trees"),
        "mountains": ("in the mountains", "in front of mountains", "with mountains in the background"),
        "desert": ("in the desert", "in a desert", "among the dunes", "in a sandy desert"),
        "meadow": ("in a meadow", "on the grass", "in a field", "on a green meadow", "on a lawn"),
        "sea": ("on the sea", "at sea", "on the water", "on the ocean", "on a lake"),
        "underwater": ("underwater", "under the sea", "under water", "at the bottom of the sea"),
        "room": ("in a room", "indoors", "at home", "in the living room", "inside a house"),
        "space": ("in space", "in outer space", "among the stars", "floating in space"),
    },
    hours={
        SUNSET: ("at sunset", "at sunset", "at dusk", "in the evening"),
        NIGHT: ("at night", "at night", "by night", "in the dark"),
        RAIN: ("in the rain", "in the rain", "on a rainy day", "while it rains"),
    },
    marks={
        "sun": ("under the sun", "on a sunny day"), "moon": ("under the moon", "in the moonlight"),
        "stars": ("under the stars",), "snowfall": ("while it snows", "in falling snow"),
        "flowers": ("among flowers", "with flowers"), "rug": ("on a rug",), "planet": ("near a planet",),
    },
)  # fmt: skip

GERMAN = Language(
    relations={
        "alone": ("{a}",),
        "flying": ("{a} am Himmel", "{a} in der Luft", "{a} fliegt am Himmel"),
        "on": ("{a} auf {b}", "{a} auf {b}", "{a} sitzt auf {b}", "{a} steht auf {b}"),
        "in": ("{a} in {b}", "{a} in {b}", "{a} sitzt in {b}"),
        "under": ("{a} unter {b}", "{a} unter {b}", "{a} steht unter {b}"),
        "behind": ("{a} hinter {b}", "{a} hinter {b}", "{a} steht hinter {b}"),
        "in front of": ("{a} vor {b}", "{a} vor {b}", "{a} steht vor {b}"),
        "next to": ("{a} neben {b}", "{a} neben {b}", "{a} steht neben {b}"),
        "holding": ("{a} mit {b}", "{a} mit {b} in der Hand"),
        "wearing": ("{a} mit {b}",),
    },
    places={
        "snow": ("im Schnee", "im Schnee", "im Winter", "auf einem verschneiten Feld"),
        "beach": ("am Strand", "am Strand", "am Meer", "auf dem Sand"),
        "hill": ("unter dem Sternenhimmel", "unter den Sternen", "in der Nacht", "nachts auf einem Hügel"),
        "city": ("in der Stadt", "in der Stadt", "auf der Straße", "vor Hochhäusern"),
        "forest": ("im Wald", "im Wald", "zwischen Bäumen", "in einem Wald"),
        "mountains": ("in den Bergen", "vor Bergen", "im Gebirge"),
        "desert": ("in der Wüste", "in der Wüste", "in einer Sandwüste"),
        "meadow": ("auf einer Wiese", "auf der Wiese", "im Gras", "auf einem Feld"),
        "sea": ("auf dem Meer", "auf dem Wasser", "auf See", "auf einem See"),
        "underwater": ("unter Wasser", "im Meer", "auf dem Meeresgrund"),
        "room": ("in einem Zimmer", "im Wohnzimmer", "zu Hause"),
        "space": ("im Weltraum", "im Weltall", "zwischen den Sternen"),
    },
    hours={
        SUNSET: ("bei Sonnenuntergang", "bei Sonnenuntergang", "am Abend"),
        NIGHT: ("bei Nacht", "bei Nacht", "in der Nacht", "nachts"),
        RAIN: ("im Regen", "im Regen", "bei Regen"),
    },
    marks={
        "sun": ("in der Sonne", "bei Sonnenschein"), "moon": ("im Mondlicht", "unter dem Mond"),
        "stars": ("unter den Sternen",), "snowfall": ("im Schneefall", "während es schneit"),
        "flowers": ("zwischen Blumen", "mit Blumen"), "rug": ("auf einem Teppich",),
        "planet": ("neben einem Planeten",),
    },
)  # fmt: skip

SETTINGS = {
    "snow": ("a snowy landscape", "a winter landscape"), "beach": ("a beach", "a sandy beach"),
    "hill": ("a starry night", "a night sky"), "city": ("a city", "a city street"),
    "forest": ("a forest", "the woods"), "mountains": ("mountains", "a mountain landscape"),
    "desert": ("a desert", "a desert landscape"), "meadow": ("a meadow", "a green meadow"),
    "sea": ("the sea", "the ocean"), "underwater": ("an underwater scene", "the sea floor"),
    "room": ("a room", "a living room"), "space": ("outer space", "a space scene"),
}  # fmt: skip
_SPOKEN = {
    "tiger face": "tiger", "dog face": "dog", "cat face": "cat", "monkey face": "monkey",
    "rabbit face": "rabbit", "mouse face": "mouse", "pig face": "pig", "cow face": "cow",
    "horse face": "horse", "pot of food": "pot", "umbrella on ground": "parasol", "hot beverage": "cup",
    "potted plant": "plant", "jack-o-lantern": "pumpkin",
}  # fmt: skip
_GERMAN_ADJECTIVES = {
    "red": "rot", "orange": "orange", "yellow": "gelb", "green": "grün", "blue": "blau", "purple": "lila",
    "pink": "rosa", "black": "schwarz", "white": "weiß", BLANK: "leer",
}  # fmt: skip
_UNCHANGING = frozenset({"orange", "lila", "rosa"})
_GERMAN_NUMBERS = {2: "zwei", 3: "drei", 4: "vier", 5: "fünf"}
NOMINATIVE, DATIVE, ACCUSATIVE = "nominative", "dative", "accusative"
_ARTICLES = {NOMINATIVE: {"m": "ein", "f": "eine", "n": "ein"},
             ACCUSATIVE: {"m": "einen", "f": "eine", "n": "ein"},
             DATIVE: {"m": "einem", "f": "einer", "n": "einem"}}  # fmt: skip
_ENDINGS = {NOMINATIVE: {"m": "er", "f": "e", "n": "es"}, DATIVE: {"m": "en", "f": "en", "n": "en"},
            ACCUSATIVE: {"m": "en", "f": "e", "n": "es"}}  # fmt: skip
_GERMAN_FRAMES = (
    ("{}", NOMINATIVE), ("{}", NOMINATIVE), ("{}", NOMINATIVE), ("male {}", ACCUSATIVE),
    ("zeichne mir {}", ACCUSATIVE), ("ein Bild von {}", DATIVE), ("ein Bild mit {}", DATIVE),
)  # fmt: skip


def english(facts: SentenceFacts, style: str, rng: random.Random) -> str:
    """Return one English sentence for a scene, now and then with its style and the words around it."""
    subject = rng.choice(ENGLISH.relations[facts.relation]).format(
        a=_english_first(facts), b=_english(facts.second)
    )
    text = _placed(subject, facts, ENGLISH, rng)
    return captions.framed(captions.with_style(text, style, rng), rng, 0.2)


def _english_first(facts: SentenceFacts) -> str:
    name = " ".join(filter(None, (facts.adjective, _name(facts.first))))
    return captions.counted(name, facts.count) if facts.count > 1 else captions.article(name)


def _english(concept: str) -> str:
    return captions.article(_name(concept))


def _name(concept: str) -> str:
    return _SPOKEN.get(concept) or captions.short_name(concept)


def german(facts: SentenceFacts, style: str, rng: random.Random) -> str:
    """Return one German sentence for a scene, its first noun in the case that the words around it need."""
    relation = rng.choice(GERMAN.relations[facts.relation])
    verb = any(f" {verb} " in f" {relation} " for verb in ("sitzt", "steht", "fliegt"))
    frame, case = ("{}", NOMINATIVE) if verb else rng.choice(_GERMAN_FRAMES)
    first = german_noun(facts.first, case, facts.adjective, facts.count)
    subject = relation.format(a=first, b=german_noun(facts.second, DATIVE) if facts.second else "")
    text = frame.format(_placed(subject, facts, GERMAN, rng))
    styled = style not in captions.UNSTYLED or rng.random() < 0.25
    return f"{text}, {rng.choice(captions.STYLE_WORDS[style])} Stil" if styled else text


def german_noun(concept: str, case: str, adjective: str = "", count: int = 1) -> str:
    """Return the noun with article and adjective ("einen roten Fuchs", "zwei Hunde"); no dative "-n"."""
    gender, singular, others, plural = _german_nouns()[concept]
    stem = _GERMAN_ADJECTIVES.get(adjective, "")
    if count > 1:
        words = [_GERMAN_NUMBERS[count], _inflected(stem, "en" if case == DATIVE else "e"), plural]
        return " ".join(filter(None, words))
    noun = singular if case == NOMINATIVE else others
    return " ".join(filter(None, (_ARTICLES[case][gender], _inflected(stem, _ENDINGS[case][gender]), noun)))


def _inflected(stem: str, ending: str) -> str:
    return stem if not stem or stem in _UNCHANGING else stem + ending


def german_forms() -> dict[str, tuple[str, ...]]:
    """Return how each concept that has a German name is called, one or many."""
    return {concept: tuple(dict.fromkeys(forms[1:])) for concept, forms in _german_nouns().items()}


@cache
def _german_nouns() -> dict[str, tuple[str, str, str, str]]:
    """Return gender, nominative, other cases and plural by concept."""
    table = {}
    for concept, entry in tomllib.loads((Path(__file__).parent / "german.toml").read_text()).items():
        gender, forms = entry.split(" ", 1)
        singular, plural = forms.split("|")
        nominative, _, others = singular.partition("/")
        table[concept] = (gender, nominative, others or nominative, plural)
    return table


def every_phrase() -> Iterator[str]:
    """Yield all words that sentences of both languages may use."""
    for language in (ENGLISH, GERMAN):
        for phrases in (language.relations, language.places, language.hours, language.marks):
            yield from (way for ways in phrases.values() for way in ways)
    yield from (way for ways in SETTINGS.values() for way in ways)
    yield from (frame for frame, _ in _GERMAN_FRAMES)
    yield " ".join([*_GERMAN_NUMBERS.values(), *_SPOKEN.values(), *_GERMAN_ADJECTIVES, "Stil"])
    yield " ".join(article for articles in _ARTICLES.values() for article in articles.values())
    endings = ["", *{ending for endings in _ENDINGS.values() for ending in endings.values()}]
    yield from (stem + ending for stem in _GERMAN_ADJECTIVES.values() for ending in endings)
    yield from (" ".join([concept, *forms]) for concept, forms in _german_nouns().items())


def in_german(concept: str) -> bool:
    """Tell whether the concept has a German name."""
    return concept in _german_nouns()


def _placed(subject: str, facts: SentenceFacts, language: Language, rng: random.Random) -> str:
    """Return the subject with place and light, in a random order."""
    if not facts.place:
        return subject
    light = _light(facts, language, rng)
    if language is ENGLISH and rng.random() < SETTING_FIRST:
        return " ".join(filter(None, (rng.choice(SETTINGS[facts.place]), light, "with", subject)))
    parts = [rng.choice(_places(facts, language)), light]
    if rng.random() < 0.15:
        parts.reverse()
    return " ".join(filter(None, (subject, *parts)))


def _places(facts: SentenceFacts, language: Language) -> list[str]:
    """Return ways to name the place that do not read as a second relation."""
    clash = {"in front of": ("in front of", "vor "), "under": ("under", "unter ")}.get(facts.relation, ())
    names = language.places[facts.place]
    return [name for name in names if not name.startswith(clash)] or list(names[-1:])


def _light(facts: SentenceFacts, language: Language, rng: random.Random) -> str:
    if facts.hour != DAY and facts.place != "hill" and rng.random() < SAY_LIGHT:
        return rng.choice(language.hours[facts.hour])
    sayable = [mark for mark in facts.marks if facts.place != "hill" and facts.relation != "under"]
    if sayable and rng.random() < SAY_MARK:
        return rng.choice(language.marks[rng.choice(sayable)])
    return ""
