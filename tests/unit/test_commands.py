from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import commands
from bot.commands import COMMANDS
from bot.commands.admin import PERSON
from bot.errors import Refusal
from bot.options import Command, Option, Unusable, read_value

OPTIONS = [pytest.param(c, o, id=f"{c.name}-{o.name}") for c in COMMANDS for o in c.options]


def test_names_are_unique_and_fit_every_platform() -> None:
    names = [command.name for command in COMMANDS]
    assert len(set(names)) == len(names)
    for command in COMMANDS:
        assert all(re.fullmatch(r"[-_a-z0-9]{1,32}", word) for word in command.name.split())
        assert 1 <= len(command.help) <= 100
        assert len([each for each in command.options if not getattr(each, "command", "")]) <= 25


def test_a_group_fits_every_platform_and_administration_is_one() -> None:
    groups = {command.group for command in COMMANDS} - {""}
    assert "admin" in groups
    for each in groups:  # a group inside takes one of the 25 places
        inside = {command.name.removeprefix(f"{each} ").split()[0] for command in commands.group(each)}
        assert len(inside) <= 25
    assert all(command.admin for command in COMMANDS if command.group.startswith("admin"))
    assert all(command.admin for command in COMMANDS if command.operator)
    assert commands.group("nothing") == ()


@pytest.mark.parametrize(
    ("line", "name", "rest"),
    [
        ("imagine a fox", "imagine", "a fox"),
        ("  ADMIN   Person  Gift  discord:5 600 ", "admin person gift", "discord:5 600"),
        ("  ADMIN   Gift  discord:5 600 ", "admin person gift", "discord:5 600"),  # as it was before
        ("admin tier discord:5 team", "admin tier person", "discord:5 team"),
        ("admin tier person discord:5 team", "admin tier person", "discord:5 team"),
        ("admin budget 7200", "admin quota budget", "7200"),
        ("admin review", "reports", ""),
        ("queue", "queue", ""),
    ],
)
def test_a_typed_line_begins_with_a_command(line: str, name: str, rest: str) -> None:
    command, found = commands.find(line)
    assert (command.name, found) == (name, rest)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("admin", "There is no command /admin."),
        ("admin gfit x", "There is no command /admin gfit. Did you mean /admin person gift?"),
        ("", "There is no command /."),
    ],
)
def test_a_line_that_begins_with_none_is_refused(line: str, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        commands.find(line)
    assert caught.value.notice.startswith(said)


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("person", "<@!123>", "123"),
        ("person", "<@U1|ada>", "U1"),
        ("person", "discord:123", "discord:123"),
        ("person", " @ada ", "ada"),
        ("role", "<@&77>", "77"),
        ("role", "<!subteam^S1|@team>", "S1"),
        ("channel", "<#C1|general>", "C1"),
        ("channel", "#general", "general"),
    ],
)
def test_mentions_of_every_platform_are_understood(name: str, value: str, id: str) -> None:
    assert read_value(Option(name=name, kind=name, help="x", maximum=100), value) == id  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["@", "<@>", "<@1", "a\u202eb", "<script>", "x" * 101])
def test_what_names_nobody_is_refused(value: str) -> None:
    with pytest.raises(Unusable):
        read_value(PERSON, value)


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "0", "1e300", "plenty", True, None])
def test_a_gift_is_a_sensible_number(value: object) -> None:
    with pytest.raises(Refusal):
        commands.check("admin gift", {"person": "discord:5", "seconds": value})


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
    read = read_value(option, value)
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
        read_value(option, value)
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
        read = read_value(option, value)
    except Unusable as error:
        assert str(error)
    else:
        assert isinstance(read, str | int | float | bytes)


def test_strength_0_is_allowed_and_promises_no_copy() -> None:
    strength = commands.command("imagine").option("strength")
    assert strength and read_value(strength, "0") == 0
    assert "0 changes almost nothing" in strength.help
