from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from bot.accounts import tiers
from bot.errors import SettingError
from bot.models import Allowance

SHIPPED = resources.files("bot.accounts").joinpath("tiers.toml").read_text(encoding="utf-8")
SMALL = """\
[team]
weight = 2
allowances = [
    { seconds = 600, per = "day", zone = "Europe/Berlin" },
    { seconds = 2000, per = "week", rolling = true },
]
models = ["easel-tiny"]

[everyone]
title = "Everyone"
"""


def test_the_tiers_that_ship() -> None:
    found = tiers.load()
    assert [tier.name for tier in found.all] == ["staff", "team", "supporter", "everyone"]
    assert found.default.name == "everyone" and found.default.allowances
    assert [tier.name for tier in found.all if tier.restricted] == ["staff"]
    assert all(tier.title for tier in found.all)


def test_a_file_is_read_in_its_order() -> None:
    found = tiers.read(SMALL, "t.toml", ["easel-tiny"])
    team = found.named("TEAM")
    assert team is not None and team.title == "team" and team.models == ("easel-tiny",)
    assert team.allowances == (
        Allowance(seconds=600, per="day", zone="Europe/Berlin"),
        Allowance(seconds=2000, per="week", rolling=True),
    )
    assert found.first({"everyone", "team"}) == team
    assert found.periods == team.allowances
    assert found.named("gone") is None and found.first(["gone"]) is None


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("weight = 2", "wieght = 2", 2, "there is no key wieght (= 2): did you mean weight?"),
        ("weight = 2", "colour = 2", 2, "there is no key colour (= 2): there are title, weight, "),
        (
            "weight = 2",
            "weight = nan",
            2,
            "weight = nan cannot be used: it must be a number from 0.01 to 100.",
        ),
        ("weight = 2", "weight = -2", 2, "weight = -2 cannot be used"),
        ("weight = 2", "weight = inf", 2, "weight = inf cannot be used"),
        ("weight = 2", f"weight = {'9' * 400}", 2, "it must be a number from 0.01 to 100."),
        ("weight = 2", "weight = true", 2, "weight = True cannot be used"),
        (
            "weight = 2",
            "max_count = 17",
            2,
            "max_count = 17 cannot be used: it must be a whole number from 1 to 16.",
        ),
        ("weight = 2", "max_count = 2.5", 2, "it must be a whole number from 1 to 16."),
        ("weight = 2", "running = 0", 2, "it must be a whole number from 1 to 100."),
        ("weight = 2", "cooldown = -1", 2, "cooldown = -1 cannot be used"),
        ("weight = 2", "restricted = 1", 2, "restricted = 1 cannot be used: it must be true or false."),
        ("weight = 2", "priorities = []", 2, 'it must be a list of priorities, as in ["fast"].'),
        ("weight = 2", 'priorities = ["slow"]', 2, "it must be a list of fast, relax."),
        ("seconds = 600", "seconds = -600", 4, "seconds = -600 cannot be used"),
        ("seconds = 2000", "seconds = nan", 5, "seconds = nan cannot be used: it must be a number from 0"),
        ("seconds = 2000", "secnds = 2000", 5, "did you mean seconds?"),
        ("seconds = 2000, ", "", 3, "an allowance needs seconds, as in { seconds = 3600"),
        (
            'per = "week"',
            'per = "weak"',
            5,
            'per = "weak" cannot be used: it must be one of hour, day, week, month.',
        ),
        ('per = "week"', "per = []", 5, "it must be one of hour, day, week, month."),
        ("Europe/Berlin", "Europe/Berlni", 4, "a time zone as in Europe/Berlin (perhaps Europe/Berlin)."),
        ('zone = "Europe/Berlin"', "zone = {}", 4, "a time zone as in Europe/Berlin"),
        (
            'models = ["easel-tiny"]',
            'models = ["easel-tny"]',
            7,
            "a list of easel-tiny (perhaps easel-tiny).",
        ),
        ('models = ["easel-tiny"]', 'models = "easel-tiny"', 7, 'a list of models, as in ["easel-tiny"].'),
        ('title = "Everyone"', "title = 5", 10, "a text of 1 to 64 characters, in quotation marks."),
        ('title = "Everyone"', "allowances = 5", 10, "a list, as in [{ seconds = 3600"),
        ("[team]", "[Everyone]", 9, "there are two tiers called everyone: rename one."),
        ("[team]", "[none]", 1, "a tier cannot be called none"),
        ("[team]", '["a b"]', 1, "a tier's name has 1 to 32 letters, digits and hyphens"),
        ("[team]", "weight = 3\n[team]", 1, "weight = 3 is in no tier: put it under one, as in [team]."),
    ],
)
def test_a_mistake_is_told_with_its_line_value_and_remedy(
    before: str, after: str, line: int, said: str
) -> None:
    assert SMALL.count(before) == 1
    with pytest.raises(SettingError) as caught:
        tiers.read(SMALL.replace(before, after), "t.toml", ["easel-tiny"])
    assert str(caught.value).startswith("t.toml, ")
    assert f"line {line}: " in str(caught.value)
    assert said in str(caught.value)


def test_two_tiers_of_one_name() -> None:
    with pytest.raises(SettingError, match=r"two tiers are called team \(line 12\)\. Rename one\."):
        tiers.read(f"{SMALL}\n[team]\n", "t.toml")


def test_a_file_without_everyone_or_of_no_sense() -> None:
    with pytest.raises(SettingError, match=r"add a table \[everyone\]"):
        tiers.read("[team]\n", "t.toml")
    for text in ("[team", "\x00", "a" * 10_000):
        with pytest.raises(SettingError, match=r"t\.toml is not valid TOML"):
            tiers.read(text, "t.toml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.toml", tmp_path / "odd.toml", tmp_path):
        with pytest.raises(SettingError, match=f"TIERS_FILE={path} cannot be read"):
            tiers.load(path)
    (tmp_path / "mine.toml").write_text(SHIPPED, encoding="utf-8")
    assert tiers.load(tmp_path / "mine.toml") == tiers.load()
