"""Names and times in a card's text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.adapters.discord.layout import escape as discord
from bot.adapters.slack.layout import escape as slack
from bot.i18n import _
from bot.i18n.speech import say
from bot.messages import answers, marks

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
SOON = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("mark", "plain", "on_discord", "on_slack"),
    [
        (marks.person("discord:42", "Ben"), "Ben", "<@42>", "Ben"),
        (marks.person("slack:T1:U2ADA", "Ada"), "Ada", "Ada", "<@U2ADA>"),
        (marks.person("web:a|b*"), "web:a|b*", "web:a\\|b\\*", "web:a|b*"),
        (marks.role("7001"), "7001", "<@&7001>", "7001"),
        (marks.role("S1DESIGN"), "S1DESIGN", "S1DESIGN", "<!subteam^S1DESIGN>"),
        (marks.channel("3001"), "3001", "<#3001>", "3001"),
        (marks.channel("C1GENERAL"), "C1GENERAL", "C1GENERAL", "<#C1GENERAL>"),
        (
            answers.when(SOON, NOW),
            "14:30 UTC",
            f"<t:{SOON.timestamp():.0f}:f>",
            f"<!date^{SOON.timestamp():.0f}^{{date_short_pretty}} {{time}}|14:30 UTC>",
        ),
    ],
    ids=["discord", "slack", "web", "role", "group", "channel", "slack channel", "time"],  # marks are random
)
def test_each_surface_draws_names_and_times_in_its_way(
    mark: str, plain: str, on_discord: str, on_slack: str
) -> None:
    text = _("*{who}* <b>", who=mark)

    assert marks.plain(text) == f"*{plain}* <b>"
    assert discord(text) == f"\\*{on_discord}\\* \\<b\\>"
    assert slack(text) == f"*{on_slack}* &lt;b&gt;"


def test_a_message_with_marks_is_translated() -> None:
    text = _("until {when}", when=answers.when(SOON, NOW))

    assert marks.plain(say(text, "de")) == "bis 14:30 UTC"
    assert discord(say(text, "de")) == f"bis <t:{SOON.timestamp():.0f}:f>"


def test_nothing_that_people_type_is_taken_for_a_mark() -> None:
    forged = "\ue000person discord:42|Ben\ue001"

    assert marks.plain(forged) == forged
    assert "<@" not in discord(forged) and "<@" not in slack(forged)


def test_a_mark_that_was_cut_leaves_its_words_or_nothing() -> None:
    text = marks.person("discord:42", "Benjamin")

    assert marks.plain(text[:-3]) == "Benjam"
    assert marks.plain(text[:20]) == ""


def test_a_mark_becomes_words_where_a_mention_would_ping() -> None:
    text = marks.named(
        _("{who} in {where}", who=marks.person("slack:T1:U2ADA", "Ada"), where=marks.channel("C1X22"))
    )

    assert slack(text) == "Ada in <#C1X22>"
