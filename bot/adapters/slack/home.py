"""App Home: what is mine, and for administrators what the workspace does.

https://docs.slack.dev/surfaces/app-home
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from bot.adapters.slack import layout
from bot.adapters.slack.errors import FAILURES, code_of, translated
from bot.adapters.slack.files import Files
from bot.adapters.slack.handlers import Asked, SlackHandlers
from bot.adapters.slack.layout import Block
from bot.adapters.slack.workspaces import PATIENCE, Workspaces
from bot.easel import Easel
from bot.errors import DeliveryError, Refusal, StoreError
from bot.i18n import _
from bot.messages import job_cards
from bot.messages.types import Button, Card, May
from bot.models import Job, Origin, State

log = structlog.stdlib.get_logger(__name__)

MOST_PICTURES = 5
MOST_RUNNING = 5
MOST_BLOCKS = 100
PAINT, DEFAULTS, REFRESH = "home:paint", "home:defaults", "home:refresh"


class Home:
    """Draws somebody's home tab."""

    def __init__(self, easel: Easel, desk: SlackHandlers, files: Files, workspaces: Workspaces) -> None:
        self._easel = easel
        self._desk = desk
        self._files = files
        self._workspaces = workspaces

    async def publish(self, asked: Asked) -> None:
        """Show the tab as it is now."""
        try:
            blocks = await self._blocks(asked)
        except Refusal as refusal:
            blocks = layout.blocks(job_cards.refused(refusal))
        try:
            await self._workspaces.talk(
                asked.workspace.token, team=asked.workspace.team, patient=True
            ).views_publish(user_id=asked.user, view={"type": "home", "blocks": blocks[:MOST_BLOCKS]})
        except FAILURES as error:
            log.warning("a home tab was not shown", cause=code_of(error))

    async def defaults(self, asked: Asked) -> None:
        """Open the form of /settings, filled with what holds now."""
        await self._desk.open(asked, self._easel.accounts.form)

    async def _blocks(self, asked: Asked) -> list[Block]:
        origin = await self._desk.origin(asked)
        blocks = [*self._doors(origin), *await self._card("quota", origin)]
        blocks += await self._running(origin)
        blocks += await self._pictures(asked, origin)
        blocks += [_divider(), *await self._card("settings", origin)]
        if origin.member.admin:
            blocks += [_divider(), *await self._administration(origin)]
        if await self._easel.admin.needs_set_up(origin):
            return [*await self._card("setup", origin), _divider(), *blocks]
        return blocks

    def _doors(self, origin: Origin) -> list[Block]:
        buttons = (
            Button(
                id=PAINT, label=_("Generate an image"), name=_("Open the form of /imagine"), style="primary"
            ),
            Button(id=DEFAULTS, label=_("Change defaults"), name=_("Open the form of your defaults")),
            Button(id=REFRESH, label=_("Refresh"), name=_("Show this page as it is now")),
        )
        return layout.blocks(self._desk.said(Card(kind="text", rows=(buttons,), body=()), origin))

    async def _card(self, command: str, origin: Origin) -> list[Block]:
        """Return the blocks of a command's answer."""
        answer = await self._desk.handle(command, {}, origin)
        return layout.blocks(answer) if isinstance(answer, Card) else []

    async def _administration(self, origin: Origin) -> list[Block]:
        team = layout.blocks(self._desk.said(await self._easel.accounts.team(origin), origin))
        return [*await self._card("queue", origin), _divider(), *team]

    async def _running(self, origin: Origin) -> list[Block]:
        living = await self._jobs(origin, (State.QUEUED, State.RUNNING), MOST_RUNNING)
        if not living:
            return []
        shown = [block for job in living for block in layout.blocks(self._easel.cards.card(job))]
        return [_divider(), self._heading(_("In progress"), origin), *shown]

    async def _pictures(self, asked: Asked, origin: Origin) -> list[Block]:
        done = await self._jobs(origin, (State.RENDERED,), MOST_PICTURES)
        if not done:
            return []
        files = await self._known(asked, done)
        may = May(tasks=await self._easel.access.tasks(origin.member))
        cards = (layout.with_share(self._easel.cards.card(job, may)) for job in done)
        shown = [block for card in cards for block in layout.blocks(card, files)]
        return [_divider(), self._heading(_("My last images"), origin), *shown]

    async def _known(self, asked: Asked, jobs: Sequence[Job]) -> dict[str, str]:
        """Return blob → Slack's file, for the pictures to show."""
        for job in jobs:
            if job.origin.surface == "slack" and job.message:
                self._files.know(asked.workspace, job.message.get("files", {}))
        wanted = [each for job in jobs for each in layout.chosen(self._easel.cards.card(job))]
        try:
            with translated():
                async with asyncio.timeout(
                    PATIENCE
                ):  # those that Slack still looks at are there the next time
                    return await self._files.show(asked.workspace, wanted)
        except (DeliveryError, StoreError) as error:
            log.warning("a home tab is shown without pictures", cause=str(error))
            return {}

    async def _jobs(self, origin: Origin, states: tuple[State, ...], limit: int) -> list[Job]:
        me = origin.member
        return await self._easel.visibility.jobs(me, user=me.id, states=states, limit=limit)

    def _heading(self, title: str, origin: Origin) -> Block:
        text = self._desk.said(Card(kind="text", title=title), origin).title
        return {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _divider() -> dict[str, Any]:
    return {"type": "divider"}
