"""Where interactions are answered: acknowledged at once, passed to the studio, replied to.

What has no message that lives (a refusal, a list, an info) is for the eyes of the one who asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
import discord
import structlog
from discord.ui import LayoutView

from bot import actions, telemetry
from bot.actions import Action
from bot.adapters.base import Answer, NoAnswer, Receipt
from bot.adapters.discord import context, forms, links
from bot.adapters.discord.delivery import NOBODY
from bot.adapters.discord.layout import LEAST_LIMIT, Shown, moment, show
from bot.adapters.discord.links import LinkedPicture
from bot.adapters.discord.settings import DiscordSettings
from bot.adapters.interactions import BROKEN, Alone, Ask, Filled, Interactions, Seen
from bot.easel import Easel
from bot.errors import Refusal, StoreError
from bot.i18n import _
from bot.i18n.speech import nearest, say, translated
from bot.images import pictures
from bot.messages.types import Card
from bot.models import Member, Origin
from bot.options import Completes

log = structlog.stdlib.get_logger(__name__)

Interaction = discord.Interaction[Any]
Event = Interaction | discord.Message | context.Reacted
"""A command, a press or a form; words that somebody wrote; or a reaction."""
Picture = discord.Attachment | LinkedPicture | str
"""An attachment; an address of Discord's; or the key of what was chosen before the form was opened."""
Files = list[discord.File]
Send = Callable[[Interaction, LayoutView, Files], Awaitable[None]]

FORM_PATIENCE = 2.0  # seconds; a form must be opened within three and cannot be deferred
EYES_PATIENCE = 0.8  # seconds that finding out for whose eyes an answer is may take
MOST_TAKEN = 1000  # interactions that wait for their answer; further people are asked to try again
MOST_CHOSEN = 200  # pictures that were chosen for a form that may still be sent
HINT_SECONDS = 30.0  # that a hint stands in a channel
QUESTION_SECONDS = 300.0  # that a question to one person stands there

CLOSED = _(
    "The answer is for you alone, and no direct message reaches you. Ask with /imagine: then only you see it."
)
HINT = _("Describe an image, for example: a red fox. Reply to an image of mine to change it.")
_CHANGED = _("That command has changed since your Discord loaded it. Restart Discord and try again.")
_ELSEWHERE = _("That message is in another channel. Ask there, or choose “Verify” in the message's menu.")
_NOT_SHOWN = _(
    "Easel cannot see an image in that message. Choose “Verify” in the message's menu, or give the image."
)
_MESSAGE = re.compile(
    r"(?:https://(?:\w+\.)?discord(?:app)?\.com/channels/(?:@me|\d{1,20})/(?P<channel>\d{1,20})/)?"
    r"(?P<message>\d{15,20})/?",
    re.ASCII,
)
NOT_SERVED = _("Easel is not open to this server. Whoever runs it can add it.")
_BUSY = Refusal(_("Easel is busy at the moment. Try again in a minute."), code="busy")


class DiscordHandlers(Interactions[Event, Picture]):
    """Answers commands, presses, forms, menus and words as Discord wants it."""

    title = "Discord"
    hint = HINT
    at_once = 16
    unreachable = (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError)

    def __init__(self, easel: Easel, settings: DiscordSettings) -> None:
        super().__init__(easel, settings.max_source_bytes)
        self._served = settings.discord_servers
        self._taken = 0
        self._chosen: dict[str, discord.Attachment] = {}

    # ---- what people do

    async def slash(self, interaction: Interaction, name: str, options: Mapping[str, Any]) -> None:
        """Answer a slash command; attachments among its options are sent pictures."""
        sent = {key: each for key, each in options.items() if isinstance(each, discord.Attachment)}
        typed = {key: each for key, each in options.items() if key not in sent}
        await self.command(interaction, name, typed, sent)

    async def misunderstood(self, interaction: Interaction, error: Exception) -> None:
        """Refuse a command that Discord sent in a form that Easel does not know, or not any more."""
        log.warning("a command was not understood", cause=str(error))
        if interaction.type is discord.InteractionType.application_command:
            await self._refuse(interaction, Refusal(_CHANGED))

    async def complete(
        self, interaction: Interaction, source: Completes, typed: str
    ) -> list[tuple[str, str]]:
        """Return completions of what is typed, as (value, label); none where the studio cannot tell now."""
        try:
            found = await self._easel.vocabulary.complete(source, typed, context.member_of(interaction))
        except (Refusal, StoreError) as error:
            log.info("nothing to complete with", source=source, cause=str(error))
            return []
        if source != "commands":  # all others are names and prompts
            return found
        language = nearest(str(interaction.locale)) or "en"
        return [(value, say(label, language)) for value, label in found]

    async def sent(self, interaction: Interaction) -> None:
        """Answer a form that was filled in."""
        await self.submit(interaction, partial(_filled, interaction))

    async def source(self, interaction: Interaction, message: discord.Message) -> None:
        """Open a form that paints from this message's picture (message menu)."""
        await self.use_as_source(interaction, _seen(message))

    async def chosen(self, interaction: Interaction, message: discord.Message, name: actions.Name) -> None:
        """Do with this message's job what the button `name` does (message menu)."""
        await self.on_job(interaction, _seen(message), name)

    async def verified(self, interaction: Interaction, message: discord.Message) -> None:
        """Tell whether this message's pictures were made here (message menu)."""
        await self.verify(interaction, _seen(message))

    def serves(self, server: int | str) -> bool:
        """Tell whether a server is one of those that may use Easel."""
        return not self._served or str(server) in self._served

    def check_place(self, origin: Origin) -> None:
        server = origin.member.tenant.removeprefix("discord:")
        if server.isdecimal() and not self.serves(server):
            raise Refusal(NOT_SERVED, code="place")

    # ---- as Discord wants it

    async def answer(
        self, event: Event, ask: Ask, alone: Alone | None = None, *, replace: bool = False
    ) -> None:
        if isinstance(event, discord.Message):
            await self._answer_words(event, ask)
        elif isinstance(event, context.Reacted):
            await self._answer_reaction(event, ask)
        else:
            await self._answer(event, ask, alone, update=replace)

    def presser(self, event: Event) -> Hashable:
        assert isinstance(event, discord.Interaction)
        return event.user.id, event.message.id if event.message else 0

    async def ignore(self, event: Event) -> None:
        assert isinstance(event, discord.Interaction)
        await _acknowledge(event, private=True, update=True)

    async def bring_again(self, event: Event, action: Action, ask: Ask) -> None:
        async def both(origin: Origin) -> Answer:
            answer = await ask(origin)
            await self._come_back(action.job, origin)
            return answer

        await self.answer(event, both)

    async def download(self, event: Event, picture: Picture) -> bytes:
        if isinstance(picture, LinkedPicture):
            return await links.fetch(picture.url, self.check_size)
        found = self._was_chosen(picture) if isinstance(picture, str) else picture
        self.check_size(found.size)
        return await found.read()

    async def linked(self, event: Event, url: str) -> Picture | None:
        return links.linked(url)

    def named(self, picture: Picture) -> str:
        return picture.filename if isinstance(picture, discord.Attachment) else ""

    def check_picture(self, picture: Picture) -> None:
        if isinstance(picture, discord.Attachment):
            self.check_size(picture.size)
            pictures.check_told(picture.content_type or "", picture.filename)

    async def shown_at(self, event: Event, place: str) -> Seen[Picture] | None:
        found = _MESSAGE.fullmatch(place)
        if found is None or not isinstance(event, discord.Interaction):
            return None
        channel: Any = event.channel
        if channel is None or found["channel"] not in (None, str(event.channel_id)):
            raise Refusal(_ELSEWHERE, code="place")
        try:
            message = _seen(await channel.fetch_message(int(found["message"])))
        except self.unreachable as error:
            raise Refusal(_NOT_SHOWN, code="no_picture") from error
        if not (message.job or message.pictures):  # of others' messages Discord shows it no attachments
            raise Refusal(_NOT_SHOWN, code="no_picture")
        return message

    async def _come_back(self, id: str, origin: Origin) -> None:
        """Keep the token of a person who fetches an unfinished result, to deliver the result by it."""
        again = {name: origin.reply[name] for name in ("token", "expires", "message")}
        try:
            job = await self._easel.visibility.job(id, origin.member)
            if context.by_token_alone(job) and job.origin.member.id == origin.member.id:
                await self._easel.messages.reach(job, {"again": again})
        except (Refusal, StoreError) as error:
            log.warning("a result is brought by its older token alone", job_id=id, cause=str(error))

    async def shown(self, card: Card, limit: int) -> Shown:
        """Render the card with its pictures, or without them when they cannot be read at the moment."""
        reached = self._easel.logins.reached
        try:
            return await show(card, self._easel.images.fitted, limit, studio=reached)
        except StoreError as error:
            log.error("a stored picture cannot be read", cause=str(error))
            return await show(replace(card, pictures=()), self._easel.images.fitted, limit, studio=reached)

    def _choose(self, key: str, attachment: discord.Attachment) -> None:
        self._chosen[key] = attachment
        while len(self._chosen) > MOST_CHOSEN:
            del self._chosen[next(iter(self._chosen))]

    def _was_chosen(self, key: str) -> discord.Attachment:
        if found := self._chosen.pop(key, None):
            return found
        raise Refusal(_("That form is too old. Choose “Use as reference” again."), code="expired")

    # ---- how interactions are answered

    async def _alone(self, interaction: Interaction, alone: Alone | None) -> bool:
        """Tell whether one person alone is answered. Raises TimeoutError when too much is asked at once."""
        if self._taken > MOST_TAKEN:
            raise TimeoutError
        if alone is None:
            return True
        try:
            async with asyncio.timeout(EYES_PATIENCE):
                return await alone(*_viewer(interaction))
        except TimeoutError:
            raise
        except Exception:  # asking will meet it again, and say so
            return True

    # ---- how they are answered

    async def _answer(self, interaction: Interaction, ask: Ask, alone: Alone | None, *, update: bool) -> None:
        """Acknowledge, ask, reply. `update`: the answer replaces the message whose button was pressed."""
        began = time.monotonic()
        self._taken += 1
        try:
            private = await self._alone(interaction, alone)
            message = await _acknowledge(interaction, private=private, update=update)
            _note(began)
            if message is not None:
                card = await self.asked(ask, context.of_interaction(interaction, message, ephemeral=private))
                await self._conclude(interaction, card, private=private, update=update)
        except TimeoutError:
            await self._refuse(interaction, _BUSY)
            _note(began)
        finally:
            self._taken -= 1

    async def _conclude(
        self, interaction: Interaction, card: Card | Receipt | NoAnswer, *, private: bool, update: bool
    ) -> None:
        if not isinstance(card, Card):
            return
        if update and card.kind == "refused":
            await self._reply(interaction, card, _follow_up)
        else:
            await self._reply(interaction, card, _edit if private else _instead)

    async def open(self, event: Event, ask: Ask, picture: Picture | None = None) -> None:
        assert isinstance(event, discord.Interaction)
        began = time.monotonic()
        try:
            await event.response.send_modal(await self._modal(event, ask, picture))
        except Refusal as refusal:
            await self._refuse(event, refusal)
        except TimeoutError:
            await self._refuse(event, _BUSY)
        except discord.HTTPException as error:
            _lost(error)
        except Exception:
            log.exception("a form could not be opened")
            await self._refuse(event, Refusal(BROKEN))
        _note(began)

    async def _modal(self, interaction: Interaction, ask: Ask, picture: Picture | None) -> discord.ui.Modal:
        """Build the modal of the form that `ask` returns. Raises Refusal, TimeoutError."""
        async with asyncio.timeout(FORM_PATIENCE):
            origin = context.of_interaction(interaction, 0, ephemeral=True)
            form, command = await self.question(ask, origin)
            styles = await self._easel.vocabulary.styles(origin.member)
        key = ""
        if isinstance(picture, discord.Attachment):
            self._choose(key := str(interaction.id), picture)
        return forms.modal(form, key, command, styles)

    async def _refuse(self, interaction: Interaction, refusal: Refusal) -> None:
        """Answer what was not acknowledged yet."""
        origin = context.of_interaction(interaction, 0, ephemeral=True)
        await self._reply(interaction, self.refused(refusal, origin), _respond)

    async def _reply(self, interaction: Interaction, card: Card, send: Send) -> None:
        view, files = (await self.shown(card, interaction.filesize_limit)).message()
        try:
            await send(interaction, view, files)
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            _lost(error)

    # ---- words, answered by messages

    async def _answer_words(self, message: discord.Message, ask: Ask) -> None:
        """Answer a message's words; send what is private as a direct message, never to a server's channel."""
        card = await self.asked(ask, context.of_message(message))
        if not isinstance(card, Card):
            return
        try:
            if card.private and message.guild:
                await self._whisper(message, card)
            else:
                await message.reply(**await self._sendable(message, card))
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            log.warning("a message could not be answered", cause=type(error).__name__)

    async def _answer_reaction(self, reacted: context.Reacted, ask: Ask) -> None:
        """Send what a reaction asked for as a direct message; where none arrives, stay silent."""
        card = await self.asked(ask, context.of_reaction(reacted))
        if not isinstance(card, Card) or card.kind == "refused":
            return
        event = reacted.event
        name = f"{event.message_id}/{event.user_id}/{event.emoji.name}"
        try:
            person = await reacted.client.create_dm(discord.Object(event.user_id))
            view, files = (await self.shown(card, LEAST_LIMIT)).message()
            nonce = hashlib.sha256(name.encode()).hexdigest()[:24]
            await person.send(view=view, files=files, nonce=nonce, allowed_mentions=NOBODY)
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            log.info("a reaction was not answered", job_id=reacted.job.id, cause=type(error).__name__)

    async def _whisper(self, message: discord.Message, card: Card) -> None:
        """Send a direct message; if that fails, show for a moment a hint that reveals nothing."""
        try:
            await message.author.send(**await self._sendable(message, card))
        except discord.DiscordException as error:
            log.info("a hint in place of a direct message", cause=str(error))
            hint = translated(Card(kind="text", body=(CLOSED,)), card.language)
            await message.reply(delete_after=HINT_SECONDS, **await self._sendable(message, hint))

    async def _sendable(self, message: discord.Message, card: Card) -> dict[str, Any]:
        """Return the arguments that send the card; the nonce prevents a second message for the same event."""
        view, files = (await self.shown(card, context.limit_of(message))).message()
        nonce = f"{message.id}{'-dm' if card.private else ''}"
        passing = message.guild and not card.private and card.rows
        more = {"delete_after": QUESTION_SECONDS} if passing else {}
        return more | {
            "view": view,
            "files": files,
            "nonce": nonce,
            "mention_author": False,
            "allowed_mentions": NOBODY,
        }


def _viewer(interaction: Interaction) -> tuple[Member, Collection[str]]:
    """Return who looks, and from which closed place."""
    return context.member_of(interaction), context.seen_in(interaction.channel)


def _filled(interaction: Interaction) -> Filled[Picture]:
    answer = forms.read(interaction)
    picture = answer.upload or answer.picture or None
    return Filled(options=answer.options, parent=answer.parent, picture=picture)


# ---- ways to answer


async def _acknowledge(interaction: Interaction, *, private: bool, update: bool) -> int | None:
    """Take the interaction. Returns the answer's message id, None when it was taken or is too old."""
    try:
        taken = await interaction.response.defer(ephemeral=private, thinking=not update)
        if update and interaction.message:
            return interaction.message.id
        if taken is None or not taken.message_id:
            return (await interaction.original_response()).id
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        _lost(error)
        return None
    return taken.message_id


def _note(began: float) -> None:
    telemetry.ACKNOWLEDGED.labels("discord").observe(time.monotonic() - began)


async def _edit(interaction: Interaction, view: LayoutView, files: Files) -> None:
    await interaction.edit_original_response(view=view, attachments=files, allowed_mentions=NOBODY)


async def _follow_up(interaction: Interaction, view: LayoutView, files: Files) -> None:
    await interaction.followup.send(view=view, files=files, ephemeral=True, allowed_mentions=NOBODY)


async def _instead(interaction: Interaction, view: LayoutView, files: Files) -> None:
    """Answer privately instead of by a public deferred response, which is completed and then deleted."""
    await interaction.edit_original_response(view=moment(nearest(str(interaction.locale)) or "en"))
    await _follow_up(interaction, view, files)
    await interaction.delete_original_response()


async def _respond(interaction: Interaction, view: LayoutView, files: Files) -> None:
    await interaction.response.send_message(view=view, files=files, ephemeral=True, allowed_mentions=NOBODY)


def _lost(error: Exception) -> None:
    # Only the kind of a network's error: its text may hold an address with a token in it.
    cause = str(error) if isinstance(error, discord.DiscordException) else type(error).__name__
    log.warning("an interaction could not be answered", cause=cause)


# ---- what a message holds


def _seen(message: discord.Message) -> Seen[Picture]:
    return Seen(job=job_of(message), pictures=tuple(pictures_of(message)))


def job_of(message: discord.Message) -> str:
    """Return the job that a message of Easel's own shows, or an empty text."""
    client: Any = message._state._get_client()
    if message.author.id != client.user.id:
        return ""
    return next((id for id in map(actions.job_in, _ids(message.components)) if id), "")


def _ids(components: Any) -> list[str]:
    found = []
    for each in components:
        found += [each.custom_id] if getattr(each, "custom_id", None) else []
        found += _ids(getattr(each, "children", ()))
    return found


def pictures_of(message: discord.Message) -> list[discord.Attachment]:
    """Return the attached pictures."""
    return [
        each
        for each in message.attachments
        if pictures.may_be_picture(each.content_type or "", each.filename)
    ]
