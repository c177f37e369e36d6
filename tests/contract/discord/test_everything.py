"""Every command and every button there is: each is acknowledged, answered, and answered with sense."""

from __future__ import annotations

from functools import partial
from typing import Any

from bot import actions, commands
from bot.adapters.discord.handlers import BROKEN
from bot.options import Command, Option
from tests.contract.discord.conftest import png
from tests.contract.discord.line import Connects, Line
from tests.contract.discord.wire import ADA, CHANNEL, Message, Pick, member

BEN, ROLE = 4002, 7001
MANAGER = {"member": member(permissions=1 << 5)}
LAST = ("admin pause", "admin drain", "admin resume", "cancel", "privacy delete")
"""Commands after which others are answered differently."""


def option(each: Option, job: str) -> Any:
    """A value of the kind that Discord sends."""
    match each.kind:
        case "person":
            return Pick(6, BEN)
        case "role":
            return Pick(8, ROLE)
        case "channel":
            return Pick(7, CHANNEL)
        case "boolean":
            return False
        case "integer":
            return 1
        case "number":
            return float(each.example or 1)
    if each.choices:
        return each.choices[0]
    return (
        job if each.name == "job" else {"code": "AAAAA-BBBBB"}.get(each.name, each.example.strip('"') or "x")
    )


def options(command: Command, job: str) -> dict[str, Any]:
    """All of a command's options, but for files and those that exclude another."""
    left_out = {"size", "source", "strength"} if command.name == "imagine" else {"size"}
    return {
        each.name: option(each, job)
        for each in command.options
        if each.kind != "picture" and (each.required or each.name not in left_out)
    }


async def answer(line: Line, token: str) -> str:
    """What an interaction got: the text of its answer, or the title of its form."""

    def there() -> str:
        if token in line.wire.modals:
            return str(line.wire.modals[token]["title"])
        found = line.wire.aside(token)
        return found.text if found and found.text != "One moment." else ""

    text: str = await line.wire.until(there)
    assert line.wire.callbacks[token][1] < 10.0
    return text


async def test_every_command_is_answered(line: Line) -> None:
    await line.painted()
    job = await line.ended()
    known = {each.name: each for each in commands.COMMANDS}
    for name in (*(known.keys() - set(LAST)), *LAST):
        files = {"source": png()} if name == "edit" else {}
        given = options(known[name], job.id)
        token = (
            await line.wire.slash(name, files=files, **given)
            if files
            else await line.wire.command(name, MANAGER, **given)
        )

        text = await answer(line, token)
        assert text and text != BROKEN and "changed since" not in text, name


async def test_every_command_without_what_it_does_not_need_is_answered(line: Line) -> None:
    for command in commands.COMMANDS:
        if not any(each.required for each in command.options):
            token = await line.wire.command(command.name, MANAGER)
            text = await answer(line, token)
            assert text and text != BROKEN, command.name


async def test_every_button_is_answered(connected: Connects) -> None:
    pressed: set[str] = set()

    async def press(message: Message, label: str) -> str:
        pressed.add(message.buttons[label].split(":")[1])
        token = await line.wire.press(message, label, **MANAGER)
        text = await answer(line, token)
        assert text != BROKEN, label
        return token

    async def press_what_is_new(message: Message | None) -> None:
        """Press whatever a card that answered a press has besides, and so on."""
        for label, id in list(message.buttons.items()) if message else ():
            if id.split(":")[1] not in pressed:
                await press_what_is_new(line.wire.aside(await press(message, label)))  # type: ignore[arg-type]

    async with connected() as line:
        tier = {"person": Pick(6, ADA), "tier": "team"}  # more than four pictures at once
        await answer(line, await line.wire.command("admin tier person", MANAGER, **tier))
        done = await line.painted()
        enlarged = await line.wire.answered(await press(done, "U1"), "4×")
        for message in (done, enlarged):
            more = line.wire.aside(await press(message, "⋯"))
            assert more
            for shown in (message, more):
                for label in shown.buttons.keys() - {"Delete", "⋯"}:
                    await press_what_is_new(line.wire.aside(await press(shown, label)))
        many = await line.painted("a fox", count=8)
        for label in ("1", "8"):
            await press(many, label)
        await press(await line.painted("a fox --draft", count=1), "Paint in full")
        listed = await line.wire.answered(await line.wire.slash("history"), "Images")
        await press(listed, "1")
        await press(more, "Delete")

        refused = await line.wire.slash("imagine", prompt="a fox", count=16)
        await press(await line.wire.until(lambda: _with(line, refused, "Make 8 images")), "Make 8 images")
        refused = await line.wire.slash("imagine", prompt=f"a fox {'in snow ' * 20}", count=16)
        await press(await line.wire.until(lambda: _with(line, refused, "Make 8 images")), "Make 8 images")
        asked = await line.wire.command("setup", MANAGER)
        await press(await line.wire.until(lambda: _with(line, asked, "Skip")), "Skip")
        asked = await line.wire.slash("privacy delete")
        await press(
            await line.wire.until(lambda: _with(line, asked, "Delete everything")), "Delete everything"
        )

        for label in ("Cancel", "Start 2 jobs"):
            asked = await line.wire.slash("imagine", prompt="a {red, blue} car --count 1")
            await press(await line.wire.until(partial(_with, line, asked, "Start 2 jobs")), label)

        elsewhere = {
            *("share", "keep", "remove", "paint"),  # of Slack; reports; words
            "cancel_series",  # of waiting jobs
            "square",  # of images that are not
            *("edit_words", "former_words"),  # of words that were rewritten
            *("which", "which_form"),  # of several images
            *("enter", "enter_image", "contest_entry", "vote", "report_entry"),  # of contests
        }
        assert pressed == actions.SPECS.keys() - elsewhere


def _with(line: Line, token: str, label: str) -> Message | None:
    message = line.wire.aside(token)
    return message if message and label in message.buttons else None
