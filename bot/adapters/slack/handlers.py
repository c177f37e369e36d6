"""Where what people do is passed to the studio, and where its answers go.

Everything here runs after the acknowledgement. What has no message that lives (a refusal, a list, an info)
is for the eyes of the one who asked: by the response_url while that is fresh, else as an ephemeral
message, else as a direct one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot import actions
from bot.actions import Action
from bot.adapters.base import Answer, NoAnswer, Receipt
from bot.adapters.interactions import BROKEN, Alone, Ask, Filled, Interactions, Seen
from bot.adapters.slack import forms, layout, links, markup
from bot.adapters.slack.channels import Places
from bot.adapters.slack.delivery import NO_UNFURL, SlackDelivery
from bot.adapters.slack.errors import FAILURES, code_of, translated
from bot.adapters.slack.files import Files, Preparing, check, pictures_in
from bot.adapters.slack.forms import About
from bot.adapters.slack.settings import SlackSettings
from bot.adapters.slack.users import SlackUsers, anyone
from bot.adapters.slack.workspaces import PATIENCE, Workspace, Workspaces
from bot.easel import Easel
from bot.errors import DeliveryError, Refusal, StoreError
from bot.i18n import _, speech
from bot.messages import job_cards
from bot.messages.types import Card, Form
from bot.models import Job, Member, Origin

log = structlog.stdlib.get_logger(__name__)

SOON = 0.8  # seconds in which a form is made, before an empty one is opened in its place

HINT = _("Describe an image, for example: a red fox. Reply in the thread of an image to change it.")
_NOT_SERVED = _("Easel is not open to this workspace. Whoever runs it can add it.")
_SLOW = _("Slack waits three seconds for a form, and this took longer. Press again.")
_NOT_YET = _("Slack is still preparing the images. Try again in a minute.")
_HANDED_OVER = _("The file is in your direct messages with Easel.")
_PRIVATELY = _("The result comes where only you see it: in your direct messages with Easel.")

File = Mapping[str, Any]
"""A file as Slack describes it; only its id is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Something that somebody did, and the ways to answer."""

    workspace: Workspace
    user: str
    name: str = ""
    channel: str = ""  # "" where there is none: App Home, a global shortcut
    thread: str = ""
    event: str  # what names it for ever, so that it is admitted once
    response_url: str = field(default="", repr=False)
    trigger: str = field(default="", repr=False)
    hidden: bool = False  # done in a place that only this person sees
    message: str = ""  # the ts of the message whose button was pressed
    closed: bool = False  # the payload itself says that the channel is private

    @property
    def is_direct(self) -> bool:
        """Tell whether it was asked in the person's direct messages with the app, or in no channel."""
        return not self.channel or self.channel.startswith("D")


class SlackHandlers(Interactions[Asked, File]):
    """Answers commands, presses, forms, shortcuts and words as Slack wants it."""

    title = "Slack"
    hint = HINT
    unreachable = (aiohttp.ClientError, OSError, TimeoutError)

    def __init__(
        self,
        easel: Easel,
        settings: SlackSettings,
        *,
        workspaces: Workspaces,
        people: SlackUsers,
        places: Places,
        files: Files,
        delivery: SlackDelivery,
        session: aiohttp.ClientSession,
    ) -> None:
        super().__init__(easel, settings.max_source_bytes)
        self._served = settings.slack_workspaces
        self._workspaces = workspaces
        self._people = people
        self._places = places
        self._files = files
        self._delivery = delivery
        self._session = session

    # ---- what people do

    async def say(self, asked: Asked, sentence: str) -> None:
        """Send one sentence to this person alone."""
        await self.tell(asked, Card(kind="text", body=(sentence,), private=True))

    def spoken(self, card: Card, workspace: Workspace, user: str) -> Card:
        """Return a card in the language of the place, else of the person, without asking Slack."""
        language = self._people.language(workspace, user)
        member = anyone(workspace, user)
        return self.said(
            card, Origin(surface="slack", member=member, channel="", event="", language=language)
        )

    def language(self, workspace: Workspace, user: str) -> str:
        """Return the language in which a person of the workspace is answered."""
        return self.spoken(Card(kind="text"), workspace, user).language

    async def refuse(self, asked: Asked, refusal: Refusal) -> None:
        await self.tell(asked, job_cards.refused(refusal))

    async def sent(self, asked: Asked, answer: forms.FormAnswer) -> None:
        """Answer a form that was filled in."""
        about = answer.about
        picture: File | None = answer.upload or ({"id": about.file} if about.file else None)
        filled = Filled(
            options=answer.options,
            command=about.command,
            parent=about.parent,
            picture=picture,
            mask=answer.mask,
        )
        await self.submit(asked, lambda: filled)

    async def share(self, asked: Asked, job: str, channel: str) -> None:
        """Show a result in a channel; from then on it is everybody's."""
        there = replace(asked, channel=channel, thread="")
        async with self.telling(asked):
            origin = await self.origin(there, anew=True)
            card = await self._press(Action(name="share", job=job).id, origin)
            assert isinstance(card, Card)
            shown = await self._easel.visibility.job(job, origin.member, origin.here)
            try:
                ref = await self._delivery.share(asked.workspace, shown, card, channel)
            except Preparing as error:
                raise Refusal(_NOT_YET, code="busy") from error
            except DeliveryError as error:
                notice = _(
                    "It could not be shown there: {error} Invite Easel to that channel, then share again.",
                    error=error.args[0],
                )
                raise Refusal(notice, code="place") from error
            await self._easel.messages.shared(shown, ref, origin)

    async def source(self, asked: Asked, message: Mapping[str, Any]) -> None:
        """Open a form that paints from this message's picture (message menu)."""
        await self.use_as_source(asked, self._seen(asked, message))

    async def chosen(self, asked: Asked, message: Mapping[str, Any], name: actions.Name) -> None:
        """Do with this message's job what the button `name` does (message menu)."""
        await self.on_job(asked, self._seen(asked, message), name)

    async def verified(self, asked: Asked, message: Mapping[str, Any]) -> None:
        """Tell whether this message's pictures were made here (message menu)."""
        await self.verify(asked, self._seen(asked, message))

    async def reacted(self, asked: Asked, job: Job, ask: Ask) -> None:
        """Answer a reaction on a job's message, beside it; what a bot puts there is nobody's wish."""
        if await self._people.is_bot(asked.workspace, asked.user):
            return
        thread = str(job.origin.reply.get("thread") or "") if job.origin.channel == asked.channel else ""
        await self.answer(replace(asked, thread=thread, message=""), ask)

    async def shown_by(self, asked: Asked) -> Job | None:
        """Return the job that a message shows which no row names, such as a copy in another channel."""
        client = self._workspaces.talk(asked.workspace.token, team=asked.workspace.team, patient=True)
        try:
            found = await links.message(
                client, links.MessageLink(asked.channel, asked.message), asked.channel
            )
        except (Refusal, *FAILURES):
            return None
        job = self._seen(asked, found).job
        member = anyone(asked.workspace, asked.user)
        with suppress(Refusal):
            return await self._easel.visibility.job(job, member, (asked.channel,)) if job else None
        return None

    # ---- as Slack wants it

    async def answer(
        self, event: Asked, ask: Ask, alone: Alone | None = None, *, replace: bool = False
    ) -> None:
        async with self.telling(event):
            answer = await self.asked(ask, await self.origin(event))
            await self._reply(event, answer, replace)

    async def open(self, event: Asked, ask: Ask, picture: File | None = None) -> None:
        await self.open_form(event, ask, picture)

    async def linked(self, event: Asked, url: str) -> File | None:
        id = links.file_of(url)
        if not id or not self._workspaces.is_slack(url):
            return None
        client = self._workspaces.talk(event.workspace.token, team=event.workspace.team, patient=True)
        try:
            return await links.file(client, id, event.channel)
        except FAILURES as error:
            raise Refusal(links.FILE_NOT_SHOWN, code="no_picture") from error

    def named(self, picture: File) -> str:
        return str(picture.get("name") or "")

    def check_picture(self, picture: File) -> None:
        check(picture, self.check_size)

    def spelled(self, words: str) -> str:
        return markup.in_words(words)

    def presser(self, event: Asked) -> Hashable:
        return event.user, event.message

    async def download(self, event: Asked, picture: File) -> bytes:
        return await self._files.fetch(event.workspace, dict(picture), self.check_size)

    async def shown_at(self, event: Asked, place: str) -> Seen[File] | None:
        client = self._workspaces.talk(event.workspace.token, team=event.workspace.team, patient=True)
        try:
            if found := links.file_of(place):
                return Seen(pictures=(await links.file(client, found, event.channel),))
            if there := links.message_of(place, event.channel):
                return self._seen(event, await links.message(client, there, event.channel))
        except FAILURES as error:
            raise Refusal(links.NOT_SHOWN, code="no_picture") from error
        return None

    def openly(self, event: Asked) -> Asked:
        return replace(event, hidden=False)

    async def ask_where(self, event: Asked, action: Action) -> None:
        async def make(origin: Origin) -> layout.Block:
            job = await self._easel.visibility.job(action.job, origin.member, origin.here)
            place = "" if job.origin.channel.startswith("D") else job.origin.channel
            return forms.share(job.id, place, self.said(Card(kind="text"), origin).language)

        await self._open(event, make)

    async def bring_again(self, event: Asked, action: Action, ask: Ask) -> None:
        again = ask if event.hidden else partial(self._show_again, event, action, ask)
        await self.answer(event, again)

    async def _show_again(self, asked: Asked, action: Action, ask: Ask, origin: Origin) -> Answer:
        """Redraw the result in its own message if it was pressed there; else show it to this person."""
        job = await self._easel.visibility.job(action.job, origin.member, origin.here)
        ref = job.message or {}
        if (ref.get("channel"), ref.get("ts")) != (asked.channel, asked.message):
            return await ask(origin)
        self._delivery.anew(job)
        self._easel.messages.redraw(job)
        return Receipt(job=job)

    # ---- forms

    async def open_form(
        self, asked: Asked, ask: Ask, picture: File | None = None, *, ask_where: bool = False
    ) -> None:
        """Show a form, or say why not. There are three seconds for it."""
        file = str(picture["id"]) if picture else ""
        about = About(channel=asked.channel, thread=asked.thread, hidden=asked.hidden, file=file)

        async def make(origin: Origin) -> layout.Block:
            form, command = await self.question(ask, origin)
            choices = await self._choices(origin.member)
            return forms.modal(form, about, choices, command, ask_where=ask_where)

        await self._open(asked, make)

    async def _open(self, asked: Asked, make: Callable[[Origin], Awaitable[layout.Block]]) -> None:
        """Show the view that is made. Where that takes long, an empty one holds its place meanwhile."""
        async with self.telling(asked):
            made = asyncio.create_task(self._made(asked, make))
            try:
                done, _ = await asyncio.wait({made}, timeout=SOON)
                if done:
                    await self.show(asked, made.result())
                else:
                    await self._fill(
                        asked,
                        await self.show(asked, forms.waiting(self.language(asked.workspace, asked.user))),
                        made,
                    )
            finally:
                made.cancel()

    async def _made(self, asked: Asked, make: Callable[[Origin], Awaitable[layout.Block]]) -> layout.Block:
        return await make(await self.origin(asked))

    async def _fill(self, asked: Asked, opened: str, made: asyncio.Task[layout.Block]) -> None:
        """Put a view, or why there is none, in place of the empty one."""
        try:
            view = await made
        except Refusal as refusal:
            view = self._notice(asked, refusal)
        except Exception:
            log.exception("a form could not be made", surface="slack", event_id=asked.event)
            view = self._notice(asked, Refusal(BROKEN))
        try:
            client = self._workspaces.talk(asked.workspace.token, team=asked.workspace.team, patient=True)
            await client.views_update(view_id=opened, view=view)
        except FAILURES as error:
            if code_of(error) != "not_found":  # else they have closed it
                raise Refusal(BROKEN, code="busy") from error

    def _notice(self, asked: Asked, refusal: Refusal) -> layout.Block:
        card = self.spoken(job_cards.refused(refusal), asked.workspace, asked.user)
        return forms.notice("Easel", layout.blocks(card), card.language)

    async def open_blank(self, asked: Asked, *, ask_where: bool = False) -> None:
        """Open the empty form of /imagine."""

        async def ask(origin: Origin) -> Answer:
            return Form(command="imagine", title=_("Generate an image"), values={})

        await self.open_form(asked, ask, ask_where=ask_where)

    async def show(self, asked: Asked, view: layout.Block) -> str:
        """Open a view and return its id. Raises Refusal when Slack does not."""
        client = self._workspaces.talk(asked.workspace.token, team=asked.workspace.team)
        try:
            async with asyncio.timeout(PATIENCE):
                opened = await client.views_open(trigger_id=asked.trigger, view=view)
            return str(opened["view"]["id"])
        except FAILURES as error:
            log.warning("a form was not opened", cause=code_of(error))
            refused = isinstance(error, SlackApiError) and "trigger_id" not in code_of(error)
            raise Refusal(BROKEN if refused else _SLOW, code="busy") from error

    async def _choices(self, member: Member) -> forms.Choices:
        """Return the choices in a form's menus: what this person may ask for here."""
        most = (await self._easel.access.rules(member)).tier.max_count
        return {
            "style": await self._easel.vocabulary.complete("styles", "", member),
            "aspect": await self._easel.vocabulary.complete("aspects", "", member),
            "model": await self._easel.vocabulary.complete("models", "", member),
            "loras": await self._easel.vocabulary.complete("loras", "", member),
            "count": [(str(number), str(number)) for number in range(1, most + 1)],
        }

    # ---- how they are answered

    @asynccontextmanager
    async def telling(self, asked: Asked) -> AsyncIterator[None]:
        """Answer whatever goes wrong inside the block with one sentence."""
        try:
            yield
        except Refusal as refusal:
            await self.refuse(asked, refusal)
        except Exception:
            log.exception("an event could not be answered", surface="slack", event_id=asked.event)
            await self.refuse(asked, Refusal(BROKEN))

    async def _reply(self, asked: Asked, answer: Card | Receipt | NoAnswer, replace: bool) -> None:
        if isinstance(answer, Card):
            await (self._replace if replace and answer.kind != "refused" else self.tell)(asked, answer)
        elif isinstance(answer, Receipt) and answer.job.origin.private and not asked.is_direct:
            await self.say(asked, _PRIVATELY)

    async def tell(self, asked: Asked, card: Card) -> None:
        """Show a card to this person alone, by the first way that works."""
        card = self.spoken(card, asked.workspace, asked.user)
        try:
            blocks = await self._blocks(asked, card, await self._hand_over(asked, card))
            await self._tell(asked, {"text": layout.summary(card), "blocks": blocks})
        except (DeliveryError, *FAILURES) as error:
            log.warning("somebody could not be answered", event_id=asked.event, cause=code_of(error))

    async def _tell(self, asked: Asked, message: dict[str, Any]) -> None:
        if asked.response_url and await self._respond(asked, message):
            return
        if asked.trigger and not asked.channel and await self._show_notice(asked, message["blocks"]):
            return
        client = self._workspaces.talk(asked.workspace.token, team=asked.workspace.team, patient=True)
        if asked.channel and not asked.is_direct:
            try:
                await client.chat_postEphemeral(
                    channel=asked.channel, user=asked.user, thread_ts=asked.thread or None, **message
                )
                return
            except SlackApiError as error:
                log.info("said in a direct message instead", cause=code_of(error))
        channel = await self._delivery.direct(asked.workspace, asked.user)
        thread = asked.thread if channel == asked.channel else ""
        await client.chat_postMessage(
            channel=channel, thread_ts=thread or None, parse="none", **message, **NO_UNFURL
        )

    async def _respond(self, asked: Asked, message: dict[str, Any], *, replace: bool = False) -> bool:
        """Answer by the response_url; False where that has had its time, or its five uses."""
        if not self._workspaces.is_slack(asked.response_url):
            return False
        hook = AsyncWebhookClient(asked.response_url, session=self._session)
        try:
            answer = await hook.send(**message, response_type="ephemeral", replace_original=replace)
        except FAILURES:
            return False
        return answer.status_code == 200

    async def _show_notice(self, asked: Asked, blocks: list[layout.Block]) -> bool:
        """Answer in a modal, where there is no channel; False where it is too late for one."""
        try:
            language = self.language(asked.workspace, asked.user)
            await self.show(asked, forms.notice("Easel", blocks, language))
        except Refusal:
            return False
        return True

    async def _replace(self, asked: Asked, card: Card) -> None:
        """Put a card in place of the one whose button was pressed. A job's own message changes by itself."""
        if not asked.message or not asked.channel:
            return
        message: dict[str, Any] = {
            "text": layout.summary(card),
            "blocks": await self._blocks(asked, card),
        }
        if asked.hidden:
            await self._respond(asked, message, replace=True)
            return
        client = self._workspaces.talk(asked.workspace.token, team=asked.workspace.team, patient=True)
        try:
            await client.chat_update(channel=asked.channel, ts=asked.message, parse="none", **message)
        except FAILURES as error:
            log.warning("a message could not be replaced", event_id=asked.event, cause=code_of(error))

    async def _hand_over(self, asked: Asked, card: Card) -> str:
        """Send a card's files to the person's direct messages, and say so: what is ephemeral holds none."""
        if not card.files:
            return ""
        try:
            with translated():
                channel = await self._delivery.direct(asked.workspace, asked.user)
                for name, content in card.files:
                    await self._files.send(asked.workspace, channel, name, content)
        except DeliveryError as error:
            return _("The file could not be sent: {error}", error=error.args[0])
        return _HANDED_OVER

    async def _blocks(self, asked: Asked, card: Card, note: str = "") -> list[layout.Block]:
        """Return the card's blocks; without pictures when they cannot be read or uploaded at the moment."""
        card = layout.with_share(card)
        wanted = layout.chosen(card)
        try:
            with translated():
                files = await self._files.show(asked.workspace, wanted, card.job or "easel")
        except (DeliveryError, StoreError) as error:
            log.warning("shown without pictures", cause=str(error))
            files, note = {}, note or (speech.say(_NOT_YET, card.language) if wanted else "")
        return layout.blocks(card, files, note)

    # ---- who and where

    async def origin(self, asked: Asked, *, anew: bool = False) -> Origin:
        """Return who asks, and where. `anew`: Slack is asked again whether the channel is closed.

        Raises Refusal for somebody that Easel does not serve.
        """
        if self._served and asked.workspace.team not in self._served:
            raise Refusal(_NOT_SERVED, code="place")
        member, closed = await asyncio.gather(
            self._people.member(asked.workspace, asked.user, asked.name), self._is_closed(asked, anew)
        )
        return Origin(
            surface="slack",
            member=member,
            channel=asked.channel,
            event=asked.event,
            reply={
                "team": asked.workspace.team,
                "enterprise": asked.workspace.enterprise,
                "user": asked.user,
                "thread": asked.thread,
            },
            private=asked.hidden or asked.is_direct,
            seen_in=(asked.channel,) if closed else (),
            direct=asked.is_direct,
            language=self._people.language(asked.workspace, asked.user),
        )

    async def _is_closed(self, asked: Asked, anew: bool) -> bool:
        if asked.is_direct:
            return False
        if asked.closed:
            self._places.close(asked.workspace, asked.channel)
            return True
        if anew:
            return await self._places.is_closed_now(asked.workspace, asked.channel) is not False
        return await self._places.is_closed(asked.workspace, asked.channel)

    def _seen(self, asked: Asked, message: Mapping[str, Any]) -> Seen[File]:
        """Return what a message shows: its picture, and its job where the app itself wrote it."""
        ours = (asked.workspace.bot, asked.workspace.bot_user)
        own = message.get("bot_id") in ours or message.get("user") in ours
        return Seen(job=layout.job_of(message) if own else "", pictures=tuple(pictures_in(message)))
