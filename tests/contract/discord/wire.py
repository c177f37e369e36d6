"""Discord on loopback: a gateway and an HTTP server that the real discord.py logs in to.

It keeps messages, hands out rate limits and errors on demand, and checks every request's body against the
official OpenAPI document where that is at hand. https://github.com/discord/discord-api-spec
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Any

from aiohttp import WSMsgType, web
from jsonschema import Draft202012Validator, validators

from bot import actions
from tests.specs import DISCORD as SPEC

PATIENCE = 20.0  # seconds; only a broken studio needs them
MOST_BYTES = 10 * 2**20  # of one file
MOST_FOLLOW_UPS = 5  # where the bot is not in the server itself

APPLICATION, BOT, GUILD, CHANNEL, DM, ADA = 1001, 1002, 2001, 3001, 3002, 4001
VIEW_CHANNEL, SEND_MESSAGES, ATTACH_FILES, SEND_IN_THREADS = 1 << 10, 1 << 11, 1 << 15, 1 << 38
MANAGE_MESSAGES, MODERATORS = 1 << 13, 7100  # a permission, and the role that has it
ALL = VIEW_CHANNEL | SEND_MESSAGES | ATTACH_FILES | SEND_IN_THREADS
EPHEMERAL, LOADING = 1 << 6, 1 << 7
Json = dict[str, Any]
BODY: web.RequestKey[Any] = web.RequestKey("body", object)
FILES: web.RequestKey[dict[str, bytes]] = web.RequestKey("files", dict)


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    json: Any
    files: dict[str, bytes]


@dataclass
class Fault:
    """An answer to give instead, `times` times."""

    method: str
    path: str  # a pattern
    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass
class Limit:
    """So many requests of a kind in so many seconds, as Discord's headers tell it."""

    method: str
    path: str  # a pattern
    most: int
    seconds: float
    refused: int = 0
    _since: float = 0.0
    _used: int = 0

    def of(self, method: str, path: str) -> bool:
        return method == self.method and re.fullmatch(self.path, path) is not None

    def take(self) -> bool:
        if time.monotonic() >= self._since + self.seconds:
            self._since, self._used = time.monotonic(), 0
        self._used += 1
        self.refused += self._used > self.most
        return self._used <= self.most

    @property
    def _left(self) -> float:
        return max(0.0, self._since + self.seconds - time.monotonic())

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.most),
            "X-RateLimit-Remaining": str(max(0, self.most - self._used)),
            "X-RateLimit-Reset-After": f"{self._left:.3f}",
            "X-RateLimit-Reset": f"{time.time() + self._left:.3f}",
            "X-RateLimit-Bucket": f"{self.method}-{self.path}",
        }

    def refusal(self) -> web.Response:
        body = {"message": "You are being rate limited.", "retry_after": self._left, "global": False}
        more = {"Retry-After": f"{self._left:.3f}", "Via": "1.1 google"}
        return _json(body, status=429, headers=self.headers() | more)


@dataclass
class Message:
    """A message as people see it."""

    id: int
    channel: int
    flags: int = 0
    components: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    content: str = ""
    nonce: str = ""
    deleted: bool = False
    jobs: set[str] = field(default_factory=set)  # that its buttons were ever about

    @property
    def text(self) -> str:
        return "\n".join(_texts(self.components))

    @property
    def buttons(self) -> dict[str, str]:
        """Label → id."""
        return dict(_buttons(self.components))


def _before(message: Message, label: str) -> Message:
    """The message as it was before there was ⋯, with a button of its own for what is behind that now."""
    if label in message.buttons or "⋯" not in message.buttons:
        return message
    id = message.buttons["⋯"].replace("more", label.lower())
    row = {"type": 1, "components": [{"type": 2, "style": 2, "label": label, "custom_id": id}]}
    return replace(message, components=[*message.components, row])


def _texts(components: list[Json]) -> list[str]:
    found = []
    for each in components:
        found += [each["content"]] if each["type"] == 10 else []
        found += _texts(each.get("components", []))
    return found


def _buttons(components: list[Json]) -> list[tuple[str, str]]:
    found = []
    for each in components:
        found += [(each["label"], each["custom_id"])] if each["type"] == 2 else []
        found += _buttons(each.get("components", []))
    return found


class Wire:
    """The server's state, and the hand that moves people."""

    def __init__(self, *, checks: bool = True) -> None:
        self.checks = checks  # whether requests are kept and compared with the document
        self.requests: list[Request] = []
        self.messages: dict[int, Message] = {}
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []  # files that somebody asked for
        self.originals: dict[str, int] = {}  # token → its response
        self.modals: dict[str, Json] = {}
        self.callbacks: dict[str, tuple[int, float]] = {}  # token → kind, seconds it took
        self.expired: set[str] = set()
        self.strange: set[str] = set()  # tokens from places that the bot is not in itself
        self.follow_ups: Counter[str] = Counter()
        self.said_after: dict[str, int] = {}  # token → its newest follow-up
        self.faults: list[Fault] = []
        self.problems: list[str] = []
        self.places: dict[int, Json] = {CHANNEL: place(CHANNEL)}  # channels that the bot can see
        self.limits: list[Limit] = []
        self.last: Json = {}  # the newest event
        self.missed: list[Json] = []  # events that a resumed connection is told again
        self.hellos: list[Json] = []  # every identify and resume
        self.presences: list[Json] = []
        self.slammed = 0  # gateway connections that are refused before they are one
        self.refuse: int = 0  # gateway close code to answer an identify with
        self.token_is_good = True
        self.locale = "en-US"  # the server's
        self.url = ""
        self._ids = itertools.count(5001)
        self._sequence = itertools.count(1)
        self._socket: web.WebSocketResponse | None = None
        self._sent: dict[str, float] = {}
        self._pressed: dict[str, int] = {}  # token → the message whose button it was
        self._changed = asyncio.Condition()
        self._connected = asyncio.Event()

    # ---- what people do

    async def slash(
        self,
        name: str,
        /,
        *,
        files: dict[str, bytes] | None = None,
        about: Json | None = None,
        **options: Any,
    ) -> str:
        """Ada's slash command; returns its token. `about` replaces what is told of the files."""
        given, resolved = _given(options)
        for key, content in (files or {}).items():
            stored = self.store(f"{key}.png", content) | (about or {})
            resolved.setdefault("attachments", {})[stored["id"]] = stored
            given.append({"name": key, "type": 11, "value": stored["id"]})
        return await self.interact(2, _typed(name, given, resolved))

    async def command(self, name: str, about: Json, /, **options: Any) -> str:
        """Anybody's slash command; `about` replaces parts of the interaction."""
        return await self.interact(2, _typed(name, *_given(options)), **about)

    async def press(self, message: Message, label: str, **more: Any) -> str:
        """Ada presses a button, or one that stood on the message before some of them were behind ⋯."""
        message = _before(message, label)
        data = {"component_type": 2, "custom_id": message.buttons[label], "id": 1}
        return await self.interact(3, data, message=self.payload(message), **more)

    async def interact(self, kind: int, data: Json, **more: Any) -> str:
        id = str(next(self._ids))
        token = f"secret-token-{id}"
        self._sent[token] = time.monotonic()
        if "message" in more:
            self._pressed[token] = int(more["message"]["id"])
        event = {
            "id": id,
            "application_id": str(APPLICATION),
            "type": kind,
            "token": token,
            "version": 1,
            "guild_id": str(GUILD),
            "guild": {"id": str(GUILD), "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "locale": "en-US",
            "channel_id": str(CHANNEL),
            "channel": place(CHANNEL),
            "member": member(),
            "app_permissions": str(ALL),
            "context": 0,
            "authorizing_integration_owners": {"0": str(GUILD)},
            "attachment_size_limit": MOST_BYTES,
            "entitlements": [],
            "data": data,
        }
        event |= more
        if "0" not in event["authorizing_integration_owners"]:
            self.strange.add(token)
        await self.send("INTERACTION_CREATE", event)
        return token

    async def say(self, content: str, **more: Any) -> None:
        """Ada writes something that mentions the bot."""
        ada = {"id": str(ADA), "username": "ada", "discriminator": "0", "avatar": None}
        written = self.payload(Message(next(self._ids), CHANNEL, content=content))
        about = {"author": ada, "mentions": [bot_user()], "guild_id": str(GUILD)}
        await self.join(place(CHANNEL))
        await self.send("MESSAGE_CREATE", written | about | more)

    async def react(
        self, message: int, emoji: str, *, who: int = ADA, added: bool = True, custom: str = "", **more: Any
    ) -> None:
        """Somebody in the server puts an emoji on a message of the bot's, or takes it away.

        https://discord.com/developers/docs/events/gateway-events#message-reaction-add
        """
        about: Json = {
            "user_id": str(who),
            "channel_id": str(CHANNEL),
            "message_id": str(message),
            "guild_id": str(GUILD),
            "emoji": {"id": custom or None, "name": emoji},
            "burst": False,
            "type": 0,
        }
        if added:
            about |= {"member": member(who, f"person{who}"), "message_author_id": str(BOT)}
        told = {key: value for key, value in (about | more).items() if value is not None}
        await self.send(f"MESSAGE_REACTION_{'ADD' if added else 'REMOVE'}", told)

    async def join(self, *channels: Json) -> None:
        """The bot is in the server, and sees its channels."""
        guild = {"id": str(GUILD), "name": "home", "unavailable": False, "member_count": 1, "large": False}
        lists: Json = {key: [] for key in ("members", "threads", "emojis", "features")}
        roles = [
            role(GUILD, "@everyone", permissions=VIEW_CHANNEL),
            role(MODERATORS, "moderators", permissions=MANAGE_MESSAGES),
        ]
        about = guild | lists | _GUILD | {"channels": [*channels], "roles": roles}
        await self.send("GUILD_CREATE", about | {"preferred_locale": self.locale})

    async def connected(self) -> None:
        """Wait until the bot has identified itself."""
        await self._connected.wait()

    async def send(self, name: str, data: Json) -> None:
        await self._connected.wait()
        assert self._socket
        self.last = {"op": 0, "t": name, "d": data}
        await self._socket.send_json(self.last | {"s": next(self._sequence)})

    async def invalidate(self, *, resumable: bool) -> None:
        """Opcode 9."""
        assert self._socket
        self._connected.clear()
        await self._socket.send_json({"op": 9, "d": resumable})

    async def ask_to_reconnect(self) -> None:
        """Opcode 7."""
        assert self._socket
        self._connected.clear()
        await self._socket.send_json({"op": 7, "d": None})

    async def drop(self) -> None:
        """Close the gateway connection so that it can be resumed."""
        assert self._socket
        self._connected.clear()
        await self._socket.close(code=4000)

    # ---- what the test sees

    def response(self, token: str) -> Message | None:
        """The response, or the result that has taken its place."""
        message = self.messages.get(self.originals.get(token, 0))
        return (self._result_of(message) or message) if message and message.deleted else message

    def _result_of(self, deleted: Message) -> Message | None:
        """The result that stands for a status message; where that never showed its job, one that is left."""
        results = [each for each in self.messages.values() if each.nonce.endswith("-end")]
        if deleted.jobs:
            return next((each for each in reversed(results) if each.jobs & deleted.jobs), None)
        shown = {job for each in self.messages.values() if each not in results for job in each.jobs}
        nameless = [each for each in self.messages.values() if each.deleted and not each.jobs]
        left = [each for each in results if not each.jobs & shown]
        return dict(zip(map(id, nameless), left, strict=False)).get(id(deleted))

    async def until(self, there: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """What `there` finds, once it finds it."""
        try:
            async with self._changed:
                await asyncio.wait_for(self._changed.wait_for(there), patience)
        except TimeoutError:
            seen = [(each.method, each.path, str(each.json)[:300]) for each in self.requests]
            raise AssertionError(f"waited in vain; {self.hellos=}, {self.last=}, {seen=}") from None
        return there()

    async def answered(self, token: str, text: str, patience: float = PATIENCE) -> Message:
        """The response, once it shows a text."""

        def there() -> Message | None:
            found = self.response(token)
            return found if found and text in found.text else None

        return await self.until(there, patience)

    def aside(self, token: str) -> Message | None:
        """The newest follow-up of an interaction, or its response."""
        return self.messages.get(self.said_after.get(token, 0)) or self.response(token)

    async def told(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # ---- the gateway

    async def gateway(self, request: web.Request) -> web.StreamResponse:
        if self.slammed:
            self.slammed -= 1
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 5000}})
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                await self._frame(socket, json.loads(frame.data))
        return socket

    async def _frame(self, socket: web.WebSocketResponse, frame: Json) -> None:
        match frame["op"]:
            case 1:
                await socket.send_json({"op": 11})
            case 2:
                self.hellos.append(frame)
                await self._identified(socket)
            case 3:
                self.presences.append(frame["d"])
            case 6:
                self.hellos.append(frame)
                self._socket = socket
                for event in self.missed:
                    await socket.send_json(event | {"s": next(self._sequence)})
                await socket.send_json({"op": 0, "t": "RESUMED", "s": next(self._sequence), "d": {}})
                self._connected.set()
        await self.told()

    async def _identified(self, socket: web.WebSocketResponse) -> None:
        if self.refuse:
            await socket.close(code=self.refuse)
            return
        self._socket = socket
        ready = {
            "v": 10,
            "user": bot_user(),
            "guilds": [],
            "session_id": "session",
            "resume_gateway_url": self.url.replace("http", "ws"),
            "shard": [0, 1],
            "application": {"id": str(APPLICATION), "flags": 0},
        }
        await socket.send_json({"op": 0, "t": "READY", "s": next(self._sequence), "d": ready})
        self._connected.set()

    # ---- HTTP

    @web.middleware
    async def look(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Read the body, check it, and give the fault that waits for this request."""
        if not request.path.startswith("/api/"):
            return await handler(request)
        body, files = await _body(request)
        path = request.path.removeprefix("/api/v10")
        if self.checks:
            seen = Request(request.method, path, body, files)
            self.requests.append(seen)
            self.problems += problems(seen)
        request[BODY], request[FILES] = body, files
        for fault in self.faults:
            if fault.times and fault.method == request.method and re.fullmatch(fault.path, path):
                fault.times -= 1
                await self.told()
                return _json(fault.body, status=fault.status, headers=fault.headers)
        limit = next((each for each in self.limits if each.of(request.method, path)), None)
        if limit and not limit.take():
            await self.told()
            return limit.refusal()
        response = await handler(request)
        if limit:
            response.headers.update(limit.headers())
        await self.told()
        return response

    async def me(self, request: web.Request) -> web.Response:
        if not self.token_is_good:
            return _json({"message": "401: Unauthorized", "code": 0}, status=401)
        return _json(bot_user())

    async def application(self, request: web.Request) -> web.Response:
        about = {
            "id": str(APPLICATION),
            "name": "Easel",
            "icon": None,
            "description": "",
            "flags": 0,
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "",
            "summary": "",
            "rpc_origins": [],
            "team": None,
            "owner": bot_user(),
        }
        return _json(about)

    async def leave(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def bot_gateway(self, request: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 999, "reset_after": 1, "max_concurrency": 1}
        url = self.url.replace("http", "ws")
        return _json({"url": url, "shards": 1, "session_start_limit": limit})

    async def commands(self, request: web.Request) -> web.Response:
        made = [
            {
                "id": str(index),
                "application_id": str(APPLICATION),
                "version": "1",
                "default_member_permissions": None,
                "description": "",
                "type": 1,
            }
            | each
            for index, each in enumerate(request[BODY], start=100)
        ]
        return _json(made)

    async def callback(self, request: web.Request) -> web.Response:
        token, body = request.match_info["token"], request[BODY]
        if token in self.callbacks:
            return _error(400, 40060, "Interaction has already been acknowledged.")
        self.callbacks[token] = (body["type"], time.monotonic() - self._sent[token])
        about: Json = {"id": request.match_info["id"], "type": 2}
        data = body.get("data", {})
        if body["type"] == 9:
            self.modals[token] = data
        elif body["type"] in (6, 7):
            self.originals[token] = self._pressed[token]
        elif body["type"] in (4, 5):
            flags = data.get("flags", 0) | (LOADING if body["type"] == 5 else 0)
            message = self._make(CHANNEL, data | {"flags": flags}, request[FILES])
            self.originals[token] = message.id
            about["response_message_id"] = str(message.id)
        return _json({"interaction": about})

    async def webhook_message(self, request: web.Request) -> web.Response:
        token, wanted = request.match_info["token"], request.match_info["message"]
        if token in self.expired:
            return _error(401, 50027, "Invalid Webhook Token")
        id = self.originals.get(token, 0) if wanted == "@original" else int(wanted)
        return self._touch(id, request)

    async def webhook(self, request: web.Request) -> web.Response:
        token = request.match_info["token"]
        if token in self.expired:
            return _error(401, 50027, "Invalid Webhook Token")
        self.follow_ups[token] += 1
        if token in self.strange and self.follow_ups[token] > MOST_FOLLOW_UPS:
            return _error(400, 40094, "Maximum number of follow-up messages reached.")
        message = self._make(CHANNEL, request[BODY], request[FILES])
        self.said_after[token] = message.id
        return _json(self.payload(message))

    async def channel(self, request: web.Request) -> web.Response:
        found = self.places.get(int(request.match_info["channel"]))
        return _json(found) if found else _error(403, 50001, "Missing Access")

    async def channel_message(self, request: web.Request) -> web.Response:
        return self._touch(int(request.match_info["message"]), request)

    async def channel_messages(self, request: web.Request) -> web.Response:
        body, channel = request[BODY], int(request.match_info["channel"])
        same = (m for m in self.messages.values() if body.get("nonce") and m.nonce == body["nonce"])
        message = next(same, None) or self._make(channel, body, request[FILES])
        return _json(self.payload(message))

    async def direct(self, request: web.Request) -> web.Response:
        ada = {"id": str(ADA), "username": "ada", "discriminator": "0", "avatar": None}
        return _json({"id": str(DM), "type": 1, "recipients": [ada]})

    async def file(self, request: web.Request) -> web.Response:
        self.fetched.append(request.match_info["name"])
        return web.Response(body=self.files[request.match_info["name"]])

    def _touch(self, id: int, request: web.Request) -> web.Response:
        message = self.messages.get(id)
        if message is None or message.deleted:
            return _error(404, 10008, "Unknown Message")
        if request.method == "DELETE":
            message.deleted = True
            return web.Response(status=204)
        if request.method == "PATCH":
            self._change(message, request[BODY], request[FILES])
        return _json(self.payload(message))

    def _make(self, channel: int, body: Json, files: dict[str, bytes]) -> Message:
        message = Message(next(self._ids), channel, nonce=str(body.get("nonce", "")))
        self.messages[message.id] = message
        self._change(message, body, files)
        return message

    def _change(self, message: Message, body: Json, files: dict[str, bytes]) -> None:
        message.flags = (message.flags & ~LOADING) | body.get("flags", 0)
        message.components = body.get("components", message.components)
        message.jobs |= {job for id in message.buttons.values() if (job := actions.job_in(id))}
        if "attachments" in body:
            message.attachments = [
                self.store(each["filename"], files[f"files[{each['id']}]"], each.get("description", ""))
                for each in body["attachments"]
            ]

    def store(self, name: str, content: bytes, description: str = "") -> Json:
        id = str(next(self._ids))
        self.files[id] = content
        if len(content) > MOST_BYTES:
            self.problems.append(f"{name} has {len(content)} bytes")
        return {
            "id": id,
            "filename": name,
            "size": len(content),
            "url": f"{self.url}/cdn/{id}",
            "proxy_url": f"{self.url}/cdn/{id}",
            "description": description,
            "content_type": "image/png",
        }

    def payload(self, message: Message) -> Json:
        return {
            "id": str(message.id),
            "channel_id": str(message.channel),
            "author": bot_user(),
            "content": message.content,
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": message.attachments,
            "embeds": [],
            "pinned": False,
            "type": 0,
            "flags": message.flags,
            "components": message.components,
        }

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.look], client_max_size=25 * 2**20)
        api = "/api/v10"
        hook = api + "/webhooks/{application}/{token}"
        app.add_routes(
            [
                web.get("/", self.gateway),
                web.get("/cdn/{name}", self.file),
                web.get(api + "/users/@me", self.me),
                web.get(api + "/oauth2/applications/@me", self.application),
                web.get(api + "/gateway/bot", self.bot_gateway),
                web.put(api + "/applications/{application}/commands", self.commands),
                web.post(api + "/interactions/{id}/{token}/callback", self.callback),
                web.post(hook, self.webhook),
                web.route("*", hook + "/messages/{message}", self.webhook_message),
                web.get(api + "/channels/{channel}", self.channel),
                web.post(api + "/channels/{channel}/messages", self.channel_messages),
                web.route("*", api + "/channels/{channel}/messages/{message}", self.channel_message),
                web.post(api + "/users/@me/channels", self.direct),
                web.delete(api + "/users/@me/guilds/{guild}", self.leave),
            ]
        )
        return app


_GUILD: Json = {
    "owner_id": str(ADA),
    "verification_level": 0,
    "default_message_notifications": 0,
    "explicit_content_filter": 0,
    "mfa_level": 0,
    "premium_tier": 0,
    "nsfw_level": 0,
    "afk_timeout": 60,
    "system_channel_flags": 0,
}


def member(id: int = ADA, name: str = "ada", *, roles: tuple[int, ...] = (), permissions: int = 0) -> Json:
    """A person in the server, as an interaction names them."""
    user = {"id": str(id), "username": name, "discriminator": "0", "avatar": None}
    return {
        "user": user | {"global_name": name.capitalize()},
        "roles": [str(role) for role in roles],
        "permissions": str(permissions),
        "joined_at": None,
        "flags": 0,
        "deaf": False,
        "mute": False,
    }


@dataclass(frozen=True)
class Pick:
    """What was chosen from one of Discord's lists: 6 a person, 7 a channel, 8 a role."""

    type: int
    id: int


def _typed(name: str, given: list[Json], resolved: Json) -> Json:
    """A command as it is sent; "admin person gift" is a subcommand of a group in a group."""
    first, *inside = name.split()
    options = given
    for depth, verb in enumerate(reversed(inside)):
        options = [{"name": verb, "type": 1 + bool(depth), "options": options}]
    return {"id": "9", "name": first, "type": 1, "options": options, "resolved": resolved}


def _given(options: Json) -> tuple[list[Json], Json]:
    """Options as they are sent, and what their ids stand for."""
    given: list[Json] = []
    resolved: Json = {}
    for key, value in options.items():
        if isinstance(value, Pick):
            given.append({"name": key, "type": value.type, "value": str(value.id)})
            for kind, what in _resolved(value).items():
                resolved.setdefault(kind, {})[str(value.id)] = what
        else:
            given.append({"name": key, "type": _kind(value), "value": value})
    return given, resolved


def _resolved(pick: Pick) -> Json:
    if pick.type == 6:
        about = member(pick.id, "ben")
        return {"users": about.pop("user"), "members": about}
    if pick.type == 7:
        return {"channels": place(pick.id)}
    return {"roles": role(pick.id, "painters")}


def role(id: int, name: str, *, permissions: int = 0) -> Json:
    """A role of the server."""
    colours = {"primary_color": 0, "secondary_color": None, "tertiary_color": None}
    about = {"name": name, "color": 0, "colors": colours, "hoist": False, "position": 1, "flags": 0}
    may = {"permissions": str(permissions), "managed": False, "mentionable": False}
    return about | may | {"id": str(id)}


def place(id: int, kind: int = 0, **more: Any) -> Json:
    """A channel of the server."""
    about: Json = {"id": str(id), "type": kind, "name": "pictures", "permissions": "0", "position": 0}
    return about | {"guild_id": str(GUILD)} | more


def _kind(value: Any) -> int:
    return {bool: 5, str: 3, int: 4, float: 10}[type(value)]


def bot_user() -> Json:
    return {"id": str(BOT), "username": "easel", "discriminator": "0", "avatar": None, "bot": True}


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Without a charset: discord.py compares the whole content type."""
    body = json.dumps(data).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _error(status: int, code: int, message: str) -> web.Response:
    return _json({"code": code, "message": message}, status=status)


async def _body(request: web.Request) -> tuple[Any, dict[str, bytes]]:
    if not request.content_type.startswith("multipart/"):
        text = await request.text()
        return (json.loads(text) if text else None), {}
    body, files = None, {}
    async for part in await request.multipart():
        if part.name == "payload_json":
            body = json.loads(await part.text())
        else:
            files[part.name] = bytes(await part.read())
    return body, files


@asynccontextmanager
async def served(*, checks: bool = True) -> AsyncIterator[Wire]:
    """A server on a free port of this machine."""
    wire = Wire(checks=checks)
    runner = web.AppRunner(wire.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    wire.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield wire
    finally:
        await runner.cleanup()


# ---- the official document


@cache
def document() -> Json:
    return json.loads(SPEC.read_text())


_PATHS = (
    (r"/interactions/\d+/[^/]+/callback", "/interactions/{interaction_id}/{interaction_token}/callback"),
    (r"/webhooks/\d+/[^/]+/messages/@original", "/webhooks/{webhook_id}/{webhook_token}/messages/@original"),
    (r"/webhooks/\d+/[^/]+/messages/\d+", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"),
    (r"/webhooks/\d+/[^/]+", "/webhooks/{webhook_id}/{webhook_token}"),
    (r"/channels/\d+/messages/\d+", "/channels/{channel_id}/messages/{message_id}"),
    (r"/channels/\d+/messages", "/channels/{channel_id}/messages"),
    (r"/channels/\d+", "/channels/{channel_id}"),
    (r"/applications/\d+/commands", "/applications/{application_id}/commands"),
    (r"/users/@me/channels", "/users/@me/channels"),
)


def problems(request: Request) -> list[str]:
    """Where a request's body is not what the document says.

    Nothing is checked where the document is not at hand: the summary of the tests says so (`tests.specs`).
    """
    if request.json is None or not SPEC.exists():
        return []
    template = next((name for pattern, name in _PATHS if re.fullmatch(pattern, request.path)), None)
    if template is None:
        return [f"{request.method} {request.path} is in no list"]
    found = _faults(request.method.lower(), template, json.dumps(_as_documented(request.json)))
    return [f"{request.method} {template}: {each}" for each in found]


@lru_cache(maxsize=1000)  # every client registers the same commands
def _faults(method: str, template: str, body: str) -> tuple[str, ...]:
    return tuple(_deepest(error) for error in _validator(method, template).iter_errors(json.loads(body)))


@cache
def _validator(method: str, template: str) -> Any:
    operation = document()["paths"][template][method]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    kind: Any = validators.extend(Draft202012Validator, {"oneOf": _one_of})
    return kind({**schema, "components": document()["components"]})


def _one_of(validator: Any, schemas: list[Json], instance: Any, schema: Json) -> Iterator[Any]:
    """Look only at the schemas that allow the type of a component, a command's option; others cannot fit."""
    able = [each for each in schemas if _may_be(each, instance)]
    yield from Draft202012Validator.VALIDATORS["oneOf"](validator, able or schemas, instance, schema)


def _may_be(schema: Json, instance: Any) -> bool:
    if "const" in schema:
        return bool(schema["const"] == instance)
    if not isinstance(instance, dict) or "type" not in instance or "$ref" not in schema:
        return True
    named = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    types = named.get("properties", {}).get("type", {}).get("enum")
    return types is None or instance["type"] in types


def _deepest(error: Any) -> str:
    while error.context:
        error = max(error.context, key=lambda each: len(each.absolute_path))
    return f"{error.json_path}: {error.message[:300]}"


def _as_documented(body: Any) -> Any:
    """The document has ids as text; discord.py sends some as numbers, and Discord takes both."""
    if not isinstance(body, dict):
        return body
    body = json.loads(json.dumps(body))
    for holder in (body, body.get("message_reference") or {}):
        holder |= {key: str(value) for key, value in holder.items() if key.endswith("_id")}
    if users := (body.get("allowed_mentions") or {}).get("users"):
        body["allowed_mentions"]["users"] = [str(each) for each in users]
    for holder in (body, body.get("data") or {}):
        for each in holder.get("attachments", []):
            each["id"] = str(each["id"])
    return body
