"""Brings a job's card to where it was asked for: by the interaction's token, by the bot itself, or by a DM.

A token lives 15 minutes and reaches everywhere, private answers too. After that the bot edits the same
message with its own permissions. Where it has none, the end goes to the person's direct messages.

A result that others may see is a new message of the bot's, since nobody is told of an edit; the status
message is then deleted. Where the bot may not post, the status message becomes the result: a follow-up by the
token has no key by which a repeated one is known.

A message's reference: `channel`, `message`, `own` (the bot sent it itself), and of a result `former`, the
status message that it replaced, as "<channel>:<message>".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import discord
import structlog
from cryptography.fernet import InvalidToken

from bot.actions import Action
from bot.adapters.base import MessageRef
from bot.adapters.discord.context import by_token_alone, is_adult, seen_in, vault
from bot.adapters.discord.layout import LEAST_LIMIT, Shown, show
from bot.easel import Easel
from bot.errors import DeliveryError, MessageGone, Refusal, StoreError, TryLater, Unreachable
from bot.i18n import _, speech
from bot.messages.job_cards import moved, withheld
from bot.messages.types import Button, Card
from bot.models import Job, State

log = structlog.stdlib.get_logger(__name__)

LAST_MINUTES = 3 * 60.0  # seconds before a token's end in which people get a way to fetch the result
PROGRESS_PAUSE = 2.0  # seconds between two progress edits in a channel, which allows five in five seconds
OLD = timedelta(minutes=55)  # from then on a channel allows only about three edits in twenty seconds
OLD_PAUSE = 20.0  # the same for messages so old
CLOSED_PAUSE = 60.0  # the same where Discord refused one: ten thousand refusals in ten minutes shut Easel out
MARGIN = 20.0  # seconds before its end from which a token is not used any more

# https://discord.com/developers/docs/topics/opcodes-and-status-codes
UNKNOWN_CHANNEL, UNKNOWN_SERVER, UNKNOWN_MESSAGE = 10003, 10004, 10008
UNKNOWN_WEBHOOK, INVALID_TOKEN = 10015, 50027
MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013
THREAD_ARCHIVED = 50083
NO_FURTHER_RESPONSES = 40094  # where only a person has installed Easel, an interaction has five of them
NO_DIRECT_MESSAGES, NO_COMMON_SERVER = 50007, 50278
TOO_LARGE = 40005
_NO_MESSAGES = _("Easel may not post there, and this person takes no direct messages from it.")
_NO_PERMISSION = _("Easel has no permission to post there.")
_REASONS = {
    UNKNOWN_CHANNEL: _("the channel is gone."),
    UNKNOWN_MESSAGE: _("its message was deleted."),
    NO_DIRECT_MESSAGES: _NO_MESSAGES,
    NO_COMMON_SERVER: _NO_MESSAGES,
    MISSING_ACCESS: _NO_PERMISSION,
    MISSING_PERMISSIONS: _NO_PERMISSION,
    THREAD_ARCHIVED: _("the thread is archived."),
    TOO_LARGE: _("the images are larger than Discord takes."),
}

NOBODY = discord.AllowedMentions.none()

Route = Callable[[Job, MessageRef, Shown], Awaitable[MessageRef]]


class DiscordDelivery:
    """Posts and edits through one logged-in client."""

    def __init__(self, client: discord.Client, easel: Easel) -> None:
        self._client = client
        self._easel = easel
        self._paced: dict[tuple[int, bool], float] = {}  # channel, old → when its next progress edit may go
        self._offers: dict[str, asyncio.Task[None]] = {}  # job → what gives its message a way to the result

    @property
    def ready(self) -> bool:
        """Tell whether the client has logged in."""
        return self._client.user is not None and not self._client.is_closed()

    async def post(self, job: Job, card: Card) -> MessageRef:
        """Show the job's first card: in place of the deferred response, or as a new message.

        Raises Unreachable or TryLater.
        """
        reply = job.origin.reply
        with _translated():
            if "token" not in reply:
                shown = await self._shown(job, card)
                ways: list[Route] = [self._whisper] if job.origin.private else [self._say, self._whisper]
                return await self._first(ways, job, {}, shown)
            if job.series and job.series.number > 1:  # the response shows the first
                return await self._post_further(job, await self._shown(job, card))
        deferred = _deferred(job)
        assert deferred
        return await self.edit(job, deferred, card)

    async def _post_further(self, job: Job, shown: Shown) -> MessageRef:
        """Show a job of a series as a message of its own, by the bot itself or else by the token."""
        ways: list[Route] = [self._by_further_response] if _fresh(job.origin.reply) else []
        if job.origin.reply.get("open") and not job.origin.private:
            ways.insert(0, self._beside)
        return await self._first([*ways, self._whisper], job, {}, shown)

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        """Replace the card by the first way that works. Raises Unreachable or TryLater."""
        if planned := self._offers.pop(job.id, None):
            planned.cancel()  # it may be on its way: what is older neither holds nor follows what is newer
        self._plan_offer(job, ref, card)
        return await self._replace(job, ref, card)

    async def tell(self, job: Job, ref: MessageRef | None, card: Card) -> MessageRef:
        """Show an end in a new message that mentions the person, or else in the one there is.

        Raises Unreachable or TryLater.
        """
        former = ref or _deferred(job) or await self.post(job, moved(card))
        if not former.get("former") and _may_tell(job, former):
            with _translated():
                await self._check_there(job, former)
                if told := await self._told(job, await self._shown(job, card)):
                    return told | {"former": f"{former['channel']}:{former['message']}"}
        return await self.edit(job, former, card)

    async def _told(self, job: Job, shown: Shown) -> MessageRef | None:
        """Send the new message; return None where the bot may not."""
        try:
            return await self._fitting(self._announce, job, {}, shown)
        except discord.HTTPException as error:
            if not _closed(error):
                raise
            return None

    async def _check_there(self, job: Job, ref: MessageRef) -> None:
        """Raise NotFound for a message that somebody deleted: what it showed is then shown no more."""
        try:
            if not ref.get("own") and _fresh(job.origin.reply):
                await self._webhook(job.origin.reply).fetch_message(ref["message"])
            else:
                await self._partial(ref["channel"], ref["message"]).fetch()
        except discord.HTTPException as error:
            if not _closed(error):
                raise

    async def clear(self, job: Job, ref: MessageRef, card: Card) -> None:
        """Delete the status message that a result has replaced. Raises TryLater."""
        if not ref.get("former"):
            return
        channel, message = map(int, ref["former"].split(":"))
        ways: list[Callable[[], Awaitable[None]]] = [self._partial(channel, message).delete]
        if message == job.origin.reply.get("message") and _fresh(job.origin.reply):
            ways.insert(0, partial(self._webhook(job.origin.reply).delete_message, message))
        with _translated():
            for delete in ways:
                try:
                    return await delete()
                except discord.HTTPException as error:
                    if error.code == UNKNOWN_MESSAGE:
                        return
                    if not (_closed(error) or error.status == 400):
                        raise
                    log.info("a status message stays", job_id=job.id, cause=error.code)

    async def _replace(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        with _translated():
            return await self._first(self._routes(job, ref), job, ref, await self._shown(job, card))

    async def announce(self, tenant: str, channel: str, card: Card) -> None:
        """Show a card in a channel of a server, by the bot itself. Raises Unreachable or TryLater."""
        with _translated():
            place = await self._channel(channel)
            if place is None or tenant != f"discord:{place.guild.id}":
                raise Unreachable(_REASONS[UNKNOWN_CHANNEL])
            made, files = Shown(card, ()).message()
            await place.send(view=made, files=files, allowed_mentions=NOBODY)

    async def display(
        self, tenant: str, channel: str, card: Card, ref: MessageRef | None, key: str
    ) -> MessageRef:
        """Show a card in a channel of a server, or in the message of `ref`. Raises Unreachable, TryLater."""
        with _translated():
            place = await self._channel(channel)
            if place is None or tenant != f"discord:{place.guild.id}":
                raise Unreachable(_REASONS[UNKNOWN_CHANNEL])
            made, files = (await self._drawn(card, LEAST_LIMIT, "", "")).message()
            if ref:
                message = self._partial(ref["channel"], ref["message"])
                await message.edit(view=made, attachments=files, allowed_mentions=NOBODY)
                return ref
            sent = await place.send(view=made, files=files, nonce=key[:25], allowed_mentions=NOBODY)
            return {"channel": sent.channel.id, "message": sent.id}

    async def _channel(self, id: str) -> Any:
        """Return a channel of a server where messages can be sent; None for anything else."""
        found: Any = None
        if id.isdecimal():
            found = self._client.get_channel(int(id)) or await self._client.fetch_channel(int(id))
        is_place = isinstance(found, discord.abc.Messageable) and getattr(found, "guild", None)
        return found if is_place else None

    async def adult(self, job: Job) -> bool:
        """Tell whether the job's channel is age-restricted now; False where that cannot be seen."""
        try:
            channel = await self._client.fetch_channel(job.origin.reply["channel"])
            if isinstance(channel, discord.Thread):
                channel = await self._client.fetch_channel(channel.parent_id)
        except (discord.DiscordException, aiohttp.ClientError, OSError):
            return False
        return is_adult(channel)

    async def closed(self, job: Job) -> bool | None:
        """Tell whether the job's channel is hidden from some of its server now; None where it is not seen."""
        channel = self._client.get_channel(int(job.origin.channel))
        return bool(seen_in(channel)) if channel else None

    def close(self) -> None:
        for offer in self._offers.values():
            offer.cancel()

    def _plan_offer(self, job: Job, ref: MessageRef, card: Card) -> None:
        """Schedule an edit that adds a button to fetch the result, minutes before the job's token ends."""
        if not by_token_alone(job):
            return
        wait = _ends(job.origin.reply) - LAST_MINUTES - time.time()
        if wait > 0:
            self._offers[job.id] = asyncio.create_task(self._offer(job, ref, card, wait))

    async def _offer(self, job: Job, ref: MessageRef, card: Card, wait: float) -> None:
        await asyncio.sleep(wait)
        with suppress(DeliveryError):
            await self._replace(job, ref, card)

    async def _shown(self, job: Job, card: Card) -> Shown:
        reply = job.origin.reply
        if by_token_alone(job) and time.time() > _ends(reply) - LAST_MINUTES:
            card = replace(card, rows=(*card.rows, (_fetch(job, card.language),)))
        limit = int(reply.get("limit", LEAST_LIMIT))
        mention = f"<@{reply['user']}>" if card.asker else ""
        return await self._drawn(card, limit, await self._parent(job, card), mention)

    async def _drawn(self, card: Card, limit: int, parent: str, mention: str) -> Shown:
        fitted, studio = self._easel.images.fitted, self._easel.logins.reached
        return await show(card, fitted, limit, parent, studio=studio, mention=mention)

    async def _parent(self, job: Job, card: Card) -> str:
        """Return the address of the message whose picture this result was made from, or an empty text."""
        if not card.parent or card.kind not in ("done", "upscaled"):
            return ""
        try:
            return address_of(
                await self._easel.visibility.job(card.parent, job.origin.member, job.origin.here)
            )
        except (Refusal, StoreError):
            return ""

    def _routes(self, job: Job, ref: MessageRef) -> list[Route]:
        routes: list[Route] = []
        seen = not job.origin.private or job.origin.reply.get("ephemeral")
        if not ref.get("own") and seen:
            routes += [self._by_token] if _fresh(job.origin.reply) else []
            routes += [self._by_newer_token] if _fresh(job.origin.reply.get("again", {})) else []
        if ref.get("own") or (job.origin.reply.get("open") and not job.origin.private):
            routes.append(self._by_ourselves)
        if job.state.ended and job.state is not State.DELETED:
            routes.append(self._whisper)
        return routes

    async def _first(self, routes: list[Route], job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        refused: discord.HTTPException | None = None
        for route in routes:
            try:
                return await self._fitting(route, job, ref, shown)
            except discord.HTTPException as error:
                if not _closed(error):
                    raise
                refused = error
        if refused and (job.state.ended or not ref):
            raise Unreachable(_why(refused)) from refused
        return ref  # no way at present; the end may have one

    async def _fitting(self, route: Route, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        """Send by one route; where the files are too large for it, send smaller ones."""
        try:
            return await route(job, ref, shown)
        except discord.HTTPException as error:
            if error.code != TOO_LARGE:
                raise
            smaller = await self._drawn(shown.card, LEAST_LIMIT, shown.parent, shown.mention)
            if smaller.files == shown.files:
                raise
            return await route(job, ref, smaller)

    # ---- ways

    def _webhook(self, reply: dict[str, Any]) -> discord.Webhook:
        """Return the interaction's webhook, which alone can answer privately. Raises Unreachable."""
        try:
            token = vault(self._client).decrypt(reply["token"].encode()).decode()
        except InvalidToken:
            raise Unreachable("DISCORD_TOKEN has changed since it was asked for.") from None
        data: Any = {"id": self._client.application_id, "token": token, "type": 3}
        return discord.Webhook.from_state(data, self._client._connection)

    async def _by_token(self, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        await self._answer(job.origin.reply, ref["message"], shown)
        return ref

    async def _by_newer_token(self, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        again = job.origin.reply["again"]
        await self._answer(again, again["message"], shown)
        return ref

    async def _answer(self, reply: dict[str, Any], message: int, shown: Shown) -> None:
        view, files = shown.message()
        await self._webhook(reply).edit_message(
            message, view=view, attachments=files, allowed_mentions=NOBODY
        )

    async def _by_ourselves(self, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        old = datetime.now(UTC) - job.created > OLD
        if not job.state.ended and not self._may_progress(ref["channel"], old):
            return ref
        view, files = shown.message()
        try:
            await self._partial(ref["channel"], ref["message"]).edit(
                view=view, attachments=files, allowed_mentions=NOBODY
            )
        except (discord.Forbidden, discord.NotFound):
            self._paced[ref["channel"], old] = time.monotonic() + CLOSED_PAUSE
            raise
        return ref

    def _partial(self, channel: int, message: int) -> discord.PartialMessage:
        return self._client.get_partial_messageable(channel).get_partial_message(message)

    def _may_progress(self, channel: int, old: bool) -> bool:
        """Tell whether a progress edit leaves room for results: all jobs in a channel share its edit rate."""
        now = time.monotonic()
        if now < self._paced.get((channel, old), 0.0):
            return False
        self._paced[channel, old] = now + (OLD_PAUSE if old else PROGRESS_PAUSE)
        return True

    async def _say(self, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        channel = self._client.get_partial_messageable(job.origin.reply["channel"])
        return await self._send(channel, job.id, shown, _about(job))

    async def _announce(self, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        reply = job.origin.reply
        channel = self._client.get_partial_messageable(reply["channel"])
        asker = [discord.Object(reply["user"])] if shown.card.mentions else False
        whom = discord.AllowedMentions(everyone=False, roles=False, users=asker, replied_user=False)
        return await self._send(channel, f"{job.id}-end", shown, _about(job), whom)

    async def _beside(self, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        channel = self._client.get_partial_messageable(job.origin.reply["channel"])
        return await self._send(channel, job.id, shown)

    async def _by_further_response(self, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        view, files = shown.message()
        reply = job.origin.reply
        sent = await self._webhook(reply).send(
            view=view,
            files=files,
            ephemeral=bool(reply.get("ephemeral")),
            allowed_mentions=NOBODY,
            wait=True,
        )
        return {"channel": reply["channel"], "message": sent.id}

    async def _whisper(self, job: Job, ref: MessageRef, shown: Shown) -> MessageRef:
        if shown.card.adult:  # a direct message is no age-restricted channel
            shown = Shown(speech.translated(withheld(shown.card), shown.card.language), ())
        person = await self._client.create_dm(discord.Object(job.origin.reply["user"]))
        return await self._send(person, f"{job.id}-dm", shown)

    async def _send(
        self,
        place: discord.abc.Messageable,
        nonce: str,
        shown: Shown,
        about: discord.MessageReference | None = None,
        whom: discord.AllowedMentions = NOBODY,
    ) -> MessageRef:
        """Send a new message. For some minutes, Discord makes only one for a nonce, in any channel."""
        view, files = shown.message()
        more: dict[str, Any] = {"reference": about} if about else {}
        sent = await place.send(
            view=view, files=files, nonce=nonce, allowed_mentions=whom, mention_author=False, **more
        )
        return {"channel": sent.channel.id, "message": sent.id, "own": True}


def _deferred(job: Job) -> MessageRef | None:
    """Return the reference to an interaction's deferred response; None where it is not this job's."""
    reply = job.origin.reply
    if "token" not in reply or (job.series and job.series.number > 1):
        return None
    return {"channel": reply["channel"], "message": reply["message"]}


def _may_tell(job: Job, ref: MessageRef) -> bool:
    """Tell whether the bot itself may post where it was asked, and the status message stands there."""
    reply = job.origin.reply
    open_there = "token" not in reply or (reply.get("open") and reply.get("posts", True))
    return bool(open_there) and ref["channel"] == reply["channel"]


def _about(job: Job) -> discord.MessageReference | None:
    """Return a reference to the words that asked for the job; None where it was asked by an interaction."""
    reply = job.origin.reply
    if "reply_to" not in reply:
        return None
    return discord.MessageReference(
        message_id=reply["reply_to"], channel_id=reply["channel"], fail_if_not_exists=False
    )


def address_of(job: Job) -> str:
    """Return the address of a job's message; empty if it is private or not where it was asked for."""
    member, ref = job.origin.member, job.message or {}
    if job.origin.private or not ref.get("message") or ref["channel"] != job.origin.reply.get("channel"):
        return ""
    server = member.tenant.removeprefix("discord:")
    server = server if server.isdecimal() else "@me"
    return f"https://discord.com/channels/{server}/{ref['channel']}/{ref['message']}"


def _fresh(reply: dict[str, Any]) -> bool:
    return bool(reply.get("token")) and time.time() < reply["expires"] - MARGIN


def _ends(reply: dict[str, Any]) -> float:
    """Return when the last token ends, as Unix time in seconds."""
    return float(reply.get("again", reply)["expires"])


def _fetch(job: Job, language: str) -> Button:
    """Return a button whose press brings a fresh token, for places that the bot cannot reach without one."""
    spoken = speech.say(_("Show the result as soon as it is done"), language)
    return Button(
        id=Action(name="show", job=job.id).id, label=speech.say(_("Fetch result"), language), name=spoken
    )


def _closed(error: discord.HTTPException) -> bool:
    """Tell whether another way may work where this one does not."""
    if error.code == UNKNOWN_MESSAGE:
        return False
    return error.status in (403, 404) or error.code in _CLOSED


_CLOSED = (INVALID_TOKEN, UNKNOWN_WEBHOOK, THREAD_ARCHIVED, NO_FURTHER_RESPONSES)


def _why(error: discord.HTTPException) -> str:
    unnamed = _(
        "Discord does not take it (status {status}, code {code}).", status=error.status, code=error.code
    )
    return _REASONS.get(error.code, unnamed)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn discord.py's errors into Easel's."""
    try:
        yield
    except discord.RateLimited as error:
        raise TryLater("rate limited", after=error.retry_after) from error
    except discord.HTTPException as error:
        if error.status == 429:
            raise TryLater("rate limited", after=retry_after(error)) from error
        if error.status >= 500 or error.status == 401:
            raise TryLater(f"Discord answered {error.status}", after=1.0) from error
        gone = error.code == UNKNOWN_MESSAGE
        raise (MessageGone if gone else Unreachable)(_why(error)) from error
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        raise TryLater(f"Discord cannot be reached ({type(error).__name__})") from error


def retry_after(error: discord.HTTPException) -> float:
    """Return the seconds to wait that a refusal for its rate names; 1 where it names none."""
    headers = getattr(error.response, "headers", {})
    try:
        return float(headers.get("Retry-After", 1.0))
    except ValueError:
        return 1.0
