"""The app's manifest, made from the vocabulary: what Slack needs to know to create the app.

https://docs.slack.dev/reference/app-manifest
"""

from __future__ import annotations

from typing import Any

import yaml

from bot import commands
from bot.adapters.slack import http_server, message_events
from bot.adapters.slack.client import ENTRIES, GLOBAL, SOURCE, VERIFY
from bot.adapters.slack.slash_commands import EASEL, IMAGINE
from bot.options import clip

NAME = "Easel"
DESCRIPTION = "Paints what you describe, on your own machine, with a fair turn for everyone."
LONG_DESCRIPTION = (
    "Type what you want to see, and Easel paints it on your group's own hardware: /imagine a red fox. Every "
    "result has buttons for variations, enlargement and edits. Mention Easel in a channel, write to it "
    "directly, or reply in the thread under a picture to change it. Many people share one machine in a queue "
    "that is fair step by step."
)

SCOPES = {
    "app_mentions:read": "hear its mentions",
    "assistant:write": "offer prompts in the assistant panel",
    "channels:join": "find its own messages again, after a crash, in public channels that it is not in",
    "channels:read": "know which channels are open to the whole workspace",
    "channels:history": "hear replies under its pictures in public channels, and find its own messages again",
    "chat:write": "post and edit its messages",
    "chat:write.public": "post in public channels that it has not joined",
    "commands": "the commands and shortcuts",
    "files:read": "fetch the pictures that people start from",
    "files:write": "upload pictures",
    "groups:history": "the same as channels:history, in private channels",
    "groups:read": "know when a private channel is closed, or it is removed from one",
    "im:history": "hear direct messages",
    "im:write": "begin direct messages, for private results",
    "mpim:history": "the same in group messages",
    "reactions:read": "know who puts ⭐, ✉️ or ❌ on its pictures",
    "usergroups:read": "know people's user groups, which may be mapped to tiers",
    "users:read": "know names, administrators and guests",
}
"""Scope → what for."""

EVENTS = (
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "assistant_thread_context_changed",
    "assistant_thread_started",
    "channel_deleted",
    "group_deleted",
    "group_left",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
    "tokens_revoked",
)


def manifest(url: str = "", *, oauth: bool = False) -> dict[str, Any]:
    """Build the manifest: with a public `url` for HTTP mode, else Socket Mode; `oauth`: many workspaces."""
    request = {"request_url": f"{url}{http_server.EVENTS}"} if url else {}
    return {
        "display_information": {
            "name": NAME,
            "description": DESCRIPTION,
            "long_description": LONG_DESCRIPTION,
            "background_color": "#1f2430",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": NAME, "always_online": True},
            "shortcuts": list(_shortcuts()),
            "slash_commands": [
                {**each, **({"url": request["request_url"]} if url else {})} for each in _commands()
            ],
            "assistant_view": {
                "assistant_description": DESCRIPTION,
                "suggested_prompts": [
                    {"title": clip(each, 70), "message": each} for each in message_events.examples()
                ],
            },
        },
        "oauth_config": {
            **({"redirect_urls": [f"{url}{http_server.REDIRECT}"]} if oauth and url else {}),
            "scopes": {"bot": sorted(SCOPES)},
        },
        "settings": {
            "event_subscriptions": {**request, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **request},
            "org_deploy_enabled": oauth,
            "socket_mode_enabled": not url,
            "token_rotation_enabled": False,
        },
    }


def text(url: str = "", *, oauth: bool = False) -> str:
    """Return the manifest as YAML."""
    return yaml.safe_dump(manifest(url, oauth=oauth), sort_keys=False, allow_unicode=True, width=110)


def _commands() -> list[dict[str, Any]]:
    imagine = commands.command("imagine")
    others = [each.name for each in commands.COMMANDS if each.name != "imagine" and not each.admin]
    known = {
        IMAGINE: (str(imagine.help), "a red car --ar 16:9"),
        EASEL: ("Everything else: queue, history, quota, settings and more.", " | ".join(others)),
    }
    return [
        {"command": name, "description": help, "usage_hint": clip(hint, 1000), "should_escape": True}
        for name, (help, hint) in known.items()
    ]


def _shortcuts() -> Any:
    yield {
        "name": "Generate an image",
        "type": "global",
        "callback_id": GLOBAL,
        "description": "Open the form with every option.",
    }
    source = {
        SOURCE: ("Use as reference", "Generate from this message's image."),
        VERIFY: ("Verify", "Was this image made by Easel, and changed since?"),
    }
    entries = {id: (str(each.menu), str(each.menu_help)) for id, each in ENTRIES.items()}
    for id, (name, help) in (source | entries).items():
        yield {"name": name, "type": "message", "callback_id": id, "description": help}
