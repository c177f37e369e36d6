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
from bot.actions import DERIVING, Action
from bot.adapters.discord import forms, origins
from bot.adapters.discord.delivery import NOBODY
from bot.adapters.discord.layout import Shown, moment, show
from bot.card import Card, Form
from bot.commands import Command, Completes
from bot.errors import Refusal, StoreError
from bot.models import Job, Member, Origin
from bot.settings import Settings
from bot.studio import Answer, Receipt, Studio
from bot.words import nearest, say

log = structlog.stdlib.get_logger(__name__)

Interaction = discord.Interaction[Any]
Ask = Callable[[Origin], Awaitable[Answer]]
Eyes = Callable[[], Awaitable[bool]]
"""Whether an answer is for one person alone: Discord wants to know that before anything else."""
Files = list[discord.File]
Send = Callable[[Interaction, LayoutView, Files], Awaitable[None]]

FORM_PATIENCE = 2.0  # seconds; a form must be opened within three and cannot be deferred
EYES_PATIENCE = 0.8  # seconds that finding out for whose eyes an answer is may take
DOUBLE_CLICK = 1.5  # seconds in which the same press by the same person is the same press
AT_ONCE = 16  # requests that the studio works on at a time, so that acknowledgements are not behind them
MOST_TAKEN = 1000  # interactions that wait for their answer; further people are asked to try again
MOST_CHOSEN = 200  # pictures that were chosen for a form that may still be sent

BROKEN = "Easel could not do that. Try again; an administrator finds the cause in the log."
_CHANGED = "That command has changed since your Discord loaded it. Restart Discord and try again."
_BUSY = Refusal("Easel is busy at the moment. Try again in a minute.", code="busy")


class Desk:
    """Answers commands, presses, forms and menus through the studio."""

    def __init__(self, studio: Studio, settings: Settings) -> None:
        self._studio = studio
        self._settings = settings
        self._door = asyncio.Semaphore(AT_ONCE)
        self._taken = 0
        self._pressed: set[tuple[int, int, str]] = set()
        self._chosen: dict[str, discord.Attachment] = {}

    # ---- what people do

    async def command(self, interaction: Interaction, name: str, options: Mapping[str, Any]) -> None:
        """A slash command."""
        name = "imagine" if name == "edit" else name
        words = {key: value for key, value in options.items() if not isinstance(value, discord.Attachment)}

        async def ask(origin: Origin) -> Answer:
            files = {key: await self.fetch(options[key]) for key in options.keys() - words.keys()}
            return await self.handle(name, words | files, origin)

        eyes: Eyes | None = None
        if name == "imagine":
            eyes = self._eyes_of_words(interaction, words)
        elif name in ("upscale", "vary"):
            eyes = self._eyes_of_job(interaction, str(options["job"]))
        await self._answer(interaction, ask, eyes)

    async def misunderstood(self, interaction: Interaction, error: Exception) -> None:
        """A command that Discord sent in a form that is not, or no longer, ours."""
        log.warning("a command was not understood", cause=str(error))
        if interaction.type is discord.InteractionType.application_command:
            await self._refuse(interaction, Refusal(_CHANGED))

    async def complete(
        self, interaction: Interaction, source: Completes, typed: str
    ) -> list[tuple[str, str]]:
        """What may follow while someone types; nothing where that cannot be said at the moment."""
        try:
            found = await self._studio.complete(source, typed, origins.member_of(interaction))
        except (Refusal, StoreError) as error:
            log.info("nothing to complete with", source=source, cause=str(error))
            return []
        if source != "commands":  # all others are names and prompts
            return found
        language = nearest(str(interaction.locale)) or "en"
        return [(value, say(label, language)) for value, label in found]

    async def press(self, interaction: Interaction, button: str) -> None:
        """A button of any card, however old."""

        async def ask(origin: Origin) -> Answer:
            async with self._door:
                answer = await self._studio.press(button, origin)
                if name == "show":
                    await self._come_back(about, origin)
                return answer

        _, name, about = [*button.split(":", 2), "", ""][:3]
        if name == "edit":
            await self._open(interaction, ask)
        elif name in ("cancel", "delete"):
            await self._answer(interaction, ask, update=True)
        elif name not in (*DERIVING, "try"):
            await self._answer(interaction, ask)
        elif self._repeated(interaction, button):
            await _acknowledge(interaction, private=True, update=True)
        elif name == "try":
            await self._answer(interaction, ask, self._eyes_of_words(interaction, {"prompt": about}))
        else:
            await self._answer(interaction, ask, self._eyes_of_job(interaction, about.partition(":")[0]))

    async def _come_back(self, id: str, origin: Origin) -> None:
        """Somebody fetches a result that is not there yet: the answer's token will bring it."""
        again = {name: origin.reply[name] for name in ("token", "expires", "message")}
        try:
            job = await self._studio.job(id, origin.member)
            if origins.by_token_alone(job) and job.origin.member.id == origin.member.id:
                await self._studio.reach(job, {"again": again})
        except (Refusal, StoreError) as error:
            log.warning("a result is brought by its older token alone", job_id=id, cause=str(error))

    async def submit(self, interaction: Interaction) -> None:
        """A form that was filled in."""

        async def ask(origin: Origin) -> Answer:
            answer = forms.read(interaction)
            options: dict[str, object] = dict(answer.options)
            if picture := answer.upload or self._was_chosen(answer.picture):
                options["source"] = await self.fetch(picture)
            return await self.handle("imagine", options, origin, parent=answer.parent)

        async def eyes() -> bool:
            return await self._studio.private(forms.read(interaction).options, *_seen_by(interaction))

        await self._answer(interaction, ask, eyes)

    async def use_as_source(self, interaction: Interaction, message: discord.Message) -> None:
        """Message menu: a form that paints from this message's picture."""

        async def ask(origin: Origin) -> Answer:
            await self._studio.check_source(origin.member)
            if job := job_of(message):
                await self._studio.job(job, origin.member, origin.here)
                return Form(command="imagine", title="Use as source", values={"source": f"{job}:1"})
            if not (found := picture_of(message)):
                raise Refusal("There is no picture in that message.", code="no_picture")
            self._choose(str(interaction.id), found)
            return Form(command="imagine", title="Use as source", values={})

        await self._open(interaction, ask)

    async def on_job(self, interaction: Interaction, message: discord.Message, name: actions.Name) -> None:
        """Message menu: what a button does. Of several pictures, they are shown to choose from."""

        async def job() -> Job:
            if id := job_of(message):
                return await self._studio.job(id, *_seen_by(interaction))
            raise Refusal("That message holds no picture of Easel's.", code="no_picture")

        async def ask(origin: Origin) -> Answer:
            found = await job()
            wanted: actions.Name = name if name == "info" or _single(found) else "show"
            index = 0 if wanted in DERIVING else None
            async with self._door:
                return await self._studio.press(Action(name=wanted, job=found.id, index=index).id, origin)

        async def eyes() -> bool:
            found = await job()
            return not found.is_open(origins.seen_in(interaction.channel)) or not _single(found)

        await self._answer(interaction, ask, None if name == "info" else eyes)

    async def handle(
        self, name: str, options: Mapping[str, object], origin: Origin, *, parent: str = ""
    ) -> Card | Receipt:
        """`Studio.handle`, for a number of people at a time. Raises Refusal."""
        async with self._door:
            return await self._studio.handle(name, options, origin, parent=parent)

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
        reached = self._studio.logins.reached
        try:
            return await show(card, self._studio.fitted, limit, studio=reached)
        except StoreError as error:
            log.error("a stored picture cannot be read", cause=str(error))
            return await show(replace(card, pictures=()), self._studio.fitted, limit, studio=reached)

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

    # ---- for whose eyes

    def _eyes_of_words(self, interaction: Interaction, options: Mapping[str, object]) -> Eyes:
        return lambda: self._studio.private(options, *_seen_by(interaction))

    def _eyes_of_job(self, interaction: Interaction, id: str) -> Eyes:
        async def eyes() -> bool:
            member, here = _seen_by(interaction)
            return not (await self._studio.job(id, member, here)).is_open(here)

        return eyes

    async def _alone(self, eyes: Eyes | None) -> bool:
        """Whether one person alone is answered. Raises TimeoutError when too much is asked at once."""
        if self._taken > MOST_TAKEN:
            raise TimeoutError
        if eyes is None:
            return True
        try:
            async with asyncio.timeout(EYES_PATIENCE):
                return await eyes()
        except TimeoutError:
            raise
        except Exception:  # asking will meet it again, and say so
            return True

    # ---- how they are answered

    async def _answer(
        self, interaction: Interaction, ask: Ask, eyes: Eyes | None = None, *, update: bool = False
    ) -> None:
        """Acknowledge, ask, reply. `update`: the answer replaces the message whose button was pressed."""
        began = time.monotonic()
        self._taken += 1
        try:
            private = await self._alone(eyes)
            message = await _acknowledge(interaction, private=private, update=update)
            _note(began)
            if message is not None:
                card = await self._asked(ask, origins.of_interaction(interaction, message, ephemeral=private))
                await self._conclude(interaction, card, private=private, update=update)
        except TimeoutError:
            await self._refuse(interaction, _BUSY)
            _note(began)
        finally:
            self._taken -= 1

    async def _conclude(
        self, interaction: Interaction, card: Card | None, *, private: bool, update: bool
    ) -> None:
        if card is None:
            return
        if update and card.kind == "refused":
            await self._reply(interaction, card, _follow_up)
        else:
            await self._reply(interaction, card, _edit if private else _instead)

    async def _open(self, interaction: Interaction, ask: Ask) -> None:
        """Show a form, or say privately why not."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(FORM_PATIENCE):
                origin = origins.of_interaction(interaction, 0, ephemeral=True)
                form = await ask(origin)
                imagine = await self._imagine(origin.member)
                styles = await self._studio.styles(origin.member)
            assert isinstance(form, Form)
            key = str(interaction.id) if str(interaction.id) in self._chosen else ""
            modal = forms.modal(self._studio.said(form, origin), key, imagine, styles)
            await interaction.response.send_modal(modal)
        except Refusal as refusal:
            await self._refuse(interaction, refusal)
        except TimeoutError:
            await self._refuse(interaction, _BUSY)
        except discord.HTTPException as error:
            _lost(error)
        except Exception:
            log.exception("a form could not be opened")
            await self._refuse(interaction, Refusal(BROKEN))
        _note(began)

    async def _imagine(self, member: Member) -> Command:
        """/imagine as it is for the member."""
        return next(each for each in await self._studio.known(member) if each.name == "imagine")

    async def _asked(self, ask: Ask, origin: Origin) -> Card | None:
        """The card to reply with; None where a job's message follows."""
        try:
            answer = await ask(origin)
        except Refusal as refusal:
            return self.refused(refusal, origin)
        except Exception:
            log.exception("an interaction failed", surface=origin.surface, event_id=origin.event)
            return self.refused(Refusal(BROKEN), origin)
        if isinstance(answer, Receipt):
            return None
        assert isinstance(answer, Card)
        return answer

    def refused(self, refusal: Refusal, origin: Origin) -> Card:
        """The card of a refusal, whoever said it."""
        return self.said(cards.refused(refusal), origin)

    def said(self, card: Card, origin: Origin) -> Card:
        """A card of the surface's own words in the language of whoever is answered."""
        return self._studio.said(card, origin)

    async def _refuse(self, interaction: Interaction, refusal: Refusal) -> None:
        """Answer what was not acknowledged yet."""
        origin = origins.of_interaction(interaction, 0, ephemeral=True)
        await self._reply(interaction, self.refused(refusal, origin), _respond)

    async def _reply(self, interaction: Interaction, card: Card, send: Send) -> None:
        view, files = (await self.shown(card, interaction.filesize_limit)).message()
        try:
            await send(interaction, view, files)
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            _lost(error)


def _seen_by(interaction: Interaction) -> tuple[Member, tuple[str, ...]]:
    """Who looks, and from which closed place."""
    return origins.member_of(interaction), origins.seen_in(interaction.channel)


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
    """A response that was deferred for everybody cannot become private: it is ended, then taken away."""
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


def _single(job: Job) -> bool:
    return sum(each.index >= 0 for each in job.pictures) == 1


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
