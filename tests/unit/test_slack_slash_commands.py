"""What is typed after /easel, and Slack's own marks in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import commands
from bot.adapters.slack.slash_commands import plain, read
from bot.errors import Refusal


@pytest.mark.parametrize(
    ("typed", "name", "options"),
    [
        ("", "help", {}),
        ("queue", "queue", {}),
        ("/queue", "queue", {}),
        ("  QUEUE  ", "queue", {}),
        ("imagine a fox --ar 16:9", "imagine", {"prompt": "a fox --ar 16:9"}),
        ("cancel 1a2b3c4d5e6f", "cancel", {"job": "1a2b3c4d5e6f"}),
        ("history red fox", "history", {"search": "red fox"}),
        ("history red fox everyone", "history", {"search": "red fox", "everyone": "yes"}),
        ("vary 1a2b 2 strong", "vary", {"job": "1a2b", "picture": "2", "strength": "strong"}),
        ("vary 1a2b strong", "vary", {"job": "1a2b", "strength": "strong"}),
        ("vary job=1a2b strength: strong", "vary", {"job": "1a2b", "strength": "strong"}),
        ('settings style="oil painting" count=2', "settings", {"style": "oil painting", "count": "2"}),
        ("settings style=“oil painting” private", "settings", {"style": "oil painting", "private": "yes"}),
        ("settings --private no --count 3", "settings", {"private": "no", "count": "3"}),
        ("settings private:True", "settings", {"private": "True"}),
        ("help admin gift", "help", {"command": "admin gift"}),
        ("link leave", "link", {"leave": "yes"}),
        ("admin pause", "admin pause", {}),
        ("admin gift <@U2ADA|ada> 600", "admin person gift", {"person": "slack:T1:U2ADA", "seconds": "600"}),
        (
            "admin gift seconds=600 <@U2ADA>",
            "admin person gift",
            {"person": "slack:T1:U2ADA", "seconds": "600"},
        ),
        ("admin block <@U2ADA> 24 being rude", "admin person block", None),
        ("admin role <!subteam^S1|@design> team", "admin tier role", {"role": "S1", "tier": "team"}),
        ("admin channel <#C1|general> refuse", "admin set channel", {"channel": "C1", "rule": "refuse"}),
    ],
)
def test_a_line_is_a_command_and_its_options(typed: str, name: str, options: dict[str, str] | None) -> None:
    said, found = read(typed, "T1")

    assert said == name
    if options is None:
        assert found == {"person": "slack:T1:U2ADA", "hours": "24", "reason": "being rude"}
    else:
        assert found == options


@pytest.mark.parametrize(
    ("typed", "notice"),
    [
        ("histroy", "Did you mean /history?"),
        ("admin gfit", "There is no command"),
        ("show 1a2b extra words job=2", "given twice|too much"),
        ("queue now", "too much for /easel queue"),
        ("settings --colour red", "There is no option of settings called"),
        ("vary job=1 job=2", "given twice"),
    ],
)
def test_what_cannot_be_understood_is_refused(typed: str, notice: str) -> None:
    with pytest.raises(Refusal, match=notice.replace("?", r"\?")):
        name, options = read(typed, "T1")
        commands.check(name, options)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a fox", "a fox"),
        ("&lt;!channel&gt; &amp;amp;", "<!channel> &amp;"),
        ("<!channel> <!here|here>", "@channel here"),
        ("<!subteam^S1|@design>", "@design"),
        ("<@U1|ada> and <@U2>", "@ada and @someone"),
        ("<#C1|general> and <#C2>", "#general and #channel"),
        ("<https://example.org|a page> <https://example.org>", "a page https://example.org"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("1 < 2 > 1", "1 < 2 > 1"),
    ],
)
def test_slack_s_marks_become_what_was_typed(sent: str, shown: str) -> None:
    assert plain(sent) == shown


@given(st.text(alphabet='ab 12"“=:-<>@#!|&;\u200b\u202e', max_size=80))
def test_any_line_is_read_or_refused(typed: str) -> None:
    try:
        name, _ = read(typed, "T1")
    except Refusal as refusal:
        assert refusal.notice.endswith((".", "?"))
    else:
        assert commands.command(name)


@given(
    st.lists(
        st.sampled_from(["history", "settings", "vary", "x=1", "--count", "2", '"', "private"]), max_size=8
    )
)
def test_lines_of_known_words_are_read_or_refused(words: list[str]) -> None:
    try:
        _, options = read(" ".join(words), "T1")
    except Refusal:
        return
    assert all(isinstance(value, str) for value in options.values())
