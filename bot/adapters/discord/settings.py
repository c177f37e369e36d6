"""Discord's settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from bot.settings import CoreSettings, Secret, Several


def _servers(given: tuple[str, ...]) -> tuple[str, ...]:
    if not all(id.isascii() and id.isdecimal() for id in given):
        raise ValueError("server ids as in 123456789012345678,234567890123456789")
    return given


class DiscordSettings(CoreSettings):
    """The bot user."""

    discord_token: Secret = Secret()
    """The bot token of the Discord application. Empty: no Discord."""
    discord_servers: Annotated[Several, AfterValidator(_servers)] = ()
    """Ids of the servers that may use Easel, with commas between them; it leaves any other. Empty: all."""
