from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import commands
from bot.commands import COMMANDS, Command, Option, Unusable
from bot.errors import Refusal

OPTIONS = [pytest.param(c, o, id=f"{c.name}-{o.name}") for c in COMMANDS for o in c.options]


def test_names_are_unique_and_fit_every_platform() -> None:
    names = [command.name for command in COMMANDS]
    assert len(set(names)) == len(names)
    for command in COMMANDS:
        assert re.fullmatch(r"[-_a-z0-9]{1,32}", command.name)
        assert 1 <= len(command.help) <= 100
        assert len(command.options) <= 25


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_options_fit_every_platform(command: Command, option: Option) -> None:
    assert re.fullmatch(r"[-_a-z0-9]{1,32}", option.name)
    assert 1 <= len(option.help) <= 100
    assert len(option.choices) <= 25
    assert not option.choices or option.kind == "text"
    if option.kind == "integer":
        assert option.minimum is not None and option.maximum is not None


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_required_options_come_first_and_flags_are_unique(command: Command) -> None:
    required = [option.required for option in command.options]
    assert required == sorted(required, reverse=True)
    flags = [flag for option in command.options for flag in {*option.flags, option.name}]
    assert len(set(flags)) == len(flags)


def test_a_flag_is_found_by_each_of_its_names() -> None:
    imagine = commands.command("imagine")
    for flag, name in [("ar", "aspect"), ("ASPECT", "aspect"), ("no", "negative"), ("n", "count")]:
        option = imagine.by_flag(flag)
        assert option is not None and option.name == name
    assert imagine.by_flag("chaos") is None


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    [
        ("seed", "7", 7),
        ("seed", 7.0, 7),
        ("seed", " 4294967295 ", 2**32 - 1),
        ("guidance", "7,5", 7.5),
        ("guidance", 5, 5.0),
        ("private", "Yes", True),
        ("private", False, False),
        ("negative", "text", "text"),
        ("source", b"\x89PNG", b"\x89PNG"),
    ],
)
def test_values_are_read(name: str, value: object, typed: object) -> None:
    option = commands.command("imagine").option(name)
    assert option is not None
    read = commands.read(option, value)
    assert read == typed and type(read) is type(typed)


@pytest.mark.parametrize(
    ("name", "value", "said", "nearest"),
    [
        ("seed", -1, "Seed can be 0 to 4294967295; you asked for -1.", "0"),
        ("seed", 2**32, "Seed can be 0 to 4294967295; you asked for 4294967296.", "4294967295"),
        ("seed", "9" * 5000, "Seed can be 0 to 4294967295", "4294967295"),
        ("seed", "seven", "takes a whole number from 0 to 4294967295; “seven” is not one.", ""),
        ("seed", 7.5, "“7.5” is not one", ""),
        ("seed", True, "“True” is not one", ""),
        ("steps", 0, "Steps can be 1 to 150; you asked for 0.", "1"),
        ("guidance", math.nan, "takes a number from 0 to 30", ""),
        ("guidance", "inf", "Guidance can be 0 to 30; you asked for inf.", "30"),
        ("strength", "1.01", "Strength can be 0 to 1; you asked for 1.01.", "1"),
        ("private", "maybe", "Private can be yes or no; “maybe” is neither.", ""),
        ("negative", 7, "Negative takes text.", ""),
        ("negative", "x" * 4001, "Negative may have 4,000 characters; this has 4,001.", ""),
    ],
)
def test_what_cannot_be_used_says_what_can(name: str, value: object, said: str, nearest: str) -> None:
    option = commands.command("imagine").option(name)
    assert option is not None
    with pytest.raises(Unusable) as caught:
        commands.read(option, value)
    assert said in str(caught.value)
    assert caught.value.nearest == nearest


def test_check_types_all_options_and_leaves_out_what_was_not_said() -> None:
    said = commands.check("vary", {"job": "abc", "picture": "2", "strength": "Strong"})
    assert said == {"job": "abc", "picture": 2, "strength": "strong"}
    assert commands.check("history", {"search": "  ", "style": None}) == {}


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("vary", {}, "/vary needs a job, for example 1a2b3c4d5e6f."),
        (
            "vary",
            {"job": "abc", "strength": "huge"},
            "Strength can be subtle or strong; you asked for “huge”.",
        ),
        ("vary", {"jop": "abc"}, "There is no option of /vary called jop. Did you mean job?"),
        ("queue", {"all": True}, "There is no option of /queue called all. It takes none."),
        ("imagin", {}, "There is no command /imagin. Did you mean /imagine?"),
        ("zzz", {}, "There is no command /zzz. /help lists the commands."),
    ],
)
def test_check_refuses_with_one_sentence_that_helps(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(Refusal) as caught:
        commands.check(name, options)
    assert caught.value.notice == said


@given(
    option=st.sampled_from([option for command in COMMANDS for option in command.options]),
    value=st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.binary(), st.none()),
)
def test_any_value_is_read_or_refused(option: Option, value: object) -> None:
    try:
        read = commands.read(option, value)
    except Unusable as error:
        assert str(error)
    else:
        assert isinstance(read, str | int | float | bytes)


def test_strength_0_is_allowed_and_promises_no_copy() -> None:
    strength = commands.command("imagine").option("strength")
    assert strength and commands.read(strength, "0") == 0
    assert "0 changes almost nothing" in strength.help
