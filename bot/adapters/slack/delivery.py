"""Brings a job's card to where it was asked for: as the app, with chat.postMessage and chat.update alone.

Private ones go to the person's direct messages with the app, and so does an end that its channel does not
take. No response_url is used for them, so nothing depends on its half hour.

`Origin.reply` of this surface: `team`, `enterprise`, `user`, `thread` (or ""). A message's reference:
`channel`, `ts`, `files` (blob → id of the Slack file that holds it), and `shared` (other messages that
show the same).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError

from bot.adapters.base import MessageRef
from bot.adapters.slack import layout
from bot.adapters.slack.errors import (
    BAD_BLOCKS,
    code_of,
    is_closed,
    is_passing,
    is_token,
    translated,
    why,
)
from bot.adapters.slack.files import Files
from bot.adapters.slack.lost import MARK, Lost, Untold, note
from bot.adapters.slack.workspaces import Workspace, Workspaces
from bot.card import Card
from bot.errors import TryLater, Unreachable
from bot.models import Job, State

log = structlog.stdlib.get_logger(__name__)

EDITS, PERIOD = 30, 60.0  # progress edits of a workspace in so many seconds; Slack takes about 50 edits
PATIENCE = 3  # times that Slack may refuse a card's pictures before it is shown without them
NO_UNFURL: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}

_GONE = "A picture of this job is gone."
_NOT_SHOWN = "Slack does not show the pictures. The web studio has them."
_ELSEWHERE = "Easel could not post where you asked for this, so it is here."
_REMOVED = "Easel was removed from this workspace."


class Delivery:
    """Posts and edits the messages of jobs."""

    def __init__(self, workspaces: Workspaces, files: Files) -> None:
        self._workspaces = workspaces
        self._files = files
        self._lost = Lost()
        self._refused: OrderedDict[str, int] = OrderedDict()  # how often a job's pictures were refused
        self._direct: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._edits: dict[str, Pace] = {}

    async def post(self, job: Job, card: Card) -> MessageRef:
        """The job's first card. Raises Unreachable, TryLater."""
        with translated():
            workspace = await self._workspace(job)
            shown = await self._shown(workspace, job, card)
            if job.origin.private or not job.origin.channel:
                return await self._whisper(workspace, job, shown)
            try:
                return await self._say(
                    workspace, job, job.origin.channel, job.origin.reply.get("thread", ""), shown
                )
            except SlackApiError as error:
                if not is_closed(error):
                    raise
            except Untold:
                pass
            return await self._whisper(workspace, job, shown, _ELSEWHERE)

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        """Replace the card. Raises Unreachable, TryLater.

        Where the place has closed meanwhile, a result goes to the person's direct messages.
        """
        with translated():
            workspace = await self._workspace(job)
            if not job.state.ended and not self._pace(workspace.team).may():
                return ref
            self._files.know(workspace, ref.get("files", {}))
            shown = await self._shown(workspace, job, card)
            if job.state is State.DELETED:
                ref = await self._clear(workspace, ref, shown)
            try:
                return await self._change(workspace, job, ref, shown)
            except SlackApiError as error:
                if not is_closed(error):
                    raise
                return await self._instead(workspace, job, ref, shown, error)

    async def direct(self, workspace: Workspace, user: str) -> str:
        """The channel of the direct messages with a person. Raises SlackApiError."""
        key = (workspace.team, user)
        if key not in self._direct:
            answer = await self._workspaces.talk(workspace.token).conversations_open(users=user)
            note(self._direct, key, str(answer["channel"]["id"]))
        return self._direct[key]

    async def share(self, workspace: Workspace, job: Job, card: Card, channel: str) -> MessageRef:
        """Show a finished card in a further channel. Returns the job's reference with that message in it.

        Raises Unreachable, TryLater.
        """
        with translated():
            ref = job.message or {}
            self._files.know(workspace, ref.get("files", {}))
            files = await self._files.show(workspace, layout.chosen(card), job.id)
            sent = await self._workspaces.talk(workspace.token).chat_postMessage(
                channel=channel,
                text=layout.summary(card),
                blocks=layout.blocks(card, files),
                parse="none",
                **NO_UNFURL,
            )
        there = {"channel": sent["channel"], "ts": sent["ts"]}
        return ref | {"files": ref.get("files", {}) | files, "shared": [*ref.get("shared", ()), there]}

    # ---- ways

    async def _say(
        self, workspace: Workspace, job: Job, channel: str, thread: str, shown: _Shown, note: str = ""
    ) -> MessageRef:
        """A new message, unless an earlier attempt made it."""
        client = self._workspaces.talk(workspace.token)
        if found := await self._lost.find(client, channel, thread, job):
            return await self._change(workspace, job, {"channel": channel, "ts": found}, shown)
        with self._pictures_refused(workspace, job, shown), self._lost.posting(job):
            sent = await client.chat_postMessage(
                channel=channel,
                thread_ts=thread or None,
                metadata={"event_type": MARK, "event_payload": {"job": job.id}},
                **shown.message(note),
                **NO_UNFURL,
            )
        return {"channel": sent["channel"], "ts": sent["ts"]} | shown.kept()

    async def _change(self, workspace: Workspace, job: Job, ref: MessageRef, shown: _Shown) -> MessageRef:
        with self._pictures_refused(workspace, job, shown):
            await self._workspaces.talk(workspace.token).chat_update(
                channel=ref["channel"], ts=ref["ts"], **shown.message()
            )
        return ref | shown.kept(ref)

    async def _whisper(self, workspace: Workspace, job: Job, shown: _Shown, note: str = "") -> MessageRef:
        channel = await self.direct(workspace, job.origin.reply["user"])
        thread = job.origin.reply.get("thread", "") if channel == job.origin.channel else ""
        return await self._say(workspace, job, channel, thread, shown, note)

    async def _instead(
        self, workspace: Workspace, job: Job, ref: MessageRef, shown: _Shown, error: SlackApiError
    ) -> MessageRef:
        """Its message cannot be edited: keep it while the job lives, and show its end elsewhere."""
        if not job.state.ended:
            return ref
        if job.state is State.DELETED or job.origin.private:
            raise Unreachable(why(error)) from error
        return await self._whisper(workspace, job, shown, _ELSEWHERE)

    async def _clear(self, workspace: Workspace, ref: MessageRef, shown: _Shown) -> MessageRef:
        """Take the pictures of a deleted job out of Slack, and its other messages with them."""
        client = self._workspaces.talk(workspace.token, patient=True)
        for each in ref.get("shared", ()):
            with suppress(SlackApiError):
                await client.chat_update(**each, **shown.message())
        for file in ref.get("files", {}).values():
            with suppress(SlackApiError):
                await client.files_delete(file=file)
        self._files.forget(workspace, ref.get("files", {}))
        return {"channel": ref["channel"], "ts": ref["ts"]}

    # ---- what they need

    async def _workspace(self, job: Job) -> Workspace:
        reply = job.origin.reply
        found = await self._workspaces.find(reply["team"], reply.get("enterprise", ""))
        if found is None:
            raise Unreachable(_REMOVED)
        return found

    async def _shown(self, workspace: Workspace, job: Job, card: Card) -> _Shown:
        card = layout.with_share(card)
        wanted = layout.chosen(card)
        if self._refused.get(job.id, 0) >= PATIENCE:
            return _Shown(card, {}, _NOT_SHOWN if wanted else "")
        try:
            files = await self._files.show(workspace, wanted, job.id)
        except SlackApiError as error:
            if is_passing(error) or is_token(error):
                raise
            log.warning("Slack takes no pictures", job_id=job.id, cause=code_of(error))
            return _Shown(card, {}, _NOT_SHOWN)
        return _Shown(card, files, _GONE if len(files) < len({each.blob for each in wanted}) else "")

    def _pace(self, team: str) -> Pace:
        return self._edits.setdefault(team, Pace(EDITS, PERIOD))

    @contextmanager
    def _pictures_refused(self, workspace: Workspace, job: Job, shown: _Shown) -> Iterator[None]:
        """Slack does not show these files: upload them anew the next time, and not for ever."""
        try:
            yield
        except SlackApiError as error:
            if code_of(error) not in BAD_BLOCKS or not shown.files:
                raise
            self._files.forget(workspace, shown.files)
            note(self._refused, job.id, self._refused.get(job.id, 0) + 1)
            raise TryLater(f"Slack does not show the pictures yet ({code_of(error)})", after=1.0) from error


class _Shown:
    """A card with its files, ready to be sent."""

    def __init__(self, card: Card, files: dict[str, str], note: str = "") -> None:
        self.files = files
        self._card, self._note = card, note

    def message(self, note: str = "") -> dict[str, Any]:
        """What every way of sending takes."""
        blocks = layout.blocks(self._card, self.files, note or self._note)
        return {"text": layout.summary(self._card), "blocks": blocks, "parse": "none"}

    def kept(self, ref: MessageRef | None = None) -> MessageRef:
        """What the reference says of the files, as long as they are needed."""
        if not self.files and not (ref or {}).get("files"):
            return {}
        return {"files": (ref or {}).get("files", {}) | self.files}


class Pace:
    """At most so many of something in a period."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._rate = float(most), most / seconds
        self._left, self._at = float(most), time.monotonic()

    def may(self) -> bool:
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
