"""What Easel listens to in Slack, and who answers. Every listener acknowledges first and works in a task.

Slack waits three seconds for an acknowledgement and sends again what was not acknowledged; so whatever
arrives is marked before it is done, and what is there already is acknowledged and left.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp
import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.response import BoltResponse

from bot import actions, telemetry
from bot.adapters.reactions import Reaction, Reactions
from bot.adapters.slack import forms, layout, markup, slash_commands
from bot.adapters.slack.channels import TO_PRIVATE, Places, channel_of, says_closed
from bot.adapters.slack.dedup import MOST, key_of
from bot.adapters.slack.delivery import OF_THE_TOKEN, SlackDelivery
from bot.adapters.slack.files import Files
from bot.adapters.slack.handlers import Asked, SlackHandlers
from bot.adapters.slack.home import DEFAULTS, PAINT, REFRESH, Home
from bot.adapters.slack.installations import SealedInstallations
from bot.adapters.slack.message_events import MessageEvents
from bot.adapters.slack.settings import SlackSettings
from bot.adapters.slack.users import SlackUsers, anyone
from bot.adapters.slack.workspaces import Doorkeeper, Workspace, Workspaces, team_of
from bot.dedup import Dedup
from bot.easel import Easel
from bot.errors import Refusal, StoreError
from bot.i18n import _
from bot.models import Job, new_id

log = structlog.stdlib.get_logger(__name__)

Body = Mapping[str, Any]

_ANY = re.compile("", re.DOTALL)
LAST_WORDS = 5.0  # seconds in which what was taken may still be answered when Slack is left
_FORGOTTEN = _("That form is from another version of Easel. Close it and open it again.")
_OTHER = _(
    "Slack offers something that this Easel does not know. Ask an administrator to renew the app's manifest."
)
_CLOSING = ("channel_archive", "channel_deleted", "group_archive", "group_deleted", "group_left")
"""Events and subtypes of messages that say that nothing can be posted in a channel any more."""
_LEFT = _("Easel was removed from this workspace.")
_KICKED = _("Easel was removed from this channel.")
_CLOSED = _("The channel was archived or deleted.")
_REMOVED = _("Easel is not installed in this workspace any more. Ask an administrator to install it again.")

_REMOVALS = ("app_uninstalled", "tokens_revoked")
_OF_THE_APP = (*_REMOVALS, "url_verification", "ssl_check")
"""Kinds of what needs no workspace that Easel is installed in."""

SOURCE, VERIFY = "use_as_source", "verify"
ENTRIES = {re.sub(r"\W", "", each.menu).casefold(): each for each in actions.MENU}
"""Callback ids of the entries in a message's menu, which stand in manifests: "Edit…" is "edit"."""
GLOBAL = "paint"
EMOJI = {"star": "⭐", "email": "✉", "envelope": "✉", "x": "❌"}
"""Slack's names of the emoji that do something on a result."""


class Client:
    """The Bolt app with Easel's listeners, and everything they speak to."""

    def __init__(
        self,
        easel: Easel,
        settings: SlackSettings,
        workspaces: Workspaces,
        session: aiohttp.ClientSession,
        *,
        installations: SealedInstallations | None = None,
        flow: AsyncOAuthFlow | None = None,
    ) -> None:
        files = Files(workspaces, session, easel.images.get)
        self.delivery = SlackDelivery(workspaces, files)
        self._departures = easel.departures
        self._installations = installations
        self._places = Places(workspaces)
        self._desk = SlackHandlers(
            easel,
            settings,
            workspaces=workspaces,
            people=SlackUsers(workspaces, settings.slack_admins),
            places=self._places,
            files=files,
            delivery=self.delivery,
            session=session,
        )
        self._ears = MessageEvents(easel, self._desk, workspaces)
        self._home = Home(easel, self._desk, files, workspaces)
        self._messages, self._visibility, self._files = easel.messages, easel.visibility, files
        if installations:
            installations.on_saved = self.came_back
        self._repeats = Dedup(MOST)
        self._reactions = Reactions(easel, "slack")
        self._tasks: set[asyncio.Task[None]] = set()
        self._workspaces = workspaces
        door: Any = Doorkeeper()  # type: ignore[no-untyped-call]  # the library's
        self.app = AsyncApp(
            name="easel",
            logger=logging.getLogger("slack_bolt"),  # else its loggers heed the root's level, not their own
            client=workspaces.talk(),
            authorize=door,
            oauth_flow=flow,
            before_authorize=self._arrived,
            process_before_response=True,  # listeners only begin tasks; else Bolt polls for their ack
            request_verification_enabled=False,  # `Guard` stands in front, and is stricter
            ignoring_self_events_enabled=False,  # to Bolt, deleting our message is an act of ours
            user_facing_authorize_error_message=_REMOVED,
        )
        self._listen(self.app)

    def _listen(self, app: AsyncApp) -> None:
        app.use(self._once)  # after the authorization, which may fail and be asked for again
        app.command(slash_commands.IMAGINE)(self._imagine)
        app.command(slash_commands.EASEL)(self._easel)
        app.action(_ANY)(self._press)
        app.view(forms.CALLBACK)(self._submit)
        app.view(forms.SHARE)(self._share)
        app.view(_ANY)(self._forgotten)
        app.view_closed(_ANY)(self._nothing)
        app.shortcut(GLOBAL)(self._open)
        for entry in (SOURCE, VERIFY, *ENTRIES):
            app.shortcut(entry)(self._on_message)
        app.event(_ANY)(self._event)
        # What nobody listens to Bolt would log, with all that was written.
        app.command(_ANY)(self._unknown)
        app.shortcut(_ANY)(self._unknown)
        app.options(_ANY)(self._nothing)

    async def close(self) -> None:
        """Let what was taken be answered, for a moment."""
        if self._installations:
            self._installations.on_saved = None
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_WORDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reactions.close()
        await self._files.close()

    def came_back(self) -> None:
        """Show what could not be shown before Easel was installed (again)."""
        self.delivery.removed_from.clear()
        self._go(self._messages.owe("slack", OF_THE_TOKEN))

    # ---- before anything is done

    async def _arrived(
        self, body: dict[str, Any], context: AsyncBoltContext, next: Callable[[], Awaitable[None]]
    ) -> BoltResponse | None:
        """Find the workspace; an event whose workspace cannot be told is left, and people are told so."""
        context["arrived"] = time.monotonic()
        context["team_id"] = team_of(body)  # Bolt's own is none where an organisation installed the app
        if _kind(body) not in _OF_THE_APP:
            context["workspace"] = await self._workspace(context)
            if context["workspace"] is None:
                log.warning(
                    "refused: no workspace is named, or Easel is not installed there",
                    kind=_kind(body),
                    team=context["team_id"],
                    enterprise=context.enterprise_id,
                )
                if "event" in body:
                    return BoltResponse(status=200, body="")
            elif context["workspace"].team in self.delivery.removed_from:
                self.came_back()
        await next()
        return None

    async def _workspace(self, context: AsyncBoltContext) -> Workspace | None:
        """Return the workspace of an event, or None where Easel is not installed. Raises StoreError."""
        team, enterprise = context["team_id"], context.enterprise_id or ""
        team = team or await self._workspaces.home_of(context.user_id or "", enterprise)
        return await self._workspaces.find(team, enterprise)

    async def _once(
        self, body: dict[str, Any], context: AsyncBoltContext, next: Callable[[], Awaitable[None]]
    ) -> BoltResponse | None:
        if _is_echo(body.get("event") or {}, context.get("workspace")):
            return BoltResponse(status=200, body="")
        key = key_of(body)
        if not self._repeats.first(key):
            return BoltResponse(status=200, body="")
        if _kind(body) in _REMOVALS:
            try:
                await self._uninstalled(body, context)  # before it is acknowledged
            except StoreError:
                self._repeats.forget(key)
                raise
        await next()
        return None

    async def _taken(self, ack: AsyncAck, context: AsyncBoltContext, **answer: Any) -> None:
        await ack(**answer)
        telemetry.ACKNOWLEDGED.labels("slack").observe(time.monotonic() - context["arrived"])

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- listeners

    async def _imagine(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await self._taken(ack, context)
        asked = _of_command(body, context["workspace"])
        words = markup.meant(slash_commands.plain(body.get("text") or ""))
        self._go(
            self._desk.command(asked, "imagine", {"prompt": words}) if words else self._desk.open_blank(asked)
        )

    async def _easel(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await self._taken(ack, context)
        self._go(self._command(_of_command(body, context["workspace"]), body.get("text") or ""))

    async def _command(self, asked: Asked, text: str) -> None:
        try:
            name, options = slash_commands.read(text, asked.workspace.team)
        except Refusal as refusal:
            await self._desk.refuse(asked, refusal)
            return
        if name == "imagine" and not options["prompt"]:
            await self._desk.open_blank(asked)
        else:
            await self._desk.command(asked, name, options)

    async def _press(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await self._taken(ack, context)
        self._go(self._pressed(_of_action(body, context["workspace"]), body))

    async def _pressed(self, asked: Asked, body: Body) -> None:
        pressed = body["actions"][0]
        button = str((pressed.get("selected_option") or {}).get("value") or pressed["action_id"])
        if button == PAINT:
            await self._desk.open_blank(asked, ask_where=True)
        elif button == DEFAULTS:
            await self._home.defaults(asked)
        elif button != REFRESH:
            await self._desk.press(asked, button)
        if not asked.channel:
            await self._home.publish(asked)

    async def _submit(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        answer = forms.read(body["view"])
        if wrong := forms.mistakes(answer):
            await self._taken(ack, context, response_action="errors", errors=wrong)
            return
        await self._taken(ack, context)
        self._go(self._submitted(_of_view(body, context["workspace"], answer.about), answer))

    async def _submitted(self, asked: Asked, answer: forms.FormAnswer) -> None:
        await self._desk.sent(asked, answer)
        if not asked.channel:
            await self._home.publish(asked)

    async def _share(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await self._taken(ack, context)
        about = forms.read(body["view"]).about
        asked = _of_view(body, context["workspace"], about)
        self._go(self._desk.share(asked, about.parent, about.channel))

    async def _forgotten(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await self._taken(ack, context)
        about = forms.unpack(body["view"].get("private_metadata", ""))
        asked = _of_view(body, context["workspace"], about)
        self._go(self._desk.refuse(asked, Refusal(_FORGOTTEN, code="expired")))

    async def _open(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await self._taken(ack, context)
        self._go(self._desk.open_blank(_of_action(body, context["workspace"]), ask_where=True))

    async def _on_message(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await self._taken(ack, context)
        asked, entry = _of_action(body, context["workspace"]), body["callback_id"]
        message = body.get("message") or {}
        own = {SOURCE: self._desk.source, VERIFY: self._desk.verified}
        self._go(
            own[entry](asked, message)
            if entry in own
            else self._desk.chosen(asked, message, ENTRIES[entry].name)
        )

    async def _unknown(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Refuse a command or shortcut of another version's manifest."""
        await self._taken(ack, context)
        of = _of_command if "command" in body else _of_action
        self._go(self._desk.refuse(of(body, context["workspace"]), Refusal(_OTHER, code="unknown")))

    async def _nothing(self, ack: AsyncAck, context: AsyncBoltContext) -> None:
        """Acknowledge a form that was closed; there is nothing else to do, since no job has begun."""
        await self._taken(ack, context)

    async def _event(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await self._taken(ack, context)
        event: Body = body["event"]
        if (channel := channel_of(event)) and says_closed(event):
            self._places.close(context["workspace"], channel)
        match event["type"]:
            case _ if TO_PRIVATE in (event["type"], event.get("subtype")):
                self._go(self._made_private(context["workspace"], channel, float(event.get("event_ts") or 0)))
            case "app_mention":
                self._go(self._ears.mention(context["workspace"], event))
            case "message" if event.get("subtype") == "message_deleted":
                self._go(self._deleted(context["workspace"], event))
            case "message" if event.get("subtype") in _CLOSING:
                self._go(self._closed(context["workspace"], event))
            case "message":
                if event.get("thread_ts"):
                    self.delivery.talked_under(channel, event["thread_ts"])
                self._go(self._ears.message(context["workspace"], event))
            case "assistant_thread_started":
                self._go(self._ears.panel(context["workspace"], event))
            case "app_home_opened" if event.get("tab") == "home":
                self._go(self._home.publish(_of_home(body, context["workspace"])))
            case "reaction_added" | "reaction_removed":
                self._reacted(context["workspace"], event)
            case name if name in _CLOSING:
                self._go(self._closed(context["workspace"], event))

    def _reacted(self, workspace: Workspace, event: Body) -> None:
        """Heed a person's reaction on a message of ours."""
        item, emoji = event.get("item") or {}, EMOJI.get(str(event.get("reaction")))
        ours = event.get("item_user") in (workspace.bot_user, workspace.bot)
        if not (emoji and ours and item.get("type") == "message" and event.get("user")):
            return
        added = event["type"] == "reaction_added"
        person, message = anyone(workspace, event["user"]).id, f"{item['channel']}:{item['ts']}"
        reaction = Reaction(emoji=emoji, person=person, message=message, added=added)
        asked = _of_reaction(event, workspace)
        self._reactions.heard(
            reaction, partial(self._desk.reacted, asked), partial(self._desk.shown_by, asked)
        )

    # ---- what is taken away

    async def _deleted(self, workspace: Workspace, event: Body) -> None:
        """Hide a job whose message, or a copy of it in another channel, somebody deleted.

        A status message that its result has replaced was deleted by Easel itself.
        """
        tenant, channel = f"slack:{workspace.team}", str(event["channel"])
        named = [f"{channel}:{event.get('deleted_ts')}"]
        await self._departures.deleted("slack", tenant=tenant, messages=named)
        jobs = {} if channel.startswith("D") else layout.jobs_of(event.get("previous_message") or {})
        if len(jobs) == 1:  # a list of several is nobody's picture
            await self._departures.deleted_jobs(jobs, tenant, but=named[0])

    async def _closed(self, workspace: Workspace, event: Body) -> None:
        """Cancel the jobs of a channel that takes no posts any more, except private ones."""
        tenant, channel = f"slack:{workspace.team}", str(event["channel"])

        def there(job: Job) -> bool:
            return job.origin.channel == channel and not job.origin.private

        kicked = event["type"] == "group_left"
        if kicked:
            await self._departures.lost(tenant, channel)
        else:
            await self._departures.deleted("slack", tenant=tenant, channel=channel)
        why = _KICKED if kicked else _CLOSED
        await self._departures.left("slack", why, tenant=tenant, which=there)

    async def _left(self, team: str, enterprise: str) -> None:
        """Cancel the jobs of a workspace that removed Easel, or of a whole organisation."""
        if team:
            await self._departures.lost(f"slack:{team}")
            await self._departures.left("slack", _LEFT, tenant=f"slack:{team}")
        elif enterprise:
            await self._departures.left("slack", _LEFT, which=lambda job: _is_of(job, enterprise))

    async def _made_private(self, workspace: Workspace, channel: str, at: float) -> None:
        """Close a channel that was made private; an old event does not close what was asked for after it."""
        before = datetime.fromtimestamp(at, UTC)
        await self._visibility.close_place(f"slack:{workspace.team}", channel, before)

    async def closed(self, job: Job) -> bool | None:
        """Tell whether a job's channel is closed at this moment; None where Slack does not tell."""
        reply = job.origin.reply
        workspace = await self._workspaces.find(reply.get("team", ""), reply.get("enterprise", ""))
        return await self._places.is_closed_now(workspace, job.origin.channel) if workspace else None

    async def _uninstalled(self, body: Body, context: AsyncBoltContext) -> None:
        """Forget a workspace that removed Easel; cancel what waits or runs there, and record the reason."""
        event, at = body["event"], float(body.get("event_time") or time.time())
        if event["type"] == "tokens_revoked" and not (event.get("tokens") or {}).get("bot"):
            return
        team = "" if context.get("is_enterprise_install") else context["team_id"]
        about = {"team": team, "enterprise": context.enterprise_id}
        if self._installations and not await self._installations.removed(
            team, context.enterprise_id or "", at
        ):
            log.info("a removal from before the present installation is left", **about)
            return
        log.warning("Easel was removed from a workspace", **about)
        self._go(self._left(team, context.enterprise_id or ""))


def _is_echo(event: Body, workspace: Workspace | None) -> bool:
    """Tell whether an event is about Easel's own post or edit. A removal comes without a workspace."""
    own = (workspace.bot_user, workspace.bot) if workspace else ()
    message = event.get("message") if event.get("subtype") == "message_changed" else event
    about = message if isinstance(message, Mapping) else {}
    return bool({about.get("user"), about.get("bot_id")} & {each for each in own if each})


def _is_of(job: Job, enterprise: str) -> bool:
    return bool(job.origin.reply.get("enterprise") == enterprise)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """Run a task; log any exception, so that it ends only this task."""
    try:
        await work
    except Exception:
        log.exception("an event was not handled", surface="slack")


# ---- who, where


def _kind(body: Body) -> str:
    """Return the type of a payload: the event's own type, else the payload's."""
    event = body.get("event")
    if "ssl_check" in body:
        return "ssl_check"
    return str((event if isinstance(event, dict) else body).get("type") or "slash_command")


def _of_command(body: Body, workspace: Workspace) -> Asked:
    return Asked(
        workspace=workspace,
        user=body["user_id"],
        name=body.get("user_name") or "",
        channel=body.get("channel_id") or "",
        event=f"command:{_name(body)}",
        closed=says_closed(body),
        response_url=body.get("response_url") or "",
        trigger=body.get("trigger_id") or "",
    )


def _of_action(body: Body, workspace: Workspace) -> Asked:
    """Describe a press or a shortcut as a request."""
    container, message = body.get("container") or {}, body.get("message") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id") or ""
    ephemeral = bool(container.get("is_ephemeral"))
    pressed = container.get("message_ts") or body.get("message_ts") or ""
    thread = message.get("thread_ts") or container.get("thread_ts") or ""
    return Asked(
        workspace=workspace,
        user=body["user"]["id"],
        name=body["user"].get("name") or body["user"].get("username") or "",
        channel=channel,
        thread="" if thread == pressed else thread,  # a thread's first message stands in the channel
        event=f"action:{_name(body)}",
        response_url=body.get("response_url") or "",
        trigger=body.get("trigger_id") or "",
        hidden=ephemeral or not channel,
        closed=says_closed(body),
        message=pressed,
    )


def _name(body: Body) -> str:
    """Return a permanent id for an interaction: a hash, since its trigger is a secret that opens forms."""
    trigger = body.get("trigger_id")
    return hashlib.sha256(trigger.encode()).hexdigest()[:32] if trigger else new_id()


def _of_view(body: Body, workspace: Workspace, about: forms.About) -> Asked:
    """Describe a form that was sent as a request; the same form sent twice is one request."""
    return Asked(
        workspace=workspace,
        user=body["user"]["id"],
        name=body["user"].get("name") or "",
        channel=about.channel,
        thread=about.thread,
        event=f"view:{body['view']['id']}",
        trigger=body.get("trigger_id") or "",
        hidden=about.hidden,
    )


def _of_reaction(event: Body, workspace: Workspace) -> Asked:
    item = event["item"]
    return Asked(
        workspace=workspace,
        user=event["user"],
        channel=item["channel"],
        event=f"reaction:{item['channel']}:{item['ts']}:{event['user']}:{event['reaction']}",
        message=item["ts"],
    )


def _of_home(body: Body, workspace: Workspace) -> Asked:
    return Asked(workspace=workspace, user=body["event"]["user"], event=f"home:{body.get('event_id')}")
