"""The Web API of the loopback Slack: who may call what, with which arguments, and what becomes of it.

https://docs.slack.dev/reference/methods
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.contract.slack import blocks as kit
from tests.contract.slack import methods
from tests.contract.slack.methods import Json
from tests.contract.slack.state import (
    ADA,
    APP,
    APP_TOKEN,
    BEN,
    BOSS,
    BOT,
    BOT_ID,
    BOT_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    GENERAL,
    GONE,
    GUEST,
    PICTURES,
    RANDOM,
    SECRET,
    TEAM,
    Call,
    Channel,
    Fault,
    File,
    Hook,
    Install,
    Message,
    Refused,
    Sent,
    Thread,
    Trigger,
    User,
    View,
)

PATIENCE = 30.0  # seconds; only a broken studio needs them
TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS, RESPONSE_USES = 30 * 60.0, 5


class Api:
    """What this Slack keeps, and what it answers."""

    def __init__(self, manifest: Json, *, checks: bool = True) -> None:
        self.manifest = manifest
        self.checks = checks  # whether calls are kept and looked at closely
        self.users = {
            each.id: each
            for each in (
                User(BOT, "easel"),
                User(ADA, "ada"),
                User(BEN, "ben"),
                User(BOSS, "boss", admin=True),
                User(GUEST, "guest", guest=True),
                User(GONE, "gone", deleted=True),
            )
        }
        everybody = set(self.users)
        self.channels = {
            GENERAL: Channel(GENERAL, "general", members=set(everybody)),
            SECRET: Channel(SECRET, "secret", "group", {BOT, ADA, BOSS}),
            RANDOM: Channel(RANDOM, "random", members={ADA, BEN}),
        }
        self.groups: dict[str, tuple[str, set[str]]] = {}  # user group → handle, members
        scopes = set(manifest["oauth_config"]["scopes"]["bot"])
        self.installs = {BOT_TOKEN: Install(BOT_TOKEN, TEAM, scopes)}
        self.codes: dict[str, str] = {}  # OAuth code → team, or organisation
        self.organisations: dict[str, str] = {}  # workspace → the organisation that it belongs to
        self.terse = False  # whether events of organisation-wide installations name no workspace of their own
        self.messages: dict[tuple[str, str], Message] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}  # by user
        self.threads: dict[tuple[str, str], Thread] = {}
        self.hooks: dict[str, Hook] = {}
        self.triggers: dict[str, Trigger] = {}
        self.calls: list[Call] = []
        self.limited: list[Call] = []  # those that were answered 429
        self.posts: list[Json] = []  # to response_urls, with what became of them
        self.sent: list[Sent] = []
        self.problems: list[str] = []
        self.faults: list[Fault] = []
        self.ready_after = 0.0  # seconds until an uploaded file can be shown
        self.limits = False  # whether Slack's rate limits are kept up
        self.url = ""
        self._tickets: set[str] = set()
        self._ids = itertools.count(1001)
        self._shift = 0.0
        self._last_ts = 0.0
        self._used: dict[tuple[str, str], deque[float]] = {}
        self._changed = asyncio.Condition()

    # ---- time and names

    @property
    def now(self) -> float:
        """Unix time, as this Slack sees it."""
        return time.time() + self._shift

    def pass_time(self, seconds: float) -> None:
        self._shift += seconds

    def new(self, prefix: str) -> str:
        return f"{prefix}{next(self._ids)}X"

    def new_ts(self) -> str:
        self._last_ts = max(self._last_ts + 1e-6, self.now)
        return f"{self._last_ts:.6f}"

    # ---- what the test sees

    def visible(self, user: str = ADA, channel: str = "") -> list[Message]:
        """The messages that somebody sees, the oldest first."""
        return [
            message
            for message in self.messages.values()
            if not message.deleted
            and message.only in ("", user)
            and channel in ("", message.channel)
            and not self.channels[message.channel].deleted
            and user in self.channels[message.channel].members
        ]

    def said(self, text: str, user: str = ADA, channel: str = "") -> Message | None:
        """The newest message of the app's with a text in it."""
        found = [m for m in self.visible(user, channel) if m.user == BOT and text in m.shown]
        return found[-1] if found else None

    def calls_of(self, *names: str) -> list[Call]:
        return [call for call in self.calls if call.method in names]

    async def until(self, there: Callable[[], Any]) -> Any:
        """What `there` finds, once it finds it."""
        try:
            async with self._changed:
                await asyncio.wait_for(self._changed.wait_for(there), PATIENCE)
        except TimeoutError:
            raise AssertionError(f"it did not come; {self.account()}") from None
        return there()

    def account(self) -> str:
        """What was said and asked last."""
        said = [f"{m.channel} {m.shown!r:.200}" for m in self.messages.values() if m.user == BOT][-5:]
        asked = [f"{call.method} {call.args!r:.200}" for call in self.calls[-5:]]
        return f"said {said}; asked {asked}; hooks {self.posts[-3:]!r:.600}; problems {self.problems}"

    async def see(self, text: str, user: str = ADA, channel: str = "") -> Message:
        """The app's message with a text in it, once it is there."""
        return await self.until(lambda: self.said(text, user, channel))

    async def told(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # ---- the Web API

    async def api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        args, as_json = await _arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or args.pop("token", "")
        args.pop("token", None)
        call = Call(method, {key: _decoded(key, value) for key, value in args.items()}, token, self.now)
        if self.checks:
            self.calls.append(call)
        try:
            if (fault := self._fault(call)) and fault.seconds:
                await asyncio.sleep(fault.seconds)
            elif fault:
                return self._broken(call, fault)
            self._check(call, args, as_json)
            handler = getattr(self, "_" + method.replace(".", "_"), None)
            if handler is None:
                self.problems.append(f"{method} is not modelled")
                raise Refused("unknown_method")
            answer = {"ok": True} | handler(call, **self._more(request, method))
        except Refused as refused:
            answer = self._refusal(call, refused)
        except _Slower as slower:
            return self._too_many(call, slower.seconds)
        finally:
            await self.told()
        return web.json_response(answer)

    def _more(self, request: web.Request, method: str) -> Json:
        return {"request": request} if method == "oauth.v2.access" else {}

    def _check(self, call: Call, args: Json, as_json: bool) -> None:
        """What Slack looks at before it looks at the call itself."""
        if call.method == "apps.connections.open":
            if call.token != APP_TOKEN:
                raise Refused("invalid_auth")
        elif call.method != "oauth.v2.access":
            self._check_token(call)
        if self.checks and (wrong := methods.wrong_arguments(call.method, args, as_json=as_json)):
            self.problems += wrong
            raise Refused("invalid_arguments", *wrong)
        self._check_rate(call)

    def _check_token(self, call: Call) -> None:
        install = self.installs.get(call.token)
        if install is None:
            raise Refused("invalid_auth")
        if install.dead:
            raise Refused(install.dead)
        if lacking := methods.lacking(call.method, install.scopes):
            self.problems.append(f"{call.method} needs a scope that the manifest does not ask for: {lacking}")
            raise Refused("missing_scope")

    def _check_rate(self, call: Call) -> None:
        """Slack's limits by method and workspace, and one message a second in a channel, with patience."""
        keys = [(call.method, self._team(call), methods.per_minute(call.method), 60.0)]
        if call.method == "chat.postMessage":
            keys.append((f"post {call.args.get('channel')}", self._team(call), 5, 5.0))
        for name, team, most, seconds in keys:
            used = self._used.setdefault((name, team), deque())
            while used and used[0] <= call.at - seconds:
                used.popleft()
            if self.limits and len(used) >= most:
                raise _Slower(max(1, round(seconds - (call.at - used[0]))))
            used.append(call.at)

    def _team(self, call: Call) -> str:
        install = self.installs.get(call.token)
        return install.team or install.enterprise if install else ""

    def serving(self, *teams: str) -> Install | None:
        """The installation by which the app hears of what happens in one of these workspaces."""
        for team in teams:
            for install in self.installs.values():
                whole = install.whole and install.enterprise == self.organisations.get(team)
                if install.team == team or whole:
                    return install
        return None

    def _reaches(self, call: Call, channel: Channel) -> bool:
        install, teams = self.installs.get(call.token), (channel.team, *channel.shared)
        organisations = {self.organisations.get(team) for team in teams}
        return bool(
            install and (install.team in teams or (install.whole and install.enterprise in organisations))
        )

    def _fault(self, call: Call) -> Fault | None:
        for fault in self.faults:
            about = fault.channel in ("", call.args.get("channel"), call.args.get("channel_id"))
            about = (
                about
                and fault.token in ("", call.token)
                and (not fault.pictures or bool(kit.pictures(call.blocks)))
            )
            if fault.times and fault.method in (call.method, "*") and about:
                fault.times -= 1
                return fault
        return None

    def _broken(self, call: Call, fault: Fault) -> web.Response:
        if fault.retry_after:
            return self._too_many(call, fault.retry_after)
        if fault.page:
            return web.Response(status=fault.status, text=fault.page, content_type="text/html")
        if fault.status != 200:
            return web.Response(status=fault.status, text="<html>upstream connect error</html>")
        return web.json_response(self._refusal(call, Refused(fault.error)))

    def _too_many(self, call: Call, seconds: int) -> web.Response:
        self.limited.append(call)
        body = {"ok": False, "error": "ratelimited"}
        return web.json_response(body, status=429, headers={"Retry-After": str(seconds)})

    def _refusal(self, call: Call, refused: Refused) -> Json:
        error = str(refused)
        if not methods.knows_error(call.method, error):
            self.problems.append(f"Slack never answers {call.method} with {error}: mend this server")
        about: Json = {"ok": False, "error": error}
        if refused.messages:
            about["response_metadata"] = {"messages": [f"[ERROR] {each}" for each in refused.messages]}
        return about

    # ---- who and what

    def _apps_connections_open(self, call: Call) -> Json:
        ticket = self.new("ticket-")
        self._tickets.add(ticket)
        return {"url": f"{self.url.replace('http', 'ws')}/link?ticket={ticket}&app_id={APP}"}

    def _auth_test(self, call: Call) -> Json:
        install = self.installs[call.token]
        return {
            "url": "https://home.slack.com/",
            "team": "Home",
            "user": "easel",
            "team_id": self._team(call),  # of an organisation-wide token, the organisation's
            "user_id": BOT,
            "bot_id": BOT_ID,
            "is_enterprise_install": install.whole,
        } | ({"enterprise_id": install.enterprise} if install.enterprise else {})

    def _auth_revoke(self, call: Call) -> Json:
        self.installs[call.token].dead = "token_revoked"
        return {"revoked": True}

    def _team_info(self, call: Call) -> Json:
        return {"team": {"id": self._team(call), "name": "Home", "domain": "home"}}

    def _bots_info(self, call: Call) -> Json:
        return {"bot": {"id": BOT_ID, "user_id": BOT, "app_id": APP, "name": "easel", "deleted": False}}

    def _users_info(self, call: Call) -> Json:
        user = self.users.get(call.args["user"])
        if user is None:
            raise Refused("user_not_found")
        told = self.person(user)
        return {"user": told if call.args.get("include_locale") else told | {"locale": None}}

    def person(self, user: User) -> Json:
        """https://docs.slack.dev/reference/objects/user-object"""
        name = user.name.capitalize()
        return self._organised(user) | {
            "id": user.id,
            "team_id": user.team,
            "name": user.name,
            "deleted": user.deleted,
            "real_name": name,
            "tz": "Europe/Berlin",
            "tz_offset": 3600,
            "locale": user.locale,
            "profile": {"real_name": name, "display_name": name, "team": user.team},
            "is_admin": user.admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": user.guest,
            "is_ultra_restricted": False,
            "is_bot": user.is_bot or user.id == BOT,
            "is_app_user": False,
            "updated": 1,
        }

    def _organised(self, user: User) -> Json:
        """What is said of somebody in an organisation."""
        if not (enterprise := self.organisations.get(user.team)):
            return {}
        about = {"enterprise_id": enterprise, "enterprise_name": "Org", "is_admin": False, "is_owner": False}
        return {"enterprise_user": about | {"id": user.id, "teams": [user.team, *user.teams]}}

    def _usergroups_list(self, call: Call) -> Json:
        if self.installs[call.token].whole and not call.args.get("team_id"):
            raise Refused("missing_argument")
        with_users = str(call.args.get("include_users", "")).lower() in ("true", "1")
        groups = [
            {
                "id": id,
                "team_id": self._team(call),
                "is_usergroup": True,
                "handle": handle,
                "name": handle,
                "date_delete": 0,
            }
            | ({"users": sorted(members)} if with_users else {})
            for id, (handle, members) in self.groups.items()
        ]
        return {"usergroups": groups}

    def _usergroups_users_list(self, call: Call) -> Json:
        if call.args["usergroup"] not in self.groups:
            raise Refused("no_such_subteam")
        return {"users": sorted(self.groups[call.args["usergroup"]][1])}

    def _oauth_v2_access(self, call: Call, request: web.Request) -> Json:
        id, secret = call.args.get("client_id", ""), call.args.get("client_secret", "")
        if given := request.headers.get("Authorization", "").removeprefix("Basic "):
            id, _, secret = base64.b64decode(given).decode().partition(":")
        if id != CLIENT_ID:
            raise Refused("invalid_client_id")
        if secret != CLIENT_SECRET:
            raise Refused("bad_client_secret")
        team = self.codes.pop(call.args.get("code", ""), None)
        if team is None:
            raise Refused("invalid_code")
        return self._installed(team)

    def _installed(self, team: str) -> Json:
        scopes = self.manifest["oauth_config"]["scopes"]["bot"]
        whole = team.startswith("E")
        enterprise = team if whole else self.organisations.get(team, "")
        install = Install(f"xoxb-ours-{team}", "" if whole else team, set(scopes), "", enterprise, whole)
        self.installs[install.token] = install
        return {
            "access_token": install.token,
            "token_type": "bot",
            "scope": ",".join(scopes),
            "bot_user_id": BOT,
            "app_id": APP,
            "team": None if whole else {"id": team, "name": "Home"},
            "enterprise": {"id": enterprise, "name": "Org"} if enterprise else None,
            "is_enterprise_install": whole,
            "authed_user": {"id": BOSS},
        }

    # ---- channels

    def _channel(self, call: Call, key: str = "channel") -> Channel:
        """The channel of a call. A person's id stands for the direct messages with them."""
        id = call.args.get(key, "")
        if id in self.users:
            return self.direct(id)
        channel = self.channels.get(id)
        if channel is None or channel.deleted or not self._reaches(call, channel):
            raise Refused("channel_not_found")
        if BOT not in channel.members and channel.kind != "channel":
            raise Refused("channel_not_found")
        return channel

    def direct(self, user: str) -> Channel:
        """The direct messages between somebody and the app."""
        found = next((c for c in self.channels.values() if c.kind == "im" and user in c.members), None)
        if found is None:
            found = Channel(self.new("D"), "", "im", {BOT, user}, team=self.users[user].team)
            self.channels[found.id] = found
        return found

    def _may_post(self, call: Call) -> Channel:
        channel = self._channel(call)
        if channel.archived:
            raise Refused("is_archived")
        public = "chat:write.public" in self.installs[call.token].scopes
        if BOT not in channel.members and not public:
            raise Refused("not_in_channel")
        if channel.read_only:
            raise Refused("restricted_action")
        return channel

    def _conversations_open(self, call: Call) -> Json:
        users = [each for each in str(call.args.get("users", "")).split(",") if each]
        if not users:
            raise Refused("users_list_not_supplied")
        if users[0] not in self.users:
            raise Refused("user_not_found")
        if self.users[users[0]].deleted:
            raise Refused("user_disabled")
        return {"channel": {"id": self.direct(users[0]).id}}

    def _conversations_info(self, call: Call) -> Json:
        channel = self._readable(call, "read")
        about = {
            "id": channel.id,
            "name": channel.name,
            "is_channel": channel.kind == "channel",
            "is_group": channel.kind == "group",
            "is_im": channel.kind == "im",
            "is_private": channel.kind != "channel",
            "is_archived": channel.archived,
            "is_member": BOT in channel.members,
        }
        return {"channel": about}

    def _readable(self, call: Call, what: str) -> Channel:
        """The channel, if the app has the scope for its kind: any of them opens the method."""
        channel = self._channel(call)
        kind = {"im": "im", "group": "groups"}.get(channel.kind, "channels")
        if f"{kind}:{what}" not in self.installs[call.token].scopes:
            raise Refused("missing_scope")
        return channel

    def _conversations_members(self, call: Call) -> Json:
        return {"members": sorted(self._channel(call).members), "response_metadata": {"next_cursor": ""}}

    def _conversations_join(self, call: Call) -> Json:
        channel = self._channel(call)
        if channel.archived:
            raise Refused("is_archived")
        channel.members.add(BOT)
        return {"channel": {"id": channel.id}}

    def _conversations_replies(self, call: Call) -> Json:
        channel = self._readable(call, "history")
        wanted = call.args["ts"]
        found = [m for m in self._history(channel) if wanted in (m.ts, m.thread)]
        if not found:
            raise Refused("thread_not_found")
        return self._page(call, found)

    def _conversations_history(self, call: Call) -> Json:
        found = [m for m in self._history(self._readable(call, "history")) if not m.thread]
        return self._page(call, found[::-1])

    def _page(self, call: Call, found: list[Message]) -> Json:
        """Those between `oldest` and `latest`, as many as asked for."""
        args = call.args
        inclusive = str(args.get("inclusive", "")).lower() in ("true", "1")
        oldest, latest = float(args.get("oldest", 0)), float(args.get("latest", 1e12))
        inside = [
            m
            for m in found
            if oldest < float(m.ts) < latest or (inclusive and float(m.ts) in (oldest, latest))
        ]
        start, most = int(args.get("cursor") or 0), int(args.get("limit", 100))
        more = len(inside) > start + most
        shown = [self.payload(m) for m in inside[start : start + most]]
        if str(args.get("include_all_metadata", "")).lower() in ("true", "1"):
            shown = [
                each | ({"metadata": m.metadata} if m.metadata else {})
                for each, m in zip(shown, inside[start:], strict=False)
            ]
        cursor = str(start + most) if more else ""
        return {"messages": shown, "has_more": more, "response_metadata": {"next_cursor": cursor}}

    def _history(self, channel: Channel) -> list[Message]:
        if BOT not in channel.members:
            raise Refused("not_in_channel")
        return [m for m in self.messages.values() if m.channel == channel.id and not m.deleted and not m.only]

    # ---- messages

    def _chat_postMessage(self, call: Call) -> Json:
        channel = self._may_post(call)
        message = self._compose(call, Message(self.new_ts(), channel.id, BOT), most_text=40_000)
        thread = call.args.get("thread_ts", "")
        if thread:
            root = self.messages.get((channel.id, thread))
            if root is None or root.only:
                raise Refused("cannot_reply_to_message")
            message.thread = root.thread or root.ts
        self.keep(message)
        return {"channel": channel.id, "ts": message.ts, "message": self.payload(message)}

    def _chat_postEphemeral(self, call: Call) -> Json:
        channel = self._may_post(call)
        user = call.args["user"]
        if user not in channel.members:
            raise Refused("user_not_in_channel")
        message = self._compose(call, Message(self.new_ts(), channel.id, BOT, only=user), most_text=40_000)
        message.thread = call.args.get("thread_ts", "")
        self.keep(message)
        return {"message_ts": message.ts}

    def _chat_update(self, call: Call) -> Json:
        channel = self._channel(call)
        message = self._mine(call, "cant_update_message")
        if channel.archived:
            raise Refused("is_inactive")
        changed = self._compose(call, Message(message.ts, channel.id, BOT), most_text=4_000)
        self.change(message, changed.text, changed.blocks)
        return {
            "channel": channel.id,
            "ts": message.ts,
            "text": message.text,
            "message": self.payload(message),
        }

    def _chat_delete(self, call: Call) -> Json:
        self._channel(call)
        message = self._mine(call, "cant_delete_message")
        message.deleted = True
        return {"channel": message.channel, "ts": message.ts}

    def _mine(self, call: Call, error: str) -> Message:
        message = self.messages.get((self._channel(call).id, call.args["ts"]))
        if message is None or message.deleted or message.only:
            raise Refused("message_not_found")
        if message.user != BOT:
            raise Refused(error)
        return message

    def _chat_getPermalink(self, call: Call) -> Json:
        channel = self._channel(call)
        ts = call.args["message_ts"]
        message = self.messages.get((channel.id, ts))
        if message is None or message.deleted:
            raise Refused("message_not_found")
        return {
            "channel": channel.id,
            "permalink": f"https://home.slack.com/archives/{channel.id}/p{ts.replace('.', '')}",
        }

    def _compose(self, call: Call, message: Message, *, most_text: int) -> Message:
        """Put a call's text and blocks into a message, as far as Slack takes them."""
        args = call.args
        if not any(args.get(key) for key in ("text", "blocks", "attachments", "markdown_text")):
            raise Refused("no_text")
        if len(args.get("text") or "") > most_text:
            self.problems.append(f"{call.method}: more than {most_text} characters of text")
            raise Refused("msg_too_long" if call.method == "chat.update" else "message_limit_exceeded")
        message.text, message.blocks = args.get("text") or "", args.get("blocks") or []
        message.metadata = args.get("metadata") or {}
        self._check_blocks(call, message.blocks)
        return message

    def _check_blocks(self, call: Call, given: Any, place: str = "message") -> None:
        wrong = kit.wrong(given, place=place) if given and self.checks else []
        if place == "message" and not wrong and kit.amount_of_text(given) > kit.MOST_TEXT:
            wrong = [f"more than {kit.MOST_TEXT} characters of text in blocks"]
        if wrong:
            self.problems += [f"{call.method}: {each}" for each in wrong]
            raise Refused("invalid_blocks" if place == "message" else "invalid_arguments", *wrong)
        if unready := self._unready(given):
            raise Refused("invalid_blocks" if place == "message" else "invalid_arguments", *unready)

    def _unready(self, given: list[Json]) -> list[str]:
        """Files that cannot be shown: not processed yet, deleted, no pictures, unknown."""
        found = []
        for index, block in enumerate(given):
            for path, part in kit.parts(block):
                named = part.get("slack_file")
                if isinstance(named, dict) and not self._can_show(named):
                    found.append(f"invalid slack file [json-pointer:/blocks/{index}{path}/slack_file]")
        return found

    def _can_show(self, named: Json) -> bool:
        url = named.get("url", "")
        file = self.files.get(named.get("id", "") or url.rsplit("/", 2)[-2] if url else named.get("id", ""))
        return bool(file and file.settled and not file.deleted and file.mimetype in PICTURES.values())

    def keep(self, message: Message) -> Message:
        self.messages[(message.channel, message.ts)] = message
        return message

    def change(self, message: Message, text: str, blocks: list[Json]) -> None:
        """What chat.update does. Without blocks those that were there are gone."""
        message.text, message.blocks = text, blocks
        message.versions += 1

    def payload(self, message: Message) -> Json:
        """A message as events and actions tell it."""
        about: Json = {
            "type": "message",
            "user": message.user,
            "ts": message.ts,
            "text": message.text,
            "team": self._author_s(message),
        }
        if message.user == BOT:
            about |= {"bot_id": BOT_ID, "app_id": APP}
        if message.blocks:
            about["blocks"] = message.blocks
        if message.thread:
            about["thread_ts"] = message.thread
        if message.files:
            about["files"] = [self.about_file(self.files[id]) for id in message.files]
        return about

    def _author_s(self, message: Message) -> str:
        """The author's workspace; the app's own messages are of the channel's."""
        return self.channels[message.channel].team if message.user == BOT else self.users[message.user].team

    # ---- response_url

    def new_hook(self, channel: str, user: str, message: str = "", thread: str = "") -> str:
        hook = Hook(self.new("hook-"), channel, user, self.now, message, thread)
        self.hooks[hook.id] = hook
        return f"{self.url}/actions/{TEAM}/{hook.id}/secret-of-the-url"

    async def respond(self, request: web.Request) -> web.Response:
        """https://docs.slack.dev/interactivity/handling-user-interaction#message_responses"""
        hook = self.hooks[request.match_info["hook"]]
        body = await request.json()
        if "Authorization" in request.headers:
            self.problems.append("a token was sent to a response_url")
        try:
            self._use(hook, body)
        except Refused as refused:
            self.posts.append({"error": str(refused)} | body)
            return web.json_response({"ok": False, "error": str(refused)}, status=404)
        finally:
            await self.told()
        self.posts.append(body)
        return web.Response(text="ok")

    def _use(self, hook: Hook, body: Json) -> None:
        if self.now - hook.born > RESPONSE_SECONDS:
            raise Refused("expired_url")
        if hook.uses >= RESPONSE_USES:
            raise Refused("used_url")
        place = self.channels[hook.channel]
        if place.archived or place.deleted:
            raise Refused("is_archived" if place.archived else "channel_not_found")
        hook.uses += 1
        source = self.messages.get((hook.channel, hook.message))
        if body.get("delete_original") and source:
            source.deleted = True
            return
        call = Call("chat.postMessage", body, "", self.now)
        user_only = hook.user if body.get("response_type", "ephemeral") != "in_channel" else ""
        message = self._compose(
            call, Message(self.new_ts(), hook.channel, BOT, only=user_only), most_text=40_000
        )
        message.thread = body.get("thread_ts", "")
        if body.get("replace_original", False) and source and not source.deleted:
            self.change(source, message.text, message.blocks)
        else:
            self.keep(message)

    # ---- files

    def about_file(self, file: File) -> Json:
        about: Json = {
            "id": file.id,
            "name": file.name,
            "title": file.title or file.name,
            "user": file.owner,
            "size": len(file.content) if file.size is None else file.size,
            "mimetype": file.mimetype if file.settled else "",
            "filetype": file.mimetype.rpartition("/")[2] if file.settled else "",
            "mode": "hosted",
            "file_access": "visible",
            "is_external": False,
            "alt_txt": file.alt,
            "url_private": file.url or f"{self.url}/files-pri/{TEAM}/{file.id}/{file.name}",
            "permalink": f"https://home.slack.com/files/{file.owner}/{file.id}/{file.name}",
        }
        about["url_private_download"] = about["url_private"]
        if file.smaller:
            about["thumb_1024"] = f"{self.url}/files-pri/{TEAM}/{file.smaller.id}/{file.smaller.name}"
        shared = {m.channel for m in self.messages.values() if file.id in m.files and not m.deleted}
        for key, kinds in (("channels", ("channel",)), ("groups", ("group",)), ("ims", ("im",))):
            about[key] = sorted(each for each in shared if self.channels[each].kind in kinds)
        return about

    def hand_in(self, content: bytes, owner: str = ADA, name: str = "picture.png", **more: Any) -> File:
        """A file that a person uploaded."""
        file = File(self.new("F"), name, content, owner, len(content), uploaded=True, complete=True, **more)
        self.files[file.id] = file
        return file

    def _files_getUploadURLExternal(self, call: Call) -> Json:
        if len(call.args.get("alt_txt", "")) > 1000:
            self.problems.append("alt_txt has more than 1000 characters")
            raise Refused("alt_txt_too_large")
        length = int(call.args["length"])
        if length <= 0:
            raise Refused("missing_argument")
        file = File(self.new("F"), call.args["filename"], length=length, alt=call.args.get("alt_txt", ""))
        self.files[file.id] = file
        return {"file_id": file.id, "upload_url": f"{self.url}/upload/v1/{file.id}"}

    async def upload(self, request: web.Request) -> web.Response:
        file = self.files[request.match_info["file"]]
        if request.content_type.startswith("multipart/"):
            parts = [bytes(await part.read()) async for part in await request.multipart()]  # type: ignore[union-attr]
            file.content = parts[0]
        else:
            file.content = await request.read()
        if "Authorization" in request.headers:
            self.problems.append("a token was sent to an upload URL")
        if len(file.content) != file.length:
            self.problems.append(f"{file.name}: {file.length} bytes were promised, {len(file.content)} came")
        file.uploaded = True
        await self.told()
        return web.Response(text=f"OK - {len(file.content)}")

    def _files_completeUploadExternal(self, call: Call) -> Json:
        done = []
        for each in call.args["files"]:
            file = self.files.get(each["id"])
            if file is None or not file.uploaded:
                raise Refused("file_not_found")
            file.complete, file.title = True, each.get("title", "")
            file.ready = time.monotonic() + self.ready_after
            done.append(file)
        if call.args.get("channel_id"):
            self._share(call, done)
        return {"files": [self.about_file(file) for file in done]}

    def _share(self, call: Call, files: list[File]) -> None:
        channel = self._channel(call, "channel_id")
        if BOT not in channel.members:
            raise Refused("not_in_channel")
        message = Message(self.new_ts(), channel.id, BOT, text=call.args.get("initial_comment", ""))
        message.files, message.thread = [file.id for file in files], call.args.get("thread_ts", "")
        self.keep(message)

    def _files_info(self, call: Call) -> Json:
        file = self.files.get(call.args["file"])
        if file is None or not file.uploaded:
            raise Refused("file_not_found")
        if file.deleted:
            raise Refused("file_deleted")
        return {"file": self.about_file(file)}

    def _files_delete(self, call: Call) -> Json:
        file = self.files.get(call.args["file"])
        if file is None:
            raise Refused("file_not_found")
        if file.deleted:
            raise Refused("file_deleted")
        file.deleted = True
        return {}

    async def download(self, request: web.Request) -> web.Response:
        """A file's content, for whoever has the app's token. Others are shown a page to log in on."""
        install = self.installs.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if install is None or install.dead:
            return web.Response(text="<!DOCTYPE html><html>Sign in</html>", content_type="text/html")
        return web.Response(body=self.files[request.match_info["file"]].content)

    # ---- views

    def new_trigger(self) -> str:
        id = f"{self.new('')}.secret-of-the-trigger"
        self.triggers[id] = Trigger(self.now)
        return id

    def _views_open(self, call: Call) -> Json:
        self._spend(call.args.get("trigger_id", ""))
        return {"view": self._shown(call)}

    def _views_push(self, call: Call) -> Json:
        return self._views_open(call)

    def _spend(self, id: str) -> None:
        trigger = self.triggers.get(id)
        if trigger is None:
            raise Refused("invalid_trigger_id" if id else "invalid_arguments")
        if trigger.used:
            raise Refused("exchanged_trigger_id")
        if self.now - trigger.born > TRIGGER_SECONDS:
            raise Refused("expired_trigger_id")
        trigger.used = True

    def _shown(self, call: Call) -> Json:
        view = View(self.new("V"), self._whose(call), self._view(call, "modal"), self.new("hash-"))
        external = view.data.get("external_id")
        if external and any(v.data.get("external_id") == external for v in self.views.values()):
            raise Refused("duplicate_external_id")
        self.views[view.id] = view
        return self.about_view(view)

    def _whose(self, call: Call) -> str:
        trigger = call.args.get("trigger_id")
        sent = next((s for s in self.sent if s.payload.get("trigger_id") == trigger), None)
        return _user_of(sent.payload) if sent else ADA

    def _view(self, call: Call, kind: str) -> Json:
        view = call.args["view"]
        wrong = kit.wrong_view(view) if self.checks else []
        wrong += [] if view.get("type") == kind else [f"a {view.get('type')} here"]
        if wrong:
            self.problems += [f"{call.method}: {each}" for each in wrong]
            raise Refused("invalid_arguments", *wrong)
        if len(json.dumps(view)) > 250_000:
            raise Refused("view_too_large")
        self._check_blocks(call, view["blocks"], kind)
        return _with_block_ids(view, self.new)

    def _views_update(self, call: Call) -> Json:
        wanted, external = call.args.get("view_id"), call.args.get("external_id")
        view = next(
            (v for v in self.views.values() if wanted == v.id or external == v.data.get("external_id", 0)),
            None,
        )
        if view is None or view.closed:
            raise Refused("not_found")
        if call.args.get("hash", view.hash) != view.hash:
            raise Refused("hash_conflict")
        view.data, view.hash = self._view(call, "modal"), self.new("hash-")
        return {"view": self.about_view(view)}

    def _views_publish(self, call: Call) -> Json:
        user = call.args["user_id"]
        if not self.manifest["features"].get("app_home", {}).get("home_tab_enabled"):
            raise Refused("not_enabled")
        if user not in self.users:
            raise Refused("invalid_arguments")
        before = self.homes.get(user)
        if before and call.args.get("hash", before.hash) != before.hash:
            raise Refused("hash_conflict")
        id = before.id if before else self.new("V")
        self.homes[user] = View(id, user, self._view(call, "home"), self.new("hash-"))
        return {"view": self.about_view(self.homes[user])}

    def about_view(self, view: View) -> Json:
        team = self.users[view.user].team
        install = self.serving(team)
        own = {"id": view.id, "team_id": team, "app_id": APP, "bot_id": BOT_ID, "hash": view.hash}
        own["app_installed_team_id"] = (install.team or install.enterprise) if install else TEAM
        defaults: Json = {
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "root_view_id": view.id,
        }
        return defaults | view.data | own | {"state": {"values": {}}, "previous_view_id": None}

    # ---- the assistant panel

    def _assistant_threads_setStatus(self, call: Call) -> Json:
        self._thread(call).statuses.append(call.args["status"])
        return {}

    def _assistant_threads_setTitle(self, call: Call) -> Json:
        self._thread(call).title = call.args["title"]
        return {}

    def _assistant_threads_setSuggestedPrompts(self, call: Call) -> Json:
        prompts = call.args["prompts"]
        if not 1 <= len(prompts) <= 4 or not all(
            each.get("title") and each.get("message") for each in prompts
        ):
            self.problems.append(f"suggested prompts: {prompts!r:.200}")
            raise Refused("invalid_arguments")
        self._thread(call).prompts = prompts
        return {}

    def _thread(self, call: Call) -> Thread:
        channel = self._channel(call, "channel_id")
        key = (channel.id, call.args.get("thread_ts", ""))
        if key not in self.messages:
            raise Refused("invalid_thread_ts")
        return self.threads.setdefault(key, Thread())


class _Slower(Exception):
    """The rate limit is reached."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


def _user_of(payload: Json) -> str:
    user = payload.get("user") or {}
    return user["id"] if user else payload.get("user_id", ADA)


def _with_block_ids(view: Json, new: Callable[[str], str]) -> Json:
    """Slack names the blocks that have no name."""
    return view | {"blocks": [{"block_id": new("block-")} | block for block in view["blocks"]]}


_STRUCTURED = {"blocks", "attachments", "view", "files", "prompts", "metadata", "loading_messages"}


def _decoded(key: str, value: Any) -> Any:
    return json.loads(value) if key in _STRUCTURED and isinstance(value, str) and value else value


async def _arguments(request: web.Request) -> tuple[Json, bool]:
    """A call's arguments, and whether they came as JSON."""
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        body = await request.text()
        return args | (json.loads(body) if body else {}), bool(body)
    return args | {key: value for key, value in (await request.post()).items()}, False
