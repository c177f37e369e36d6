"""What is said to Easel in plain words: mentions, direct messages, replies, the assistant panel."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bot import commands
from bot.adapters.slack import layout, markup, slash_commands, users
from bot.adapters.slack.channels import says_closed
from bot.adapters.slack.errors import FAILURES
from bot.adapters.slack.files import pictures_in
from bot.adapters.slack.handlers import Asked, SlackHandlers
from bot.adapters.slack.workspaces import PATIENCE, Workspace, Workspaces
from bot.easel import Easel
from bot.errors import Refusal
from bot.i18n import _
from bot.i18n.speech import say
from bot.models import Job, Member, State
from bot.options import clip
from bot.prompts import talk

Event = Mapping[str, Any]

NO_PICTURE = _("That isn't an image. Send a PNG, JPEG or WebP, or only words.")
PAINTING = _("is generating…")
RECENT = 100  # jobs of a channel, among which the one that a reply is about is looked for
_SPOKEN = (None, "file_share", "thread_broadcast")
"""The subtypes of messages that a person wrote."""


class MessageEvents:
    """Decides what of the messages that Slack passes on is meant for Easel, and what it asks for."""

    def __init__(self, easel: Easel, desk: SlackHandlers, workspaces: Workspaces) -> None:
        self._easel = easel
        self._desk = desk
        self._workspaces = workspaces

    async def mention(self, workspace: Workspace, event: Event) -> None:
        """Answer an app_mention event: words that name Easel, in a channel or a thread."""
        if _is_spoken(event):
            asked = asked_by(workspace, event)
            await self._heard(asked if asked.thread else replace(asked, thread=event["ts"]), event)

    async def message(self, workspace: Workspace, event: Event) -> None:
        """Answer any other message: all in direct messages, elsewhere replies under Easel's pictures."""
        if not _is_spoken(event):
            return
        asked = asked_by(workspace, event)
        if asked.is_direct:
            await self._heard(asked, event)
        elif asked.thread and _may_ask(event, workspace):
            if job := await self._under(asked, event):
                await self._paint(asked, event, job, addressed=False)

    async def panel(self, workspace: Workspace, event: Event) -> None:
        """Offer prompts to try when an assistant_thread_started event opens the panel."""
        thread = event["assistant_thread"]
        prompts = [{"title": clip(each, 70), "message": each} for each in examples()]
        await self._workspaces.talk(
            workspace.token, team=workspace.team, patient=True
        ).assistant_threads_setSuggestedPrompts(
            channel_id=thread["channel_id"],
            thread_ts=thread["thread_ts"],
            title=self._spoken(_("Try one of these"), workspace, thread.get("user_id", "")),
            prompts=prompts,
        )

    async def _heard(self, asked: Asked, event: Event) -> None:
        words = words_of(event, asked.workspace)
        if words.startswith("/"):
            await self._command(asked, words)
        else:
            async with self._desk.telling(asked):
                job = await self._under(asked, event)
                sure = talk.read(words, addressed=True, picture=False).does == "paint"
                if asked.is_direct and asked.thread and not job and sure:
                    await self._in_panel(asked, words)
                await self._paint(asked, event, job)

    async def _command(self, asked: Asked, words: str) -> None:
        """Run a command that was typed with a mention, since Slack takes no slash commands in threads."""
        try:
            name, options = slash_commands.read(
                words.removeprefix(slash_commands.EASEL), asked.workspace.team
            )
        except Refusal as refusal:
            await self._desk.refuse(asked, refusal)
        else:
            await self._desk.command(asked, name, options)

    async def _paint(self, asked: Asked, event: Event, job: str, *, addressed: bool = True) -> None:
        words, sent = words_of(event, asked.workspace), pictures_in(event)
        if event.get("files") and not sent:
            await self._desk.refuse(asked, Refusal(NO_PICTURE, code="source"))
            return
        await self._desk.words(asked, words, sent, job, addressed=addressed)

    async def _in_panel(self, asked: Asked, words: str) -> None:
        """Set status and title of the assistant panel; ignore that Slack refuses it in other threads."""
        client = self._workspaces.talk(asked.workspace.token, team=asked.workspace.team)
        about: dict[str, Any] = {"channel_id": asked.channel, "thread_ts": asked.thread}
        with suppress(*FAILURES):
            async with asyncio.timeout(PATIENCE):
                await client.assistant_threads_setStatus(
                    **about, status=self._spoken(PAINTING, asked.workspace, asked.user)
                )
                await client.assistant_threads_setTitle(**about, title=clip(words, 60))

    def _spoken(self, message: str, workspace: Workspace, user: str) -> str:
        return say(message, self._desk.language(workspace, user))

    # ---- which picture a reply is about

    async def _under(self, asked: Asked, event: Event) -> str:
        """Return a thread's newest rendered job; empty unless Easel's picture or a mention began it."""
        if not asked.thread:
            return ""
        viewer, here = users.anyone(asked.workspace, asked.user), (asked.channel,)
        recent = await self._easel.visibility.jobs(viewer, here=here, channel=asked.channel, limit=RECENT)
        if any(_begins(job, asked) for job in recent):
            found = [job for job in recent if _begins(job, asked) or _stands_in(job, asked)]
            return next((job.id for job in found if job.state is State.RENDERED), "")
        if event.get("parent_user_id") != asked.workspace.bot_user:
            return ""
        return await self._under_old(asked, viewer)

    async def _under_old(self, asked: Asked, viewer: Member) -> str:
        """Return the rendered job that an older thread's first message shows, else an empty text."""
        client = self._workspaces.talk(asked.workspace.token, team=asked.workspace.team, patient=True)
        try:
            page = await client.conversations_replies(channel=asked.channel, ts=asked.thread, limit=1)
        except FAILURES:
            return ""
        id = layout.job_of(page["messages"][0])
        with suppress(Refusal):  # deleted, or not for this person
            job = await self._easel.visibility.job(id, viewer, (asked.channel,)) if id else None
            if job and job.state is State.RENDERED:
                return id
        return ""


def _begins(job: Job, asked: Asked) -> bool:
    """Tell whether the thread began with the job's message, or with the words that asked for it."""
    ref = job.message or {}
    by_message = ref.get("ts") == asked.thread or ref.get("former") == f"{asked.channel}:{asked.thread}"
    return by_message or job.origin.event == f"{asked.channel}:{asked.thread}"


def _stands_in(job: Job, asked: Asked) -> bool:
    return job.origin.reply.get("thread") == asked.thread


def asked_by(workspace: Workspace, event: Event) -> Asked:
    """Describe a written message as a request; its ts is the key, since a mention may arrive twice."""
    return Asked(
        workspace=workspace,
        user=event["user"],
        channel=event["channel"],
        thread=event.get("thread_ts") or "",
        event=f"{event['channel']}:{event['ts']}",
        closed=says_closed(event),
    )


def _may_ask(event: Event, workspace: Workspace) -> bool:
    """Tell whether what people say to each other in a thread may be meant for Easel, too."""
    if _MENTION.search(event.get("text") or ""):
        return False
    return talk.read(words_of(event, workspace), addressed=False, picture=True).does != "talk"


_MENTION = re.compile(r"<@[^<>]+>")


def words_of(event: Event, workspace: Workspace) -> str:
    """Return the words of a message without the mention of Easel."""
    own = re.compile(rf"<@{re.escape(workspace.bot_user)}(?:\|[^<>]*)?>")
    words = slash_commands.plain(own.sub(" ", event.get("text") or ""))
    return " ".join(markup.unformatted(words).split())


def examples() -> tuple[str, ...]:
    """Return prompts to try, from the vocabulary."""
    return commands.command("imagine").examples[:4]


def _is_spoken(event: Event) -> bool:
    return bool(
        event.get("subtype") in _SPOKEN
        and event.get("user")
        and not event.get("bot_id")
        and not event.get("hidden")
    )
