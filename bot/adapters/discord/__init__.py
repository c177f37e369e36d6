"""Discord as a surface: slash commands, buttons, forms, mentions and messages that live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.adapters.discord.doctor import examine as examine
from bot.adapters.discord.settings import DiscordSettings

if TYPE_CHECKING:
    from bot.adapters.discord.adapter import DiscordAdapter
    from bot.easel import Easel


def wanted(settings: DiscordSettings) -> bool:
    return bool(settings.discord_token)


def open_adapter(easel: Easel, settings: DiscordSettings) -> DiscordAdapter:
    from bot.adapters.discord.adapter import DiscordAdapter

    return DiscordAdapter(easel, settings)
