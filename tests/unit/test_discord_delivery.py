"""Discord's errors as the courier understands them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from bot.adapters.discord import delivery
from bot.errors import TryLater, Unreachable


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
        (error(413, 40005), "the pictures are larger than Discord takes."),
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
    through = delivery.Delivery(nobody, nobody)

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
    through = delivery.Delivery(client, SimpleNamespace())  # type: ignore[arg-type]
    job: Any = SimpleNamespace(origin=SimpleNamespace(channel="5"))

    assert await through.closed(job) is closed
    job.origin.channel = "6"  # not seen
    assert await through.closed(job) is None
