"""What Discord takes away: messages, channels, whole servers; and what its moderators may."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.actions import MENU
from bot.adapters.discord import registration
from bot.models import Job, State
from tests.contract.discord.line import DONE, Connects, Line, requests
from tests.contract.discord.test_administration import _thread as a_thread
from tests.contract.discord.wire import ADA, CHANNEL, EPHEMERAL, GUILD, Fault, Pick, member, place, role
from tests.databases import unfinished

THREAD, BEN, MANAGE_MESSAGES, ROLE = 3005, 4002, 1 << 13, 7001
TENANT = f"discord:{GUILD}"
IN_THREAD = {"channel_id": str(THREAD), "channel": a_thread()}


async def done(line: Line, **about: Any) -> tuple[Any, Job]:
    token = await line.wire.command("imagine", about, prompt="a red fox", count=1)
    message = await line.wire.answered(token, DONE)
    return message, await line.ended()


async def hidden(line: Line, id: str) -> None:
    async with asyncio.timeout(30):
        while not (await row(line, id)).hidden:  # noqa: ASYNC110 only the row knows
            await asyncio.sleep(0.01)


async def row(line: Line, id: str) -> Job:
    job: Job | None = await line.house.store.job(id)
    assert job
    return job


async def cancelled(line: Line, id: str) -> Job:
    async with asyncio.timeout(30):
        while not (job := await row(line, id)).state.ended:  # noqa: ASYNC110 only the row knows
            await asyncio.sleep(0.01)
    assert job.state is State.CANCELLED
    return job


async def told(line: Line, token: str) -> Any:
    """The answer, once it says something."""

    def there() -> Any:
        found = line.wire.aside(token)
        return found if found and found.text and "One moment" not in found.text else None

    return await line.wire.until(there)


async def thread_is_gone(line: Line) -> None:
    about = {"id": str(THREAD), "guild_id": str(GUILD), "parent_id": str(CHANNEL), "type": 11}
    await line.wire.send("THREAD_DELETE", about)


# ---- deleted messages


@pytest.mark.parametrize("way", ["one", "bulk", "channel", "thread", "server"])
async def test_what_was_deleted_is_seen_by_its_owner_alone(line: Line, way: str) -> None:
    await line.wire.join(place(CHANNEL))
    message, job = await done(line, **(IN_THREAD if way == "thread" else {}))
    about: dict[str, Any] = {"channel_id": str(CHANNEL), "guild_id": str(GUILD)}
    match way:
        case "one":
            await line.wire.send("MESSAGE_DELETE", about | {"id": str(message.id)})
        case "bulk":
            await line.wire.send("MESSAGE_DELETE_BULK", about | {"ids": ["1", str(message.id), "2"]})
        case "channel":
            await line.wire.send("CHANNEL_DELETE", place(CHANNEL))
        case "thread":
            await thread_is_gone(line)
        case "server":
            await line.wire.send("GUILD_DELETE", {"id": str(GUILD)})
    await hidden(line, job.id)

    ben = {"member": member(BEN, "ben")}
    for name, options in (("show", {"job": job.id}), ("history", {"everyone": True})):
        answer = await told(line, await line.wire.command(name, ben, **options))
        assert "red fox" not in answer.text and not answer.attachments
    pressed = await told(line, await line.wire.press(message, "Info", **ben))
    assert "There is no job" in pressed.text and pressed.flags & EPHEMERAL
    mine = await told(line, await line.wire.slash("show", job=job.id))
    assert "red fox" in mine.text and mine.attachments


async def test_other_messages_and_an_outage_hide_and_cancel_nothing(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        await line.wire.join(place(CHANNEL))
        token = await line.started(count=1)
        about: dict[str, Any] = {"channel_id": str(CHANNEL), "guild_id": str(GUILD)}
        await line.wire.send("MESSAGE_DELETE", about | {"id": "1"})
        await line.wire.send("MESSAGE_DELETE_BULK", about | {"ids": ["1", "2"]})
        await line.wire.send("GUILD_DELETE", {"id": str(GUILD), "unavailable": True})
        await thread_is_gone(line)

        await line.wire.answered(token, DONE)
        assert not (await line.ended()).hidden


async def test_an_end_whose_message_was_deleted_before_it_is_its_owner_s_alone(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        token = await line.started(count=1)
        line.wire.response(token).deleted = True  # and nobody tells

        job = await line.ended()

        assert job.hidden and job.pictures and "was deleted" in job.reason


async def test_nothing_privileged_is_asked_for(line: Line) -> None:
    await line.wire.connected()

    (identify,) = [each["d"] for each in line.wire.hellos]
    reactions = (1 << 10) | (1 << 13)  # in servers, in direct messages
    assert identify["intents"] == (1 << 0) | (1 << 9) | (1 << 12) | reactions


# ---- removed


@pytest.mark.parametrize("way", ["server", "channel", "thread"])
async def test_what_waits_and_runs_where_easel_was_removed_is_cancelled(
    connected: Connects, way: str
) -> None:
    async with connected(step_seconds=0.5) as line:
        await line.wire.join(place(CHANNEL))
        where = IN_THREAD if way == "thread" else {}
        tokens = [await line.wire.command("imagine", where, prompt=f"fox {n}") for n in range(3)]
        for number, token in enumerate(tokens):
            await line.wire.answered(token, f"fox {number}")
        jobs = await unfinished(line.house.store)
        match way:
            case "server":
                await line.wire.send("GUILD_DELETE", {"id": str(GUILD)})
            case "channel":
                await line.wire.send("CHANNEL_DELETE", place(CHANNEL))
            case "thread":
                await thread_is_gone(line)

        reason = "Easel was removed from this server." if way == "server" else "The channel was deleted."
        rows = [await cancelled(line, job.id) for job in jobs]
        assert len(rows) == 3 and {each.reason for each in rows} == {reason}
        assert {each.device_seconds for each in rows} == {0.0}
        [written] = [each for each in await line.house.store.audit(TENANT) if each.what == "removed"]
        assert written.after == f"3 jobs cancelled: {reason}"


async def test_what_somebody_brought_along_goes_on_without_the_server(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        await line.wire.join(place(CHANNEL))
        own = {"authorizing_integration_owners": {"1": str(ADA)}}
        token = await line.wire.command("imagine", own, prompt="a fox", count=1)
        await line.wire.answered(token, "a fox")

        await line.wire.send("GUILD_DELETE", {"id": str(GUILD)})

        await line.wire.answered(token, DONE)


@pytest.mark.parametrize("code", [10004, 50001, 0])
async def test_a_server_left_while_easel_was_away_is_noticed(connected: Connects, code: int) -> None:
    """Discord's own word counts: a server that is only missing from the list keeps its jobs."""
    async with connected(step_seconds=0.5) as line:
        await line.started()
    async with connected(step_seconds=0.5) as line:
        gone = {"code": code, "message": "Unknown Guild"}
        line.wire.faults.append(Fault("GET", rf"/guilds/{GUILD}", 404, gone, times=9))
        [job] = await unfinished(line.house.store)
        await line.wire.until(lambda: requests(line, "GET", f"/guilds/{GUILD}"))

        if code:
            assert (await cancelled(line, job.id)).reason == "Easel was removed from this server."
        else:
            assert (await line.ended(State.RENDERED)).id == job.id


# ---- moderators


@pytest.mark.parametrize("way", ["in the channel", "by a role", "elsewhere", "not at all"])
async def test_who_may_manage_messages_may_delete(line: Line, way: str) -> None:
    await line.wire.join(place(CHANNEL), place(3009))
    if way == "by a role":
        await with_role(line)
    message, job = await done(line)
    here = {"channel_id": str(CHANNEL), "channel": place(CHANNEL)}
    may = {"in the channel": MANAGE_MESSAGES, "elsewhere": MANAGE_MESSAGES}.get(way, 0)
    there = {"channel_id": "3009", "channel": place(3009)} if way in ("elsewhere", "by a role") else here
    roles = (ROLE,) if way == "by a role" else ()
    ben = {"member": member(BEN, "ben", roles=roles, permissions=may), **there}

    token = await line.wire.press(message, "Delete", **ben)

    if way in ("in the channel", "by a role"):
        await line.wire.until(lambda: "were deleted" in line.wire.messages[message.id].text)
        assert (await row(line, job.id)).state is State.DELETED
    else:
        answer = await line.wire.until(lambda: line.wire.messages.get(line.wire.said_after.get(token, 0)))
        assert "can do that" in answer.text and answer.flags & EPHEMERAL
        assert (await row(line, job.id)).state is State.RENDERED


async def with_role(line: Line) -> None:
    helpers = role(ROLE, "helpers", permissions=MANAGE_MESSAGES)
    await line.wire.send("GUILD_ROLE_CREATE", {"guild_id": str(GUILD), "role": helpers})


async def test_moderators_are_named_from_discord_s_own_lists(line: Line) -> None:
    boss = {"member": member(permissions=1 << 5)}
    named = {"role": Pick(8, ROLE), "person": Pick(6, BEN)}
    token = await line.wire.command("admin set moderators", boss, **named)
    answer = await line.wire.answered(token, "Named here")

    assert f"<@&{ROLE}>, <@{BEN}>" in answer.text
    message, job = await done(line)
    await line.wire.press(message, "Delete", member=member(BEN, "ben"))
    await line.wire.until(lambda: "were deleted" in line.wire.messages[message.id].text)
    assert (await row(line, job.id)).state is State.DELETED


# ---- ends and progress


async def test_an_end_is_shown_while_discord_fails_at_progress(connected: Connects) -> None:
    """A 503 is tried again inside discord.py: five times, after 1, 3, 5, 7 and 9 s."""
    async with connected(step_seconds=0.3) as line:
        token = await line.started(count=1)
        failing = Fault("PATCH", r"/webhooks/.*", 503, {"message": "busy", "code": 0}, times=2)
        line.wire.faults.append(failing)

        await line.wire.answered(token, DONE)

        job = await line.ended()
        assert job.delivered and job.finished
        waited = (job.delivered - job.finished).total_seconds()
        tries = [each for each in requests(line, "PATCH", "/webhooks/") if "seed" in str(each.json)]
        assert failing.times == 0 and len(tries) <= 2
        assert waited < 4.0, "the second attempt of the same call alone would come after 1 + 3 s"


# ---- the commands


async def test_commands_are_registered_once_and_again_when_they_change(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    over: list[asyncio.Event] = []
    register = registration.register

    async def noted(*args: Any) -> None:
        over.append(asyncio.Event())
        await register(*args)
        over[-1].set()

    monkeypatch.setattr(registration, "register", noted)

    async def registered(times: int) -> None:
        async with connected() as line:
            await line.wire.answered(await line.wire.slash("help"), "/imagine")
            await asyncio.wait_for(over[-1].wait(), 30)
            assert len(requests(line, "PUT", "/commands")) == times

    await registered(1)
    await registered(0)
    monkeypatch.setattr("bot.actions.MENU", MENU[:1])
    await registered(1)


@pytest.mark.parametrize("status", [429, 500, 403])
async def test_a_refused_registration_keeps_nobody_waiting(
    connected: Connects, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("bot.adapters.discord.registration.SHORTEST_DELAY", 0.05)
    body = {"message": "You are being rate limited.", "retry_after": 4000.0, "global": False, "code": 0}
    headers = {"Retry-After": "4000", "Via": "1.1 google"} if status == 429 else {}
    async with connected() as line:
        line.wire.faults.append(Fault("PUT", r"/applications/.*", status, body, headers, times=99))

        await done(line)
        assert not (Path(line.house.settings.data_dir) / "discord-commands.sha256").exists()
