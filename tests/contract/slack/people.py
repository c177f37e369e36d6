"""The people in the loopback Slack: what they do there becomes what Slack sends to the app.

The shapes are those of the sample payloads of slackapi/java-slack-sdk.
"""

from __future__ import annotations

import json
import time
from typing import Any

from tests.contract.slack import blocks as kit
from tests.contract.slack.methods import Json
from tests.contract.slack.state import ADA, APP, BOT, GENERAL, Channel, File, Message, Sent, View
from tests.contract.slack.wire import Wire
from tests.specs import SLACK_SAMPLES


class Person:
    """Somebody with Slack open."""

    def __init__(self, wire: Wire, id: str = ADA, team: str = "") -> None:
        """`team` is the workspace that is open, of somebody in several."""
        self.wire, self.id = wire, id
        self.team = team or wire.users[id].team

    @property
    def user(self) -> Any:
        return self.wire.users[self.id]

    def sees(self, text: str, channel: str = "") -> Message | None:
        return self.wire.said(text, self.id, channel)

    async def see(self, text: str, channel: str = "") -> Message:
        """The app's newest message with a text in it that this person may see, once it is there."""
        return await self.wire.see(text, self.id, channel)

    # ---- commands, shortcuts

    async def slash(self, line: str, channel: str = GENERAL) -> Sent:
        """A slash command, as typed."""
        command, _, text = line.partition(" ")
        known = [each["command"] for each in self.wire.manifest["features"]["slash_commands"]]
        assert command in known, f"{command} is not a valid command; the manifest has {known}"
        place = self.wire.channels[channel]
        payload = self._common() | {
            "team_id": self.team,
            "team_domain": "home",
            "channel_id": channel,
            "channel_name": {"im": "directmessage", "group": "privategroup"}.get(place.kind, place.name),
            "user_id": self.id,
            "user_name": self.user.name,
            "command": command,
            "text": text,
            "response_url": self.wire.new_hook(channel, self.id),
            "trigger_id": self.wire.new_trigger(),
            "is_enterprise_install": "true" if self._is_whole() else "false",
        }
        if organisation := self.wire.organisations.get(self.team):
            payload |= {"enterprise_id": organisation, "enterprise_name": "Org"}
        return await self.wire.deliver("slash_commands", payload)

    async def shortcut(self, name: str, message: Message | None = None) -> Sent:
        """A global shortcut, or one of a message's menu, by the name that people see."""
        kind = "message" if message else "global"
        known = {
            each["name"]: each for each in self.wire.manifest["features"]["shortcuts"] if each["type"] == kind
        }
        payload = self._common() | self._interactive() | {"callback_id": known[name]["callback_id"]}
        payload |= {
            "type": "shortcut",
            "action_ts": self.wire.new_ts(),
            "trigger_id": self.wire.new_trigger(),
        }
        if message:
            payload |= self._interactive(message.channel) | {
                "type": "message_action",
                "message_ts": message.ts,
                "message": self.wire.payload(message),
                "channel": self._place(message.channel),
                "response_url": self.wire.new_hook(message.channel, self.id, message.ts, message.thread),
            }
        return await self.wire.deliver("interactive", payload)

    # ---- presses

    async def press(self, where: Message | View, label: str) -> Sent:
        """Press a button, or choose from a menu, by what stands on it."""
        found = [(block, element) for text, block, element in kit.pressable(_blocks(where)) if text == label]
        assert found, f"{label} is not among {where.labels}"
        return await self.act(where, *found[0])

    async def act(self, where: Message | View, block: Json, element: Json) -> Sent:
        payload = (
            self._common()
            | self._interactive()
            | {"type": "block_actions", "trigger_id": self.wire.new_trigger()}
        )
        chosen = {"selected_option": element["selected_option"]} if "selected_option" in element else {}
        wanted = ("type", "action_id", "value", "text", "style")
        action = {key: element[key] for key in wanted if key in element} | chosen
        action |= {"block_id": block.get("block_id", "b1"), "action_ts": self.wire.new_ts()}
        payload["actions"] = [action]
        payload |= self._of_message(where) if isinstance(where, Message) else self._of_view(where)
        return await self.wire.deliver("interactive", payload)

    def _of_message(self, message: Message) -> Json:
        container: Json = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": message.channel,
            "is_ephemeral": bool(message.only),
        }
        if message.thread:
            container["thread_ts"] = message.thread
        about: Json = self._interactive(message.channel) | {
            "container": container,
            "channel": self._place(message.channel),
            "response_url": self.wire.new_hook(message.channel, self.id, message.ts, message.thread),
            "state": {"values": {}},
        }
        return about | ({} if message.only else {"message": self.wire.payload(message)})

    def _of_view(self, view: View) -> Json:
        return {"container": {"type": "view", "view_id": view.id}, "view": self.wire.about_view(view)}

    # ---- forms

    async def form(self, title: str = "", *, ready: bool = True) -> View:
        """The newest form that this person has open; once it is `ready`, more than one that asks to wait."""

        def there() -> View | None:
            mine = [v for v in self.wire.views.values() if v.user == self.id and not v.closed]
            mine = [v for v in mine if not (ready and "One moment…" in str(v.data["blocks"]))]
            fitting = [v for v in mine if title in v.data["title"]["text"]]
            return fitting[-1] if fitting else None

        return await self.wire.until(there)

    async def submit(self, view: View, **answers: Any) -> Sent:
        """Fill in a form, by its blocks' ids, and send it; what is not answered stays as it was."""
        values = {}
        for block in view.data["blocks"]:
            if block["type"] == "input":
                element = block["element"]
                given = answers.pop(block["block_id"], answers.pop(element["action_id"], None))
                values[block["block_id"]] = {element["action_id"]: _filled(block, element, given, self.wire)}
        assert not answers, f"the form has no {sorted(answers)}, but {sorted(values)}"
        payload = self._common() | self._interactive() | {"type": "view_submission"}
        payload |= {"trigger_id": self.wire.new_trigger(), "response_urls": []}
        payload["view"] = self.wire.about_view(view) | {"state": {"values": values}}
        sent = await self.wire.deliver("interactive", payload)
        self.wire._go(self._settle(view, sent))
        return sent

    async def _settle(self, view: View, sent: Sent) -> None:
        """What Slack does with a form once its submission is acknowledged."""
        await self.wire.taken(sent)
        answer = sent.answer or {}
        match answer.get("response_action"):
            case None | "clear":
                view.closed = True
            case "errors":
                inputs = {block["block_id"] for block in view.data["blocks"] if block["type"] == "input"}
                unknown = answer["errors"].keys() - inputs
                self.wire.problems += [f"an error for {each}, which is no input" for each in unknown]
            case "update" | "push":
                self.wire.problems += kit.wrong_view(answer["view"])
                view.data = answer["view"]
        await self.wire.told()

    async def close(self, view: View) -> None:
        """Close a form. Slack says so only where the form asked for it."""
        view.closed = True
        if view.data.get("notify_on_close"):
            payload = self._common() | self._interactive() | {"type": "view_closed", "is_cleared": False}
            await self.wire.deliver("interactive", payload | {"view": self.wire.about_view(view)})

    async def suggestions(self, action_id: str, typed: str, view: View | None = None) -> Sent:
        """What is offered while this person types into a menu that asks the app."""
        payload = self._common() | self._interactive() | {"type": "block_suggestion", "action_id": action_id}
        payload |= {"block_id": "b1", "value": typed}
        if view:
            payload |= self._of_view(view)
        return await self.wire.deliver("interactive", payload)

    # ---- words

    async def say(
        self, text: str, channel: str = GENERAL, *, thread: str = "", files: list[File] | None = None
    ) -> Message:
        """Write something; the app hears it as far as its manifest asks to."""
        message = Message(self.wire.new_ts(), channel, self.id, text, thread=thread)
        message.files = [file.id for file in files or ()]
        self.wire.keep(message)
        await self.hear(message)
        return message

    async def hear(self, message: Message) -> list[Sent]:
        """The events of a message; Slack sends two where the app is mentioned in a channel that it reads."""
        place = self.wire.channels[message.channel]
        if BOT not in place.members:
            return []
        about = self.wire.payload(message) | {"channel": place.id, "event_ts": message.ts}
        sent = []
        if f"<@{BOT}>" in message.text and place.kind != "im":
            theirs = {"user_team": self.user.team, "source_team": self.user.team} if place.shared else {}
            sent.append(await self.event(about | theirs | {"type": "app_mention"}))
        if f"message.{place.kind}s".replace("ims", "im") in self._events():
            heard = about | {"type": "message", "channel_type": place.kind}
            heard |= {"subtype": "file_share"} if message.files else {}
            heard |= {"user_team": self.user.team, "source_team": self.user.team} if place.shared else {}
            if root := self.wire.messages.get((place.id, message.thread)):
                heard["parent_user_id"] = root.user
            sent.append(await self.event(heard))
        return sent

    async def react(self, message: Message, name: str, *, added: bool = True) -> Sent | None:
        """Put an emoji on a message, or take it away; Slack tells apps that are in the channel.

        https://docs.slack.dev/reference/events/reaction_added
        """
        if BOT not in self.wire.channels[message.channel].members:
            return None
        return await self.event(
            {
                "type": "reaction_added" if added else "reaction_removed",
                "user": self.id,
                "reaction": name,
                "item_user": message.user,
                "item": {"type": "message", "channel": message.channel, "ts": message.ts},
                "event_ts": self.wire.new_ts(),
            }
        )

    async def makes_private(self, channel: str, *, told: bool = True, age: float = 0.0) -> None:
        """Convert a channel; the app is told of it where it is a member."""
        place = self.wire.channels[channel]
        place.kind = "group"
        if told and BOT in place.members:
            ts = f"{float(self.wire.new_ts()) - age:.6f}"
            about = {"type": "message", "subtype": "channel_convert_to_private", "user": self.id, "ts": ts}
            about |= {"text": "made this channel private", "channel": channel, "channel_type": "group"}
            await self.event(about | {"event_ts": ts}, age=age)

    async def opens_panel(self) -> Message:
        """Begin a thread in the assistant panel."""
        channel = self.wire.direct(self.id)
        root = self.wire.keep(Message(self.wire.new_ts(), channel.id, BOT, "New thread"))
        thread = {
            "user_id": self.id,
            "context": {"channel_id": GENERAL},
            "channel_id": channel.id,
            "thread_ts": root.ts,
        }
        await self.event(
            {"type": "assistant_thread_started", "assistant_thread": thread, "event_ts": root.ts}
        )
        return root

    async def opens_home(self) -> Sent:
        """Look at the app's home tab."""
        channel = self.wire.direct(self.id)
        return await self.event(
            {
                "type": "app_home_opened",
                "user": self.id,
                "channel": channel.id,
                "tab": "home",
                "event_ts": self.wire.new_ts(),
            }
        )

    async def home(self, text: str = "") -> View:
        """The home tab, once it shows a text."""

        def there() -> View | None:
            found = self.wire.homes.get(self.id)
            return found if found and text in found.shown else None

        return await self.wire.until(there)

    async def event(self, event: Json, *, age: float = 0.0) -> Sent:
        """Something of the Events API, if the manifest subscribes to it; `age` seconds after it happened."""
        assert event["type"] == "message" or event["type"] in self._events(), (
            f"not subscribed to {event['type']}"
        )
        payload = self._common() | {
            "type": "event_callback",
            "event": event,
            "event_id": self.wire.new("Ev"),
            "event_time": int(time.time() - age),
            "event_context": "4-context",
        }
        return await self.wire.deliver("events_api", payload | self._addressed(event))

    def _addressed(self, event: Json) -> Json:
        """Where an event happened, and by which installation the app hears of it.

        https://docs.slack.dev/apis/events-api#callback-field, https://docs.slack.dev/enterprise/organization-ready-apps
        """
        channel = event.get("channel") or event.get("item", {}).get("channel", "")
        place: Channel | None = self.wire.channels.get(str(channel))
        teams = (
            (self.team, self.user.team)
            if place is None or place.kind == "im"
            else (place.team, *place.shared)
        )
        install = self.wire.serving(*teams)
        whole = bool(install and install.whole)
        heard = teams[0] if whole or not install else install.team
        about: Json = {"team_id": None if whole and self.wire.terse else teams[0]}
        about["is_ext_shared_channel"] = bool(place and place.shared)
        if organisation := self.wire.organisations.get(heard):
            about |= {"enterprise_id": organisation, "context_enterprise_id": organisation}
        if organisation or about["is_ext_shared_channel"]:
            about["context_team_id"] = None if whole and self.wire.terse else heard
        about["authorizations"] = [
            {
                "enterprise_id": organisation,
                "team_id": None if whole else heard,
                "user_id": BOT,
                "is_bot": True,
                "is_enterprise_install": whole,
            }
        ]
        return about

    def _events(self) -> list[str]:
        return self.wire.manifest["settings"]["event_subscriptions"]["bot_events"]

    # ---- what all have

    def _common(self) -> Json:
        return {"token": "legacy-token", "api_app_id": APP}

    def _is_whole(self) -> bool:
        install = self.wire.serving(self.team)
        return bool(install and install.whole)

    def _interactive(self, channel: str = "") -> Json:
        """Who acts. Outside of channels, organisation-wide installations are told the person's team alone."""
        organisation = self.wire.organisations.get(self.team)
        team: Json = {"id": self.team, "domain": "home"}
        if organisation:
            team |= {"enterprise_id": organisation, "enterprise_name": "Org"}
        return {
            "user": {
                "id": self.id,
                "username": self.user.name,
                "name": self.user.name,
                "team_id": self.team,
            },
            "team": None if self._is_whole() and not channel else team,
            "enterprise": {"id": organisation, "name": "Org"} if organisation else None,
            "is_enterprise_install": self._is_whole(),
        }

    def _place(self, channel: str) -> Json:
        place: Channel = self.wire.channels[channel]
        return {
            "id": channel,
            "name": {"im": "directmessage", "group": "privategroup"}.get(place.kind, place.name),
        }


def _blocks(where: Message | View) -> list[Json]:
    return where.blocks if isinstance(where, Message) else where.data["blocks"]


def _filled(block: Json, element: Json, given: Any, wire: Wire) -> Json:
    """The state of an input; what Slack's own form would not let pass is an error of the test."""
    kind = element["type"]
    state: Json = {"type": kind}
    match kind:
        case "plain_text_input" | "number_input":
            state["value"] = element.get("initial_value") if given is None else str(given) or None
            missing = state["value"] is None
            most = element.get("max_length", 3000)
            assert len(state["value"] or "") <= most, f"{block['block_id']} takes {most} characters"
        case "static_select" | "radio_buttons":
            state["selected_option"] = _option(element, given)
            missing = state["selected_option"] is None
        case "external_select":
            chosen = (
                None if given is None else {"text": {"type": "plain_text", "text": given}, "value": given}
            )
            state["selected_option"] = chosen or element.get("initial_option")
            missing = state["selected_option"] is None
        case "checkboxes":
            before = element.get("initial_options", [])
            state["selected_options"] = (
                before if given is None else [_option(element, each) for each in given]
            )
            missing = not state["selected_options"]
        case "file_input":
            state["files"] = [wire.about_file(file) for file in given or ()]
            missing = not state["files"]
        case "conversations_select" | "channels_select":
            what = kind.removesuffix("s_select")
            state[f"selected_{what}"] = given or element.get(f"initial_{what}")
            missing = state[f"selected_{what}"] is None
        case _:
            raise AssertionError(f"nobody knows how to fill in a {kind}")
    assert block.get("optional") or not missing, f"{block['block_id']} must be filled in"
    return state


def _option(element: Json, given: str | None) -> Json | None:
    if given is None:
        return element.get("initial_option")
    options = element.get("options") or [o for group in element["option_groups"] for o in group["options"]]
    found = [each for each in options if given in (each["value"], each["text"]["text"])]
    assert found, f"{given} is not among {[each['text']['text'] for each in options]}"
    return found[0]


def sample(path: str) -> Json:
    """A sample payload of Slack's, from its Java SDK."""
    return json.loads((SLACK_SAMPLES / path).read_text())
