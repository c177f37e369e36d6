from __future__ import annotations

import pytest

from bot.prompts import styles
from bot.prompts.styles import Template

KNOWN = styles.load()


def test_the_file_has_styles_and_shapes() -> None:
    assert len(KNOWN.styles) >= 16
    assert list(KNOWN.aspects) == ["square", "portrait", "landscape", "wide", "tall"]
    assert all(style.label and style.help.endswith(".") for style in KNOWN.styles.values())


def test_no_two_styles_share_a_word() -> None:
    words = [
        word.casefold() for style in KNOWN.styles.values() for word in {w.casefold() for w in style.words}
    ]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    "words", ["oil-painting", "Oil Painting", "OIL_PAINTING", "oil painting style", "oils"]
)
def test_a_style_is_known_by_any_spelling(words: str) -> None:
    style = KNOWN.style(words)
    assert style is not None and style.name == "oil-painting"


@pytest.mark.parametrize(("typed", "name"), [("oil", "oil-painting"), ("watercolr", "watercolour")])
def test_the_closest_style(typed: str, name: str) -> None:
    style = KNOWN.closest(typed)
    assert style is not None and style.name == name
    assert KNOWN.style(typed) is None


@pytest.mark.parametrize("typed", ["", "  ", "quux"])
def test_nothing_is_close_to_nonsense(typed: str) -> None:
    assert KNOWN.closest(typed) is None


def test_a_template_dresses_words_and_lets_them_be_found_again() -> None:
    template = Template(prompt="{prompt}, in oil", negative="photo")
    assert template.dress("a {fox}", "trees") == ("a {fox}, in oil", "trees, photo")
    for negative in ("", "trees", "a photo", "trees, photo"):
        assert template.undress(template.dress("a fox", negative)[1]) == negative


def test_the_built_in_model_gets_the_style_words_it_learnt() -> None:
    assert KNOWN.template("3d", "easel-tiny").dress("a fox", "") == ("a fox, 3d", "")
    assert "studio lighting" in KNOWN.template("3d", "other").prompt
    assert KNOWN.template("of-last-year", "other") == styles.PLAIN


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((512, 512), "1:1"),
        ((680, 384), "16:9"),
        ((384, 680), "9:16"),
        ((520, 512), "1:1"),
        ((640, 100), "640 × 100"),
    ],
)
def test_the_name_of_a_shape(size: tuple[int, int], shape: str) -> None:
    assert KNOWN.shape(*size) == shape


def test_a_style_without_a_place_for_the_prompt_is_an_error() -> None:
    text = (
        '[aspects]\nsquare="1:1"\n[ratios]\nknown=[]\n[styles.x]\nlabel="X"\nhelp="X."\nprompt="no place"\n'
    )
    with pytest.raises(ValueError, match="no place for the prompt"):
        styles.read(text)
