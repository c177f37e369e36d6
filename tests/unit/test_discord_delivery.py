"""Discord's errors as message sync understands them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from bot.adapters.discord import delivery
from bot.errors import MessageGone, TryLater, Unreachable
from bot.messages.types import Card
from bot.models import Job, State
from tests.examples import a_job


def error(
    status: int, code: int = 0, kind: type[Any] = discord.HTTPException, **headers: str
) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=status, reason="no", headers=headers)
    found: discord.HTTPException = kind(response, {"code": code, "message": "no"})
    return found


def raised(cause: Exception) -> Exception:
    with pytest.raises((Unreachable, TryLater)) as caught, delivery._translated():
        raise cause
    return caught.value


@pytest.mark.parametrize(
    "cause",
    [
        error(500),
        error(502, kind=discord.DiscordServerError),
        error(401),
        TimeoutError(),
        ConnectionResetError(),
        aiohttp.ServerDisconnectedError(),
    ],
)
def test_what_may_pass_is_tried_again(cause: Exception) -> None:
    assert isinstance(raised(cause), TryLater)


@pytest.mark.parametrize(
    ("cause", "after"),
    [
        (error(429, **{"Retry-After": "7"}), 7.0),
        (error(429), 1.0),
        (error(429, 30046), 1.0),  # too many edits of a message older than an hour
        (error(429, **{"Retry-After": "soon"}), 1.0),
        (discord.RateLimited(42.0), 42.0),
    ],
)
def test_a_rate_limit_says_when(cause: Exception, after: float) -> None:
    later = raised(cause)

    assert isinstance(later, TryLater) and later.after == after


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (error(404, 10008, discord.NotFound), "its message was deleted."),
        (error(404, 10003, discord.NotFound), "the channel is gone."),
        (error(403, 50013, discord.Forbidden), "Easel has no permission to post there."),
        (error(413, 40005), "the images are larger than Discord takes."),
        (error(400, 50035), "Discord does not take it (status 400, code 50035)."),
    ],
)
def test_what_cannot_pass_says_why(cause: Exception, why: str) -> None:
    assert str(raised(cause)) == why


def test_an_address_with_a_token_in_it_is_not_repeated() -> None:
    later = raised(aiohttp.ClientError("https://discord.com/api/webhooks/1/secret-token"))

    assert "secret" not in str(later) and "ClientError" in str(later)


@pytest.mark.parametrize(
    ("cause", "closed"),
    [
        (error(401, 50027), True),
        (error(404, 10015), True),
        (error(403, 50001), True),
        (error(404, 10003), True),
        (error(400, 50083), True),
        (error(404, 10008), False),
        (error(400, 50035), False),
        (error(500), False),
    ],
)
def test_another_way_is_tried_only_where_one_is_closed(cause: discord.HTTPException, closed: bool) -> None:
    assert delivery._closed(cause) is closed


@pytest.mark.parametrize(("old", "pause"), [(False, 2.0), (True, 20.0)])
def test_progress_leaves_room_for_ends(old: bool, pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("bot.adapters.discord.delivery.time.monotonic", lambda: now)
    nobody: Any = None
    through = delivery.DiscordDelivery(nobody, nobody)

    assert through._may_progress(1, old) and not through._may_progress(1, old)
    assert through._may_progress(2, old), "another channel has a rate of its own"
    now += pause - 0.1
    assert not through._may_progress(1, old)
    now += 0.2
    assert through._may_progress(1, old)


@pytest.mark.parametrize(("view", "closed"), [(True, False), (False, True)])
async def test_discord_tells_whether_a_channel_is_hidden_now(view: bool, closed: bool) -> None:
    """As the gateway told it last, not as it was when something was asked for there."""
    channel: Any = SimpleNamespace(id=5, permissions_for=lambda role: SimpleNamespace(view_channel=view))
    channel.guild = SimpleNamespace(get_channel=lambda id: channel, default_role="everyone")
    client: Any = SimpleNamespace(get_channel=lambda id: channel if id == 5 else None)
    through = delivery.DiscordDelivery(client, SimpleNamespace())  # type: ignore[arg-type]
    job: Any = SimpleNamespace(origin=SimpleNamespace(channel="5"))

    assert await through.closed(job) is closed
    job.origin.channel = "6"  # not seen
    assert await through.closed(job) is None


# ---- which way a card goes


class Webhooks:
    """What delivery needs of a client: edits by token and by ourselves, and direct messages."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.troubles: dict[str, list[Exception]] = {}
        self.hanging: asyncio.Event | None = None  # what edits by token wait for

    def _do(self, way: str) -> None:
        if (waiting := self.troubles.get(way)) and (trouble := waiting.pop(0)):
            raise trouble
        self.sent.append(way)


class Through(delivery.DiscordDelivery):
    """The real choice of ways; each way only notes that it was taken."""

    def __init__(self, client: Webhooks) -> None:
        nobody: Any = SimpleNamespace()
        super().__init__(nobody, nobody)
        self.client = client

    async def _shown(self, job: Job, card: Card) -> Any:
        return SimpleNamespace(card=card, files=(), parent="", message=lambda: (None, []))

    async def _answer(self, reply: dict[str, Any], message: int, shown: Any) -> None:
        if self.client.hanging:
            await self.client.hanging.wait()
        self.client._do(f"token {reply['token']} {shown.card.kind}")

    async def _by_ourselves(self, job: Job, ref: dict[str, Any], shown: Any) -> dict[str, Any]:
        self.client._do("ourselves")
        return ref

    async def _say(self, job: Job, ref: dict[str, Any], shown: Any) -> dict[str, Any]:
        self.client._do("say")
        return {"channel": 1, "message": 2, "own": True}

    async def _whisper(self, job: Job, ref: dict[str, Any], shown: Any) -> dict[str, Any]:
        self.client._do("whisper")
        return {"channel": 9, "message": 9, "own": True}


REF = {"channel": 1, "message": 2}
LATER = time.time() + 86_400.0  # no run of the tests takes that long
NEWER = {"token": "n", "expires": LATER, "message": 3}
WAITING, DONE = Card(kind="waiting", job="abc"), Card(kind="done", job="abc")


def asked(state: State = State.RUNNING, *, private: bool = False, **reply: Any) -> Job:
    whole = {"channel": 1, "user": 5, "message": 2, "token": "t", "expires": LATER, "open": True}
    origin = replace(a_job().origin, surface="discord", private=private, reply=whole | reply)
    return replace(a_job(), id="abc", origin=origin, state=state)


@pytest.mark.parametrize(
    ("job", "troubles", "ways"),
    [
        (asked(), {}, ["token t done"]),
        (asked(expires=0.0), {}, ["ourselves"]),
        (asked(expires=time.time() + delivery.MARGIN / 2), {}, ["ourselves"]),
        (asked(), {"token t done": [error(401, 50027)]}, ["ourselves"]),
        (asked(), {"token t done": [error(404, 10015)]}, ["ourselves"]),
        (asked(expires=0.0, again=NEWER), {}, ["token n done"]),
        (asked(expires=0.0, open=False), {}, []),  # no way while it lives: its end may have one
        (asked(State.RENDERED, expires=0.0, open=False), {}, ["whisper"]),
        (asked(State.RENDERED, private=True, ephemeral=True, expires=0.0), {}, ["whisper"]),
        (asked(private=True, ephemeral=True), {}, ["token t done"]),
        (asked(private=True), {}, []),  # an answer for all is no place for what is private
        (
            asked(State.RENDERED),
            {"token t done": [error(401, 50027)], "ourselves": [error(403, 50013)]},
            ["whisper"],
        ),
    ],
)
async def test_the_first_way_that_is_open_is_taken(
    job: Job, troubles: dict[str, list[Exception]], ways: list[str]
) -> None:
    client = Webhooks()
    client.troubles = {name: list(each) for name, each in troubles.items()}

    await Through(client).edit(job, REF, DONE)

    assert client.sent == ways


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [(10008, 404, MessageGone), (50035, 400, Unreachable), (30046, 400, Unreachable)],
)
async def test_a_message_that_is_gone_is_told_from_what_cannot_be_sent(
    code: int, status: int, kind: type[Exception]
) -> None:
    client = Webhooks()
    client.troubles = {"token t done": [error(status, code)]}

    with pytest.raises(Unreachable) as caught:
        await Through(client).edit(asked(State.RENDERED), REF, DONE)

    assert type(caught.value) is kind and client.sent == []


async def test_a_deleted_job_is_whispered_to_nobody() -> None:
    client = Webhooks()
    client.troubles = {"ourselves": [error(403, 50013)]}

    with pytest.raises(Unreachable, match="no permission"):
        await Through(client).edit(asked(State.DELETED, expires=0.0), REF, DONE)

    assert client.sent == []


async def test_a_private_mention_is_answered_directly_and_others_where_they_were_said() -> None:
    client = Webhooks()
    through = Through(client)
    for private in (True, False):
        job = asked(private=private)
        reply = {name: value for name, value in job.origin.reply.items() if name != "token"}
        await through.post(replace(job, origin=replace(job.origin, reply=reply)), WAITING)

    assert client.sent == ["whisper", "say"]


async def test_a_last_edit_on_its_way_is_overtaken_by_what_is_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold the token's lock while Discord fails, and could cover the end."""
    monkeypatch.setattr(delivery, "LAST_MINUTES", 600.0)
    client = Webhooks()
    through = Through(client)
    await through.edit(asked(private=True, ephemeral=True, expires=time.time() + 600.05), REF, WAITING)
    assert client.sent == ["token t waiting"] and len(through._offers) == 1
    client.hanging = asyncio.Event()
    offer = through._offers["abc"]
    async with asyncio.timeout(30):
        while not client.hanging._waiters:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    client.hanging = None

    await through.edit(asked(State.RENDERED, private=True, ephemeral=True), REF, DONE)
    await asyncio.wait({offer})

    assert client.sent == ["token t waiting", "token t done"] and offer.cancelled()
    assert through._offers == {}


async def test_a_refused_channel_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("bot.adapters.discord.delivery.time.monotonic", lambda: now)
    edits: list[Exception | None] = [error(403, 50013, discord.Forbidden), None, None]

    class Partial:
        def get_partial_message(self, id: int) -> Partial:
            return self

        async def edit(self, **more: Any) -> None:
            if trouble := edits.pop(0):
                raise trouble

    client: Any = SimpleNamespace(get_partial_messageable=lambda id: Partial())
    through = delivery.DiscordDelivery(client, client)
    shown: Any = SimpleNamespace(message=lambda: (None, []))
    job = asked(State.RUNNING)
    with pytest.raises(discord.Forbidden):
        await through._by_ourselves(job, REF, shown)

    now += delivery.CLOSED_PAUSE - 1
    await through._by_ourselves(job, REF, shown)
    assert len(edits) == 2, "progress waits"
    await through._by_ourselves(replace(job, state=State.RENDERED), REF, shown)
    assert len(edits) == 1, "ends do not"
    now += 2
    await through._by_ourselves(job, REF, shown)
    assert edits == []
