"""Discord's settings."""

from __future__ import annotations

from pydantic import Field

from bot.settings import CoreSettings, Secret


class DiscordSettings(CoreSettings):
    """The bot user."""

    discord_token: Secret = Field(
        default=Secret(), description="The bot token of the Discord application. Empty: no Discord."
    )
