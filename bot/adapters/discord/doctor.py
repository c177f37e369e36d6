"""Whether Discord's settings can work."""

from __future__ import annotations

import base64
import re

from bot.adapters.discord.settings import DiscordSettings
from bot.findings import Finding


def examine(settings: DiscordSettings, *, running: bool = False) -> Finding:
    """Check the form of the token; say how to invite the bot."""
    if not settings.discord_token:
        return Finding("Discord", None, "no DISCORD_TOKEN")
    token = settings.discord_token.reveal()
    if re.fullmatch(r"[\w-]{10,}\.[\w-]{4,}\.[\w-]{20,}", token) and (id := _application(token)):
        links = (
            f"invite it to a server with {_INVITE.format(id)}, take it along with {_TAKE_ALONG.format(id)}"
        )
        return Finding("Discord", True, f"the token has the right form; {links}")
    remedy = "Copy the token again from the application's Bot page: three parts with dots between them."
    return Finding("Discord", False, "DISCORD_TOKEN is not a bot token", remedy)


def _application(token: str) -> str:
    """Return the application's id, which a token begins with in Base64; empty where it has none."""
    head = token.partition(".")[0]
    try:
        id = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).decode("ascii")
    except ValueError:
        return ""
    return id if id.isdecimal() else ""


# View channels, send messages, also in threads, attach files, read the history.
# https://discord.com/developers/docs/topics/permissions
_PERMISSIONS = 1 << 10 | 1 << 11 | 1 << 38 | 1 << 15 | 1 << 16
_INVITE = (
    "https://discord.com/oauth2/authorize?client_id={}"
    f"&scope=bot+applications.commands&permissions={_PERMISSIONS}"
)
_TAKE_ALONG = (
    "https://discord.com/oauth2/authorize?client_id={}&scope=applications.commands&integration_type=1"
)
"""For one person, wherever they are: https://discord.com/developers/docs/resources/application"""
