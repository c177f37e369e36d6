"""Captions, colours and scenes, on drawings made here: nothing is downloaded."""

import random

import numpy as np
import pytest

from engine.embedded.training import captions, data, scenes
from engine.embedded.training.data import Concept, Drawing, Rgba
from engine.embedded.training.scenes import Placed, Scene, Stage

RGB = {
    "red": (220, 30, 30),
    "green": (40, 170, 60),
    "blue": (40, 90, 220),
    "yellow": (250, 210, 40),
}


def disc(colour: tuple[int, int, int]) -> Rgba:
    y, x = np.mgrid[: data.SIDE, : data.SIDE] - data.SIDE / 2
    inside = x**2 + y**2 < (data.SIDE / 2.2) ** 2
    out = np.zeros((data.SIDE, data.SIDE, 4), np.uint8)
    out[inside] = (*colour, 255)
    return out


def stage(names: tuple[str, ...] = ("cat", "pizza", "red heart")) -> Stage:
    table = [Concept(name, "1f600", (name, "thing"), 3) for name in names]
    rows = [Drawing(name, style) for name in names for style in ("3d", "flat")]
    drawings = np.stack([disc(RGB["red"])] * len(rows))
    return Stage(table, rows, drawings)


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [("cat", "a cat"), ("apple", "an apple"), ("glasses", "glasses"), ("unicorn", "a unicorn"),
     ("hourglass", "an hourglass"), ("cactus", "a cactus"), ("popcorn", "popcorn")],
)  # fmt: skip
def test_articles(noun: str, phrase: str) -> None:
    assert captions.article(noun) == phrase


@pytest.mark.parametrize(
    ("noun", "many"),
    [("cat", "cats"), ("cherry", "cherries"), ("fox", "foxes"), ("key", "keys")],
)
def test_plurals(noun: str, many: str) -> None:
    assert captions.plural(noun) == many


def test_a_colour_word_is_not_said_twice() -> None:
    assert captions.uncoloured("red heart") == "heart"
    assert captions.uncoloured("red") == "red"
    assert captions.uncoloured("cat") == "cat"


def test_a_style_outside_the_default_family_is_always_said() -> None:
    rng = random.Random(0)
    for style in captions.STYLE_WORDS.keys() - captions.UNSTYLED:
        text = captions.single("cat", style, rng)
        assert any(word in text for word in captions.STYLE_WORDS[style])


def test_kept_drawings_are_few_fixed_and_never_of_a_rare_concept() -> None:
    kept = [captions.held_out(f"concept {i}", "3d", 9) for i in range(4000)]
    assert 40 < sum(kept) < 200
    assert kept == [captions.held_out(f"concept {i}", "3d", 9) for i in range(4000)]
    assert not any(captions.held_out(f"concept {i}", "3d", 4) for i in range(4000))


def test_a_tag_names_a_concept_only_when_it_is_nobody_elses() -> None:
    table = [Concept("cat", "a", ("pet", "feline"), 3), Concept("dog", "b", ("pet", "cat"), 3)]
    assert captions.unique_tags(table) == {"cat": ("feline",), "dog": ()}


@pytest.mark.parametrize(
    ("label", "group", "kept"),
    [("cat", 3, True), ("woman running", 1, False), ("person running", 1, True), ("woman", 1, True),
     ("six o'clock", 5, False), ("three o'clock", 5, True), ("aries", 8, False),
     ("warning", 8, True),
     ("flag: chad", 9, False), ("pirate flag", 9, True), ("light skin tone", 2, False)],
)  # fmt: skip
def test_which_labels_become_concepts(label: str, group: int, kept: bool) -> None:
    assert data.wanted(label, group) is kept


def test_labels_become_plain() -> None:
    assert data.plain("Piñata") == "pinata"
    assert data.plain("men\u2019s room") == "men's room"
    assert data.bare_code("2764-FE0F-200D-1F525") == "2764-200d-1f525"


def test_icons_are_found_under_the_sets_own_names() -> None:
    keys = data.keys_for(Concept("cat face", "1f431", (), 3))
    assert {"cat-face", "cat-face-1", "cat", "catface"} <= set(keys)


@pytest.mark.parametrize("word", sorted(RGB))
def test_the_main_colour_is_named(word: str) -> None:
    assert scenes.main_colour(disc(RGB[word])) == word


def test_no_colour_is_named_when_none_has_the_majority() -> None:
    rgba = disc(RGB["red"])
    rgba[:43, :, :3] = RGB["green"]
    rgba[86:, :, :3] = RGB["blue"]
    assert scenes.main_colour(rgba) == ""
    assert scenes.main_colour(np.zeros((128, 128, 4), np.uint8)) == ""


@pytest.mark.parametrize("word", sorted(scenes.HUES))
def test_a_tinted_drawing_measures_as_the_word(word: str) -> None:
    tinted = scenes.tinted(disc(RGB["red"]), word)
    assert scenes.main_colour(tinted) == word
    assert np.array_equal(tinted[..., 3], disc(RGB["red"])[..., 3])


@pytest.mark.parametrize("word", sorted(scenes.HUES))
@pytest.mark.parametrize("colour", [(30, 30, 34), (235, 233, 230), (128, 120, 124)])
def test_a_black_white_or_grey_thing_takes_a_colour_too(word: str, colour: tuple[int, int, int]) -> None:
    assert scenes.main_colour(scenes.tinted(disc(colour), word)) == word


@pytest.mark.parametrize("word", sorted(scenes.HUES))
def test_a_thing_of_many_colours_turns_whole(word: str) -> None:
    rgba = disc((230, 60, 40))
    rgba[:60, :, :3] = (240, 160, 50)
    rgba[80:, :, :3] = (200, 40, 110)
    assert scenes.main_colour(rgba) == ""
    assert scenes.main_colour(scenes.tinted(rgba, word)) == word


@pytest.mark.parametrize("kind", ["grounded", "recoloured", "alone_on_wide_or_tall", "pair_on_wide_or_tall"])
def test_wide_and_tall_pictures_hold_whole_drawings(kind: str) -> None:
    make = getattr(stage(), kind)
    made = [scene for scene in (make() for _ in range(60)) if scene]
    assert {"wide", "tall"} <= {scene.canvas for scene in made}
    for scene in made:
        width, height = scenes.CANVASES[scene.canvas]
        for item in scene.placed:
            assert 0 <= item.left <= width - item.side and 0 <= item.top <= height - item.side
        if len(scene.placed) == 1:
            assert scene.placed[0].side == min(width, height) * 7 // 8


def test_left_and_right_are_where_the_sentence_says() -> None:
    drawings = np.stack([disc(RGB["red"]), disc(RGB["blue"])])
    placed = tuple(scenes.place((0, 1), scenes.CANVASES["wide"], across=True))
    picture = scenes.paint(Scene("beside", "wide", placed, ("",), 1.0), drawings)
    assert picture.shape == (96, 160, 3)
    assert tuple(picture[48, 40]) == RGB["red"]
    assert tuple(picture[48, 120]) == RGB["blue"]
    for template in captions._BESIDE + captions._RIGHT:
        text = template.format(a="a cat", b="a pizza")
        left_of = "to the right of" in text
        assert (text.index("a pizza") < text.index("a cat")) is left_of


def test_above_and_below_are_where_the_sentence_says() -> None:
    drawings = np.stack([disc(RGB["red"]), disc(RGB["blue"])])
    placed = tuple(scenes.place((0, 1), scenes.CANVASES["square"], across=False))
    picture = scenes.paint(Scene("stacked", "square", placed, ("",), 1.0), drawings)
    assert tuple(picture[32, 64]) == RGB["red"]
    assert tuple(picture[96, 64]) == RGB["blue"]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_copies_lie_inside_the_canvas_and_apart(count: int) -> None:
    placed = list(scenes.copies(0, count))
    assert len(placed) == count
    for item in placed:
        assert min(item.left, item.top) >= 0
        assert max(item.left, item.top) + item.side <= data.SIDE
    corners = {(item.left, item.top) for item in placed}
    assert len(corners) == count


def test_the_ground_shows_around_the_drawing() -> None:
    ground = captions.BACKGROUNDS["blue"]
    scene = Scene("ground", "square", (Placed(0, 8, 8, 112),), ("",), 1.0, ground=ground)
    picture = scenes.paint(scene, np.stack([disc(RGB["red"])]))
    assert tuple(picture[2, 2]) == ground
    assert tuple(picture[64, 64]) == RGB["red"]


def test_the_same_seed_gives_the_same_scenes() -> None:
    first, second = stage(), stage()
    assert list(first.singles()) == list(second.singles())
    assert [first.pair_beside() for _ in range(8)] == [second.pair_beside() for _ in range(8)]


def test_pairs_show_two_different_things_in_one_style() -> None:
    play = stage()
    pairs = [pair for _ in range(40) if (pair := play.pair_beside())]
    assert pairs
    for pair in pairs:
        first, second = (play.rows[item.row] for item in pair.placed)
        assert first.concept != second.concept
        assert first.style == second.style


def test_evaluation_asks_in_words_that_training_never_uses() -> None:
    play = stage()
    told = [scene for _ in range(40) for scene in (play.pair_beside(), play.pair_stacked(), play.grounded())]
    texts = [text for scene in (*play.singles(), *told) if scene for text in scene.texts]
    assert len(set(texts)) > 100
    for way in captions.UNSEEN:
        said = way.format("").strip()
        assert not [text for text in texts if said in text]
