"""Discord's settings."""

from __future__ import annotations

from bot.settings import CoreSettings, Secret


class DiscordSettings(CoreSettings):
    """The bot user."""

    discord_token: Secret = Secret()
    """The bot token of the Discord application. Empty: no Discord."""
