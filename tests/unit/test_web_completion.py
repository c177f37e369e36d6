"""What the web studio offers while somebody types."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.accounts.logins import member_named
from bot.adapters.web.completion import complete
from tests.web import web_house


async def offered(folder: Path, text: str, *, admin: bool = False) -> tuple[int, list[str]]:
    async with web_house(folder) as house:
        member = member_named("Ada", admin=admin)
        found = await complete(text, house.easel.vocabulary, member)
        return found.length, [value for value, _ in found.choices]


@pytest.mark.parametrize(
    ("text", "length", "choices"),
    [
        ("/quo", 4, ["/quota "]),
        ("/privacy d", 10, ["/privacy delete "]),
        ("/settings oil", 3, ["oil-painting "]),
        ("/settings --res", 5, ["--reset "]),
        ("/imagine a fox --ar 16", 2, ["16:9 ", "9:16 "]),
        ("a fox --sty", 5, ["--style "]),
        ("a fox --style water", 5, ["watercolour "]),
        ('a fox --style "oil', 4, ["oil-painting "]),
        ("a fox --style watercolour", 11, []),  # it is there already
        ("a fox --seed 7", 0, []),
        ("a fox -- and a", 0, []),
        ("a fox", 0, []),
        ("a car/van", 0, []),
        ("/nonsense --", 0, []),
        ("", 0, []),
    ],
)
async def test_what_may_follow(tmp_path: Path, text: str, length: int, choices: list[str]) -> None:
    found, values = await offered(tmp_path, text)
    assert values == choices and (found == length or not choices)


async def test_commands_for_administrators_are_theirs(tmp_path: Path) -> None:
    _, mine = await offered(tmp_path / "a", "/adm")
    _, theirs = await offered(tmp_path / "b", "/adm", admin=True)
    assert mine == [] and "/admin status " in theirs


async def test_a_long_text_is_looked_at_near_the_caret_alone(tmp_path: Path) -> None:
    _, values = await offered(tmp_path, "a --x " * 1900 + "--sty")
    assert values == ["--style "]
