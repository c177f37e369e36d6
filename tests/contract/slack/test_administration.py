"""Who may steer Easel in a workspace, and every command that the vocabulary has."""

from __future__ import annotations

import io
import zipfile

import pytest

from bot.commands import COMMANDS
from bot.models import State
from bot.options import Command
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.state import ADA, BOSS, BOT, GENERAL, RANDOM, Fault, Message

BROKEN = ("could not do that", "There is no command", "is too much for")
NEW_MESSAGE = {"upscale", "vary", "extend", "region", "cancel"}
ANSWERED = [each for each in COMMANDS if each.name not in NEW_MESSAGE | {"imagine"}]


def line_of(command: Command, job: str) -> str:
    """The command as somebody in Slack types it: its example, or what it needs."""
    needed = [each.example for each in command.options if each.required]
    line = command.examples[0] if command.examples else " ".join(needed)
    for named, here in (
        ("1a2b3c4d5e6f", job),
        ("discord:123", "<@U3BEN|ben>"),
        ("#general", f"<#{GENERAL}|general>"),
        ("#spring-campaign", f"<#{RANDOM}|random>"),
        ("easel-tiny", "memory"),
    ):
        line = line.replace(named, here)
    return f"/easel {command.name} {line}".strip()


async def answer(house: House, line: str, person: str = BOSS, channel: str = GENERAL) -> Message:
    """What a command is answered, for the eyes of the one who asked."""
    before = len(house.wire.messages)
    who = house.boss if person == BOSS else house.ada
    await who.slash(line, channel)

    def there() -> Message | None:
        new = list(house.wire.messages.values())[before:]
        return next((m for m in new if m.user == BOT and (m.only == person or _direct(house, m))), None)

    return await house.wire.until(there)


def _direct(house: House, message: Message) -> bool:
    return house.wire.channels[message.channel].kind == "im"


@pytest.mark.parametrize("command", ANSWERED, ids=[each.name for each in ANSWERED])
async def test_every_command_is_answered_privately(opened: Opens, command: Command) -> None:
    async with opened(operators=("slack:T1HOME:U4BOSS",)) as house:
        await house.painted("/imagine a fox --count 1", house.boss)
        job = (await house.newest()).id

        told = await answer(house, line_of(command, job))

        assert told.only == BOSS or _direct(house, told)
        assert not [each for each in BROKEN if each in told.shown], told.shown
        assert told.pings == set()


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.admin], ids=lambda c: c.name)
async def test_only_administrators_administer(house: House, command: Command) -> None:
    await house.painted("/imagine a fox --count 1")

    told = await answer(house, line_of(command, (await house.newest()).id), ADA)

    assert told.only == ADA and "administrator" in told.shown and told.shown.endswith(".")


async def test_a_list_names_administrators_beside_slack_s_own(opened: Opens) -> None:
    async with opened(slack_admins=(ADA,)) as house:
        told = await answer(house, "/easel admin pause", ADA)
        assert "administrator" not in told.shown
        await house.ben.slash("/imagine a fox")
        assert "paused" in (await house.ben.see("pause")).shown.lower()
        assert await house.jobs() == []

        await answer(house, "/easel admin resume", ADA)
        await house.painted("/imagine a fox", house.ben)


async def test_a_user_group_gives_a_tier(house: House) -> None:
    house.wire.groups["S1DESIGN"] = ("design", {ADA})
    await house.ada.slash("/imagine a fox --count 8")
    assert (await house.ada.see("at once")).only == ADA

    told = await answer(house, "/easel admin role <!subteam^S1DESIGN|@design> team")
    assert "Team" in told.shown or "team" in told.shown

    await house.ada.slash("/imagine a fox --count 8")
    job = await house.ended()
    assert job.request.count == 8 and "S1DESIGN" in job.origin.member.roles
    await house.ben.slash("/imagine a fox --count 8")
    assert (await house.ben.see("at once")).only == house.ben.id


async def test_a_channel_can_be_closed_to_it(house: House) -> None:
    await answer(house, f"/easel admin channel <#{GENERAL}|general> refuse")

    await house.ada.slash("/imagine a fox")
    told = await house.wire.until(lambda: next((m for m in house.wire.visible() if m.only == ADA), None))
    assert told.shown.endswith(".") and await house.jobs() == []

    await house.ada.slash("/imagine a fox", RANDOM)
    assert house.message(await house.ended()).channel == RANDOM


async def test_a_blocked_person_is_told_and_nothing_else_happens(house: House) -> None:
    message = await house.painted("/imagine a fox")
    await answer(house, "/easel admin block <@U2ADA|ada> 24 spamming")

    await house.ada.slash("/imagine a wolf")
    assert (await house.ada.see("spamming")).only == ADA
    await house.ada.press(message, "Again")
    await house.painted("/imagine a bear", house.ben)
    assert len(await house.jobs()) == 2

    await answer(house, "/easel admin unblock <@U2ADA|ada>")
    await house.painted("/imagine a wolf")


async def test_what_administrators_do_is_written_down(house: House) -> None:
    await answer(house, "/easel admin pause")
    await answer(house, "/easel admin resume")

    told = await answer(house, "/easel admin audit")

    assert "pause" in told.shown and "resume" in told.shown and f"<@{BOSS}>" in told.shown


async def test_styles_and_defaults_hold_for_everybody(house: House) -> None:
    await answer(house, "/easel admin styles pixel-art refuse")
    await answer(house, "/easel admin defaults --count 2")

    await house.ada.slash('/imagine a fox --style "pixel art"')
    assert (await house.ada.see("is not used here")).only == ADA
    await house.painted("/imagine a fox")
    jobs = await house.jobs()
    assert len(jobs) == 1 and jobs[0].request.count == 2


async def test_the_form_offers_what_the_person_may_ask_for(house: House) -> None:
    await answer(house, "/easel admin styles pixel-art refuse")
    await answer(house, "/easel admin tier <@U2ADA|ada> team")

    await house.ada.slash("/imagine")
    fields = {block["block_id"]: block["element"] for block in (await house.ada.form()).data["blocks"]}

    offered = {name: [each["value"] for each in fields[name]["options"]] for name in ("style", "count")}
    assert "pixel-art" not in offered["style"] and "watercolour" in offered["style"]
    assert len(offered["count"]) == 8


async def test_an_account_is_linked_by_a_code(house: House) -> None:
    told = await answer(house, "/easel link", ADA)

    assert told.only == ADA and "code" in told.shown.lower()


async def test_a_copy_of_one_s_data_comes_as_a_file_to_the_person_alone(house: House) -> None:
    await house.painted("/imagine a fox --count 1")

    await house.ada.slash("/easel privacy export")

    assert (await house.ada.see("The file is in your direct messages with Easel.")).only == ADA
    (sent,) = [m for m in house.wire.visible(ADA, house.wire.direct(ADA).id) if m.files]
    with zipfile.ZipFile(io.BytesIO(house.wire.files[sent.files[0]].content)) as archive:
        assert "jobs.json" in archive.namelist() and b"a fox" in archive.read("jobs.json")
    assert not [m for m in house.wire.visible(house.ben.id) if m.files]


async def test_the_ledger_comes_as_a_file(opened: Opens) -> None:
    async with opened(operators=("slack:T1HOME:U4BOSS",)) as house:
        await house.painted("/imagine a fox --count 1")
        await house.boss.slash("/easel admin export")

        await house.boss.see("The file is in your direct messages with Easel.")
        (sent,) = [m for m in house.wire.visible(BOSS, house.wire.direct(BOSS).id) if m.files]
        file = house.wire.files[sent.files[0]]
        assert file.name.endswith(".csv") and b"hold" in file.content


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_a_file_that_slack_does_not_take_is_told(house: House, method: str) -> None:
    house.wire.faults.append(Fault(method, "access_denied"))

    await house.ada.slash("/easel privacy export")

    assert (await house.ada.see("The file could not be sent")).only == ADA


async def test_a_member_s_data_can_be_deleted(house: House) -> None:
    message = await house.painted("/imagine a fox")
    told = await answer(house, "/easel privacy delete", ADA)
    assert told.labels and message.pictures

    await house.ada.press(told, told.labels[0])

    await house.wire.until(lambda: DONE not in message.shown and not message.pictures)
    assert not [job for job in await house.jobs() if job.state is State.RENDERED]
