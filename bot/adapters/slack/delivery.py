"""Brings a job's card to where it was asked for: as the app, with chat.postMessage and chat.update alone.

Private ones go to the person's direct messages with the app, and so does an end that its channel does not
take. No response_url is used for them, so nothing depends on its half hour.

`Origin.reply` of this surface: `team`, `enterprise`, `user`, `thread` (or ""). A message's reference:
`channel`, `ts`, `files` (blob → id of the Slack file that holds it), `shared` (other messages that show the
same), and of a result `former`, the status message that it replaced, as "<channel>:<ts>", with `under`
where it stands in the thread of that.

A result that others may see is a new message, since nobody is told of an edit; the status message is then
deleted. Where people have begun a thread under the status message, the result goes into that thread, and the
status message stays as one line.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError

from bot.actions import Action
from bot.adapters.base import MessageRef
from bot.adapters.slack import layout
from bot.adapters.slack.errors import (
    BAD_BLOCKS,
    TOKEN_REASONS,
    UnknownAnswer,
    code_of,
    is_closed,
    is_doubtful,
    is_limited,
    is_passing,
    is_token,
    is_unknown,
    retry_after,
    translated,
    why,
)
from bot.adapters.slack.files import Files, Preparing, UnusableFile
from bot.adapters.slack.post_recovery import END, PostRecovery, Untold, mark, note
from bot.adapters.slack.workspaces import Workspace, Workspaces
from bot.errors import TryLater, Unreachable
from bot.i18n import _, speech
from bot.messages import marks
from bot.messages.job_cards import moved
from bot.messages.types import Button, Card
from bot.models import Job, State

log = structlog.stdlib.get_logger(__name__)

EDITS, PERIOD = 30, 60.0  # progress edits of a workspace in so many seconds; Slack takes about 50 edits
TURN = 1.1  # seconds between two posts in a channel that Slack limits, to one a second
CALM = 10.0  # seconds without a post after which it is no longer taken for limited
PATIENCE = 3  # times that Slack may refuse a card's pictures before it is shown without them
TRIES = 8  # times that an end is tried again after an answer that nobody knows, in some two minutes
NO_UNFURL: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}

_GONE = _("An image of this job is gone.")
_PREPARING = _("Done. Slack is still preparing the images.")
_NOT_SHOWN = _("Done, but Slack does not show the images. Press Show again to try once more.")
_ELSEWHERE = _("Easel could not post where you asked for this, so it is here.")
_REMOVED = _("Easel was removed from this workspace.")
OF_THE_TOKEN = (_REMOVED, *sorted(TOKEN_REASONS))
"""Why nothing can be delivered any more, unless Easel is installed again."""


class SlackDelivery:
    """Posts and edits the messages of jobs."""

    def __init__(self, workspaces: Workspaces, files: Files) -> None:
        self._workspaces = workspaces
        self._files = files
        self._lost = PostRecovery()
        self._refused: OrderedDict[str, int] = OrderedDict()  # how often a job's pictures were refused
        self._puzzled: OrderedDict[str, int] = OrderedDict()  # how often a job's end got an unknown answer
        self._told: OrderedDict[str, None] = OrderedDict()  # jobs whose message says that Slack prepares
        self._talked_under: OrderedDict[tuple[str, str], None] = OrderedDict()  # channel, ts
        self.removed_from: set[str] = set()  # workspaces that took no end since Easel was removed from them
        self._direct: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._edits: dict[str, PostPace] = {}
        self._turns: OrderedDict[tuple[str, str], Turns] = OrderedDict()  # team, channel

    async def post(self, job: Job, card: Card) -> MessageRef:
        """Show the job's first card. Raises Unreachable, TryLater."""
        with self._patiently(job):
            workspace = await self._workspace(job)
            shown = await self._shown(workspace, job, card)
            if shown.owed:
                raise shown.owed  # a message that is there is edited later; one that is not waits
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
        with self._patiently(job):
            workspace = await self._workspace(job)
            if not job.state.ended and not self._pace(workspace.team).may():
                return ref
            self._files.know(workspace, ref.get("files", {}))
            shown = await self._shown(workspace, job, card)
            if job.state is State.DELETED:
                ref = await self._clear(workspace, ref, shown)
            if shown.owed and job.id in self._told:
                raise shown.owed
            try:
                ref = await self._change(workspace, job, ref, shown)
            except SlackApiError as error:
                if not is_closed(error):
                    raise
                ref = await self._instead(workspace, job, ref, shown, error)
            if shown.owed:
                note(self._told, job.id, None)
                raise shown.owed
            self._told.pop(job.id, None)
            return ref

    async def tell(self, job: Job, ref: MessageRef | None, card: Card) -> MessageRef:
        """Show an end in a new message that mentions the person, or else in the one there is.

        Raises Unreachable, TryLater.
        """
        former = ref or await self.post(job, moved(card))
        if not former.get("former") and former["channel"] == job.origin.channel:
            with self._patiently(job):
                if told := await self._announce(await self._workspace(job), job, former, card):
                    return told
        return await self.edit(job, former, card)

    async def _announce(
        self, workspace: Workspace, job: Job, former: MessageRef, card: Card
    ) -> MessageRef | None:
        """Send the new message; return None where it cannot be sent, or may have been and is not found."""
        channel, ts = former["channel"], former["ts"]
        await self._check_there(workspace, channel, ts)
        self._files.know(workspace, former.get("files", {}))
        shown = await self._shown(workspace, job, card)
        under = (channel, ts) in self._talked_under
        try:
            if shown.owed:
                await self._owe(workspace, job, former, shown)
                raise shown.owed
            thread = ts if under else job.origin.reply.get("thread", "")
            sent = await self._say(workspace, job, channel, thread, shown, part=END)
        except SlackApiError as error:
            if not (is_closed(error) or self._is_puzzling(job, error)):
                raise
            return None
        except Untold:
            return None
        self._told.pop(job.id, None)
        return sent | {"former": f"{channel}:{ts}"} | ({"under": True} if under else {})

    def _is_puzzling(self, job: Job, error: SlackApiError) -> bool:
        """Tell whether Slack keeps refusing a post for a reason that nobody knows; an edit may still do."""
        known = not is_unknown(error) or is_doubtful(error)
        return not known and self._puzzled.get(job.id, 0) >= TRIES

    async def _owe(self, workspace: Workspace, job: Job, former: MessageRef, shown: _Shown) -> None:
        """Say once that Slack prepares the pictures."""
        if job.id not in self._told:
            await self._change(workspace, job, former, shown)
            note(self._told, job.id, None)

    async def _check_there(self, workspace: Workspace, channel: str, ts: str) -> None:
        """Raise SlackApiError for a message that somebody deleted: what it showed is then shown no more."""
        try:
            client = self._workspaces.talk(workspace.token, team=workspace.team)
            await client.chat_getPermalink(channel=channel, message_ts=ts)
        except SlackApiError as error:
            if not is_closed(error):
                raise

    async def clear(self, job: Job, ref: MessageRef, card: Card) -> None:
        """Delete the status message that a result has replaced, or leave one line of it. Raises TryLater."""
        if not ref.get("former"):
            return
        channel, _, ts = ref["former"].partition(":")
        line = moved(card)
        workspace = await self._workspace(job)
        client = self._workspaces.talk(workspace.token, team=workspace.team)
        with translated():
            try:
                if not ref.get("under"):
                    await client.chat_delete(channel=channel, ts=ts)
                    return
            except SlackApiError as error:
                if code_of(error) == "message_not_found":
                    return
                if is_passing(error) or code_of(error).startswith("status"):  # a page in place of an answer
                    raise
                log.info("a status message stays", job_id=job.id, cause=code_of(error))
            with suppress(SlackApiError):
                text, blocks = layout.summary(line), layout.blocks(line)
                await client.chat_update(channel=channel, ts=ts, text=text, blocks=blocks, parse="none")

    def talked_under(self, channel: str, ts: str) -> None:
        """Remember that people talk in the thread of a message, so that it stays."""
        note(self._talked_under, (channel, ts), None)

    def anew(self, job: Job) -> None:
        """Try the job's pictures again from the beginning, whatever Slack said of them before."""
        self._refused.pop(job.id, None)
        self._puzzled.pop(job.id, None)

    async def direct(self, workspace: Workspace, user: str) -> str:
        """Return the channel of the direct messages with a person. Raises SlackApiError."""
        key = (workspace.team, user)
        if key not in self._direct:
            answer = await self._workspaces.talk(workspace.token, team=workspace.team).conversations_open(
                users=user
            )
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
            sent = await self._workspaces.talk(workspace.token, team=workspace.team).chat_postMessage(
                channel=channel,
                text=layout.summary(card),
                blocks=layout.blocks(card, files),
                parse="none",
                **NO_UNFURL,
            )
        there = {"channel": sent["channel"], "ts": sent["ts"]}
        return ref | {"files": ref.get("files", {}) | files, "shared": [*ref.get("shared", ()), there]}

    async def announce(self, team: str, channel: str, card: Card) -> None:
        """Show a card in a channel of a workspace; people are named in words, since a mention would ping.

        Raises Unreachable, TryLater.
        """
        workspace = await self._workspaces.find_again(team)
        if workspace is None:  # removed, or its organisation's first event since the start is still to come
            raise TryLater(_REMOVED)
        named = replace(card, body=tuple(map(marks.named, card.body)))
        with translated():
            await self._workspaces.talk(workspace.token, team=team).chat_postMessage(
                channel=channel,
                text=layout.summary(named),
                blocks=layout.blocks(named),
                parse="none",
                **NO_UNFURL,
            )

    async def display(self, team: str, channel: str, card: Card, ref: MessageRef | None) -> MessageRef:
        """Show a card in a channel of a workspace, or in the message of `ref`; nobody is pinged.

        Pictures that it shows no more are taken out of Slack. Raises Unreachable, TryLater.
        """
        workspace = await self._workspaces.find_again(team)
        if workspace is None:  # removed, or its organisation's first event since the start is still to come
            raise TryLater(_REMOVED)
        named = replace(card, body=tuple(map(marks.named, card.body)))
        before: dict[str, str] = (ref or {}).get("files", {})
        with translated():
            client = self._workspaces.talk(workspace.token, team=team)
            self._files.know(workspace, before)
            files = await self._files.show(workspace, layout.chosen(named), "contest")
            message: dict[str, Any] = {
                "text": layout.summary(named),
                "blocks": layout.blocks(named, files),
                "parse": "none",
            }
            if ref:
                await client.chat_update(channel=ref["channel"], ts=ref["ts"], **message)
            else:
                sent = await client.chat_postMessage(channel=channel, **message, **NO_UNFURL)
                ref = {"channel": sent["channel"], "ts": sent["ts"]}
            gone = {blob: file for blob, file in before.items() if blob not in files}
            for file in gone.values():
                with suppress(SlackApiError):
                    await client.files_delete(file=file)
            self._files.forget(workspace, gone)
        return {**ref, "files": files}

    # ---- ways

    async def _say(
        self,
        workspace: Workspace,
        job: Job,
        channel: str,
        thread: str,
        shown: _Shown,
        note: str = "",
        part: str = "",
    ) -> MessageRef:
        """Send a new message, or change the one that an earlier attempt made."""
        client = self._workspaces.talk(workspace.token, team=workspace.team)
        if found := await self._lost.find(client, channel, thread, job, part):
            return await self._change(workspace, job, {"channel": channel, "ts": found}, shown)
        turns = self._turns_of(workspace.team, channel)
        await turns.wait()
        with self._pictures_refused(workspace, job, shown), turns.heeded(), self._lost.posting(job, part):
            sent = await client.chat_postMessage(
                channel=channel,
                thread_ts=thread or None,
                metadata=mark(job, part),
                **shown.message(note),
                **NO_UNFURL,
            )
        return {"channel": sent["channel"], "ts": sent["ts"]} | shown.kept()

    async def _change(self, workspace: Workspace, job: Job, ref: MessageRef, shown: _Shown) -> MessageRef:
        with self._pictures_refused(workspace, job, shown):
            await self._workspaces.talk(workspace.token, team=workspace.team).chat_update(
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
        """Handle a message that cannot be edited: keep it while the job lives; show the end elsewhere."""
        if not job.state.ended:
            return ref
        if job.state is State.DELETED or job.origin.private:
            raise Unreachable(why(error)) from error
        return await self._whisper(workspace, job, shown, _ELSEWHERE)

    async def _clear(self, workspace: Workspace, ref: MessageRef, shown: _Shown) -> MessageRef:
        """Take the pictures of a deleted job out of Slack, and its other messages with them."""
        client = self._workspaces.talk(workspace.token, team=workspace.team, patient=True)
        for each in ref.get("shared", ()):
            with suppress(SlackApiError):
                await client.chat_update(**each, **shown.message())
        for file in ref.get("files", {}).values():
            with suppress(SlackApiError):
                await client.files_delete(file=file)
        self._files.forget(workspace, ref.get("files", {}))
        return {key: value for key, value in ref.items() if key not in ("files", "shared")}

    # ---- what they need

    async def _workspace(self, job: Job) -> Workspace:
        reply = job.origin.reply
        found = await self._workspaces.find(reply["team"], reply.get("enterprise", ""))
        if found is None:
            raise Unreachable(_REMOVED)
        return found

    async def _shown(self, workspace: Workspace, job: Job, card: Card) -> _Shown:
        card = layout.with_share(card)
        wanted, asker = layout.chosen(card), str(job.origin.reply["user"])
        if wanted and self._refused.get(job.id, 0) >= PATIENCE:
            return _without(card, job)
        try:
            files = await self._files.show(workspace, wanted, job.id)
        except Preparing as error:
            return _Shown(card, {}, _PREPARING, owed=error, asker=asker)
        except (UnusableFile, SlackApiError) as error:
            if isinstance(error, SlackApiError) and (is_passing(error) or is_token(error)):
                raise
            cause = code_of(error) if isinstance(error, SlackApiError) else str(error)
            log.warning("Slack takes no pictures", job_id=job.id, cause=cause)
            tries = self._puzzled.get(job.id, 0)
            if isinstance(error, SlackApiError) and is_unknown(error) and tries < TRIES:
                raise
            return _without(card, job)
        gone = len(files) < len({each.blob for each in wanted})
        return _Shown(card, files, _GONE if gone else "", asker=asker)

    @contextmanager
    def _patiently(self, job: Job) -> Iterator[None]:
        """Turn Slack's errors while a card is shown into Unreachable or TryLater."""
        try:
            with translated():
                yield
        except UnknownAnswer as error:
            tries = self._puzzled.get(job.id, 0) + 1
            if job.state.ended:
                note(self._puzzled, job.id, tries)
            if tries > TRIES:
                raise Unreachable(f"{error}.") from error
            raise
        except Unreachable as error:
            if str(error) in OF_THE_TOKEN:
                self.removed_from.add(job.origin.reply["team"])
            raise

    def _pace(self, team: str) -> PostPace:
        return self._edits.setdefault(team, PostPace(EDITS, PERIOD))

    def _turns_of(self, team: str, channel: str) -> Turns:
        if (team, channel) not in self._turns:
            note(self._turns, (team, channel), Turns())
        return self._turns[team, channel]

    @contextmanager
    def _pictures_refused(self, workspace: Workspace, job: Job, shown: _Shown) -> Iterator[None]:
        """Forget files that Slack does not show, so that they are uploaded again, a few times at most."""
        try:
            yield
        except SlackApiError as error:
            if code_of(error) not in BAD_BLOCKS or not shown.files:
                raise
            self._files.forget(workspace, shown.files)
            note(self._refused, job.id, self._refused.get(job.id, 0) + 1)
            raise TryLater(f"Slack does not show the pictures yet ({code_of(error)})", after=1.0) from error


def _without(card: Card, job: Job) -> _Shown:
    """Return the card without pictures, which Slack does not show, and with a button to try them again."""
    again = Button(
        id=Action(name="show", job=job.id).id,
        label=speech.say(_("Show again"), card.language),
        name=speech.say(_("Show the images again"), card.language),
    )
    asker = str(job.origin.reply["user"])
    return _Shown(replace(card, rows=(*card.rows, (again,))), {}, _NOT_SHOWN, asker=asker)


class _Shown:
    """A card with its files, ready to be sent; `owed`: its pictures are to follow."""

    def __init__(
        self,
        card: Card,
        files: dict[str, str],
        note: str = "",
        *,
        owed: TryLater | None = None,
        asker: str,
    ) -> None:
        self.files, self.owed, self._asker = files, owed, asker
        self._card, self._note = card, speech.say(note, card.language)

    def message(self, note: str = "") -> dict[str, Any]:
        """Return the arguments of a message that every way of sending takes."""
        blocks = layout.blocks(self._card, self.files, note or self._note, self._asker)
        return {"text": layout.summary(self._card), "blocks": blocks, "parse": "none"}

    def kept(self, ref: MessageRef | None = None) -> MessageRef:
        """Return what the message's reference keeps of its files; empty where neither has any."""
        if not self.files and not (ref or {}).get("files"):
            return {}
        return {"files": (ref or {}).get("files", {}) | self.files}


class PostPace:
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


class Turns:
    """Posts in one channel: at once, until Slack says that they are too many; then one after the other.

    Slack takes one a second in a channel, and bursts of a length that it does not tell. Without turns, all
    that were refused would come back together, and some of them be refused again and again.

    https://docs.slack.dev/apis/web-api/rate-limits
    """

    def __init__(self) -> None:
        self._queue = asyncio.Lock()
        self._free = float("-inf")  # when the next one may be posted

    async def wait(self) -> None:
        """Return when it is the caller's turn."""
        async with self._queue:
            if self._free + CALM < time.monotonic():
                return
            seconds = self._free - time.monotonic()
            while seconds > 0:
                await asyncio.sleep(seconds)
                seconds = self._free - time.monotonic()
            self._free = time.monotonic() + TURN

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let the others wait, too, when Slack refuses what is posted in the block for its rate."""
        try:
            yield
        except SlackApiError as error:
            if is_limited(error):
                self._free = max(self._free, time.monotonic() + retry_after(error))
            raise
