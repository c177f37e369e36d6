"""Cards as Slack shows them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from bot.adapters.slack.layout import blocks, escape, job_of, summary, with_share
from bot.messages.types import Bar, Button, Card, CardPicture

GRID = CardPicture(alt="a fox", width=64, height=64, blob="grid")
FIRST = CardPicture(alt="a fox, image 1", width=32, height=32, blob="first")


def words(made: list[dict[str, Any]]) -> list[str]:
    return [block["text"]["text"] for block in made if block["type"] == "section"]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<@U1> & <#C1>", "&lt;@U1&gt; &amp; &lt;#C1&gt;"),
        ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
        ("@here stays text", "@here stays text"),
        ("/queue and /imagine", "/easel queue and /imagine"),
        ("and/or 1/2 a/queue", "and/or 1/2 a/queue"),
        ("/admin person unblock", "/easel admin person unblock"),
        ("/admin unblock", "/easel admin unblock"),
        ("/queued", "/queued"),
    ],
)
def test_text_pings_nobody_and_names_commands_as_typed_here(typed: str, shown: str) -> None:
    assert escape(typed) == shown


def test_a_result_is_its_title_its_facts_the_grid_and_its_buttons() -> None:
    row = (Button(id="v1:again:1a2b", label="Again", name="Paint it again", icon="🔁"),)
    card = Card(kind="done", title="a fox", facts=("seed 7",), pictures=(GRID, FIRST), rows=(row,))

    made = blocks(card, {"grid": "F1", "first": "F2"})

    assert [block["type"] for block in made] == ["rich_text", "context", "image", "actions"]
    (title,) = made[0]["elements"][0]["elements"]
    assert title == {"type": "text", "text": "a fox", "style": {"bold": True}}
    assert made[2] == {"type": "image", "slack_file": {"id": "F1"}, "alt_text": "a fox"}
    assert made[3]["elements"][0]["action_id"] == "v1:again:1a2b"


def test_a_picture_without_a_file_is_left_out() -> None:
    made = blocks(Card(kind="done", title="a fox", pictures=(GRID,)))

    assert [block["type"] for block in made] == ["rich_text"]


def test_a_list_shows_each_picture_beside_its_line() -> None:
    card = Card(kind="text", title="Pictures", body=("1. a fox", "2. a wolf"), pictures=(GRID, FIRST))

    made = blocks(card, {"grid": "F1", "first": "F2"})

    assert [block.get("accessory", {}).get("slack_file") for block in made[1:]] == [
        {"id": "F1"},
        {"id": "F2"},
    ]


def test_progress_is_a_bar() -> None:
    made = blocks(Card(kind="painting", title="a fox", bar=Bar(done=0.5, label="2 of 4 steps")))

    assert made[1]["elements"][0]["text"] == "▰▰▰▰▱▱▱▱ 2 of 4 steps"


def test_only_a_private_result_can_be_shared() -> None:
    private = Card(kind="done", title="a fox", job="1a2b", private=True)

    assert with_share(private).more[-1].id == "v1:share:1a2b"
    for other in (
        Card(kind="done", title="a fox", job="1a2b"),
        Card(kind="painting", title="a fox", job="1a2b", private=True),
        Card(kind="text", body=("none",), private=True),
    ):
        assert with_share(other) == other


def test_a_message_names_its_job() -> None:
    row = (Button(id="v1:try:a fox", label="Try", name="Try"), Button(id="v1:info:1a2b", label="i", name="i"))
    card = Card(kind="done", title="a fox", rows=(row,))

    assert job_of({"blocks": blocks(card)}) == "1a2b"
    assert job_of({"blocks": [{"type": "actions", "elements": [{"action_id": "other:thing"}]}]}) == ""
    assert job_of({}) == job_of({"blocks": None}) == job_of({"blocks": ["x", 7]}) == ""


TEXT = st.text(alphabet="*_~`<>&@ab\n:/é\u200b\u202e🦊", max_size=5000)


@given(TEXT, st.lists(TEXT, max_size=6), st.lists(TEXT, max_size=3))
def test_any_card_is_within_slack_s_limits(title: str, body: list[str], facts: list[str]) -> None:
    row = (Button(id="v1:info:1a2b", label="x" * 90, name="y" * 200),)
    card = Card(kind="text", title=title, body=tuple(body), facts=tuple(facts), pictures=(GRID,), rows=(row,))

    made = blocks(card, {"grid": "F1"})

    for block in made:
        parsed = Block.parse(block)
        assert parsed is not None
        parsed.validate_json()
    texts = words(made) + [block["elements"][0]["text"] for block in made if block["type"] == "context"]
    assert all(0 < len(text) <= 3000 for text in texts)
    assert sum(map(len, texts)) < 13_000 and len(made) <= 50
    assert not [text for text in texts if "<" in text]
    assert 0 < len(summary(card)) <= 4000 and "<" not in summary(card)
    json.dumps(made)
