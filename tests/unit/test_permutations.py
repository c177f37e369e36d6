from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Refusal
from bot.prompts import permutations
from bot.prompts.permutations import expanded, kept, literal, together


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("a {red, blue} fox", ("a red fox", "a blue fox")),
        ("a {red, blue} {fox, owl}", ("a red fox", "a red owl", "a blue fox", "a blue owl")),
        ("a {red, {light, dark} blue} fox", ("a red fox", "a light blue fox", "a dark blue fox")),
        ("fox --ar {16:9, 1:1}", ("fox --ar 16:9", "fox --ar 1:1")),
        ("fox {--no text, --seed 7}", ("fox --no text", "fox --seed 7")),
        (r"a {red\, shiny, blue} fox", ("a red, shiny fox", "a blue fox")),
        ("a {red, } fox", ("a red fox", "a fox")),
        ("a {red,red} fox", ("a red fox",)),
        (r"a \{red, blue\} fox", (r"a \{red, blue\} fox",)),
        ("a {red} fox", ("a {red} fox",)),
        ("a {red, blue fox", ("a {red, blue fox",)),
        ("a red, blue} fox", ("a red, blue} fox",)),
        ('a sign that says "{a, b}"', ('a sign that says "{a, b}"',)),
        ("a fox", ("a fox",)),
        ("", ("",)),
    ],
)
def test_choices_in_braces_are_prompts_of_their_own(text: str, prompts: tuple[str, ...]) -> None:
    assert expanded(text) == prompts


def test_backslashes_before_braces_are_not_painted() -> None:
    assert literal(r"a \{red, blue\} fox") == "a {red, blue} fox"
    assert kept("a {red} fox") == r"a \{red\} fox"


@pytest.mark.parametrize("text", ["{a,b}" * 6, "{" + ",".join(map(str, range(41))) + "}", "{a,b}" * 3000])
def test_too_many_are_refused(text: str) -> None:
    with pytest.raises(Refusal, match="at most 40 jobs"):
        expanded(text)


@pytest.mark.parametrize("piece", ["{", "}", "{,", "{a,", "\\", '"', "{}", "a {b} ", ',"{', '" '])
def test_a_long_text_takes_no_time(piece: str) -> None:
    text = piece * (12_000 // len(piece))
    try:
        assert expanded(text)
    except Refusal:
        pass


PIECES = st.lists(st.sampled_from(["{", "}", ",", "\\,", "\\{", "a", " ", '"', "fox"]), max_size=14)


@given(texts=st.lists(PIECES.map("".join).filter(lambda text: text.strip()), min_size=1, max_size=5))
def test_any_prompts_can_be_asked_for_together(texts: list[str]) -> None:
    single = [text for text in texts if len(_or_none(text)) == 1]
    plain = [literal(_or_none(text)[0]) for text in single]
    if plain and (text := together(_or_none(text)[0] for text in single)):
        assert [literal(each) for each in expanded(text)] == list(dict.fromkeys(plain))


def test_prompts_with_commas_braces_and_quotes_can_be_asked_for_together() -> None:
    texts = ("a fox --no text, blurry", r"a \{b\}", 'a sign, "{a, b}"', '"x, y" fox')
    text = together(texts)
    assert text == r'{a fox --no text\, blurry, a \{b\}, a sign\, "{a, b}", "x, y" fox}'
    assert expanded(text) == texts


def _or_none(text: str) -> tuple[str, ...]:
    try:
        return expanded(text)
    except Refusal:
        return ()


def test_the_most_is_what_repeat_takes() -> None:
    assert len(expanded("{" + ",".join(map(str, range(permutations.MOST))) + "}")) == permutations.MOST
