"""Where interactions are answered: acknowledged at once, passed to the studio, replied to.

What has no message that lives (a refusal, a list, an info) is for the eyes of the one who asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import discord
import structlog
from discord.ui import LayoutView

from bot import actions, telemetry
from bot import card as cards
from bot.actions import DERIVING
from bot.adapters.discord import forms
from bot.adapters.discord.delivery import NOBODY, TOKEN_SECONDS, vault
from bot.adapters.discord.layout import Shown, moment, show
from bot.card import Card, Form
from bot.commands import Completes
from bot.errors import Refusal, StoreError
from bot.models import Member, Origin
from bot.settings import Settings
from bot.studio import Answer, Receipt, Studio

log = structlog.stdlib.get_logger(__name__)

Interaction = discord.Interaction[Any]
Ask = Callable[[Origin], Awaitable[Answer]]
Files = list[discord.File]
Send = Callable[[Interaction, LayoutView, Files], Awaitable[None]]

PAINTING = ("imagine", "edit", "upscale", "vary")
FORM_PATIENCE = 2.0  # seconds; a form must be opened within three and cannot be deferred
DOUBLE_CLICK = 1.5  # seconds in which the same press by the same person is the same press
MOST_CHOSEN = 200  # pictures that were chosen for a form that may still be sent

BROKEN = "Easel could not do that. Try again; an administrator finds the cause in the log."
_CHANGED = "That command has changed since your Discord loaded it. Restart Discord and try again."


class Desk:
    """Answers commands, presses, forms and menus through the studio."""

    def __init__(self, studio: Studio, settings: Settings) -> None:
        self._studio = studio
        self._settings = settings
        self._pressed: set[tuple[int, int, str]] = set()
        self._chosen: dict[str, discord.Attachment] = {}

    # ---- what people do

    async def command(self, interaction: Interaction, name: str, options: Mapping[str, Any]) -> None:
        """A slash command."""
        said = {key: value for key, value in options.items() if value is not None}

        async def ask(origin: Origin) -> Answer:
            for key, value in said.items():
                if isinstance(value, discord.Attachment):
                    said[key] = await self.fetch(value)
            return await self._studio.handle("imagine" if name == "edit" else name, said, origin)

        private = bool(said.get("private")) or "--private" in str(said.get("prompt", ""))
        await self._answer(interaction, ask, private=private or name not in PAINTING)

    async def misunderstood(self, interaction: Interaction, error: Exception) -> None:
        """A command that Discord sent in a form that is not, or no longer, ours."""
        log.warning("a command was not understood", cause=str(error))
        if interaction.type is discord.InteractionType.application_command:
            await self._reply(interaction, cards.refused(Refusal(_CHANGED)), _respond)

    async def complete(
        self, interaction: Interaction, source: Completes, typed: str
    ) -> list[tuple[str, str]]:
        """What may follow while someone types."""
        return await self._studio.complete(source, typed, member_of(interaction))

    async def press(self, interaction: Interaction, button: str) -> None:
        """A button of any card, however old."""

        async def ask(origin: Origin) -> Answer:
            return await self._studio.press(button, origin)

        name = button.split(":")[1]
        if name == "edit":
            await self._open(interaction, ask)
        elif name in ("cancel", "delete"):
            await self._answer(interaction, ask, private=True, update=True)
        elif name not in (*DERIVING, "try"):
            await self._answer(interaction, ask, private=True)
        elif self._repeated(interaction, button):
            await _acknowledge(interaction, private=True, update=True)
        else:
            hidden = interaction.message is not None and interaction.message.flags.ephemeral
            await self._answer(interaction, ask, private=hidden and name != "try")

    async def submit(self, interaction: Interaction) -> None:
        """A form that was filled in."""

        async def ask(origin: Origin) -> Answer:
            answer = forms.read(interaction)
            options: dict[str, object] = dict(answer.options)
            if picture := answer.upload or self._was_chosen(answer.picture):
                options["source"] = await self.fetch(picture)
            return await self._studio.handle("imagine", options, origin, parent=answer.parent)

        hidden = interaction.message is not None and interaction.message.flags.ephemeral
        await self._answer(interaction, ask, private=hidden)

    async def use_as_source(self, interaction: Interaction, message: discord.Message) -> None:
        """Message menu: a form that paints from this message's picture."""

        async def ask(origin: Origin) -> Answer:
            if job := job_of(message):
                await self._studio.job(job, origin.member)
                return Form(command="imagine", title="Use as source", values={"source": f"{job}:1"})
            if not (found := picture_of(message)):
                raise Refusal("There is no picture in that message.", code="no_picture")
            self._choose(str(interaction.id), found)
            return Form(command="imagine", title="Use as source", values={})

        await self._open(interaction, ask)

    async def on_job(self, interaction: Interaction, message: discord.Message, name: str) -> None:
        """Message menu: what a button does. Of several pictures, they are shown to choose from."""

        async def ask(origin: Origin) -> Answer:
            if not (id := job_of(message)):
                raise Refusal("That message holds no picture of Easel's.", code="no_picture")
            job = await self._studio.job(id, origin.member)
            single = sum(each.index >= 0 for each in job.pictures) == 1
            if name == "info" or not single:
                return await self._studio.press(f"v1:{'info' if name == 'info' else 'show'}:{id}", origin)
            return await self._studio.press(f"v1:{name}:{id}:0", origin)

        await self._answer(interaction, ask, private=True)

    async def fetch(self, attachment: discord.Attachment) -> bytes:
        """An attachment's content. Raises Refusal."""
        most = self._settings.max_source_mb
        if attachment.size > self._settings.max_source_bytes:
            size = -(-attachment.size // 1_000_000)
            notice = f"The source picture has {size} MB; at most {most} MB are taken. Send a smaller one."
            raise Refusal(notice, code="source")
        try:
            return await attachment.read()
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            notice = "The picture could not be fetched from Discord. Send it again."
            raise Refusal(notice, code="source") from error

    async def shown(self, card: Card, limit: int) -> Shown:
        """The card with its pictures, without them when they cannot be read at the moment."""
        try:
            return await show(card, self._studio.picture, limit)
        except StoreError as error:
            log.error("a stored picture cannot be read", cause=str(error))
            return await show(replace(card, pictures=()), self._studio.picture, limit)

    def _choose(self, key: str, attachment: discord.Attachment) -> None:
        self._chosen[key] = attachment
        while len(self._chosen) > MOST_CHOSEN:
            del self._chosen[next(iter(self._chosen))]

    def _was_chosen(self, key: str) -> discord.Attachment | None:
        if not key:
            return None
        if found := self._chosen.pop(key, None):
            return found
        raise Refusal("That form is too old. Choose “Use as source” again.", code="expired")

    def _repeated(self, interaction: Interaction, button: str) -> bool:
        message = interaction.message.id if interaction.message else 0
        key = (interaction.user.id, message, button)
        if key in self._pressed:
            return True
        self._pressed.add(key)
        asyncio.get_running_loop().call_later(DOUBLE_CLICK, self._pressed.discard, key)
        return False

    # ---- how they are answered

    async def _answer(
        self, interaction: Interaction, ask: Ask, *, private: bool, update: bool = False
    ) -> None:
        """Acknowledge, ask, reply. `update`: the answer replaces the message whose button was pressed."""
        message = await _acknowledge(interaction, private=private, update=update)
        if message is None:
            return
        origin = origin_of(interaction, message, ephemeral=private)
        card = await self._asked(ask, origin)
        if card is None:
            return
        if update and card.kind == "refused":
            await self._reply(interaction, card, _follow_up)
        elif update or private:
            await self._reply(interaction, card, _edit)
        else:
            await self._reply(interaction, card, _instead)

    async def _open(self, interaction: Interaction, ask: Ask) -> None:
        """Show a form, or say privately why not."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(FORM_PATIENCE):
                answer = await ask(origin_of(interaction, 0, ephemeral=True))
            assert isinstance(answer, Form)
            key = str(interaction.id) if str(interaction.id) in self._chosen else ""
            await interaction.response.send_modal(forms.modal(answer, key))
        except Refusal as refusal:
            await self._reply(interaction, cards.refused(refusal), _respond)
        except TimeoutError:
            slow = Refusal("Easel is busy at the moment. Press again in a minute.", code="busy")
            await self._reply(interaction, cards.refused(slow), _respond)
        except discord.HTTPException as error:
            _lost(error)
        except Exception:
            log.exception("a form could not be opened")
            await self._reply(interaction, cards.refused(Refusal(BROKEN)), _respond)
        telemetry.ACKNOWLEDGED.labels("discord").observe(time.monotonic() - began)

    async def _asked(self, ask: Ask, origin: Origin) -> Card | None:
        """The card to reply with; None where a job's message follows."""
        try:
            answer = await ask(origin)
        except Refusal as refusal:
            return cards.refused(refusal)
        except Exception:
            log.exception("an interaction failed", surface=origin.surface, event_id=origin.event)
            return cards.refused(Refusal(BROKEN))
        if isinstance(answer, Receipt):
            return None
        assert isinstance(answer, Card)
        return answer

    async def _reply(self, interaction: Interaction, card: Card, send: Send) -> None:
        view, files = (await self.shown(card, interaction.filesize_limit)).message()
        try:
            await send(interaction, view, files)
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            _lost(error)


# ---- ways to answer


async def _acknowledge(interaction: Interaction, *, private: bool, update: bool) -> int | None:
    """Take the interaction. Returns the answer's message id, None when it was taken or is too old."""
    began = time.monotonic()
    try:
        taken = await interaction.response.defer(ephemeral=private, thinking=not update)
        if update and interaction.message:
            return interaction.message.id
        if taken is None or not taken.message_id:
            return (await interaction.original_response()).id
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        _lost(error)
        return None
    finally:
        telemetry.ACKNOWLEDGED.labels("discord").observe(time.monotonic() - began)
    return taken.message_id


async def _edit(interaction: Interaction, view: LayoutView, files: Files) -> None:
    await interaction.edit_original_response(view=view, attachments=files, allowed_mentions=NOBODY)


async def _follow_up(interaction: Interaction, view: LayoutView, files: Files) -> None:
    await interaction.followup.send(view=view, files=files, ephemeral=True, allowed_mentions=NOBODY)


async def _instead(interaction: Interaction, view: LayoutView, files: Files) -> None:
    """A response that was deferred for everybody cannot become private: it is ended, then taken away."""
    await interaction.edit_original_response(view=moment())
    await _follow_up(interaction, view, files)
    await interaction.delete_original_response()


async def _respond(interaction: Interaction, view: LayoutView, files: Files) -> None:
    await interaction.response.send_message(view=view, files=files, ephemeral=True, allowed_mentions=NOBODY)


def _lost(error: Exception) -> None:
    # Only the kind of a network's error: its text may hold an address with a token in it.
    cause = str(error) if isinstance(error, discord.DiscordException) else type(error).__name__
    log.warning("an interaction could not be answered", cause=cause)


# ---- who and where


def member_of(interaction: Interaction) -> Member:
    """Who acts. A server is a tenant, and so is each direct message and each group."""
    user = interaction.user
    if interaction.guild_id:
        tenant = f"discord:{interaction.guild_id}"
    elif interaction.context.private_channel:
        tenant = f"discord:group:{interaction.channel_id}"
    else:
        tenant = f"discord:dm:{user.id}"
    admin = bool(interaction.guild_id) and interaction.permissions.manage_guild
    return Member(tenant=tenant, id=f"discord:{user.id}", name=user.display_name, admin=admin)


def origin_of(interaction: Interaction, message: int, *, ephemeral: bool) -> Origin:
    """Who acts, where, and how they are answered. `message` is the response's id."""
    return Origin(
        surface="discord",
        member=member_of(interaction),
        channel=str(interaction.channel_id),
        event=str(interaction.id),
        reply={
            "channel": interaction.channel_id,
            "user": interaction.user.id,
            "limit": interaction.filesize_limit,
            "token": vault(interaction.client).encrypt(interaction.token.encode()).decode(),
            "expires": time.time() + TOKEN_SECONDS,
            "message": message,
            "ephemeral": ephemeral,
            "open": interaction.is_guild_integration() or interaction.context.dm_channel,
        },
    )


# ---- what a message holds


def job_of(message: discord.Message) -> str:
    """The job that a message of ours shows, or nothing."""
    client: Any = message._state._get_client()
    if message.author.id != client.user.id:
        return ""
    return next((id for id in map(_job_in, _ids(message.components)) if id), "")


def _job_in(custom_id: str) -> str:
    try:
        return actions.parse(custom_id).job
    except Refusal:
        return ""


def _ids(components: Any) -> list[str]:
    found = []
    for each in components:
        found += [each.custom_id] if getattr(each, "custom_id", None) else []
        found += _ids(getattr(each, "children", ()))
    return found


def picture_of(message: discord.Message) -> discord.Attachment | None:
    """The first attached picture."""
    return next((a for a in message.attachments if (a.content_type or "").startswith("image/")), None)
