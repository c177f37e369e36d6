"""Results are new messages: whom they mention, where they stand, what becomes of the status message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.models import State
from engine.errors import OutOfMemory
from tests.contract.discord.conftest import Opens, Server, labels, said
from tests.contract.discord.line import DONE, Connects, Line, requests
from tests.contract.discord.wire import ADA, CHANNEL, VIEW_CHANNEL, Fault, Message, place

NOT_THERE = {"code": 50001, "message": "Missing Access"}


async def test_a_result_is_a_new_message_that_mentions_whoever_asked(line: Line) -> None:
    token = await line.wire.slash("imagine", prompt="a fox for <@77> and @everyone", count=1)
    result = await line.wire.answered(token, DONE)
    job = await line.ended()

    status = line.wire.messages[line.wire.originals[token]]
    assert status.deleted and result.id != status.id and result.channel == CHANNEL
    assert result.text.startswith(f"<@{ADA}> **a fox")
    (post,) = requests(line, "POST", f"/channels/{CHANNEL}/messages")
    assert post.json["allowed_mentions"] == {"parse": [], "users": [ADA], "replied_user": False}
    assert (post.json["nonce"], post.json["enforce_nonce"]) == (f"{job.id}-end", True)
    assert job.message == {
        "channel": CHANNEL,
        "message": result.id,
        "own": True,
        "former": f"{CHANNEL}:{status.id}",
    }


async def test_who_does_not_want_it_is_named_and_not_notified(line: Line) -> None:
    for notify, users in ((False, None), (True, [ADA])):
        token = await line.wire.slash("settings", notify=notify)
        await line.wire.answered(token, f"mention you: {'yes' if notify else 'no'}")
        result = await line.painted(count=1)
        await line.ended()
        assert result.text.startswith(f"<@{ADA}> **a red fox")
        told = requests(line, "POST", f"/channels/{CHANNEL}/messages")[-1].json["allowed_mentions"]
        assert told["parse"] == [] and told.get("users") == users


async def test_the_deletion_of_the_status_message_hides_nothing(server: Server) -> None:
    job, _ = await server.painted()
    assert len(server.channel.history(viewer=server.ben)) == 1

    shown = await server.ben.slash(server.channel, "show", job=job.id)

    row = await server.house.store.job(job.id)
    assert row and not row.hidden and "There is no job" not in said(shown.response)


async def test_a_result_in_a_thread_stands_there(line: Line) -> None:
    about = {"archived": False, "auto_archive_duration": 60, "archive_timestamp": "2026-01-01T00:00:00+00:00"}
    more = {"parent_id": str(CHANNEL), "owner_id": str(ADA), "thread_metadata": about, "message_count": 0}
    thread = place(3009, kind=11, **more, member_count=1, rate_limit_per_user=0)
    token = await line.wire.command("imagine", {"channel": thread, "channel_id": "3009"}, prompt="a fox")
    assert (await line.wire.answered(token, DONE)).channel == 3009


async def test_private_results_are_edited_in_place(server: Server) -> None:
    result = await server.ada.slash(server.channel, "imagine", prompt="a fox", private=True)
    job = await server.ended()
    assert job.message and job.message["message"] == result.response.id
    assert "former" not in job.message


@pytest.mark.parametrize(
    "mine",
    [{"app_permissions": str(VIEW_CHANNEL)}, {"authorizing_integration_owners": {"1": str(ADA)}}],
    ids=["it may not speak", "it is not there"],
)
async def test_where_the_bot_may_not_post_the_status_message_becomes_the_result(
    line: Line, mine: dict[str, object]
) -> None:
    token = await line.wire.command("imagine", mine, prompt="a fox", count=1)
    result = await line.wire.answered(token, DONE)

    assert result.id == line.wire.originals[token] and result.text.startswith(f"<@{ADA}> **a fox**")
    await line.ended()
    assert not requests(line, "POST", "/channels/") and not requests(line, "DELETE", "")


async def test_a_refused_post_ends_in_the_status_message(line: Line) -> None:
    line.wire.faults.append(Fault("POST", rf"/channels/{CHANNEL}/messages", 403, NOT_THERE))
    token = await line.wire.slash("imagine", prompt="a fox", count=1)
    result = await line.wire.answered(token, DONE)
    assert result.id == line.wire.originals[token]


async def test_a_result_whose_reference_was_lost_is_not_posted_again(line: Line) -> None:
    """As after a kill between the post and the row."""
    result = await line.painted(count=1)
    job = await line.ended()
    card = replace(await line.house.easel.cards.own(job), asker="Ada", mentions=True)
    assert job.message
    former = {"channel": CHANNEL, "message": int(job.message["former"].split(":")[1])}
    line.wire.messages[former["message"]].deleted = False

    again = await line.house.adapter.tell(job, former, card)

    assert again == job.message and [each.id for each in _results(line)] == [result.id]


async def test_a_status_message_that_is_not_deleted_at_once_is_deleted_later(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.wire.faults.append(Fault("DELETE", r"/webhooks/.*", 429, {"retry_after": 0.1, "message": "slow"}))
    token = await line.wire.slash("imagine", prompt="a fox", count=1)
    await line.wire.answered(token, DONE)
    await line.ended()
    assert line.wire.messages[line.wire.originals[token]].deleted and len(_results(line)) == 1


async def test_a_status_message_that_somebody_deleted_is_not_followed_by_a_result(
    connected: Connects,
) -> None:
    async with connected(step_seconds=0.2) as line:
        token = await line.started()
        line.wire.messages[line.wire.originals[token]].deleted = True
        job = await line.ended()
        assert job.hidden and not _results(line)


async def test_a_failure_is_told_only_to_whoever_waited_long(
    opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(fault=lambda job: OutOfMemory("too little")) as server:
        await server.ada.slash(server.channel, "imagine", prompt="a fox")
        early = server.message(await server.ended(State.FAILED))
        monkeypatch.setattr("bot.jobs.cards.LONG_WAIT", 0.0)
        await server.ada.slash(server.channel, "imagine", prompt="a wolf")
        late = server.message(await server.ended(State.FAILED))

    assert early.mentions == [] and [each.id for each in late.mentions] == [server.ada.id]
    assert labels(late) == ["Try again"]


async def test_presses_on_the_former_message_still_work(line: Line) -> None:
    token = await line.wire.slash("imagine", prompt="a fox", count=1)
    result = await line.wire.answered(token, DONE)
    old = replace(line.wire.messages[line.wire.originals[token]], components=result.components)

    pressed = await line.wire.press(old, "Again")

    await line.wire.answered(pressed, DONE)
    assert len(await line.house.jobs()) == 2


async def test_deleting_a_result_leaves_one_sentence(line: Line) -> None:
    message = await line.painted(count=1)
    (id,) = message.jobs
    await line.wire.press(message, "Delete")
    await line.wire.until(lambda: "were deleted" in message.text)
    await line.house.until(id, State.DELETED)  # by its id: once that is shown, it is in no list
    assert [
        m.id for m in line.wire.messages.values() if not m.deleted and m.channel == CHANNEL and m.nonce
    ] == [message.id]


def _results(line: Line) -> list[Message]:
    return [each for each in line.wire.messages.values() if each.nonce.endswith("-end")]
