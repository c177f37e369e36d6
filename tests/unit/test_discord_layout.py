"""Cards as Discord shows them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot.adapters.discord import layout
from bot.adapters.discord.layout import MAX_TEXT, escape, show, text
from bot.images import pictures
from bot.messages.types import Bar, Button, Card, CardPicture
from bot.provenance import keys


def noise(side: int) -> bytes:
    """A PNG that does not compress."""
    out = io.BytesIO()
    Image.effect_noise((side, side), 90).convert("RGB").save(out, "PNG")
    return out.getvalue()


async def components(card: Card) -> Any:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        return noise(8), "image/png"

    view, _ = (await show(card, fitted)).message()
    return view.to_components()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("**bold** and `code`", "\\*\\*bold\\*\\* and \\`code\\`"),
        ("@everyone <@123> <#4>", "\\@everyone \\<\\@123\\> \\<#4\\>"),
        ("# heading", "\\# heading"),
        ("a #hash - dash, 16:9", "a #hash - dash, 16:9"),
        ("https://example.org", "https\\://example.org"),
        ("[link](https://x.y)", "\\[link\\](https\\://x.y)"),
        ("||spoiler|| ~~no~~", "\\|\\|spoiler\\|\\| \\~\\~no\\~\\~"),
    ],
)
def test_what_is_typed_is_shown_as_typed(typed: str, shown: str) -> None:
    assert escape(typed) == shown


@given(st.text(alphabet="*_@<#\\ ab\n:/é", max_size=6000), st.lists(st.text(max_size=900), max_size=12))
def test_no_text_is_longer_than_a_message_takes(title: str, body: list[str]) -> None:
    shown = text(Card(kind="text", title=title, facts=("seed 7",), body=tuple(body)))

    assert 1 <= len(shown) <= MAX_TEXT


def test_a_card_s_text_is_its_title_its_bar_its_facts_and_its_body() -> None:
    card = Card(kind="painting", title="a fox", bar=Bar(done=0.5, label="2 of 4 steps"), facts=("about 8 s",))

    assert text(card) == "**a fox**\n▰▰▰▰▱▱▱▱ 2 of 4 steps · about 8 s"


async def test_the_largest_card_keeps_to_the_limits() -> None:
    buttons = tuple(Button(id=f"v1:info:{n:0>80}", label="V1 subtle", name="x", icon="🎲") for n in range(5))
    several = tuple(CardPicture(alt="a" * 5000, width=8, height=8, blob=str(n)) for n in range(17))
    card = Card(kind="done", title="x" * 4000, pictures=several, rows=(buttons,) * 5, job="1a")

    (container,) = await components(card)

    nested = [each for row in container["components"] for each in row.get("components", [])]
    assert 1 + len(container["components"]) + len(nested) <= 40
    (gallery,) = [each for each in container["components"] if each["type"] == 12]
    assert [len(each["description"]) for each in gallery["items"]] == [1024]


async def test_up_to_four_pictures_are_shown_one_by_one_and_more_as_their_grid() -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        return blob.encode(), "image/png"

    def card(count: int) -> Card:
        grid = CardPicture(alt="a fox", width=8, height=8, blob="grid")
        single = [CardPicture(alt=f"a fox, {n}", width=8, height=8, blob=f"{n}") for n in range(count)]
        return Card(kind="done", title="a fox", pictures=(grid, *single), job="1a")

    assert [data for _, data, _ in (await show(card(4), fitted)).files] == [b"0", b"1", b"2", b"3"]
    for many in (5, 9, 16):
        assert [data for _, data, _ in (await show(card(many), fitted)).files] == [b"grid"]


@pytest.mark.parametrize("jobs", [1, 3, 5, 10])
async def test_a_list_shows_a_picture_of_every_job(jobs: int) -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        return blob.encode(), "image/png"

    several = tuple(CardPicture(alt=f"prompt {n}", width=8, height=8, blob=f"{n}") for n in range(jobs))
    listed = await show(Card(kind="text", title="Pictures", pictures=several), fitted)

    assert [data for _, data, _ in listed.files] == [f"{n}".encode() for n in range(jobs)]


async def test_pictures_are_made_to_fit_and_else_a_sentence_says_so() -> None:
    large, nobody = noise(400), keys.Keys(*keys.make(), mark=b"")

    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        return await pictures.fit(large, limit, nobody)

    card = Card(kind="done", title="a fox", pictures=(CardPicture(alt="a", width=1, height=1, blob="b"),))
    fitting, hopeless = await show(card, fitted, 60_000), await show(card, fitted, 10)

    ((name, data, _),) = fitting.files
    assert name.endswith(".webp") and len(data) <= 60_000
    assert hopeless.files == () and "too large for Discord" in text(card, hopeless.note)


@pytest.mark.parametrize(
    ("studio", "instead"),
    [
        (True, "Get it in the web studio: /studio opens it."),
        (False, "Whoever runs this Easel can hand it to you."),
    ],
)
async def test_the_web_studio_is_named_only_where_it_can_be_reached(studio: bool, instead: str) -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        raise ValueError

    picture = CardPicture(alt="a", width=1, height=1, blob="b")
    painted = await show(Card(kind="done", title="a fox", pictures=(picture,)), fitted, studio=studio)
    copied = await show(Card(kind="text", title="x", files=(("a.zip", b"123456"),)), fitted, 5, studio=studio)

    too_large = "The image is too large for Discord here, even when compressed."
    assert painted.note == f"{too_large} {instead}"
    assert copied.note == f"The file is too large for Discord here. {instead}"


async def test_a_picture_that_is_gone_leaves_a_card() -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        raise KeyError(blob)

    card = Card(kind="done", title="a fox", pictures=(CardPicture(alt="a", width=1, height=1, blob="b"),))
    view, files = (await show(card, fitted)).message()

    assert files == [] and "is gone" in str(view.to_components())


async def test_a_preview_is_shown_as_it_is() -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        raise AssertionError("a preview is not stored")

    picture = CardPicture(alt="a", width=1, height=1, preview=b"webp")
    shown = await show(Card(kind="painting", title="a", job="1a", pictures=(picture,)), fitted)

    assert shown.files == (("1a-1.webp", b"webp", "a"),)


@pytest.mark.parametrize("kind", ["png", "webp"])
async def test_a_file_has_a_telling_name_and_it_is_said_when_it_was_compressed(kind: str) -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        return b"", f"image/{kind}"

    picture = CardPicture(alt="a", width=1, height=1, blob="b", name="red-fox_7_1")
    shown = await show(Card(kind="done", title="a", job="1a", pictures=(picture,)), fitted, studio=True)

    assert [name for name, _, _ in shown.files] == [f"red-fox_7_1.{kind}"]
    said = "Compressed to fit Discord; the original is kept as it is. Get it in the web studio: "
    assert shown.note.startswith(said) if kind == "webp" else not shown.note


async def test_a_card_can_be_sent_twice() -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        return b"png", "image/png"

    picture = CardPicture(alt="a", width=1, height=1, blob="b")
    shown = await show(Card(kind="done", title="a", pictures=(picture,)), fitted)

    for _ in range(2):
        view, (file,) = shown.message()
        assert file.fp.read() == b"png" and view.is_finished()


def test_the_least_limit_is_discord_s() -> None:
    assert layout.LEAST_LIMIT == 10_485_760


async def test_a_file_is_attached_where_it_fits() -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        raise AssertionError("there is no picture")

    card = Card(kind="text", title="The ledger", files=(("ledger.csv", b"at,amount\r\n"),))
    fitting, hopeless = await show(card, fitted), await show(card, fitted, 5)

    view, (file,) = fitting.message()
    assert (file.filename, file.fp.read()) == ("ledger.csv", b"at,amount\r\n")
    assert "attachment://ledger.csv" in str(view.to_components())
    assert hopeless.message()[1] == [] and "file is too large" in text(card, hopeless.note)


@pytest.mark.parametrize(
    ("kind", "facts", "shown"),
    [
        ("done", ("seed 7",), "seed 7 · [from an earlier image](https://d.d/1)"),
        ("upscaled", ("4×", "from_there"), "4× · [from\\_there](https://d.d/1)"),
    ],
)
def test_where_a_picture_came_from_is_a_link(kind: Any, facts: tuple[str, ...], shown: str) -> None:
    assert text(Card(kind=kind, facts=facts), parent="https://d.d/1") == shown


async def test_files_that_do_not_fit_into_one_message_are_said_to_be_missing() -> None:
    async def fitted(blob: str, limit: int) -> tuple[bytes, str]:
        raise KeyError(blob)

    many = tuple((f"{n}.png", b"png") for n in range(16))
    shown = await show(Card(kind="text", title="a", files=many), fitted)
    assert len(shown.card.files) == 10 and shown.note.startswith("Not all of the files fit into one message")

    large = tuple((f"{n}.png", bytes(9_000_000)) for n in range(4))
    shown = await show(Card(kind="text", title="a", files=large), fitted)
    assert [name for name, _ in shown.card.files] == ["0.png", "1.png"]
