"""Grounds, composed scenes and their sentences, on drawings made here: nothing is downloaded."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.embedded.training import compositions, data, grounds, pace, sentences
from engine.embedded.training.compositions import Composer, Composition, kept_aside
from engine.embedded.training.data import Drawing, Rgba
from engine.embedded.training.scenes import CANVASES
from engine.embedded.training.sentences import ACCUSATIVE, DATIVE, NOMINATIVE, SentenceFacts

RED = (220, 30, 30)


def block(height: int, width: int) -> Rgba:
    """A red rectangle in the middle of a transparent square."""
    out = np.zeros((data.SIDE, data.SIDE, 4), np.uint8)
    top, left = (data.SIDE - height) // 2, (data.SIDE - width) // 2
    out[top : top + height, left : left + width] = (*RED, 255)
    return out


def things() -> list[str]:
    lists = [
        names for name, names in vars(compositions).items() if name.isupper() and isinstance(names, tuple)
    ]
    return sorted({name for names in [*lists, *compositions.STANDING.values()] for name in names})


@pytest.fixture(scope="module")
def composer() -> Composer:
    rows = [Drawing(name, "3d") for name in [*things(), "sunglasses", "glasses"]]
    return Composer(rows, np.stack([block(100, 70)] * len(rows)))


@pytest.fixture(scope="module")
def made(composer: Composer) -> list[Composition]:
    return [composer.compose(number) for number in range(400)]


@pytest.mark.parametrize("place", sorted(grounds.GROUNDS))
@pytest.mark.parametrize("canvas", sorted(CANVASES))
def test_a_ground_fills_its_canvas_and_says_where_to_stand(place: str, canvas: str) -> None:
    for seed in range(6):
        drawn = grounds.ground(place, canvas, random.Random(seed))
        assert grounds.halved(drawn.image).size == CANVASES[canvas]
        assert 0 < drawn.feet[0] < drawn.feet[1] < 1
        assert 0 < drawn.air[0] < drawn.air[1] < 1
        assert (np.asarray(drawn.image).max(2) > 0).all(), "unpainted pixels"


def test_night_is_darker_than_day() -> None:
    def brightness(hour: str) -> float:
        brush = grounds.Brush(CANVASES["square"], random.Random(0), hour)
        return float(np.asarray(grounds.GROUNDS["meadow"](brush).image).mean())

    assert brightness(grounds.NIGHT) < brightness(grounds.RAIN) < brightness(grounds.DAY)


def test_the_same_number_is_the_same_scene(composer: Composer, made: list[Composition]) -> None:
    again = composer.compose(7)
    assert again.texts == made[7].texts
    assert np.array_equal(again.picture, made[7].picture)
    assert made[8].texts != made[7].texts


def test_every_relation_and_every_ground_comes_up(composer: Composer, made: list[Composition]) -> None:
    assert {scene.kind for scene in made} == composer.relations.keys()
    assert {scene.facts.place for scene in made} == {"", *grounds.GROUNDS}
    assert {scene.canvas for scene in made} == CANVASES.keys()


def test_pictures_have_the_size_of_their_canvas(made: list[Composition]) -> None:
    for scene in made:
        width, height = CANVASES[scene.canvas]
        assert scene.picture.shape == (height, width, 3)


def test_pairs_kept_aside_are_few_and_never_shown(composer: Composer, made: list[Composition]) -> None:
    pairs = [(name, place) for name in things() for place in grounds.GROUNDS]
    assert 0.02 < sum(kept_aside(*pair) for pair in pairs) / len(pairs) < 0.09
    assert not any(kept_aside(scene.facts.first, scene.facts.place) for scene in made)
    rows = [Drawing(name, "3d") for name in things()]
    others = Composer(rows, composer.drawings, kept=True)
    aside = [others.compose(number) for number in range(20)]
    assert all(kept_aside(scene.facts.first, scene.facts.place) for scene in aside)


def test_a_thing_in_a_scene_is_large_enough_to_be_recognised() -> None:
    composer = Composer([Drawing("cat", "3d")], block(100, 100)[None])
    composer.style = "3d"
    for canvas, size in CANVASES.items():
        scenery = composer._scenery("room", canvas)
        composer._alone(scenery)
        red = (np.asarray(scenery.picture) == RED).all(2)
        assert red.sum() > (min(size) * 0.4) ** 2


def test_each_scene_is_told_in_english_and_german(made: list[Composition]) -> None:
    counts = Counter(len(scene.texts) for scene in made)
    assert counts[3] > 300
    assert any("ein Bild von einem" in text for scene in made for text in scene.texts)


def test_every_thing_has_a_german_name() -> None:
    drawn_here = ["branch", "lighthouse", "sign", "poster", "sunglasses", "glasses"]
    assert [name for name in [*things(), *drawn_here] if not sentences.in_german(name)] == []


@pytest.mark.parametrize(
    ("concept", "case", "adjective", "count", "said"),
    [
        ("fox", NOMINATIVE, "", 1, "ein Fuchs"),
        ("fox", ACCUSATIVE, "red", 1, "einen roten Fuchs"),
        ("fox", DATIVE, "red", 1, "einem roten Fuchs"),
        ("bear", NOMINATIVE, "", 1, "ein Bär"),
        ("bear", ACCUSATIVE, "", 1, "einen Bären"),
        ("cat", DATIVE, "black", 1, "einer schwarzen Katze"),
        ("house", NOMINATIVE, "blue", 1, "ein blaues Haus"),
        ("house", NOMINATIVE, "pink", 1, "ein rosa Haus"),
        ("bird", NOMINATIVE, "", 2, "zwei Vögel"),
        ("sign", ACCUSATIVE, "blank", 1, "ein leeres Schild"),
    ],
)
def test_german_nouns_are_inflected(concept: str, case: str, adjective: str, count: int, said: str) -> None:
    assert sentences.german_noun(concept, case, adjective, count) == said


def test_sentences_name_both_things_in_order() -> None:
    facts = SentenceFacts("in front of", "dog", "house", place="snow", hour=grounds.NIGHT)
    for seed in range(60):
        text = sentences.english(facts, "3d", random.Random(seed))
        assert 0 <= text.index("a dog") < text.index("a house"), text
        assert "in front of mountains" not in text
        german = sentences.german(facts, "3d", random.Random(seed))
        assert german.index("Hund") < german.index("vor einem Haus"), german


def test_the_place_is_always_said_and_the_light_mostly() -> None:
    facts = SentenceFacts("alone", "fox", place="beach", hour=grounds.SUNSET)
    words = ("beach", "sea", "sand")
    said = [sentences.english(facts, "3d", random.Random(seed)) for seed in range(200)]
    assert all(any(word in text for word in words) for text in said)
    lit = [text for text in said if any(way in text for way in sentences.ENGLISH.hours[grounds.SUNSET])]
    assert 0.7 < len(lit) / len(said) < 0.95


def test_things_are_dimmed_at_night_but_stay_solid() -> None:
    image = Image.fromarray(block(100, 100))
    dark = np.asarray(compositions.lit(image, grounds.NIGHT))
    assert dark[64, 64, 0] < RED[0]
    assert np.array_equal(dark[..., 3], np.asarray(image)[..., 3])
    assert compositions.lit(image, grounds.DAY) is image


def test_a_session_that_was_set_lower_stays_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "autogroup"
    monkeypatch.setattr(pace, "AUTOGROUP", file)
    monkeypatch.setattr(pace.os, "nice", lambda more: more)
    for before, after in ((0, pace.SESSION_NICE), (15, 15)):
        file.write_text(f"/autogroup-3 nice {before}\n")
        pace.be_polite()
        assert file.read_text() == str(after)
